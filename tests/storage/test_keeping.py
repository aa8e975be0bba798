from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, text

from bridge.domain.contacts import Card, Person
from bridge.domain.deliveries import Draft, EndErrand, Kind, NewErrand, State, Tier
from bridge.domain.events import Agent
from bridge.ports import Attempt, Claim, Entry, Gate, Order, Settlement, Sighting
from bridge.storage import keeping, queries, stories, tables
from bridge.storage.engine import open_engine
from bridge.storage.prepared import driver_of
from bridge.storage.schema import prepare
from bridge.storage.transaction import SqlTransaction

DONE_US = 1000
LATER_US = DONE_US + 1
ADA = Person(id="p1", scope="s", route="default", wanted=Card(voice=("+60123456789",)))
ALL = ("payload", "journal", "calls", "callbacks", "quarantine", "people", "told")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'bridge.db'}")
    prepare(made)
    yield made
    made.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as one:
        yield one


@pytest.fixture
def tx(connection: Connection) -> SqlTransaction:
    return SqlTransaction(connection)


def order(number: int = 1, position: int = 0, body: str = "hello") -> Order:
    """Return the creation of an errand, or at position 1 its end."""
    lane = f"m{number}"
    payload: NewErrand | EndErrand = NewErrand(
        message_id=lane, name="Ada", sender="+60123456789", subject="Call", body=body
    )
    if position:
        payload = EndErrand(reference_id=f"r{number}", agent=Agent(1000, 1000))
    return Order(
        draft=Draft(
            key=f"{lane}:{'end' if position else 'new'}",
            lane=lane,
            position=position,
            kind=Kind.END_ERRAND if position else Kind.NEW_ERRAND,
            route="default",
            payload=payload,
        ),
        source="aventa",
        reference_id=f"r{number}",
        event_id=f"e{number}-{position}",
        accepted_us=number,
    )


def ids(tx: SqlTransaction, table: str = "outbox") -> list[int]:
    rows = query(tx, f"SELECT id FROM {table} ORDER BY id")  # noqa: S608 - a name of this test
    return [row[0] for row in rows]


def query(tx: SqlTransaction, sql: str) -> list[Any]:
    return list(tx._connection.execute(text(sql)))  # noqa: SLF001 - to look beneath it


def deliver(tx: SqlTransaction, *which: int, done_us: int = DONE_US) -> None:
    """Settle these as delivered at their second attempt."""
    tx.settle(
        [
            Settlement(
                id=one,
                state=State.DELIVERED,
                due_us=done_us,
                attempts=2,
                remote_id=f"77{one}",
                done_us=done_us,
            )
            for one in which
        ]
    )
    tx.add_attempts(
        [
            Attempt(
                delivery_id=one,
                at_us=done_us,
                seconds=0.1,
                outcome="retried",
                status=503,
                detail="not now, +60123456789",
            )
            for one in which
        ]
    )


def said(tx: SqlTransaction) -> list[str]:
    """Return what is left of what the upstream said."""
    return [row[0] for row in query(tx, "SELECT detail FROM attempts") if row[0]]


def purge(tx: SqlTransaction, *names: str) -> int:
    """Purge as if these horizons lay just after everything, and the others before."""
    return tx.purge({name: LATER_US if name in names else 0 for name in ALL}, 100)


