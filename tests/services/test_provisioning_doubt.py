"""What is in doubt stays so, what is asked to stop does, and what is refused keeps others back."""

import asyncio
from typing import Any

import pytest
from centre_world import AWAY, LOST, SMALL, Cention, Clock, MemoryState, done, plan_of, run

from bridge.domain.centre_outcomes import Told
from bridge.domain.centre_values import Kind
from bridge.services.limiter import Pace
from bridge.services.provisioning import Ending, Provisioner


@pytest.mark.parametrize("retry_after_s", [None, 60])
def test_asked_to_stop_while_it_waits_it_sends_nothing_more(retry_after_s: float | None) -> None:
    class Asked(Clock):
        """Is asked to stop at the first wait, a second in."""

        slept: float = 0

        async def sleep(self, seconds: float) -> None:
            self.slept += seconds if cention.asked else 0
            await super().sleep(seconds)

    busy = Told(status=429, retry_after_s=retry_after_s)
    state, cention, clock = MemoryState(), Cention(harm=lambda _: (busy, False)), Asked()
    outcome = asyncio.run(
        run(plan_of(SMALL, state), state, cention, clock, is_to_stop=lambda: clock.slept > 0)
    )
    assert [one.ending for one in outcome.results] == [Ending.AWAY]
    assert (len(cention.asked), clock.slept, state.rows) == (1, 0.5, {})


def test_asked_to_stop_while_it_keeps_its_pace_it_leaves_the_step_undone() -> None:
    state, cention, clock = MemoryState(), Cention(), Clock()
    asked_s = list[float]()

    def is_to_stop() -> bool:
        if cention.asked:
            asked_s.append(clock.now_s)
        return clock.now_s > min(asked_s, default=clock.now_s)

    provisioner = Provisioner(
        state=state,
        administration=cention,
        clock=clock,
        pace=Pace(1, 0),
        is_to_stop=is_to_stop,
    )
    outcome = asyncio.run(provisioner.apply(plan_of(SMALL, state)))
    assert (len(cention.asked), len(outcome.results), len(outcome.left)) == (1, 1, 3)
    assert clock.now_s - min(asked_s) < 1


def test_what_one_answer_left_in_doubt_no_later_one_takes_out_of_it() -> None:
    for later in (AWAY, Told(status=429), Told(status=401), Told(status=400, error="no")):
        state, cention = MemoryState(), Cention()
        done(SMALL, state, cention)
        number = len(cention.asked) + 1
        edited = {**SMALL, "organization": {"clinic": {"name": "Clinic 2"}}}
        cention.harm = lambda asked, number=number, later=later: (  # type: ignore[misc]
            (LOST, True) if asked == number else (later, False)
        )
        outcome = done(edited, state, cention)
        assert outcome.results[0].ending is not Ending.AWAY
        # Nobody knows which name it has: what the file had before is no state of rest.
        [step] = plan_of(SMALL, state).steps
        assert step.body == {"name": "Clinic"}


@pytest.mark.parametrize("later", [AWAY, Told(status=429), Told(status=401)])
def test_a_deletion_in_doubt_stays_so_until_cention_says_more(later: Told) -> None:
    document = {"organization": {"clinic": {"name": "Clinic"}}}
    state, cention = MemoryState(), Cention()
    done(document, state, cention)
    cention.harm = lambda _: (LOST, True)
    done({}, state, cention)
    cention.harm = lambda _: (later, False)
    done(document, state, cention)
    # It is wanted again, and gone in Cention: it has to be made.
    cention.harm = lambda _: (None, True)
    assert done(document, state, cention).is_done
    assert [kind for kind, _ in cention.holds()] == ["org"]


def test_a_field_that_was_in_doubt_stays_so_while_another_is_sent() -> None:
    state, cention = MemoryState(), Cention()
    document: dict[str, Any] = {"organization": {"clinic": {"name": "Clinic", "active": True}}}
    done(document, state, cention)
    document["organization"]["clinic"]["active"] = False
    cention.harm = lambda _: (LOST, True)
    done(document, state, cention)
    # The next one leaves it out, and is lost too.
    del document["organization"]["clinic"]["active"]
    document["organization"]["clinic"]["name"] = "Clinic 2"
    done(document, state, cention)
    [row] = state.records()
    assert row.pending == {"active": False, "name": "Clinic 2"}


def test_what_names_a_refused_tag_by_its_text_is_kept_back() -> None:
    word = {"areas": ["desk"], "type": "Subject", "content": "vip", "tag": "vip"}
    under = {"tag_name": "Under", "areas": ["desk"], "parent_tag": "vip"}
    document = {**SMALL, "autotag": {"vip": word}}
    document["tag"] = {**SMALL["tag"], "under": under}
    state = MemoryState()
    cention = Cention(
        harm=lambda _: (
            (Told(status=400, error="no"), False)
            if cention.asked[-1][1] is Kind.TAG
            else (None, True)
        )
    )
    endings = {str(one.step.ref): one.ending for one in done(document, state, cention).results}
    assert endings["tag.vip"] is Ending.REFUSED
    assert (endings["tag.under"], endings["autotag.vip"]) == (Ending.SKIPPED, Ending.SKIPPED)


@pytest.mark.parametrize("refused", ["PUT", "DELETE"])
def test_what_something_was_to_leave_first_is_not_deleted(refused: str) -> None:
    before: dict[str, Any] = {
        "organization": {"old": {"name": "Old"}, "new": {"name": "New"}},
        "area": {"desk": {"name": "Desk", "organization": "old"}},
    }
    after = {
        "organization": {"new": {"name": "New"}},
        "area": {"desk": {"name": "Desk", "organization": "new"}} if refused == "PUT" else {},
    }
    state, cention = MemoryState(), Cention()
    done(before, state, cention)
    cention.harm = lambda _: (
        (Told(status=400, error="no"), False)
        if cention.asked[-1][:2] == (refused, Kind.AREA)
        else (None, True)
    )
    endings = [one.ending for one in done(after, state, cention).results]
    assert endings == [Ending.REFUSED, Ending.SKIPPED]
    assert ("DELETE", Kind.ORGANIZATION, {}) not in cention.asked


def test_an_area_that_is_there_moves_errands_to_one_that_is_made_with_it() -> None:
    state, cention = MemoryState(), Cention()
    done({"area": {"old": {"name": "Old"}}}, state, cention)
    both = {
        "area": {
            "new": {"name": "New", "due_date_move_to": "old"},
            "old": {"name": "Old", "due_date_move_to": "new"},
        }
    }
    assert done(both, state, cention).is_done
    assert plan_of(both, state).steps == ()


def test_tags_of_one_name_under_two_others_are_deleted_each_before_its_own() -> None:
    def tag(name: str, **given: str) -> dict[str, Any]:
        return {"tag_name": name, "areas": ["desk"], **given}

    document: dict[str, Any] = {
        "area": {"desk": {"name": "Desk"}},
        "tag": {
            "a": tag("A"),
            "b": tag("B"),
            "c": tag("C"),
            "a_other": tag("Other", parent_tag="a"),
        },
    }
    state, cention = MemoryState(), Cention()
    done(document, state, cention)
    # What lies under another may be older than that.
    document["tag"] |= {
        "b_other": tag("Other", parent_tag="b"),
        "c": tag("C", parent_tag="b_other"),
    }
    done(document, state, cention)
    order = [str(step.ref) for step in plan_of({}, state).steps]
    assert order.index("tag.c") < order.index("tag.b_other") < order.index("tag.b")
    assert order.index("tag.a_other") < order.index("tag.a")
