from typing import Any
from zoneinfo import ZoneInfo

import pytest
from call_world import GUIDE, MINUTE_US, NOW_US, World, event
from msgspec.structs import replace

from bridge.domain.conditions import Expression, When
from bridge.domain.deliveries import (
    ClosingAnswer,
    Kind,
    NewErrand,
    Notice,
    Unsent,
    WhatsAppTemplate,
)
from bridge.domain.errands import Guide
from bridge.domain.events import CallEvent, EventType
from bridge.domain.hours import read_hours
from bridge.domain.markers import find_marker
from bridge.domain.msisdn import read_number
from bridge.domain.rules import DEFAULT_RULES, Action, Message, Rule, RuleBook
from bridge.domain.units import HOUR_US
from bridge.domain.watemplates import Manners

SETTLE_US = 10_000_000
MESSAGE = Message(
    elementname="missed_call",
    namespace="ns",
    params=({"default": "{{ caller }}", "order": "{{ extra.order }}"},),
    user_type="cention",
    user_id="17",
    outlet="watemplate:missed",
)
MISSED = Rule(
    name="missed",
    on=frozenset(
        {
            EventType.CALL_QUEUED,
            EventType.CALL_ABANDONED,
            EventType.CALL_ENDED,
            EventType.OUTBOUND_ENDED,
        }
    ),
    do=frozenset({Action.SEND_WATEMPLATE}),
    message=MESSAGE,
)
ABANDONED = event("call.abandoned", 0)
WITHHELD = read_number("anonymous", region=None)


def guide(rule: Rule = MISSED, **given: Any) -> Guide:
    return replace(GUIDE, rules=RuleBook((rule, *DEFAULT_RULES)), **given)


def told(*events: CallEvent, by: Guide | None = None) -> tuple[list[Notice], list[Unsent | None]]:
    """Return what is sent, and why not, as these events are taken."""
    world = World(by or guide())
    reasons = []
    for one in events:
        world.take(one)
        assert world.last is not None
        reasons.append(world.last.asked.unsent)
    return world.notices, reasons


def test_a_message_is_an_errand_of_its_own_as_the_vendors_page_shows_it() -> None:
    ([notice], _) = told(replace(ABANDONED, extra={"order": "1234"}, cuid="c1"))
    draft, errand = notice.draft, notice.draft.payload
    assert isinstance(errand, NewErrand)
    assert errand.watemplate == WhatsAppTemplate(
        elementname="missed_call",
        namespace="ns",
        params=({"default": "Ada", "order": "1234"},),
        route="default",
    )
    assert errand.answer == ClosingAnswer(user_type="cention", user_id="17")
    assert errand.integration is None
    assert (errand.name, errand.sender, errand.cuid) == ("Ada", "+60123456789", "c1")
    assert find_marker(errand.body) == errand.message_id
    assert (draft.kind, draft.route) == (Kind.WATEMPLATE, "watemplate:missed")
    assert (draft.key, draft.lane) == (f"{errand.message_id}:new", errand.message_id)


def test_it_has_another_id_than_the_errand_of_the_same_event() -> None:
    both = replace(MISSED, do=frozenset({Action.SEND_WATEMPLATE, Action.CREATE_ERRAND}))
    world = World(guide(both)).take(ABANDONED)
    assert world.created[0].message_id != world.notices[0].draft.lane


def test_it_waits_until_an_answer_that_comes_late_would_be_there() -> None:
    ([notice], _) = told(ABANDONED)
    assert notice.draft.not_before_us == NOW_US + SETTLE_US
    assert notice.draft.expires_us == NOW_US + 2 * HOUR_US


def test_it_waits_for_the_end_of_quiet_hours_in_the_routes_zone() -> None:
    # NOW_US is 14:13:20 UTC, 22:13:20 in Kuala Lumpur.
    message = replace(MESSAGE, quiet=read_hours(["21:00-08:00"]), valid_for_us=12 * HOUR_US)
    zones = {"default": ZoneInfo("Asia/Kuala_Lumpur")}
    ([notice], _) = told(ABANDONED, by=guide(replace(MISSED, message=message), zones=zones))
    until_us = notice.draft.not_before_us
    assert until_us is not None
    assert until_us == NOW_US + (9 * 60 + 46) * MINUTE_US + 40_000_000


