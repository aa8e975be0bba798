from pathlib import Path

import pytest
from settings_site import ROUTE, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


class TestEachMistakeHasItsLine:
    @pytest.mark.parametrize(
        ("toml", "line"),
        [
            ("[http]\nlistn = 1", "http.listn: is unknown; did you mean http.listen?"),
            ("[centon]\nx = 1", "centon: is unknown; did you mean cention?"),
            (
                "requests_per_minute = 1",
                "requests_per_minute: is unknown; did you mean cention.requests_per_minute?",
            ),
            ("[log]\ncolour = 1", "log.colour: is unknown; here there are level, format"),
            ("log = 5", "log: is no table; write [log]"),
            ("[routes]\nname = 'a'", "routes: is no list; write [[routes]]"),
            ("routes = ['a']", "routes.0: is no table; write [[routes]]"),
            (
                "[cention]\nrequests_per_minute = 0",
                "cention.requests_per_minute: is out of range; use a whole number 1…1000000",
            ),
            (
                "[cention]\nrequests_per_minute = 9.5",
                "cention.requests_per_minute: is no whole number; use a whole number 1…1000000",
            ),
            (
                "[cention]\nrequests_per_minute = true",
                "cention.requests_per_minute: is no whole number; use a whole number 1…1000000",
            ),
            (
                "[calls]\nmax_hours = nan",
                "calls.max_hours: is out of range; use a number above 0, at most 8760",
            ),
            (
                "[calls]\nsettle_seconds = '1'",
                "calls.settle_seconds: is no number; use a number above 0, at most 3600",
            ),
            (
                "[reports]\nenabled = 1",
                "reports.enabled: is neither true nor false; use true or false",
            ),
            ("[log]\nlevel = 'loud'", "log.level: is none of the choices; use 'debug', 'info', "),
            ("[contacts]\ncuid_label = 5", "contacts.cuid_label: is no text; use text in quotes"),
            ("[contacts]\ncuid_label = ' '", "contacts.cuid_label: is empty; give it a value "),
            (
                f"[contacts]\ncuid_label = '{'x' * 129}'",
                "contacts.cuid_label: is too long; use 128 characters at most",
            ),
            ("[http]\nauth_tokens = 'a'", 'http.auth_tokens: is no list; use a list, ["…"]'),
            ("[http]\nauth_tokens = ['a', 5]", "http.auth_tokens.1: is no text; use text in"),
            ("[http]\nauth_tokens = ['a b']", "http.auth_tokens.0: holds what no header can "),
            ("[http]\nsigning_secrets = ['x']", "http.signing_secrets.0: is no signing secret; "),
            (
                "[http]\nsigning_secrets = ['whsec_ä']",
                "http.signing_secrets.0: is no signing secret; use whsec_ and then base64",
            ),
            ("[http]\nlisten = '8080'", "http.listen: is no address; use 127.0.0.1:8080, "),
            ("[http]\nlisten = 8080", "http.listen: is no text; use text in quotes"),
            ("[admin]\nlisten = '127.0.0.1:99999'", "admin.listen: has a port that does not "),
            ("[admin]\nlisten = '127.0.0.1:8080'", "admin.listen: is the same as http.listen; "),
            ("[store]\nurl = 'postgresql://u@h/db'", "store.url: names PostgreSQL, which will "),
            ("[store]\nurl = 'mysql://h/db'", "store.url: names a store that the bridge can't "),
            ("[store]\nurl = 'bridge.db'", "store.url: names a store that the bridge can't use"),
            ("[store]\nurl = 'sqlite://bridge.db'", "store.url: names no file; use sqlite:///"),
            ("[store]\nurl = 'sqlite:///:memory:'", "store.url: names no file that outlives a "),
            ("[msisdn]\ndefault_region = 'XX'", "msisdn.default_region: is no region; use two "),
            ("[msisdn]\nbare_digits = 'x'", "msisdn.bare_digits: is none of the choices; use "),
            (
                "[contacts]\nshared_numbers = ['+60374571234', '5']",
                "contacts.shared_numbers.1: is no valid number without msisdn.default_region; ",
            ),
            ("[delivery]\nin_flight_max = 1001", "delivery.in_flight_max: is out of range; use a"),
            ("[delivery]\nin_doubt = ''", "delivery.in_doubt: is none of the choices; use 'rec"),
            ("[reports]\npoll_seconds = 0", "reports.poll_seconds: is out of range; use a number"),
            (
                "[callbacks]\nforward_url = 'https://x/?a=b'",
                "callbacks.forward_secret: is missing beside forward_url; give both or neither",
            ),
            ("[callbacks]\nforward_url = 'ftp://x'\nforward_secret = 'whsec_aaaa'", "callbacks.f"),
            ("[oneview]\nbase_url = 'https://x/?a'", "oneview.base_url: has a query or fragment"),
            ("[oneview]\nbase_url = 'https://['", "oneview.base_url: is no URL; use https://host"),
            ("[oneview]\nbase_url = 'https://x y'", "oneview.base_url: is no URL; use https://ho"),
            ("[oneview]\nstatus = 'Online'", "oneview.status: lets an agent on a call get chats"),
            ("[oneview]\nwrap_up_seconds = -1", "oneview.wrap_up_seconds: is out of range; use "),
            (
                "[provision]\naccess_key_id = 'x'",
                "provision.access_key_secret: is missing beside access_key_id; give both or neit",
            ),
            ("[retention]\njournal_days = 0", "retention.journal_days: is out of range; use a wh"),
        ],
    )
    def test_in_a_section(self, site: Site, toml: str, line: str) -> None:
        [problem] = site.problems(toml)
        assert problem.startswith(line)

    @pytest.mark.parametrize(
        ("toml", "line"),
        [
            ("name = 'A'", "routes.0.name: is no route's name; use 1…32 of a-z, 0-9, "),
            ("name = 'default'", "routes.0.name: is kept for what no route serves; use "),
            ("", 'routes.0.name: is missing; use for instance "sales"'),
            ("name = 'a'\nqueue_names = []", "routes.0: serves no call; give queue_names, dest"),
            ("name = 'a'\nqueue_names = ['']", "routes.0.queue_names.0: is empty; give it a va"),
            ("name = 'a'\nqueue_numbers = [7]", "routes.0.queue_numbers.0: is no text; use tex"),
            ("name = 'a'\nworkspace = 'a/b'", "routes.0.workspace: is no workspace; use letters"),
            ("name = 'a'\nworkspace = '..'", "routes.0.workspace: is no workspace; use letters"),
            ("name = 'a'\ndevice_id = 1", "routes.0.extension_id: is missing beside device_id; "),
            ("name = 'a'\nextension_id = 1", "routes.0.device_id: is missing beside extension_id"),
            (
                "name = 'a'\nextension_id = 1\ndevice_id = 2147483648",
                "routes.0.device_id: is out of range; use a whole number 0…2147483647",
            ),
            (
                "name = 'a'\ndest_number = '1001'\ndefault_region = 'SE'",
                "routes.0.dest_number: is no valid number in SE; use plus and country code, such",
            ),
            ("name = 'a'\ndest_number = 'x'", "routes.0.dest_number: is no valid number without "),
            (
                "name = 'a'\ntimezone = 'Europe/Stokholm'",
                (
                    "routes.0.timezone: is no time zone that this machine knows; "
                    "did you mean Europe/Stockholm?"
                ),
            ),
            ("name = 'a'\ntimezone = '../x'", "routes.0.timezone: is no time zone that this "),
            ("name = 'a'\ntimezone = 'Europe'", "routes.0.timezone: is no time zone that this "),
            ("name = 'a'\nqueue = 'x'", "routes.0.queue: is unknown; "),
        ],
    )
    def test_in_a_route(self, site: Site, toml: str, line: str) -> None:
        missing = {"queue_names": "['Q']", "workspace": "'w'"}
        given = "\n".join(f"{key} = {text}" for key, text in missing.items() if key not in toml)
        [problem] = site.problems(f"[[routes]]\n{toml}\n{given}\n")
        assert problem.startswith(line)

    def test_a_route_that_leads_nowhere(self, site: Site) -> None:
        assert site.problems("[[routes]]\nname = 'a'\nqueue_names = ['Q']\n") == [
            "routes.0: leads nowhere else than cention.*; give token, workspace or both"
        ]

    def test_two_routes_of_one_name(self, site: Site) -> None:
        assert site.problems(ROUTE + ROUTE) == [
            "routes.1.name: is that of routes.0 too; use another name"
        ]

    @pytest.mark.parametrize(
        ("toml", "line"),
        [
            ("on = []\ndo = ['ignore']", "rules.0.on: is empty; name types of event, such as "),
            ("on = ['call.ended']\ndo = []", "rules.0.do: is empty; use ignore for a rule that"),
            ("do = ['ignore']", 'rules.0.on: is missing; use for instance ["call.abandoned"]'),
            ("on = ['call.ended']", 'rules.0.do: is missing; use for instance ["upsert_contact"]'),
            (
                "on = ['call.ended', 'call.over']\ndo = ['ignore']",
                "rules.0.on.1: is none of the choices; use 'call.queued', 'call.answered', ",
            ),
            (
                "on = ['call.ended']\ndo = ['send_message']",
                "rules.0.do.0: is none of the choices; use 'upsert_contact', 'create_errand', ",
            ),
            (
                "on = ['call.ended']\ndo = ['ignore', 'end_errand']",
                "rules.0.do: has ignore beside others; ignore stands alone",
            ),
            ("on = 'call.ended'\ndo = ['ignore']", "rules.0.on: is no list; use for instance "),
            (
                "on = ['call.ended']\ndo = ['ignore']\nwhen = 'x'",
                "rules.0.when: is no table; write [rules.when]",
            ),
            (
                "on = ['call.ended']\ndo = ['ignore']\nanswer = {}",
                "rules.0.answer: is for answer, which is not in do; add it there, or leave this ",
            ),
            (
                "on = ['call.ended']\ndo = ['ignore']\nsend_watemplate = {}",
                "rules.0.send_watemplate: is unknown; ",
            ),
            (
                "on = ['call.ended']\ndo = ['ignore']\nsubject = '{{ nobody }}'",
                "rules.0.subject: can't be filled in ('nobody' is undefined); mend the template",
            ),
            (
                "on = ['call.ended']\ndo = ['ignore']\nbody = '{% if %}'",
                "rules.0.body: can't be filled in (Expected an expression, ",
            ),
            (
                "on = ['call.ended']\ndo = ['ignore']\nhtml_body = '{{ \"{0}{1}\".format(1) }}'",
                "rules.0.html_body: can't be filled in (",
            ),
        ],
    )
    def test_in_a_rule(self, site: Site, toml: str, line: str) -> None:
        [problem] = site.problems(f"[[rules]]\n{toml}\n")
        assert problem.startswith(line)

    def test_in_an_agent(self, site: Site) -> None:
        agent = "[[agents]]\ndevice_id = 1\nextension_id = 2\n"
        assert site.problems(f"{agent}email = 'x'\n") == [
            "agents.0.email: is no e-mail address; use one such as agent@example.com",
            'agents.0.token: is missing; use for instance "eyJhbGci"',
        ]
        whole = f"{agent}email = 'a@b'\ntoken = 'x'\n"
        assert site.problems(whole + whole) == [
            "agents.1: has the desk of agents.0; name each desk once"
        ]


