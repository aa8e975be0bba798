import pytest
from msgspec.structs import replace

from bridge.domain.events import Agent, CallEvent, EventType
from bridge.domain.presence import (
    Held,
    Leg,
    Presence,
    Roster,
    Step,
    There,
    Unknown,
    decide,
    leg_of,
    said,
    turns,
    wanted,
    with_event,
)

S = 1_000_000
ONLINE, OFFLINE = There("online", "1"), There("offline", "2")
HELD = Held(before=ONLINE, wanted="offline", ours=OFFLINE, is_acknowledged=True)
UNSURE = Held(before=ONLINE, wanted="offline")
BUSY = Presence(agent="ann", is_busy=True)
FREE = Presence(agent="ann")
ROSTER = Roster(
    desks={Agent(1, 1): "ann", Agent(2, 2): "bob"},
    emails={"ann@x": "ann", "bob@x": "bob"},
    ids={"0-1": "bob"},
)


def event(kind: str, at_s: int = 100, agent: int | None = 1, **given: str) -> CallEvent:
    return CallEvent(
        source="aventa",
        event_id="e",
        type=EventType(kind),
        occurred_us=at_s * S,
        route="default",
        reference_id="r",
        agent=None if agent is None else Agent(agent, agent),
        **given,  # type: ignore[arg-type]
    )


def leg(*events: CallEvent) -> Leg:
    made = Leg()
    for one in events:
        who = ROSTER.find(one)
        made = with_event(made, one, "" if isinstance(who, Unknown) else who, 0)
    return made


class TestWho:
    def test_an_agent_id_wins_over_the_desk(self) -> None:
        assert ROSTER.find(event("call.answered", agent_id=" BOB@X ")) == "bob"
        assert ROSTER.find(event("call.answered", agent_id="0-1")) == "bob"
        assert ROSTER.find(event("call.answered")) == "ann"

    def test_who_is_not_known_is_nobody_even_at_a_known_desk(self) -> None:
        assert ROSTER.find(event("call.answered", agent_id="cyd@x")) is Unknown.UNKNOWN_ID
        assert ROSTER.find(event("call.answered", agent=9)) is Unknown.UNKNOWN_DESK
        assert ROSTER.find(event("call.answered", agent=None)) is Unknown.NO_AGENT


class TestLegs:
    def test_a_call_is_whose_answered_it_until_it_ends(self) -> None:
        assert leg(event("call.answered")).holder == "ann"
        assert leg(event("call.answered"), event("call.ended", 200)).holder == ""

    def test_an_end_that_comes_first_or_seems_earlier_is_an_end(self) -> None:
        assert leg(event("call.ended", 200), event("call.answered")).holder == ""
        assert leg(event("call.answered", 100), event("call.ended", 41)).holder == ""
        assert leg(event("call.answered", 100), event("call.ended", 39)).holder == "ann"

    def test_a_caller_who_waits_again_has_nobody(self) -> None:
        assert leg(event("call.answered"), event("call.queued", 200)).holder == ""

    def test_at_one_moment_a_caller_waits_before_they_are_answered(self) -> None:
        both = event("call.queued"), event("call.answered")
        assert leg(*both).holder == leg(*both[::-1]).holder == "ann"

    def test_who_gets_a_call_has_it_and_who_gave_it_has_not(self) -> None:
        passed = event("call.transferred", 150, agent=2)
        assert leg(event("call.answered"), passed).holder == "bob"
        assert leg(passed, event("call.answered")).holder == "bob"
        assert leg(event("call.answered"), event("call.transferred", 150, None)).holder == ""

    def test_an_attempt_that_nobody_answered_ends_no_later_one(self) -> None:
        missed = event("outbound.ended", 95, outcome="no_answer")
        assert leg(missed, event("outbound.answered")).holder == "ann"
        assert leg(event("outbound.answered"), event("outbound.ended", 95)).holder == ""

    def test_what_says_nothing_of_who_talks_is_no_leg(self) -> None:
        for kind in ("callback.requested", "voicemail.left", "agent.available"):
            assert leg_of(event(kind)) is None
        assert leg_of(event("outbound.answered")) == ("aventa", "r", "out")

    def test_a_stale_one_lives_again_with_an_event(self) -> None:
        stale = replace(leg(event("call.answered")), is_stale=True)
        assert stale.holder == ""
        assert with_event(stale, event("call.transferred", 200), "bob", 0).holder == "bob"