@pytest.mark.parametrize(
    ("message", "minutes_ago"),
    [
        (replace(MESSAGE, quiet=read_hours(["12:00-20:00"])), 0),
        (replace(MESSAGE, quiet=read_hours(["00:00-24:00"])), 0),
        (MESSAGE, 120),
        (replace(MESSAGE, valid_for_us=60_000_000), 1),
    ],
)
def test_what_would_come_too_late_is_not_sent_at_all(message: Message, minutes_ago: float) -> None:
    late = event("call.abandoned", -minutes_ago)
    assert told(late, by=guide(replace(MISSED, message=message))) == ([], [Unsent.TOO_LATE])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"caller": WITHHELD, "caller_text": "anonymous"}, Unsent.NO_NUMBER),
        ({"caller": WITHHELD}, Unsent.NO_NUMBER),
        ({"caller": read_number("1001", region=None), "caller_text": "1001"}, Unsent.NO_NUMBER),
        ({"caller": read_number("+60374571234", region=None)}, Unsent.NOT_MOBILE),
        ({"caller": read_number("+60123456780", region=None)}, Unsent.SHARED),
        ({"extra": {"order": None, "x": 1}}, None),
    ],
)
def test_it_goes_only_to_a_shown_number_of_ones_own_that_can_be_mobile(
    given: dict[str, Any], reason: Unsent | None
) -> None:
    by = guide(shared_numbers=frozenset({"+60123456780"}))
    notices, reasons = told(replace(ABANDONED, **given), by=by)
    assert reasons == [reason]
    assert len(notices) == (reason is None)


def test_a_caller_who_withholds_the_number_now_is_not_written_to_by_an_earlier_one() -> None:
    queued = event("call.transferred", -1)
    hidden = replace(ABANDONED, caller=WITHHELD, caller_text="anonymous")
    assert told(queued, hidden) == ([], [None, Unsent.NO_NUMBER])
    silent = replace(ABANDONED, caller=WITHHELD)
    assert len(told(queued, silent)[0]) == 1


def test_a_message_with_a_gap_that_cannot_be_filled_is_not_sent() -> None:
    message = replace(MESSAGE, params=({"a": "{{ extra.x | dictsort if extra else '' }}"},))
    odd = replace(ABANDONED, extra={"x": "text"})
    assert told(odd, by=guide(replace(MISSED, message=message))) == ([], [Unsent.UNFILLED])


def test_a_rule_sends_once_in_a_call() -> None:
    again = replace(ABANDONED, event_id="again")
    ended = event("call.ended", 1)
    assert len(told(ABANDONED, again, ended)[0]) == 1
    other = replace(ABANDONED, event_id="other", occurred_us=NOW_US + 25 * HOUR_US)
    assert len(told(ABANDONED, other)[0]) == 2


def test_two_rules_may_both_send_in_a_call() -> None:
    first = replace(MISSED, on=frozenset({EventType.CALL_QUEUED}))
    second = replace(MISSED, name="second", on=frozenset({EventType.CALL_ABANDONED}))
    by = replace(GUIDE, rules=RuleBook((first, second)))
    assert [one.rule for one in told(event("call.queued", -1), ABANDONED, by=by)[0]] == [
        "missed",
        "second",
    ]


@pytest.mark.parametrize("kind", ["call.abandoned", "call.ended"])
def test_an_answer_that_comes_late_calls_it_off(kind: str) -> None:
    world = World(guide()).take(event(kind, 1))
    (notice,) = world.notices
    assert world.called_off == []
    world.take(event("call.answered", 0.5))
    assert world.called_off == [notice.draft.key]
    world.take(event("call.answered", 0.7))
    assert world.called_off == [notice.draft.key]


