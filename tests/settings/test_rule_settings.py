from pathlib import Path

import pytest
from settings_site import ROUTE, Site

from bridge.domain.conditions import ALWAYS, Expression, When
from bridge.domain.deliveries import ClosingAnswer
from bridge.domain.events import Agent, EventType
from bridge.domain.hours import read_hours
from bridge.domain.number_facts import LineType
from bridge.domain.rules import DEFAULT_RULES, Action, Message
from bridge.domain.units import HOUR_US
from bridge.settings.rule_checks import unreachable

SENDING = """
[[rules]]
name = "missed"
on = ["call.abandoned"]
do = ["send_watemplate"]
token = "wa-token"
user_id = "17"
watemplate = { elementname = "m", namespace = "ns" }
"""
WHEN = """
[msisdn]
default_region = "SE"
[[rules]]
on = ["call.abandoned"]
do = ["create_errand"]
[rules.when]
queue_names = ["Sales"]
dest_numbers = ["08-123 456 78"]
caller_countries = ["se", "MY"]
caller_types = ["mobile"]
withheld = false
within_hours = ["mon-fri 08:00-17:00"]
outside_hours = ["2026-12-25 08:00-17:00"]
waited_longer_than = "1.5m"
expression = "queueName == 'Sales'"
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_every_condition_is_handed_on(site: Site) -> None:
    rule = site.load(WHEN).guide().rules.rules[0]
    assert rule.when == When(
        queue_names=frozenset({"Sales"}),
        dest_numbers=frozenset({"46812345678"}),
        countries=frozenset({"SE", "MY"}),
        line_types=frozenset({LineType.MOBILE}),
        is_withheld=False,
        within=read_hours(["mon-fri 08:00-17:00"]),
        outside=read_hours(["2026-12-25 08:00-17:00"]),
        waited_s=90.0,
        expression=Expression("queueName == 'Sales'"),
    )


def test_a_message_is_handed_on_with_its_defaults(site: Site) -> None:
    settings = site.load(SENDING)
    rule = settings.guide().rules.rules[0]
    assert rule.message == Message(
        elementname="m",
        namespace="ns",
        user_type="cention",
        user_id="17",
        outlet="watemplate:missed",
        valid_for_us=2 * HOUR_US,
        not_within_us=24 * HOUR_US,
    )
    assert settings.tokens()["watemplate:missed"] == "wa-token"
    outlet = settings.route_table().named("watemplate:missed")
    assert outlet.scope == "https://api.cention.example/s/demo"


def test_a_message_may_leave_for_a_workspace_of_its_own_with_all_its_limits(site: Site) -> None:
    settings = site.load(
        SENDING.replace(
            'user_id = "17"',
            'user_id = "9"\nuser_type = "solidus"\nworkspace = "wa"\nvalid_for = "45m"\n'
            'not_within = "30d"\nquiet_hours = ["21:00-08:00"]',
        )
    )
    message = settings.guide().rules.rules[0].message
    assert message is not None
    assert (message.user_type, message.user_id) == ("solidus", "9")
    assert message.valid_for_us == 45 * 60 * 1_000_000
    assert message.not_within_us == 30 * 24 * HOUR_US
    assert message.quiet == read_hours(["21:00-08:00"])
    assert settings.route_table().named("watemplate:missed").workspace == "wa"


def test_an_outlet_serves_no_call(site: Site) -> None:
    routes = site.load(SENDING + ROUTE).route_table()
    assert routes.pick("Sales", "", "").name == "sales"
    assert routes.pick("Other", "", "").name == "default"
    assert [one.name for one in routes.all()] == ["sales", "default", "watemplate:missed"]


def test_the_token_of_a_rule_may_be_a_secret_file(site: Site) -> None:
    site.secrets({"rules.missed.token": "from-file\n"})
    settings = site.load(SENDING.replace('token = "wa-token"\n', ""))
    assert settings.tokens()["watemplate:missed"] == "from-file"


def test_an_answer_is_handed_on(site: Site) -> None:
    rule = (
        site.load(
            '[[rules]]\non = ["call.answered"]\ndo = ["answer"]\nuser_id = "3"\n'
            'answer = { subject = "S", body = "B" }\n'
        )
        .guide()
        .rules.rules[0]
    )
    assert (rule.name, rule.when) == ("rules.0", ALWAYS)
    assert rule.do == {Action.ANSWER}
    assert rule.answer == ClosingAnswer(user_type="cention", user_id="3", subject="S", body="B")


def test_the_default_route_has_an_agent_and_a_time_zone_too(site: Site) -> None:
    guide = site.load(
        '[cention]\ndevice_id = 7\nextension_id = 8\ntimezone = "Asia/Kuala_Lumpur"\n'
    ).guide()
    assert guide.routes.default.agent == Agent(7, 8)
    assert str(guide.zone("default")) == "Asia/Kuala_Lumpur"
    assert str(guide.zone("other")) == "UTC"


def test_the_file_shows_the_rules_that_are_built_in(site: Site) -> None:
    file = Path(__file__).parents[2] / "config" / "bridge.toml"
    lines = file.read_text().partition("# The built-in rules.")[2].splitlines()
    built_in = "\n".join(line[1:] for line in lines if line.startswith("#") and line[1:2] != " ")
    shown = site.load(built_in.partition("\nreuse_after_hours")[0]).guide().rules.rules
    assert shown[: len(DEFAULT_RULES)] == DEFAULT_RULES


def without(key: str) -> str:
    return "\n".join(line for line in SENDING.splitlines() if not line.startswith(f"{key} "))


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        (without("name"), "rules.0.name: is missing; a rule that sends messages needs one"),
        (without("token"), "rules.0.token: is missing; send_watemplate needs the token of the"),
        (without("user_id"), "rules.0.user_id: is missing; Cention wants to know who sends"),
        (without("watemplate"), "rules.0.watemplate: is missing; send_watemplate needs to know"),
        (
            SENDING.replace(', namespace = "ns"', ""),
            'rules.0.watemplate.namespace: is missing; use for instance "0a1b2c3d"',
        ),
        (
            SENDING.replace("send_watemplate", "upsert_contact").replace("token", "#"),
            "rules.0.watemplate: is for send_watemplate, which is not in do; add it there",
        ),
        (
            SENDING.replace(' namespace = "ns"', ' namespace = "ns", params = [{ a = "{{ x }}" }]'),
            "rules.0.watemplate.params.0.a: can't be filled in ('x' is undefined); mend the",
        ),
        (
            SENDING.replace(' namespace = "ns"', ' namespace = "ns", params = [{ a = 1 }]'),
            "rules.0.watemplate.params.0.a: is not right; see config/bridge.toml",
        ),
        (
            SENDING.replace(' namespace = "ns"', ' namespace = "ns", params = ["a"]'),
            'rules.0.watemplate.params.0: is no table of texts; use a list of tables, [{ name = "',
        ),
        (
            SENDING.replace(' namespace = "ns"', ' namespace = "ns", params = "a"'),
            'rules.0.watemplate.params: is no list; use a list of tables, [{ name = "',
        ),
        (
            SENDING.replace(
                ' namespace = "ns"', ' namespace = "ns", params = [{ "²" = "{{ x }}" }]'
            ),
            "rules.0.watemplate.params.0.²: can't be filled in ('x' is undefined)",
        ),
        (SENDING + "valid_for = 2\n", "rules.0.valid_for: is no duration; use text with a unit"),
        (SENDING + 'valid_for = "2 hours"\n', "rules.0.valid_for: is no duration; use text with"),
        (SENDING + 'valid_for = "10s"\n', "rules.0.valid_for: is over before it may be sent; use"),
        (SENDING + 'not_within = "31d"\n', "rules.0.not_within: is out of range; use 30d at most"),
        (SENDING + 'quiet_hours = ["x"]\n', "rules.0.quiet_hours.0: is no hours of the week; use "),
        (SENDING + SENDING, "rules.1.name: is that of rules.0 too; use another name"),
        (
            "[[rules]]\non = ['call.answered']\ndo = ['answer']\n",
            "rules.0.user_id: is missing; Cention wants to know who answered; use the user's",
        ),
        (WHEN.replace("'Sales'", "'"), "rules.0.when.expression: can't be evaluated ("),
        (WHEN.replace("queueName", "queue"), "rules.0.when.expression: can't be evaluated (no "),
        (WHEN.replace("08-123 456 78", "12"), "rules.0.when.dest_numbers.0: is no valid number in"),
        (WHEN.replace('"MY"', '"XX"'), "rules.0.when.caller_countries.1: is no region; use two"),
        (WHEN.replace('"mobile"', '"fax"'), "rules.0.when.caller_types.0: is none of the choices"),
        (WHEN.replace("1.5m", "soon"), "rules.0.when.waited_longer_than: is no duration; use text"),
        (WHEN.replace("withheld", "hidden"), "rules.0.when.hidden: is unknown; here there are "),
        ("[cention]\ndevice_id = 7\n", "cention.extension_id: is missing beside device_id; give"),
    ],
)
def test_each_mistake_has_its_line(site: Site, toml: str, line: str) -> None:
    [problem] = site.problems(toml)
    assert problem.startswith(line)


def test_the_same_mistake_in_several_texts_is_told_of_each(site: Site) -> None:
    toml = "[[rules]]\non = ['call.ended']\ndo = ['create_errand']\n"
    problems = site.problems(toml + 'subject = "{{ a }}"\nbody = "{{ b }}"\n')
    assert [one.partition(":")[0] for one in problems] == ["rules.0.subject", "rules.0.body"]


def test_a_rule_that_no_event_comes_to_is_told_of(site: Site) -> None:
    first = '[[rules]]\nname = "all"\non = ["call.ended", "call.abandoned"]\ndo = ["ignore"]\n'
    held = first.replace('"all"', '"some"') + "[rules.when]\nwithheld = true\n"
    settings = site.load(held + first + SENDING)
    (line,) = unreachable(settings)
    assert line.startswith("rules.2 (missed): no event comes to it")
    assert settings.rules[2].on == (EventType.CALL_ABANDONED,)