class TestArchive:
    def test_what_was_delivered_before_then_moves_with_its_number(self, tx: SqlTransaction) -> None:
        tx.put_orders([order(1), order(2), order(3), order(4)])
        deliver(tx, 1, 3)
        deliver(tx, 4, done_us=LATER_US)
        assert tx.archive(LATER_US, 100) == 2
        assert (ids(tx), ids(tx, "delivered")) == ([2, 4], [1, 3])
        assert tx.archive(LATER_US, 100) == 0

    def test_no_more_than_asked_for_move_at_a_time_the_oldest_first(
        self, tx: SqlTransaction
    ) -> None:
        tx.put_orders([order(1), order(2), order(3)])
        deliver(tx, 1, 2)
        deliver(tx, 3, done_us=DONE_US - 1)
        assert tx.archive(LATER_US, 1) == 1
        assert ids(tx, "delivered") == [3]

    def test_large_ones_move_a_few_at_a_time(
        self, tx: SqlTransaction, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keeping, "BYTES_MAX", 5000)
        tx.put_orders([order(1, body="x" * 9000), order(2), order(3, body="x" * 9000)])
        deliver(tx, 1, 2, 3)
        assert [tx.archive(LATER_US, 100) for _ in range(4)] == [1, 1, 1, 0]

    def test_a_number_that_moved_is_not_given_again(self, tx: SqlTransaction) -> None:
        tx.put_orders([order(1)])
        deliver(tx, 1)
        tx.archive(LATER_US, 100)
        tx.put_orders([order(2)])
        assert ids(tx) == [2]

    def test_what_is_told_of_a_delivery_stays_the_same(
        self, tx: SqlTransaction, connection: Connection
    ) -> None:
        tx.put_orders([order(1), order(1, 1)])
        deliver(tx, 1)
        before = queries.delivery(connection, 1), stories.story(connection, "r1")
        tx.archive(LATER_US, 100)
        assert (queries.delivery(connection, 1), stories.story(connection, "r1")) == before
        assert [one["state"] for one in before[1]["deliveries"]] == ["delivered", "blocked"]
        assert queries.delivery(connection, 9) is None

    def test_a_lane_goes_on_without_what_has_moved(self, tx: SqlTransaction) -> None:
        tx.put_orders([order(1), order(1, 1)])
        deliver(tx, 1)
        tx.archive(LATER_US, 100)
        tx.promote(["m1"], LATER_US)
        tx.put_orders([order(2)])
        deliver(tx, 3)
        tx.archive(LATER_US, 100)
        tx.put_orders([order(2, 1)])
        assert query(tx, "SELECT DISTINCT state FROM outbox") == [("ready",)]
        assert ids(tx) == [2, 4]

    def test_a_key_exists_once_for_ever(self, tx: SqlTransaction) -> None:
        tx.put_orders([order(1), order(1, 1)])
        deliver(tx, 1, 2)
        tx.archive(LATER_US, 100)
        tx.put_orders([order(1), order(1, 1), order(2)])
        assert [row[0] for row in query(tx, "SELECT key FROM outbox")] == ["m2:new"]

    def test_a_persons_next_card_is_a_new_row(self, tx: SqlTransaction) -> None:
        tx.want_cards([ADA], 1)
        deliver(tx, 1)
        tx.archive(LATER_US, 100)
        tx.want_cards([ADA], 2)
        deliver(tx, 2)
        tx.archive(LATER_US, 100)
        tx.want_cards([ADA], 3)
        assert (ids(tx), ids(tx, "delivered")) == ([3], [1, 2])

    def test_what_was_said_of_a_card_goes_when_it_moves(self, tx: SqlTransaction) -> None:
        tx.put_orders([order(1)])
        tx.want_cards([ADA], 1)
        deliver(tx, 1, 2)
        assert len(said(tx)) == 2
        tx.archive(LATER_US, 100)
        assert len(said(tx)) == 1


class TestPurge:
    def test_the_content_of_what_was_delivered_goes_with_what_was_said_of_it(
        self, tx: SqlTransaction
    ) -> None:
        tx.put_orders([order(1), order(2), order(3)])
        deliver(tx, 1, 2)
        tx.archive(LATER_US, 1)
        assert purge(tx, "payload") == 2
        rows = query(tx, "SELECT id, payload IS NULL FROM outbox ORDER BY id")
        assert rows == [(2, 1), (3, 0)]
        assert query(tx, "SELECT payload FROM delivered") == [(None,)]
        assert said(tx) == []
        assert purge(tx, "payload") == 0

    def test_the_journal_goes_with_what_was_delivered_and_tried(self, tx: SqlTransaction) -> None:
        tx.add_events(
            [
                Entry(
                    source="aventa",
                    event_id="e1",
                    event_type="call.ended",
                    reference_id="r1",
                    route="default",
                    occurred_us=1,
                    received_us=DONE_US,
                    digest=b"",
                    payload=b"{}",
                )
            ]
        )
        tx.put_orders([order(1), order(2)])
        deliver(tx, 1)
        tx.archive(LATER_US, 100)
        assert purge(tx, "journal") == 3
        assert [ids(tx, one) for one in ("events", "delivered", "attempts", "outbox")] == [
            [],
            [],
            [],
            [2],
        ]

    def test_errands_that_were_read_are_known_until_the_journal_goes(
        self, tx: SqlTransaction
    ) -> None:
        tx.intend("s", [1, 2, 3], DONE_US)
        tx.note("s", [Sighting(errand_id=1, marker="m1"), Sighting(errand_id=2, marker="")], 1)
        tx.close_intents("s", [1])
        assert purge(tx, "journal") == 1
        # Those that may be off Cention's list have to be put back on it.
        assert tx.intents("s") == [2, 3]

    def test_what_waits_for_a_person_stays_whole(
        self, tx: SqlTransaction, connection: Connection
    ) -> None:
        tx.put_orders([order(1), order(1, 1)])
        tx.settle([Settlement(id=1, state=State.DEAD, due_us=1, attempts=1, error="422")])
        tx.park(["m1"])
        assert purge(tx, *ALL) == 0
        assert queries.figures(connection).dead_letters == 1
        assert queries.delivery(connection, 1)["payload"]["name"] == "Ada"  # type: ignore[index]