def test_an_answer_that_was_told_before_the_call_seemed_lost_keeps_it_from_being_sent() -> None:
    assert told(event("call.answered", 1), ABANDONED) == ([], [None, Unsent.ANSWERED])
    assert len(told(event("call.answered", -1), ABANDONED)[0]) == 1


def test_an_answer_does_not_call_off_what_is_true_all_the_same() -> None:
    world = World(guide()).take(event("call.queued", 0), event("call.answered", 1))
    assert (len(world.notices), world.called_off) == (1, [])


def test_thanks_for_a_call_that_was_answered_are_not_called_off() -> None:
    world = World(guide()).take(event("call.answered", 0), event("call.ended", 1))
    assert (len(world.notices), world.called_off) == (1, [])


def test_after_a_callback_it_goes_to_who_asked_for_it_else_to_who_was_dialled() -> None:
    confirm = replace(
        MISSED,
        on=frozenset({EventType.OUTBOUND_ENDED}),
        when=When(expression=Expression("outcome == 'completed'")),
    )
    rung = event("outbound.ended", 5, caller=WITHHELD, caller_name="", dialed_number="60123456788")
    asked = event("callback.requested", 0)
    by = guide(confirm)
    assert [one.number for one in told(asked, rung, by=by)[0]] == ["60123456789"]
    assert [one.number for one in told(rung, by=by)[0]] == ["60123456788"]
    assert told(replace(rung, outcome="busy"), by=by) == ([], [None])


@pytest.mark.parametrize(
    "dialed", ["(8170) 6-9645669", "6012345678O9", "*60123456789", "60374571234"]
)
def test_what_was_dialled_is_written_to_only_if_it_is_a_number_that_can_be_mobile(
    dialed: str,
) -> None:
    rung = event("outbound.ended", 5, caller=WITHHELD, caller_name="", dialed_number=dialed)
    notices, (reason,) = told(rung)
    assert notices == []
    assert reason in {Unsent.NO_NUMBER, Unsent.NOT_MOBILE}


def test_who_withholds_the_number_later_in_the_call_is_not_written_to_by_it() -> None:
    hidden = event("call.transferred", 1, caller=WITHHELD, caller_text="anonymous")
    silent = event("call.abandoned", 2, caller=WITHHELD, caller_text="")
    shown = event("call.queued", 0, caller_text="+60123456789")
    on = replace(MISSED, on=frozenset({EventType.CALL_ABANDONED}))
    assert told(shown, hidden, silent, by=guide(on))[1][-1] is Unsent.NO_NUMBER
    assert len(told(shown, silent, by=guide(on))[0]) == 1


def test_a_rule_sends_once_in_a_call_that_a_callback_holds_together_for_days() -> None:
    on = replace(MISSED, on=frozenset({EventType.OUTBOUND_ENDED}))
    tries = [
        event("outbound.ended", 25 * 60 * day, outcome="no_answer", event_id=f"o{day}")
        for day in (1, 2, 3)
    ]
    late = replace(MESSAGE, valid_for_us=10 * 24 * HOUR_US)
    by = guide(replace(on, message=late))
    assert len(told(event("callback.requested", 0), *tries, by=by)[0]) == 1


def test_what_waited_is_looked_at_again_when_it_leaves() -> None:
    ([notice], _) = told(ABANDONED)
    errand = notice.draft.payload
    assert isinstance(errand, NewErrand)
    outlet, night = notice.draft.route, read_hours(["14:00-15:00"])
    assert Manners().wait_until_us(errand, outlet, NOW_US) == NOW_US
    quiet = Manners(quiet={outlet: night})
    assert quiet.wait_until_us(errand, outlet, NOW_US) == NOW_US + 46 * MINUTE_US + 40_000_000
    assert quiet.wait_until_us(errand, "watemplate:other", NOW_US) == NOW_US
    abroad = Manners(quiet={outlet: night}, zones={"default": ZoneInfo("Asia/Kuala_Lumpur")})
    assert abroad.wait_until_us(errand, outlet, NOW_US) == NOW_US
    shared = Manners(shared_numbers=frozenset({errand.sender}))
    assert shared.wait_until_us(errand, outlet, NOW_US) is None
