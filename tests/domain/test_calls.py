import pytest
from call_world import DAY, GUIDE, MINUTE_US, NOW_US, POLICY, World, event, moved, played
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge.domain.calls import lapse
from bridge.domain.deliveries import Kind
from bridge.domain.event_fields import Outcome
from bridge.domain.events import Agent, CallEvent, EventType
from bridge.domain.rules import DEFAULT_RULES, Action, Rule, RuleBook
from bridge.domain.units import HOUR_US, SECOND_US

OTHER_DESK = Agent(2000, 2000)
PLAIN = [event("call.queued", 0), event("call.answered", 1), event("call.ended", 5)]
TRANSFERRED = [
    event("call.queued", 0),
    event("call.answered", 1),
    event("call.transferred", 2, agent=OTHER_DESK),
    event("call.ended", 5, agent=None),
]
CALLBACK = [event("call.queued", 0), event("callback.requested", 1), event("call.ended", 2)]
DIALLED = [
    event("outbound.answered", 3 * DAY, reference_id="out-1", related_reference_id="r1"),
    event(
        "outbound.ended",
        3 * DAY + 5,
        reference_id="out-1",
        related_reference_id="r1",
        dialed_number="60123456789",
    ),
]
VOICEMAIL = [event("call.queued", 0), event("voicemail.left", 1), event("call.ended", 2)]


def test_an_answered_call_makes_one_errand_and_its_end_in_one_lane() -> None:
    world = played(PLAIN)
    assert world.shape() == (1, [("r1", 1000, "")])
    assert list(world.lanes().values()) == [[Kind.NEW_ERRAND, Kind.END_ERRAND]]


def test_an_end_that_overtakes_its_answer_waits_for_it() -> None:
    world = World().take(PLAIN[2])
    assert world.shape() == (0, [])
    world.take(PLAIN[1])
    assert world.shape() == (1, [("r1", 1000, "")])


def test_the_end_names_the_agent_of_the_latest_event_in_time_not_in_arrival() -> None:
    world = played([TRANSFERRED[2], TRANSFERRED[1], TRANSFERRED[3]])
    assert world.ended[0].agent == OTHER_DESK


def test_the_end_names_its_own_agent_if_it_has_one() -> None:
    third = Agent(3000, 3000)
    late = event("call.transferred", 9, agent=OTHER_DESK)
    assert played([*PLAIN[:2], event("call.ended", 5, agent=third), late]).ended[0].agent == third


def test_a_second_answer_on_an_open_call_makes_no_second_errand() -> None:
    assert played([*PLAIN[:2], event("call.answered", 3, agent=OTHER_DESK)]).shape()[0] == 1


def test_a_callback_stays_open_when_the_caller_hangs_up() -> None:
    assert played(CALLBACK).shape() == (1, [])


def test_a_voicemail_stays_open_when_the_caller_hangs_up() -> None:
    assert played(VOICEMAIL).shape() == (1, [])


def test_a_callback_dialled_days_later_ends_its_errand_with_the_number_dialled() -> None:
    assert played([*CALLBACK, *DIALLED]).shape() == (1, [("r1", 1000, "60123456789")])


@pytest.mark.parametrize("outcome", ["no_answer", "busy", "failed", "voicemail"])
def test_a_callback_that_nobody_took_leaves_the_errand_open(outcome: Outcome) -> None:
    assert played([*CALLBACK, replace(DIALLED[1], outcome=outcome)]).shape() == (1, [])


def test_an_outbound_call_without_relation_ends_the_errand_of_its_own_reference() -> None:
    own = event("outbound.ended", 60, dialed_number="60123456789")
    assert played([*CALLBACK, own]).shape() == (1, [("r1", 1000, "60123456789")])


def test_a_reference_used_again_after_the_pause_is_a_new_call() -> None:
    again = moved(PLAIN, 2 * DAY, "again")
    assert played([*PLAIN, *again]).shape() == (2, [("r1", 1000, "")] * 2)


def test_a_reference_used_again_within_the_pause_is_the_same_call() -> None:
    again = moved(PLAIN, DAY / 2, "again")
    assert played([*PLAIN, *again]).shape() == (1, [("r1", 1000, "")])


def test_an_open_callback_takes_in_what_comes_after_the_pause() -> None:
    back = moved(PLAIN[1:], 2 * DAY, "back")
    assert played([*CALLBACK, *back]).shape() == (1, [("r1", 1000, "")])


def test_the_hang_up_before_a_callback_does_not_end_it_at_the_answer() -> None:
    answered = event("call.answered", 60)
    assert played([*CALLBACK, answered]).shape() == (1, [])
    assert played([*CALLBACK, answered, event("call.ended", 65)]).shape()[1]


def test_without_an_agent_the_errand_has_no_integration_and_its_end_is_skipped_once() -> None:
    world = played([replace(one, agent=None) for one in PLAIN])
    assert world.shape() == (1, [])
    assert world.created[0].integration is None
    assert world.skipped == 1
    world.take(event("call.transferred", 6, agent=None))
    assert world.skipped == 1