class TestPurgePeople:
    def test_who_was_not_named_or_confirmed_since_goes_with_all_keys(
        self, tx: SqlTransaction
    ) -> None:
        key = ("s", "voice", "+60123456789")
        people = [
            ADA,
            replace(ADA, id="p2", named_us=LATER_US),
            replace(ADA, id="p3", confirmed_us=LATER_US),
        ]
        tx.save_people(people, [(key, "p1")])
        assert tx.purge_people("", LATER_US, 100) == ""
        assert set(tx.people({"p1", "p2", "p3"})) == {"p2", "p3"}
        assert tx.owners([key]) == {}

    def test_who_waits_for_a_card_stays(self, tx: SqlTransaction) -> None:
        tx.save_people([ADA], [])
        tx.want_cards([ADA], 1)
        tx.purge_people("", LATER_US, 100)
        assert list(tx.people(["p1"])) == ["p1"]
        deliver(tx, 1)
        tx.purge_people("", LATER_US, 100)
        assert tx.people(["p1"]) == {}

    def test_a_few_are_looked_at_each_time(self, tx: SqlTransaction) -> None:
        everybody = [f"p{number}" for number in range(5)]
        tx.save_people([replace(ADA, id=one) for one in everybody], [])
        after = tx.purge_people("", LATER_US, 2)
        assert (after, sorted(tx.people(everybody))) == ("p1", everybody[2:])
        after = tx.purge_people(after, LATER_US, 2)
        assert tx.purge_people(after, LATER_US, 2) == ""
        assert tx.people(everybody) == {}


def plans(connection: Connection, work: Callable[[], object]) -> list[str]:
    """Do something, and return how SQLite goes about each statement of it."""
    driver = driver_of(connection)
    said: list[str] = []
    driver.set_trace_callback(said.append)
    work()
    driver.set_trace_callback(None)
    return [
        step for statement in said for *_, step in driver.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]


def test_no_statement_looks_through_a_whole_table(
    tx: SqlTransaction, connection: Connection
) -> None:
    def work() -> None:
        tx.archive(LATER_US, 100)
        tx.put_orders([order(1), order(2, 1)])
        purge(tx, *ALL)
        tx.purge_people("", LATER_US, 100)
        stories.story(connection, "r1")
        queries.delivery(connection, 1)

    tx.put_orders([order(1), order(1, 1)])
    deliver(tx, 1)
    steps = plans(connection, work)
    names = set(tables.metadata.tables)
    assert len([one for one in steps if one.startswith("SEARCH")]) > 30
    assert [one for one in steps if one.startswith("SCAN") and one.split()[1] in names] == []


def test_figures_look_at_what_waits_or_has_stopped_only(connection: Connection) -> None:
    steps = plans(connection, lambda: queries.figures(connection))
    used = {one.partition(" INDEX ")[2].split()[0] for one in steps if " outbox " in one}
    names = ("pending", "first", "later", "unclear", "stopped")
    assert used == {f"ix_outbox_{name}" for name in names}


def test_figures_say_how_far_each_row_is(tx: SqlTransaction, connection: Connection) -> None:
    tx.put_orders([order(1), order(1, 1), order(2), order(3)])
    gate = Gate(route="default", kind=Kind.NEW_ERRAND)
    claim = Claim(gate=gate, tier=Tier.OLD, limit=1, now_us=LATER_US, live_us=LATER_US, scope="s")
    (parcel,) = tx.claim(claim)
    rows = queries.figures(connection).rows
    assert (rows["sending"], rows["ready"], rows["blocked"]) == (1, 2, 1)
    tx.settle([Settlement(id=parcel.id, state=State.DEAD, due_us=LATER_US, attempts=1)])
    tx.park([parcel.lane])
    rows = queries.figures(connection).rows
    assert (rows["dead"], rows["parked"], rows["ready"]) == (1, 1, 2)


def test_figures_count_what_waits_only(tx: SqlTransaction, connection: Connection) -> None:
    tx.put_orders([order(1), order(1, 1), order(2)])
    deliver(tx, 1)
    before = queries.figures(connection)
    tx.archive(LATER_US, 100)
    assert queries.figures(connection) == before
    assert (before.pending, before.oldest_us) == ({"new_errand": 1, "end_errand": 1}, 1)


def test_a_story_holds_every_sources_call_of_that_name(
    tx: SqlTransaction, connection: Connection
) -> None:
    other = order(2)
    tx.put_orders([order(1), replace(other, source="hook", reference_id="r1")])
    deliver(tx, 1, 2)
    tx.archive(LATER_US, 1)
    deliveries = stories.story(connection, "r1")["deliveries"]
    assert sorted(one["source"] for one in deliveries) == ["aventa", "hook"]