class TestWishes:
    def test_a_call_is_due_at_once_and_its_end_after_the_wrap_up(self) -> None:
        taken = wanted(FREE, BUSY, has_taken=True, wrap_up_us=5, now_us=100)
        assert (taken.due_us, taken.is_to_assert, taken.version) == (100, True, 1)
        done = wanted(taken, replace(taken, is_busy=False), has_taken=False, wrap_up_us=5, now_us=9)
        assert (done.due_us, done.is_to_assert, done.version) == (14, False, 2)

    def test_a_second_call_asserts_it_and_its_end_changes_nothing(self) -> None:
        again = wanted(BUSY, BUSY, has_taken=True, wrap_up_us=0, now_us=7)
        assert (again.due_us, again.is_to_assert) == (7, True)
        assert wanted(BUSY, BUSY, has_taken=False, wrap_up_us=0, now_us=7) == BUSY

    def test_who_says_that_they_are_there_waits_for_no_wrap_up_but_a_calls(self) -> None:
        away = replace(FREE, is_away=True)
        assert wanted(away, FREE, has_taken=False, wrap_up_us=50, now_us=100).due_us == 100
        called = replace(away, freed_us=90)
        back = replace(called, is_away=False)
        assert wanted(called, back, has_taken=False, wrap_up_us=50, now_us=100).due_us == 140

    def test_the_latest_that_somebody_said_of_themselves_counts(self) -> None:
        away = said(FREE, event("agent.unavailable", 100))
        assert away.is_away
        assert said(away, event("agent.available", 99)) == away
        assert not said(away, event("agent.available", 100)).is_away


class TestDecisions:
    @pytest.mark.parametrize(
        ("held", "now", "expected"),
        [
            (None, ONLINE, Step("offline", UNSURE)),
            (
                None,
                OFFLINE,
                Step("", Held(before=OFFLINE, wanted="offline", ours=OFFLINE), "was_away"),
            ),
            (UNSURE, OFFLINE, Step("", replace(UNSURE, ours=OFFLINE), "set")),
            (UNSURE, ONLINE, Step("offline", UNSURE)),
            (HELD, OFFLINE, Step("", HELD, "nothing")),
            (HELD, There("break", "3"), Step("", HELD, "left")),
        ],
    )
    def test_on_a_call(self, held: Held | None, now: There, expected: Step) -> None:
        assert decide(replace(BUSY, held=held), now, "offline") == expected

    def test_who_takes_another_call_is_set_away_again_and_gets_their_own_choice_back(self) -> None:
        chosen = There("break", "3")
        taking = replace(BUSY, held=HELD, is_to_assert=True)
        step = decide(taking, chosen, "offline")
        assert step == Step("offline", Held(before=chosen, wanted="offline"))

    def test_who_went_offline_themselves_meanwhile_is_offline_by_their_own_choice(self) -> None:
        taking = replace(BUSY, held=HELD, is_to_assert=True)
        held = decide(taking, There("offline", "3"), "offline").held
        assert held is not None
        assert decide(replace(FREE, held=held), There("offline", "3"), "offline").put == ""

    @pytest.mark.parametrize(
        ("held", "now", "put", "outcome"),
        [
            (None, ONLINE, "", "nothing"),
            (HELD, OFFLINE, "online", ""),
            (HELD, There("offline", "3"), "", "left"),
            (HELD, There("break", "3"), "", "left"),
            (UNSURE, ONLINE, "", "nothing"),
            (UNSURE, OFFLINE, "online", ""),
            (UNSURE, There("online", "3"), "", "left"),
            (Held(before=OFFLINE, wanted="offline", ours=OFFLINE), OFFLINE, "", "was_away"),
        ],
    )
    def test_after_a_call(self, held: Held | None, now: There, put: str, outcome: str) -> None:
        step = decide(replace(FREE, held=held), now, "offline")
        assert (step.put, step.outcome) == (put, outcome)

    def test_in_doubt_a_status_as_asked_for_is_the_bridges_whenever_it_was_set(self) -> None:
        doubtful = replace(HELD, doubt="offline", doubt_us=1)
        assert decide(replace(FREE, held=doubtful), There("offline", "3"), "offline").put
        kept = decide(replace(BUSY, held=doubtful), There("offline", "3"), "offline").held
        assert kept == replace(doubtful, ours=There("offline", "3"))
        left = decide(replace(FREE, held=doubtful), There("break", "3"), "offline").held
        assert left is not None
        assert (left.before, left.ours) == (There("break", "3"), None)
        assert replace(FREE, held=left).word == "free"
        assert replace(FREE, held=doubtful).word == "wrap_up"

    def test_a_way_back_that_comes_late_is_undone_during_a_call(self) -> None:
        doubtful = replace(HELD, doubt="online", doubt_us=1)
        assert decide(replace(BUSY, held=doubtful), There("online", "3"), "offline").put
        assert not decide(replace(BUSY, held=doubtful), There("break", "3"), "offline").put

    def test_another_status_than_offline_can_be_set_and_any_is_given_back(self) -> None:
        assert decide(BUSY, ONLINE, "busy").put == "busy"
        held = Held(before=There("break"), wanted="busy", ours=There("busy"))
        assert decide(replace(FREE, held=held), There("busy", "9"), "busy").put == "break"


class TestTurns:
    def test_of_four_one_was_tried_before_and_nobody_waits_for_ever(self) -> None:
        fresh = [Presence(agent=f"f{number}") for number in range(8)]
        tried = [Presence(agent=f"t{number}", attempts=1) for number in range(2)]
        order = [one.agent for one in turns(fresh, tried)]
        assert order == ["f0", "f1", "f2", "t0", "f3", "f4", "f5", "t1", "f6", "f7"]
        assert turns([], tried) == tried