def test_a_call_that_ended_without_an_answer_is_abandoned_after_settling() -> None:
    world = played([PLAIN[0], PLAIN[2]])
    assert world.last is not None
    assert world.last.timer_us == NOW_US + 10 * SECOND_US
    lapsed = lapse(world.thread, POLICY, NOW_US)
    assert (lapsed.abandoned, lapsed.stale, lapsed.timer_us) == (1, 0, None)
    assert lapse(lapsed.thread, POLICY, NOW_US).abandoned == 0


def test_a_caller_on_the_line_is_not_closed_with_an_older_call_that_settles() -> None:
    old = moved(PLAIN[2:], -3 * DAY, "old")
    world = played([*PLAIN[:2], *old])
    lapsed = lapse(world.thread, POLICY, NOW_US)
    assert (lapsed.abandoned, lapsed.stale) == (1, 0)
    assert lapsed.timer_us == NOW_US + 12 * HOUR_US
    assert lapsed.thread.is_active


def test_a_rule_can_keep_errands_open_when_the_caller_hangs_up() -> None:
    rule = Rule(on=frozenset({EventType.CALL_ENDED}), do=frozenset({Action.IGNORE}))
    guide = replace(GUIDE, rules=RuleBook((rule, *DEFAULT_RULES)))
    world = World(guide).take(*PLAIN)
    assert world.shape() == (1, [])
    assert not world.thread.is_active


def test_an_answer_after_settling_still_makes_the_errand_and_its_end() -> None:
    world = played([PLAIN[0], PLAIN[2]])
    world.thread = lapse(world.thread, POLICY, NOW_US).thread
    assert world.take(PLAIN[1]).shape() == (1, [("r1", 1000, "")])


def test_a_silent_call_goes_stale_and_keeps_its_errand_open() -> None:
    world = played(PLAIN[:2])
    assert world.last is not None
    assert world.last.timer_us == NOW_US + 12 * HOUR_US
    assert world.thread.is_active
    lapsed = lapse(world.thread, POLICY, NOW_US)
    assert lapsed.stale == 1
    assert not lapsed.thread.is_active
    world.thread = lapsed.thread
    assert world.take(PLAIN[2]).shape() == (1, [("r1", 1000, "")])


def test_what_is_too_old_for_any_event_to_reach_is_forgotten() -> None:
    old = moved(PLAIN, -40 * DAY, "old")
    assert len(played([*old, *PLAIN]).thread.spans) == 1


def test_an_open_callback_is_never_forgotten() -> None:
    old = moved(CALLBACK, -40 * DAY, "old")
    world = played([*old, *DIALLED])
    assert world.shape() == (1, [("r1", 1000, "60123456789")])


STORIES = st.sampled_from(
    [
        PLAIN,
        PLAIN[1:],
        PLAIN[:2],  # the end was lost
        [PLAIN[0], PLAIN[2]],  # nobody answered
        TRANSFERRED,
        [*PLAIN[:2], event("call.answered", 3, agent=OTHER_DESK), PLAIN[2]],
        CALLBACK,
        [*CALLBACK, *DIALLED],
        [*CALLBACK, replace(DIALLED[1], outcome="no_answer", event_id="missed"), *DIALLED],
        [*VOICEMAIL, *DIALLED],
        VOICEMAIL,
        [CALLBACK[1], event("outbound.ended", 90, dialed_number="60123456789")],
        DIALLED,  # of a callback that never arrives
        [event("call.queued", 0), event("call.abandoned", 1)],
        [*CALLBACK, event("call.answered", 60), event("call.ended", 65)],
    ]
)


@st.composite
def _histories(draw: st.DrawFn) -> tuple[list[CallEvent], list[CallEvent]]:
    """One reference's events as they happened, and as they arrive: shuffled, some twice.

    The reference may be used again, more than the pause after what was before, unless a callback is
    still open on it: that one takes in whatever comes, and an errand that was made before the
    callback was heard of can't be taken back.
    """
    happened = list(draw(STORIES))
    for number in range(draw(st.integers(0, 2))):
        if played(happened).thread.is_open:
            break
        pause = draw(st.integers(2, 4)) * DAY
        end = max(one.occurred_us for one in happened) - NOW_US
        happened += moved(draw(STORIES), end / MINUTE_US + pause, f"use-{number}")
    twice = draw(st.lists(st.sampled_from(happened), max_size=4))
    return happened, draw(st.permutations([*happened, *twice]))


@settings(max_examples=400)
@given(_histories())
def test_no_order_of_arrival_changes_which_errands_and_ends_there_are(
    history: tuple[list[CallEvent], list[CallEvent]],
) -> None:
    happened, arrived = history
    in_order, shuffled = played(happened), played(arrived)
    assert shuffled.shape() == in_order.shape()
    assert shuffled.thread.is_active == in_order.thread.is_active
    assert shuffled.thread.is_open == in_order.thread.is_open
    assert len(shuffled.thread.spans) == len(in_order.thread.spans)


@settings(max_examples=200)
@given(_histories())
def test_no_lane_holds_more_than_one_create_and_one_end(
    history: tuple[list[CallEvent], list[CallEvent]],
) -> None:
    for kinds in played(history[1]).lanes().values():
        assert kinds in ([Kind.NEW_ERRAND], [Kind.NEW_ERRAND, Kind.END_ERRAND])
