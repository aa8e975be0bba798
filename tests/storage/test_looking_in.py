"""What the commands see of the store: refusals, people, calls that outbound calls belong to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kept import NOW_US, NUMBER, Kept, kept, said

from bridge.domain.deliveries import Kind
from bridge.storage import queries, refusals, repairs, stories
from bridge.storage.refusals import Refused


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Kept]:
    with kept(tmp_path) as one:
        yield one


@pytest.fixture
def refused(store: Kept) -> Kept:
    store.refuse("a1", b"first", received_us=NOW_US + 5)
    store.refuse("a2", b"second", source="pbx", status=400, event_type="")
    store.refuse("b1", b"third", received_us=NOW_US + 9, event_type="call.ended")
    return store


class TestRefusals:
    @pytest.mark.parametrize(
        ("which", "found"),
        [
            (Refused(), ["a2", "a1", "b1"]),
            (Refused(source="pbx"), ["a2"]),
            (Refused(status=422), ["a1", "b1"]),
            (Refused(event_type="call.ended"), ["b1"]),
            (Refused(event_type=""), ["a2"]),
            (Refused(after_us=NOW_US + 5), ["a1", "b1"]),
            (Refused(before_us=NOW_US + 5), ["a2"]),
            (Refused(after_us=NOW_US + 1, before_us=NOW_US + 9), ["a1"]),
        ],
    )
    def test_they_are_those_of_which_all_is_true_the_oldest_first(
        self, refused: Kept, which: Refused, found: list[str]
    ) -> None:
        assert refused.do(lambda db: refusals.ids(db, which)) == found
        rows = refused.do(lambda db: refusals.rows(db, which))
        assert [row["id"] for row in rows] == found
        assert all("body" not in row for row in rows)
        assert refused.do(lambda db: refusals.rows(db, which, 1)) == rows[:1]

    def test_an_id_is_known_by_how_it_begins(self, refused: Kept) -> None:
        def beginning(text: str, limit: int = 9) -> list[str]:
            return refused.do(lambda db: refusals.beginning_with(db, text, limit))

        assert (beginning("a"), beginning("a", 1), beginning("b")) == (["a2", "a1"], ["a2"], ["b1"])
        assert beginning("%") == []

    def test_one_is_shown_with_its_body_and_what_was_wrong(self, refused: Kept) -> None:
        found = refused.do(lambda db: refusals.one(db, "a1"))
        assert found is not None
        assert found["body"] == b"first"
        assert found["issues"] == [{"pointer": "/destNumber", "detail": "is no MSISDN"}]
        assert refused.do(lambda db: refusals.one(db, "a")) is None

    def test_what_is_forgotten_is_counted(self, refused: Kept) -> None:
        assert refused.do(lambda db: repairs.forget_refusals(db, ["a1", "b1", "c1"])) == 2
        assert refused.do(refusals.ids) == ["a2"]
        assert refused.do(lambda db: repairs.forget_refusals(db, [])) == 0


def test_an_outbound_call_is_known_by_the_call_that_it_was_counted_to(store: Kept) -> None:
    store.take(said("callback.requested"))
    store.take(said("outbound.answered", 'o"1', relatedReferenceId="r1"))
    assert store.do(lambda db: stories.belongs_to(db, 'o"1')) == "r1"
    assert store.do(lambda db: stories.belongs_to(db, "o")) is None
    store.run("UPDATE events SET payload = NULL")
    assert store.do(lambda db: stories.belongs_to(db, 'o"1')) is None


def test_people_are_known_by_any_of_their_values(store: Kept) -> None:
    store.take(
        said("call.queued", cuid="c1"), said("call.queued", "r2", callerNumber="+4930123456")
    )
    (ada,) = store.do(lambda db: queries.people(db, "c1", NUMBER))
    assert ada["wanted"] == {"name": "Ada", "cuid": "c1", "voice": [NUMBER]}
    assert ada["confirmed"] == {}
    assert store.do(lambda db: queries.people(db, "c2")) == []


def test_shut_gates_are_shown(store: Kept) -> None:
    store.do(lambda db: repairs.pause(db, "default", Kind.NEW_ERRAND, NOW_US))
    (found,) = store.do(queries.pauses)
    assert (found["route"], found["kind"], found["reason"]) == ("default", "new_errand", "by hand")


def test_a_trial_write_is_kept_once_however_often_it_is_made(store: Kept) -> None:
    for at_us in (NOW_US, NOW_US + 1):
        store.tx(lambda tx, at_us=at_us: tx.touch(at_us))  # type: ignore[misc]
    found = store.rows("SELECT value FROM meta WHERE name = 'touched'")
    assert found == [(str(NOW_US + 1).encode(),)]
