from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from settings_site import ROUTE, Site

from bridge.domain.calls import CallPolicy
from bridge.domain.events import Agent, CallEvent, EventType
from bridge.domain.facts import Facts
from bridge.domain.routes import Route
from bridge.domain.rules import DEFAULT_BODY, DEFAULT_RULES, Action
from bridge.domain.spans import merged
from bridge.settings import Settings

# The contract's section 2, and what the daemon needs besides.
KEYS = [
    "http.listen",
    "http.auth_tokens",
    "http.signing_secrets",
    "http.verifying_keys",
    "http.twilio_auth_tokens",
    "http.telnyx_public_keys",
    "http.sipgate_public_keys",
    "http.allowed_addresses",
    "http.trusted_proxies",
    "http.tls_certificate",
    "http.tls_key",
    "http.tls_client_ca",
    "http.events_per_minute",
    "http.socket_mode",
    "http.connections_max",
    "hooks.auth_tokens",
    "hooks.signing_secrets",
    "hooks.verifying_keys",
    "hooks.twilio_auth_tokens",
    "hooks.telnyx_public_keys",
    "hooks.sipgate_public_keys",
    "hooks.allowed_addresses",
    "hooks.events_per_minute",
    "hooks.public_url",
    "hooks.name",
    "hooks.mapping",
    "admin.listen",
    "store.url",
    "cention.base_url",
    "cention.workspace",
    "cention.token",
    "cention.requests_per_minute",
    "msisdn.default_region",
    "msisdn.bare_digits",
    "routes.name",
    "routes.queue_names",
    "routes.dest_numbers",
    "routes.queue_numbers",
    "routes.token",
    "routes.workspace",
    "routes.default_region",
    "routes.device_id",
    "routes.extension_id",
    "routes.dest_number",
    "routes.queue_name",
    "routes.queue_number",
    "routes.timezone",
    "routes.bare_digits",
    "cention.device_id",
    "cention.extension_id",
    "cention.timezone",
    "rules.name",
    "rules.on",
    "rules.when",
    "rules.do",
    "rules.subject",
    "rules.body",
    "rules.html_body",
    "rules.answer",
    "rules.watemplate",
    "rules.token",
    "rules.workspace",
    "rules.user_type",
    "rules.user_id",
    "rules.valid_for",
    "rules.not_within",
    "rules.quiet_hours",
    "calls.reuse_after_hours",
    "calls.settle_seconds",
    "calls.max_hours",
    "contacts.cuid_label",
    "contacts.conflict",
    "contacts.shared_numbers",
    "contacts.refresh_days",
    "delivery.in_doubt",
    "delivery.settle_seconds",
    "delivery.in_flight_max",
    "delivery.timeout_seconds",
    "delivery.shutdown_seconds",
    "reports.enabled",
    "reports.poll_seconds",
    "reports.exclusive",
    "reports.token",
    "callbacks.addresses",
    "callbacks.secret",
    "callbacks.forward_url",
    "callbacks.forward_secret",
    "oneview.base_url",
    "oneview.wrap_up_seconds",
    "oneview.status",
    "oneview.rate_per_minute",
    "agents.device_id",
    "agents.extension_id",
    "agents.email",
    "agents.token",
    "provision.base_url",
    "provision.workspace",
    "provision.access_key_id",
    "provision.access_key_secret",
    "provision.struct_signing",
    "provision.requests_per_minute",
    "retention.payload_hours",
    "retention.journal_days",
    "retention.quarantine_days",
    "log.level",
    "log.format",
    "tracing.endpoint",
    "tracing.sample_ratio",
    "tracing.service_name",
]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def _described() -> dict[str, str | None]:
    schema = Settings.model_json_schema()
    found: dict[str, str | None] = {}
    for section, value in schema["properties"].items():
        reference = value.get("$ref") or value.get("items", {}).get("$ref")
        table = schema["$defs"][reference.rpartition("/")[2]]
        for key, field in table["properties"].items():
            found[f"{section}.{key}"] = field.get("description")
    return found


def test_there_is_every_key_of_the_contract_and_no_other() -> None:
    assert sorted(_described()) == sorted(KEYS)


def test_every_key_says_what_it_means() -> None:
    assert [key for key, meaning in _described().items() if not meaning] == []


def test_the_defaults_are_those_of_the_contract(site: Site) -> None:
    settings = site.load()
    assert str(settings.http.listen) == "127.0.0.1:8080"
    assert str(settings.admin.listen) == "127.0.0.1:9108"
    assert settings.http.auth_tokens == settings.http.signing_secrets == ()
    assert settings.cention.requests_per_minute == 950
    assert settings.msisdn.default_region is None
    assert settings.msisdn.bare_digits == "national"
    assert [settings.routes, settings.rules, settings.agents] == [(), (), ()]
    calls = settings.calls
    assert (calls.reuse_after_hours, calls.settle_seconds, calls.max_hours) == (24, 10, 12)
    contacts = settings.contacts
    assert (contacts.cuid_label, contacts.conflict) == ("cuid", "prefer_cuid")
    assert (contacts.shared_numbers, contacts.refresh_days) == ((), 30)
    assert settings.delivery.settle_seconds == 90
    reports = settings.reports
    assert (reports.enabled, reports.poll_seconds, reports.exclusive) == (False, 60, True)
    assert settings.oneview.wrap_up_seconds == 0
    retention = settings.retention
    assert (retention.payload_hours, retention.journal_days) == (72, 30)
    assert retention.quarantine_days == 30