class TestCention:
    def test_each_missing_key_is_named(self, site: Site) -> None:
        site.environ.clear()
        assert site.problems() == [
            "cention.base_url: is missing; set it in the file or as BRIDGE_CENTION__BASE_URL",
            "cention.workspace: is missing; set it in the file or as BRIDGE_CENTION__WORKSPACE",
            (
                "cention.token: is missing; set it in the file or as BRIDGE_CENTION__TOKEN, "
                "or put it into a secret file named cention.token"
            ),
        ]

    def test_who_needs_the_store_alone_does_without(self, site: Site) -> None:
        site.environ.clear()
        assert site.load(require_upstream=False).cention.token is None

    @pytest.mark.parametrize("url", ["x", "http://", "//x", "https://u:p@x", "https://x/#a"])
    def test_an_address_that_is_none(self, site: Site, url: str) -> None:
        [problem] = site.problems(CENTION__BASE_URL=url)
        assert problem.startswith("cention.base_url: ")
        assert problem.endswith("(from BRIDGE_CENTION__BASE_URL)")

    def test_a_slip_in_a_name_is_one_mistake(self, site: Site) -> None:
        del site.environ["BRIDGE_CENTION__TOKEN"]
        assert site.problems("[cention]\ntokn = 'x'\n") == [
            "cention.tokn: is unknown; did you mean cention.token?"
        ]


class TestListening:
    @pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "pbx.example.com:80"])
    def test_beyond_this_machine_somebody_has_to_prove_who_they_are(
        self, site: Site, listen: str
    ) -> None:
        [problem] = site.problems(HTTP__LISTEN=listen)
        assert problem.startswith("http.listen: can be reached from other machines without auth")
        assert site.load(HTTP__AUTH_TOKENS='["t"]').http.listen.host
        del site.environ["BRIDGE_HTTP__AUTH_TOKENS"]
        assert site.load(HTTP__SIGNING_SECRETS='["whsec_c2VjcmV0"]').http.listen.host

    @pytest.mark.parametrize("listen", ["127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/x.sock"])
    def test_on_this_machine_nobody_has_to(self, site: Site, listen: str) -> None:
        assert str(site.load(HTTP__LISTEN=listen).http.listen) == listen

    def test_any_free_port_may_be_asked_for_twice(self, site: Site) -> None:
        settings = site.load(HTTP__LISTEN="127.0.0.1:0", ADMIN__LISTEN="127.0.0.1:0")
        assert settings.http.listen == settings.admin.listen
