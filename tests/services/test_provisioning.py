import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from centre_world import (
    AWAY,
    LOST,
    SANDBOX_KINDS,
    SMALL,
    Cention,
    Clock,
    Killed,
    MemoryState,
    documents,
    done,
    plan_of,
    run,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bridge.domain.centre_outcomes import Told
from bridge.domain.centre_plan import Action, Plan, Standing
from bridge.domain.centre_values import Kind, Ref
from bridge.domain.errors import StoreUnavailable
from bridge.services.provisioning import TRIES_MAX, Ending, Result

DESK = Ref(Kind.AREA, "desk")


@settings(max_examples=40, deadline=None)
@given(document=documents())
def test_after_apply_a_plan_shows_nothing_and_after_destroy_nothing_is_left(
    document: dict[str, Any],
) -> None:
    state, cention = MemoryState(), Cention()
    assert done(document, state, cention).is_done
    assert plan_of(document, state) == Plan(steps=(), kept=())
    assert done({}, state, cention).is_done
    assert (cention.holds(), state.rows) == ([], {})


@settings(max_examples=40, deadline=None)
@given(before=documents(), after=documents())
def test_an_edit_puts_just_the_fields_that_differ_and_then_there_is_nothing_to_do(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    state, cention = MemoryState(), Cention()
    done(before, state, cention)
    known = {row.ref: row for row in state.records()}
    planned = plan_of(after, state)
    cention.asked.clear()
    assume(done(after, state, cention).is_done)
    assert plan_of(after, state).steps == ()
    sent = [body for method, _, body in cention.asked if method == "PUT"]
    updates = [step for step in planned.steps if step.action is Action.UPDATE]
    assert [list(body) for body in sent] == [list(step.body) for step in updates]
    for step, body in zip(updates, sent, strict=True):
        fields = known[step.ref].fields if step.ref in known else {}
        assert not [key for key in body if key in fields and fields[key] == body[key]]
        after_all = state.rows[step.ref].fields
        assert {key: after_all[key] for key in body} == body
        assert all(after_all[key] == fields[key] for key in fields if key not in body)


EDITS: list[tuple[Kind, str, str, Any, dict[str, Any]]] = [
    (Kind.ORGANIZATION, "clinic", "name", "Clinic 2", {"name": "Clinic 2"}),
    (Kind.AREA, "desk", "has_voice", True, {"has_voice": True}),
    (Kind.AREA, "desk", "due_date_move_to", "night", {"due_date_move_to_areaId": 2}),
    (Kind.AREA, "night", "organization", "clinic", {"organisation_id": 1}),
    (Kind.TAG, "vip", "areas", ["night"], {"areas": [2]}),
    (Kind.TAG, "vip", "tag_color", "#fff", {"tag_color": "#fff"}),
]


@pytest.mark.parametrize(("kind", "name", "field", "value", "body"), EDITS)
def test_a_field_that_is_edited_is_all_that_is_put(
    kind: Kind, name: str, field: str, value: Any, body: dict[str, Any]
) -> None:
    state, cention = MemoryState(), Cention()
    assert done(SMALL, state, cention).is_done
    ids = {row.ref: row.remote_id for row in state.records()}
    cention.asked.clear()
    edited = {**SMALL, kind: {**SMALL[kind], name: {**SMALL[kind][name], field: value}}}
    assert done(edited, state, cention).is_done
    night = ids[Ref(Kind.AREA, "night")]
    wanted = {
        key: night if one == 2 else [night] if one == [2] else one for key, one in body.items()
    }
    assert cention.asked == [("PUT", kind, wanted)]


def answer_for(state: MemoryState, cention: Cention) -> None:
    """Do what a person does about what is in doubt: look, then say import or --retry."""
    known = {(one.ref.kind, one.remote_id) for one in state.records()}
    for row in state.records():
        if row.standing is not Standing.CREATING:
            continue
        things = cention.book.shown("demo")[SANDBOX_KINDS[row.ref.kind]]
        strangers = [int(one) for one in things if (row.ref.kind, int(one)) not in known]
        if strangers:
            [found] = strangers
            state.settle(row.ref, found, row.pending)
        else:
            state.forget(row.ref)


@settings(max_examples=15, deadline=None)
@given(first=documents(), then=documents(), dies_after=st.booleans())
def test_killed_at_every_request_and_run_again_it_ends_in_the_same_place(
    first: dict[str, Any], then: dict[str, Any], *, dies_after: bool
) -> None:
    smooth_state, smooth = MemoryState(), Cention()
    rough_state, rough = MemoryState(), Cention(dies_after=dies_after)
    for document in (first, then):
        # What is not named any more can't be taken out, so that what it names can't be deleted.
        assume(done(document, smooth_state, smooth).is_done)
        while True:
            # Each process gets by with one request more than the one before it.
            rough.dies_at = len(rough.asked) + 2
            try:
                done(document, rough_state, rough)
            except Killed:
                answer_for(rough_state, rough)
                continue
            break
    assert rough.holds() == smooth.holds()
    assert plan_of(then, rough_state).steps == plan_of(then, smooth_state).steps


@pytest.mark.parametrize(
    "told",
    [
        LOST,
        *(Told(status=status) for status in (200, 408, 502, 503)),
        Told(status=500, error="name: is taken"),
    ],
)
def test_a_create_that_was_lost_is_not_sent_again_and_stops_all(told: Told) -> None:
    state, cention = (
        MemoryState(),
        Cention(harm=lambda number: (told if number == 2 else None, True)),
    )
    outcome = done(SMALL, state, cention)
    assert [one.ending for one in outcome.results] == [Ending.DONE, Ending.UNSURE]
    assert len(cention.asked) == 2
    planned = plan_of(SMALL, state)
    assert [one.ref for one in planned.unsure] == [DESK]
    assert DESK not in {step.ref for step in planned.steps}
    assert state.rows[DESK].pending == {"name": "Desk", "organisation_id": 1}


@pytest.mark.parametrize(
    "told", [AWAY, Told(status=503, retry_after_s=0), Told(status=429, retry_after_s=5)]
)
def test_a_create_that_was_not_taken_is_tried_again_and_then_taken_back(told: Told) -> None:
    state = MemoryState()
    cention = Cention(harm=lambda number: (told if number > 1 else None, number == 1))
    outcome = done(SMALL, state, cention)
    assert [one.ending for one in outcome.results] == [Ending.DONE, Ending.AWAY]
    assert len(cention.asked) == 1 + TRIES_MAX
    assert set(state.rows) == {Ref(Kind.ORGANIZATION, "clinic")}


def test_who_is_killed_while_it_waits_leaves_nothing_in_doubt() -> None:
    class Deadly(Clock):
        async def sleep(self, seconds: float) -> None:
            if cention.asked:
                raise Killed
            await super().sleep(seconds)

    state, cention = MemoryState(), Cention(harm=lambda _: (Told(status=429), False))
    with pytest.raises(Killed):
        asyncio.run(run(plan_of(SMALL, state), state, cention, clock=Deadly()))
    assert (len(cention.asked), state.rows) == (1, {})


def test_a_change_that_was_lost_is_sent_again_by_itself_and_the_next_time() -> None:
    state, cention = MemoryState(), Cention()
    done(SMALL, state, cention)
    edited = {**SMALL, "organization": {"clinic": {"name": "Clinic 2"}}}
    cention.asked.clear()
    cention.harm = lambda _: (LOST, False)
    outcome = done(edited, state, cention)
    assert [one.ending for one in outcome.results] == [Ending.REPEAT]
    assert cention.asked == [("PUT", Kind.ORGANIZATION, {"name": "Clinic 2"})] * TRIES_MAX
    # It may have been done: what the file had before is sent too, should it be wanted again.
    [step] = plan_of(SMALL, state).steps
    assert step.body == {"name": "Clinic"}
    cention.harm = lambda _: (None, True)
    assert done(edited, state, cention).is_done
    assert plan_of(edited, state).steps == ()


def test_what_was_deleted_already_counts_as_deleted() -> None:
    state, cention = MemoryState(), Cention()
    done(SMALL, state, cention)
    cention.harm = lambda number: (LOST if number == len(SMALL) + 2 else None, True)
    assert done({}, state, cention).is_done
    assert state.rows == {}


def test_what_is_refused_keeps_back_only_what_needs_it() -> None:
    state = MemoryState()
    refusal = Told(status=400, error="name: is taken")
    cention = Cention(harm=lambda number: (refusal, False) if number == 2 else (None, True))
    outcome = done(SMALL, state, cention)
    assert {str(one.step.ref): one.ending for one in outcome.results} == {
        "organization.clinic": Ending.DONE,
        "area.desk": Ending.REFUSED,
        # Its errands were to be moved to what is not there.
        "area.night": Ending.SKIPPED,
        "tag.vip": Ending.SKIPPED,
    }
    assert set(state.rows) == {Ref(Kind.ORGANIZATION, "clinic")}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_ends_it_all(status: int) -> None:
    state, cention = MemoryState(), Cention(harm=lambda _: (Told(status=status), False))
    outcome = done(SMALL, state, cention)
    assert [one.ending for one in outcome.results] == [Ending.BARRED]
    assert (len(outcome.left), state.rows) == (3, {})


def test_an_error_in_a_good_answer_is_a_refusal() -> None:
    state, cention = MemoryState(), Cention(harm=lambda _: (Told(status=200, error="no"), False))
    assert done(SMALL, state, cention).results[0].ending is Ending.REFUSED
    assert state.rows == {}


def test_asked_to_stop_it_begins_nothing_more() -> None:
    state, cention = MemoryState(), Cention()
    planned = plan_of(SMALL, state)
    outcome = asyncio.run(run(planned, state, cention, is_to_stop=lambda: len(cention.asked) == 2))
    assert (len(outcome.results), len(outcome.left), outcome.is_done) == (2, 2, False)
    assert {row.standing for row in state.records()} == {Standing.DONE}


def test_areas_that_move_errands_to_each_other_are_made_first_and_told_then() -> None:
    circle = {
        "area": {
            "a": {"name": "A", "due_date_move_to": "b"},
            "b": {"name": "B", "due_date_move_to": "a"},
        }
    }
    state, cention = MemoryState(), Cention()
    planned = plan_of(circle, state)
    assert [planned.count(action) for action in Action] == [2, 0, 0]
    assert done(circle, state, cention).is_done
    assert [method for method, _, _ in cention.asked] == ["POST", "POST", "PUT"]
    assert plan_of(circle, state).steps == ()


def test_ids_that_cention_gives_to_server_emails_are_sent_with_the_next_change() -> None:
    emails = [{"name": "a@x.example"}, {"name": "b@x.example"}]
    document = {"area": {"desk": {"name": "Desk", "server_emails": emails}}}
    given = Told(
        status=200,
        document={"id": 1, "server_emails": [{"id": 71, "name": "a@x.example", "order": 1}]},
    )
    state, cention = MemoryState(), Cention(harm=lambda n: (given if n == 1 else None, True))
    done(document, state, cention)
    assert cention.asked[0][2]["server_emails"] == [
        {"id": -1, "name": "a@x.example", "order": 1},
        {"id": -1, "name": "b@x.example", "order": 2},
    ]
    assert plan_of(document, state).steps == ()
    document["area"]["desk"]["server_emails"] = [*emails, {"name": "c@x.example"}]
    done(document, state, cention)
    assert [one["id"] for one in cention.asked[1][2]["server_emails"]] == [71, -1, -1]


def test_another_name_in_the_file_is_pointed_out_and_not_guessed() -> None:
    state, cention = MemoryState(), Cention()
    done({"area": {"desk": {"name": "Desk"}}}, state, cention)
    planned = plan_of({"area": {"front": {"name": "Desk"}}}, state)
    assert [(step.action, str(step.ref)) for step in planned.steps] == [
        (Action.CREATE, "area.front"),
        (Action.DELETE, "area.desk"),
    ]
    assert planned.renamed == ((DESK, Ref(Kind.AREA, "front")),)


def test_where_an_id_can_not_be_kept_it_is_told() -> None:
    class Full(MemoryState):
        def settle(self, ref: Ref, remote_id: int, fields: Mapping[str, Any]) -> None:
            raise StoreUnavailable(f"the disk is full: {ref}, {remote_id}, {fields}")

    state, cention, told = Full(), Cention(), list[Result]()
    planned = plan_of(SMALL, state)
    with pytest.raises(StoreUnavailable):
        asyncio.run(run(planned, state, cention, tell=told.append))
    assert [(one.ending, one.remote_id) for one in told] == [(Ending.DONE, 1)]
    assert [one.standing for one in state.records()] == [Standing.CREATING]