class TestInDoubt:
    def test_without_reports_it_is_sent_again(self, site: Site) -> None:
        assert site.load().in_doubt_policy == "resend"

    def test_with_reports_it_is_looked_up(self, site: Site) -> None:
        assert site.load(REPORTS__ENABLED="true").in_doubt_policy == "reconcile"

    def test_what_is_said_holds(self, site: Site) -> None:
        settings = site.load(REPORTS__ENABLED="true", DELIVERY__IN_DOUBT="hold")
        assert settings.in_doubt_policy == "hold"


class TestNotices:
    def test_nothing_set_nothing_said(self, site: Site) -> None:
        assert site.load(ROUTE).notices() == []

    @pytest.mark.parametrize(
        ("toml", "name"),
        [
            ('[oneview]\nbase_url = "https://x"', "oneview"),
            (
                '[[agents]]\ndevice_id = 1\nextension_id = 1\nemail = "a@b"\ntoken = "x"',
                "agents",
            ),
        ],
    )
    def test_one_view_without_agents_and_agents_without_one_view_have_one_line(
        self, site: Site, toml: str, name: str
    ) -> None:
        [notice] = site.load(toml).notices()
        assert notice.startswith(f"{name}: set, but ")


def facts(kind: str) -> Facts:
    event = CallEvent(
        source="aventa", event_id="e1", type=EventType(kind), occurred_us=0, route="default"
    )
    return Facts(event, merged([], 0))


class TestGuide:
    def test_a_route_has_what_it_says_and_the_rest_from_the_whole(self, site: Site) -> None:
        guide = site.load(
            '[msisdn]\ndefault_region = "se"\n'
            '[[routes]]\nname = "sales"\nqueue_names = ["Sales"]\ndest_numbers = ["1001"]\n'
            'queue_numbers = ["7"]\ntoken = "t"\ndevice_id = 0\nextension_id = 2\n'
            'dest_number = "070-123 45 67"\nqueue_name = "S"\nqueue_number = "8"\n'
            'timezone = "Europe/Stockholm"\n'
            '[[routes]]\nname = "my"\nqueue_names = ["KL"]\nworkspace = "kl"\n'
            'default_region = "MY"\nbare_digits = "msisdn"\n'
        ).guide()
        sales, kuala_lumpur = guide.routes.routes
        assert sales == Route(
            name="sales",
            base_url="https://api.cention.example",
            workspace="demo",
            queue_names=frozenset({"Sales"}),
            dest_numbers=frozenset({"1001"}),
            queue_numbers=frozenset({"7"}),
            region="SE",
            agent=Agent(0, 2),
            dest_msisdn="46701234567",
            queue_name="S",
            queue_number="8",
            timezone="Europe/Stockholm",
        )
        assert (kuala_lumpur.workspace, kuala_lumpur.region) == ("kl", "MY")
        assert kuala_lumpur.bare_digits == "msisdn"
        assert guide.routes.default == Route(
            name="default", base_url="https://api.cention.example", workspace="demo", region="SE"
        )
        assert guide.zones == {"sales": ZoneInfo("Europe/Stockholm")}

    def test_a_slash_at_the_end_of_the_address_is_cut(self, site: Site) -> None:
        guide = site.load(CENTION__BASE_URL="https://api.example/base//").guide()
        assert guide.routes.default.scope == "https://api.example/base/s/demo"

    def test_a_sites_rules_come_before_the_default_ones(self, site: Site) -> None:
        rules = site.load(
            '[[rules]]\non = ["call.abandoned"]\ndo = ["create_errand"]\nsubject = "Missed"\n'
        ).guide()
        own = rules.rules.find(facts("call.abandoned"))
        assert own is not None
        assert own.do == {Action.CREATE_ERRAND}
        assert (own.subject, own.body) == ("Missed", DEFAULT_BODY)
        assert rules.rules.find(facts("call.queued")) == DEFAULT_RULES[0]

    def test_shared_numbers_have_the_plus(self, site: Site) -> None:
        guide = site.load(
            '[msisdn]\ndefault_region = "SE"\n'
            '[contacts]\nshared_numbers = ["070-123 45 67", "+60374571234"]\n'
        ).guide()
        assert guide.shared_numbers == {"+46701234567", "+60374571234"}


def test_the_policy_for_calls_is_in_microseconds(site: Site) -> None:
    settings = site.load(
        "[calls]\nreuse_after_hours = 0.5\nsettle_seconds = 2\nmax_hours = 1\n"
        "[retention]\njournal_days = 2\n"
    )
    assert settings.call_policy() == CallPolicy(
        reuse_after_us=1_800_000_000,
        settle_us=2_000_000,
        stale_after_us=3_600_000_000,
        journal_us=172_800_000_000,
    )
    assert site.load("[log]\n").call_policy() == CallPolicy()


class TestTokens:
    def test_a_route_without_one_has_that_of_the_whole(self, site: Site) -> None:
        assert site.load(ROUTE).tokens() == {
            "sales": "cention-token",
            "default": "cention-token",
        }

    def test_where_there_is_none_there_is_none(self, site: Site) -> None:
        site.environ.clear()
        assert site.load(ROUTE, require_upstream=False).tokens() == {}


def test_settings_are_frozen(site: Site) -> None:
    settings = site.load(ROUTE)
    with pytest.raises(ValueError, match="frozen"):
        settings.log = settings.log  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        settings.routes[0].name = "x"  # type: ignore[misc]
