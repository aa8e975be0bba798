from typing import Any
from zoneinfo import ZoneInfo

import pytest
from call_world import event
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge.domain.conditions import ALWAYS, Expression, When
from bridge.domain.errors import InvalidExpression
from bridge.domain.events import CallEvent, ContactDetails, EventType
from bridge.domain.facts import DOCUMENT_FIELDS, WHAT, Facts
from bridge.domain.hours import read_hours
from bridge.domain.msisdn import read_number
from bridge.domain.number_facts import LineType
from bridge.domain.spans import merged, with_event
from bridge.domain.texts import FULL_EXAMPLE

QUEUED = event("call.queued", 0)
ABANDONED = event("call.abandoned", 2)
WITHHELD = read_number("anonymous", region=None)


def facts(*events: CallEvent, zone: str = "UTC") -> Facts:
    """Return what is known when the last of these is taken."""
    span = merged([], events[0].occurred_us)
    for order, one in enumerate(events):
        span = with_event(span, one, order)
    return Facts(events[-1], span, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"queue_names": frozenset({"EHS", "Sales"})}, True),
        ({"queue_names": frozenset({"Sales"})}, False),
        ({"dest_numbers": frozenset({"60374571234"})}, True),
        ({"dest_numbers": frozenset({"60374570000"})}, False),
        ({"countries": frozenset({"MY"})}, True),
        ({"countries": frozenset({"SE"})}, False),
        ({"line_types": frozenset({LineType.MOBILE})}, True),
        ({"line_types": frozenset({LineType.FIXED_LINE})}, False),
        ({"is_withheld": False}, True),
        ({"is_withheld": True}, False),
        ({"waited_s": 119.0}, True),
        ({"waited_s": 120.0}, False),
        ({"within": read_hours(["00:00-24:00"])}, True),
        ({"outside": read_hours(["00:00-24:00"])}, False),
        ({"expression": Expression("queueName == 'EHS'")}, True),
        ({"expression": Expression("queueName == 'X'")}, False),
        ({"queue_names": frozenset({"EHS"}), "countries": frozenset({"SE"})}, False),
        ({}, True),
    ],
)
def test_all_conditions_that_are_given_must_hold(when: dict[str, Any], *, holds: bool) -> None:
    assert When(**when).holds(facts(QUEUED, ABANDONED)) is holds


def test_what_the_event_leaves_out_is_read_from_its_call() -> None:
    bare = replace(ABANDONED, caller=WITHHELD, queue_name="", dest_msisdn="", caller_name="")
    asked = When(queue_names=frozenset({"EHS"}), countries=frozenset({"MY"}), is_withheld=False)
    assert asked.holds(facts(QUEUED, bare))
    assert not asked.holds(facts(bare))


def test_a_caller_without_a_number_is_from_nowhere() -> None:
    nobody = replace(ABANDONED, caller=WITHHELD, caller_text="anonymous")
    assert When(is_withheld=True).holds(facts(nobody))
    assert not When(countries=frozenset({"MY"})).holds(facts(nobody))
    assert not When(line_types=frozenset({LineType.MOBILE})).holds(facts(nobody))


def test_an_unreadable_number_is_not_withheld() -> None:
    odd = replace(ABANDONED, caller=read_number("1001", region=None), caller_text="1001")
    assert When(is_withheld=False).holds(facts(odd))


def test_hours_are_those_of_the_routes_zone_when_it_happened() -> None:
    # 14:15:20 UTC, 22:15:20 in Kuala Lumpur
    evening = When(within=read_hours(["22:00-23:00"]))
    assert evening.holds(facts(ABANDONED, zone="Asia/Kuala_Lumpur"))
    assert not evening.holds(facts(ABANDONED))


def test_an_answered_call_has_waited_until_its_answer() -> None:
    answered, ended = event("call.answered", 1), event("call.ended", 30)
    assert facts(QUEUED, answered, ended).waited_s == 60


@pytest.mark.parametrize(
    "text",
    [
        "extraData.callReason == 'refund'",
        "extraData.order",
        "contact.email[?contains(@, 'example')]",
        "contact.custom[?label == 'VIP'].value | [0] == 'yes'",
        "deviceId == `1000` && call.waitedSeconds > `60`",
        "!(call.answered)",
        "contains(callerName || '', 'Ad')",
        "[queueName, outcome]",
        "{a: eventType}.a == 'call.abandoned'",
    ],
)
def test_an_expression_may_ask_for_any_field(text: str) -> None:
    told = replace(
        ABANDONED,
        call_reason="refund",
        extra={"order": "7"},
        contact=ContactDetails(email=("a@b.example",), custom=(("VIP", "yes"),)),
    )
    assert Expression(text).holds(facts(QUEUED, told).document)


@pytest.mark.parametrize(
    "text",
    ["cuid", "outcome", "extraData.order", "contact.email", "length(cuid) > `2`", "`false`", "''"],
)
def test_what_is_not_known_is_not_true(text: str) -> None:
    assert not Expression(text).holds(facts(ABANDONED).document)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("queueName ==", "Invalid jmespath|Incomplete expression"),
        ("queuename == 'x'", "no event has a field 'queuename', did you mean queueName"),
        ("extraData.x || callreason", "no event has a field 'callreason'"),
        ("contains(extraData.x, 'y') && lenght(cuid)", "no function lenght.*did you mean length"),
        ("nosuch(cuid)", "no function nosuch"),
        ("contains(cuid)", "Expected 2 arguments"),
        ("!call.answered", r"write !\(a\.b\)"),
        ("", "Empty expression|cannot be empty|Invalid"),
    ],
)
def test_an_expression_that_means_nothing_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidExpression, match=reason):
        Expression(text)


@given(st.text(max_size=40) | st.from_regex(r"[a-zA-Z.\[\]?|&!()'`@*]{1,30}", fullmatch=True))
def test_whatever_is_written_is_refused_or_gives_an_answer(text: str) -> None:
    try:
        made = Expression(text)
    except InvalidExpression:
        return
    assert made.holds(facts(ABANDONED).document) in {True, False}


@pytest.mark.parametrize(
    "text",
    [
        "contains('vip gold', cuid)",
        "floor(to_number('inf'))",
        "ceil(to_number(extraData.callReason)) > `2`",
    ],
)
def test_an_expression_that_stumbles_over_a_value_is_not_true(text: str) -> None:
    told = replace(ABANDONED, call_reason="inf")
    assert not Expression(text).holds(facts(told).document)


def test_the_document_holds_exactly_the_fields_that_may_be_asked_for() -> None:
    assert facts(ABANDONED).document.keys() == DOCUMENT_FIELDS


def test_templates_get_exactly_the_names_that_they_were_tried_with() -> None:
    assert facts(ABANDONED).values.keys() == FULL_EXAMPLE.keys()


def test_every_type_of_event_has_words() -> None:
    assert set(WHAT) == set(EventType)


def test_an_appointment_beyond_the_calendar_is_left_out() -> None:
    assert facts(replace(ABANDONED, appointment_timestamp="9" * 12)).values["appointment"] == ""
    told = replace(ABANDONED, appointment_timestamp="1593047865")
    assert facts(told, zone="Asia/Kuala_Lumpur").values["appointment"] == "2020-06-25 09:17"


def test_no_condition_always_holds() -> None:
    assert ALWAYS.holds(facts(ABANDONED))
