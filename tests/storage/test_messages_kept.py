"""Messages in the store: when they may leave, when they are given up, and what is left of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from bridge.domain.deliveries import Draft, Kind, NewErrand, State, Tier
from bridge.ports import Claim, Gate, Order, Quarrel, Settlement, Telling
from bridge.storage import queries, stories
from bridge.storage.engine import open_engine
from bridge.storage.schema import prepare
from bridge.storage.transaction import SqlTransaction

ROUTE = "watemplate:missed"
GATE = Gate(route=ROUTE, kind=Kind.WATEMPLATE)
KEY = ("s", "voice", "+60123456789")
HORIZONS = ("payload", "journal", "calls", "callbacks", "quarantine", "people", "told")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{Path(tmp_path_factory.mktemp('store')) / 'bridge.db'}")
    prepare(made)
    yield made
    made.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as made, made.begin() as whole:
        yield made
        whole.rollback()


@pytest.fixture
def tx(connection: Connection) -> SqlTransaction:
    return SqlTransaction(connection)


def message(lane: str = "m1", *, due_us: int = 110, expires_us: int = 500) -> Order:
    return Order(
        draft=Draft(
            key=f"{lane}:new",
            lane=lane,
            position=0,
            kind=Kind.WATEMPLATE,
            route=ROUTE,
            payload=NewErrand(message_id=lane, name="n", sender="+60", subject="s", body="b"),
            not_before_us=due_us,
            expires_us=expires_us,
        ),
        source="aventa",
        reference_id="r1",
        event_id="e1",
        accepted_us=100,
    )


def claimed(tx: SqlTransaction, now_us: int) -> list[str]:
    """Return the keys of what leaves now."""
    return [
        parcel.key
        for tier in Tier
        for parcel in tx.claim(
            Claim(gate=GATE, tier=tier, limit=9, now_us=now_us, live_us=0, scope="s")
        )
    ]


def state(connection: Connection, lane: str = "m1") -> str:
    query = text("SELECT state FROM outbox WHERE lane = :lane")
    return str(connection.execute(query, {"lane": lane}).scalar_one())


def purge(tx: SqlTransaction, name: str) -> int:
    return tx.purge({one: 10_000 if one == name else 0 for one in HORIZONS}, 10)


def test_a_message_leaves_at_its_time_and_not_before(tx: SqlTransaction) -> None:
    tx.put_orders([message()])
    assert claimed(tx, 109) == []
    assert claimed(tx, 110) == ["m1:new"]


def test_a_message_whose_time_is_over_does_not_leave(tx: SqlTransaction) -> None:
    tx.put_orders([message()])
    assert claimed(tx, 500) == []


def test_who_waits_for_their_time_does_not_count_as_late(
    tx: SqlTransaction, connection: Connection
) -> None:
    tx.put_orders([message(due_us=400)])
    assert queries.figures(connection).oldest_us == 400


def test_a_message_is_given_up_when_its_time_is_over(
    tx: SqlTransaction, connection: Connection
) -> None:
    tx.put_orders([message(), message("m2", expires_us=501)])
    tx.tell([Telling(whom="w", template="t", key="m1:new", at_us=110)])
    assert (tx.expire(499, 9), tx.expire(500, 9), tx.expire(500, 9)) == (0, 1, 0)
    assert (state(connection), state(connection, "m2")) == ("given_up", "ready")
    assert tx.told(["w"]) == {}
    (row,) = [one for one in stories.story(connection, "r1")["deliveries"] if one["id"] == 1]
    assert (row["state"], row["error"]) == ("given_up", "its time is over")


def test_no_more_are_given_up_at_a_time_than_asked_for(tx: SqlTransaction) -> None:
    tx.put_orders([message(f"m{number}") for number in range(3)])
    assert (tx.expire(900, 2), tx.expire(900, 2)) == (2, 1)


def test_a_message_that_is_called_off_has_told_nobody(
    tx: SqlTransaction, connection: Connection
) -> None:
    tx.put_orders([message()])
    tx.tell([Telling(whom="w", template="t", key="m1:new", at_us=110)])
    assert tx.told(["w", "x"]) == {("w", "t"): 110}
    assert tx.call_off(["m1:new", "strange"], "answered", 105) == 1
    assert (state(connection), tx.told(["w"]), claimed(tx, 110)) == ("given_up", {}, [])


def test_a_message_that_was_tried_is_not_tried_again_once_it_is_called_off(
    tx: SqlTransaction, connection: Connection
) -> None:
    tx.put_orders([message()])
    tx.tell([Telling(whom="w", template="t", key="m1:new", at_us=110)])
    claimed(tx, 110)
    again = Settlement(id=1, state=State.READY, due_us=120, attempts=1, tier=1)
    tx.settle([again])
    assert tx.call_off(["m1:new"], "answered", 112) == 1
    assert state(connection) == "given_up"
    # It may have arrived, so whom it was for counts as told.
    assert tx.told(["w"]) == {("w", "t"): 110}


@pytest.mark.parametrize("became", [State.READY, State.DOUBTFUL, State.HELD])
def test_what_is_on_its_way_when_it_is_called_off_is_over_with_its_answer(
    tx: SqlTransaction, connection: Connection, became: State
) -> None:
    tx.put_orders([message()])
    claimed(tx, 110)
    assert tx.call_off(["m1:new"], "answered", 111) == 0
    tx.settle([Settlement(id=1, state=became, due_us=120, attempts=1, tier=1)])
    again = Settlement(id=1, state=State.READY, due_us=130, attempts=1, tier=1)
    tx.settle([again])
    assert claimed(tx, 130) == []
    assert (tx.expire(130, 9), state(connection)) == (1, "given_up")


def test_an_answer_does_not_take_back_what_was_delivered(
    tx: SqlTransaction, connection: Connection
) -> None:
    tx.put_orders([message()])
    claimed(tx, 110)
    tx.settle([Settlement(id=1, state=State.DELIVERED, due_us=120, attempts=1, done_us=120)])
    assert tx.call_off(["m1:new"], "answered", 121) == 0
    assert state(connection) == "delivered"


def test_what_is_given_up_is_not_asked_for_again(
    tx: SqlTransaction, connection: Connection
) -> None:
    tx.put_orders([message()])
    tx.call_off(["m1:new"], "answered", 105)
    tx.put_orders([message()])
    assert state(connection) == "given_up"


def test_what_is_given_up_goes_with_the_journal(tx: SqlTransaction, connection: Connection) -> None:
    tx.put_orders([message()])
    tx.expire(600, 9)
    assert purge(tx, "payload") == 1
    assert purge(tx, "journal") == 1
    assert connection.execute(text("SELECT count(*) FROM outbox")).scalar_one() == 0


def test_a_message_stays_at_a_route_that_is_gone(
    tx: SqlTransaction, connection: Connection
) -> None:
    tx.put_orders([message()])
    assert tx.adopt({"default"}, "default") == 0
    assert connection.execute(text("SELECT route FROM outbox")).scalar_one() == ROUTE


def test_who_was_told_moves_with_the_clock_and_goes_in_time(tx: SqlTransaction) -> None:
    tx.tell([Telling(whom="w", template="t", key="k", at_us=110)])
    tx.tell([Telling(whom="w", template="t", key="k2", at_us=210)])
    assert tx.shift(50) == 1
    assert tx.told(["w"]) == {("w", "t"): 260}
    assert (purge(tx, "told"), tx.told(["w"])) == (1, {})


def quarrel(at_us: int, **given: Any) -> Quarrel:
    made = {"key": KEY, "owner": "p1", "claimant": "p2", "decided": "prefer_cuid", "at_us": at_us}
    return Quarrel(**{**made, **given})


def test_a_quarrel_is_counted_and_told_with_the_last_time(
    tx: SqlTransaction, connection: Connection
) -> None:
    tx.note_quarrels([quarrel(100), quarrel(200)])
    tx.note_quarrels([quarrel(300, decided="hold"), quarrel(50, claimant="")])
    found = queries.quarrels(connection, ["p2"])
    assert [(one["times"], one["first_us"], one["last_us"], one["decided"]) for one in found] == [
        (3, 100, 300, "hold")
    ]
    assert len(queries.quarrels(connection, ["p1"])) == 2
    assert len(queries.quarrels(connection, [], "+60123456789")) == 2
    assert purge(tx, "people") == 2
    assert queries.quarrels(connection, ["p1"]) == []
