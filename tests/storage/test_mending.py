"""Dead letters and what a person does about them, on the store itself."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kept import NOW_US, Kept, kept, said

from bridge.domain.deliveries import Kind, State
from bridge.storage import dead_letters, repairs
from bridge.storage.dead_letters import Stopped

PLAIN = {"callerNumber": "anonymous"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Kept]:
    with kept(tmp_path) as one:
        yield one


def stop(store: Kept, *references: str, state: State = State.DEAD) -> None:
    """Keep whole calls, whose errands are refused."""
    for one in references:
        store.take(said("call.answered", one, **PLAIN), said("call.ended", one, **PLAIN))
    store.send(Kind.NEW_ERRAND, state, "422: not_so 100%")


class TestWhichLetters:
    @pytest.mark.parametrize(
        ("which", "found"),
        [
            (Stopped(), [1, 2, 3, 4]),
            (Stopped(kind=Kind.END_ERRAND), [2, 4]),
            (Stopped(route="sales"), []),
            (Stopped(route="default", reference_id="r2"), [3, 4]),
            (Stopped(state=State.PARKED), [2, 4]),
            (Stopped(error="NOT_SO"), [1, 3]),
            (Stopped(error="100%"), [1, 3]),
            (Stopped(error="notXso"), []),
            (Stopped(after_us=NOW_US), [1, 2, 3, 4]),
            (Stopped(after_us=NOW_US + 1), []),
            (Stopped(before_us=NOW_US + 1), [1, 2, 3, 4]),
            (Stopped(before_us=NOW_US), []),
        ],
    )
    def test_they_are_those_of_which_all_is_true(
        self, store: Kept, which: Stopped, found: list[int]
    ) -> None:
        stop(store, "r1", "r2")
        store.take(said("call.answered", "waits", **PLAIN))
        assert store.do(lambda connection: dead_letters.ids(connection, which)) == found
        rows = store.do(lambda connection: dead_letters.rows(connection, which))
        assert [row["id"] for row in rows] == found
        assert store.do(lambda connection: dead_letters.rows(connection, which, 1)) == rows[:1]

    def test_what_waits_is_none_of_them(self, store: Kept) -> None:
        stop(store, "r1")
        store.take(said("call.answered", "waits", **PLAIN))
        assert store.do(dead_letters.count) == 2
        assert store.do(lambda connection: dead_letters.among(connection, [9, 3, 2, 1])) == [1, 2]

    def test_a_lane_is_headed_by_the_first_that_has_stopped(self, store: Kept) -> None:
        stop(store, "r1", "r2")
        assert store.do(lambda connection: dead_letters.heads(connection, [2, 4, 3])) == [1, 3]
        assert store.do(lambda connection: dead_letters.heads(connection, [])) == []

    def test_what_stands_around_one_is_told_in_order(self, store: Kept) -> None:
        stop(store, "r1")
        first = {"id": 1, "kind": "new_errand", "state": "dead"}
        last = {"id": 2, "kind": "end_errand", "state": "parked"}
        assert store.do(lambda connection: dead_letters.around(connection, 1)) == {
            "waits_for": [],
            "behind": [last],
        }
        assert store.do(lambda connection: dead_letters.around(connection, 2)) == {
            "waits_for": [first],
            "behind": [],
        }
        assert store.do(lambda connection: dead_letters.around(connection, 9)) == {
            "waits_for": [],
            "behind": [],
        }

    def test_a_letter_says_what_it_holds(self, store: Kept) -> None:
        stop(store, "r1")
        store.take(said("call.queued", "r2"))
        store.send(Kind.CONTACT_CARD, State.DEAD)
        found = store.do(lambda connection: dead_letters.letters(connection, [1, 2, 3, 9]))
        assert [(key, one.kind, one.state) for key, one in found.items()] == [
            (1, Kind.NEW_ERRAND, State.DEAD),
            (2, Kind.END_ERRAND, State.PARKED),
            (3, Kind.CONTACT_CARD, State.DEAD),
        ]
        assert json.loads(found[1].payload or b"")["name"] == "Ada"
        # A card is worked out when it is sent.
        assert found[3].payload is None


class TestReplay:
    def test_nothing_is_replayed_where_nothing_has_stopped(self, store: Kept) -> None:
        store.take(said("call.answered", **PLAIN))
        assert store.do(lambda connection: repairs.replay(connection, [1, 9], NOW_US)) == 0
        assert store.states() == {"new_errand r1": "ready"}

    def test_a_parked_end_takes_its_errand_along(self, store: Kept) -> None:
        stop(store, "r1")
        assert store.do(lambda connection: repairs.replay(connection, [2], NOW_US)) == 2
        assert store.states() == {"new_errand r1": "ready", "end_errand r1": "blocked"}

    def test_lanes_leave_one_after_the_other(self, store: Kept) -> None:
        stop(store, "r1", "r2")
        store.do(lambda connection: repairs.replay(connection, [4, 1], NOW_US, 500.4))
        due = store.rows("SELECT due_us, tier, attempts FROM outbox ORDER BY id")
        assert due == [(NOW_US, 1, 0)] * 2 + [(NOW_US + 500, 1, 0)] * 2


class TestRevise:
    def test_a_letter_gets_another_payload_and_says_who_gave_it(self, store: Kept) -> None:
        stop(store, "r1")
        ((before,),) = store.rows("SELECT payload FROM outbox WHERE id = 1")
        assert store.do(lambda db: repairs.revise(db, 1, before, b'{"new": 1}', NOW_US))
        assert store.rows("SELECT payload FROM outbox WHERE id = 1") == [(b'{"new": 1}',)]
        assert store.rows("SELECT outcome, detail FROM attempts ORDER BY id")[-1] == (
            "edited",
            "by hand",
        )

    def test_one_that_has_changed_meanwhile_stays_as_it_is(self, store: Kept) -> None:
        stop(store, "r1")
        assert not store.do(lambda db: repairs.revise(db, 1, b"{}", b'{"new": 1}', NOW_US))
        assert store.rows("SELECT count(*) FROM attempts WHERE outcome = 'edited'") == [(0,)]


class TestArrive:
    def test_an_errand_that_a_person_has_seen_lets_its_end_go(self, store: Kept) -> None:
        stop(store, "r1", state=State.HELD)
        assert store.do(lambda db: repairs.arrive(db, 1, "77", NOW_US))
        assert store.states() == {"new_errand r1": "delivered", "end_errand r1": "ready"}
        assert store.rows("SELECT remote_id, error FROM outbox WHERE id = 1") == [("77", "")]

    @pytest.mark.parametrize("delivery", [2, 3, 9])
    def test_what_is_no_creation_that_has_stopped_cannot_arrive(
        self, store: Kept, delivery: int
    ) -> None:
        stop(store, "r1")
        store.take(said("call.answered", "waits", **PLAIN))
        before = store.states()
        assert not store.do(lambda db: repairs.arrive(db, delivery, "77", NOW_US))
        assert store.states() == before


class TestDrop:
    def test_what_waits_behind_goes_too_and_no_end_comes_later(self, store: Kept) -> None:
        store.take(said("call.answered", **PLAIN))
        store.send(Kind.NEW_ERRAND, State.DEAD)
        assert store.do(lambda db: repairs.drop(db, [1])) == 1
        store.take(said("call.ended", **PLAIN))
        assert store.states() == {}
        assert store.rows("SELECT count(*) FROM attempts") == [(0,)]

    def test_what_it_waits_for_stays(self, store: Kept) -> None:
        stop(store, "r1")
        assert store.do(lambda db: repairs.drop(db, [2])) == 1
        assert store.states() == {"new_errand r1": "dead"}

    def test_a_callback_whose_errand_is_dropped_is_open_no_more(self, store: Kept) -> None:
        store.take(said("callback.requested", **PLAIN))
        store.send(Kind.NEW_ERRAND, State.DEAD)
        assert store.rows("SELECT is_open FROM calls") == [(1,)]
        store.do(lambda db: repairs.drop(db, [1]))
        assert store.rows("SELECT is_open FROM calls") == [(0,)]

    def test_a_second_drop_finds_the_call_as_it_is_to_be(self, store: Kept) -> None:
        stop(store, "r1")
        store.do(lambda db: repairs.drop(db, [2]))
        before = store.rows("SELECT state FROM calls")
        assert store.do(lambda db: repairs.drop(db, [1])) == 1
        assert store.rows("SELECT state FROM calls") == before

    def test_a_letter_whose_call_is_gone_can_be_dropped(self, store: Kept) -> None:
        stop(store, "r1")
        store.run("DELETE FROM calls")
        assert store.do(lambda db: repairs.drop(db, [1])) == 2
        assert store.states() == {}

    def test_others_of_the_same_reference_keep_their_ends(self, store: Kept) -> None:
        early = {"occurredAt": "2026-09-10T14:13:20Z", **PLAIN}
        store.take(said("call.answered", eventId="early", **early))
        store.send(Kind.NEW_ERRAND, State.DEAD)
        store.take(said("call.answered", **PLAIN))
        store.do(lambda db: repairs.drop(db, [1]))
        store.take(said("call.ended", **PLAIN))
        assert store.states() == {"new_errand r1": "ready", "end_errand r1": "blocked"}

    def test_what_is_on_its_way_stays(self, store: Kept) -> None:
        store.take(said("call.answered", **PLAIN))
        store.claim(Kind.NEW_ERRAND)
        assert store.do(lambda db: repairs.drop(db, [1])) == 0
        assert store.states() == {"new_errand r1": "sending"}


class TestGates:
    def test_a_gate_that_a_hand_shut_is_opened_by_a_hand(self, store: Kept) -> None:
        for kind in (None, Kind.END_ERRAND, None):
            store.do(lambda db, kind=kind: repairs.pause(db, "default", kind, NOW_US))  # type: ignore[misc]
        kinds = store.rows("SELECT kind FROM pauses ORDER BY kind")
        assert kinds == [("*",), ("end_errand",)]
        assert store.do(lambda db: repairs.resume(db, "sales")) == 0
        assert store.do(lambda db: repairs.resume(db, "default")) == 2
        assert store.tx(lambda tx: list(tx.pauses())) == []

    def test_shutting_no_gate_shuts_none(self, store: Kept) -> None:
        store.tx(lambda tx: tx.save_pauses([]))
        assert store.tx(lambda tx: list(tx.pauses())) == []
