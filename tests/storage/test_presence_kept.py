"""Presence in the SQL store: found by indexes, gone in time, moved along with the clock."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bridge.domain.presence import Leg, Presence
from bridge.ports.presence import LegRow
from bridge.services.upkeep import Retention
from bridge.storage import tables
from bridge.storage.engine import open_engine
from bridge.storage.prepared import driver_of
from bridge.storage.presence import calls_of
from bridge.storage.schema import prepare
from bridge.storage.transaction import SqlTransaction

DAY_US = 86_400_000_000
NOW_US = 1_790_000_000_000_000


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = open_engine(f"sqlite:///{tmp_path / 'bridge.db'}")
    prepare(engine)
    with engine.connect() as made, made.begin():
        yield made
    engine.dispose()


def row(number: int, agent: str, *, is_over: bool = False, touched_us: int = NOW_US) -> LegRow:
    return LegRow(
        key=("aventa", f"r{number}", "in"),
        leg=Leg(
            agent=agent,
            at_us=NOW_US + number,
            rank=1,
            hung_us=NOW_US + DAY_US if is_over else 0,
            touched_us=touched_us,
        ),
        expires_us=None if is_over else NOW_US + 10,
    )


def scans(connection: Connection, work: Callable[[], object]) -> list[str]:
    driver = driver_of(connection)
    said: list[str] = []
    driver.set_trace_callback(said.append)
    work()
    driver.set_trace_callback(None)
    steps = [step for one in said for *_, step in driver.execute(f"EXPLAIN QUERY PLAN {one}")]
    return [
        one for one in steps if one.startswith("SCAN") and one.split()[1] in tables.metadata.tables
    ]


def test_no_statement_of_presence_looks_through_a_whole_table(connection: Connection) -> None:
    tx = SqlTransaction(connection)
    presence = tx.presence()

    def work() -> None:
        presence.save_legs([row(1, "ann"), row(2, "bob", is_over=True)])
        presence.save_presences([Presence(agent="ann", due_us=NOW_US, touched_us=NOW_US)])
        presence.legs([("aventa", "r1", "in")])
        presence.stale_legs(NOW_US + 10, 5)
        presence.busy(["ann"])
        presence.presences(["ann"])
        presence.due_presences(NOW_US, 5)
        presence.next_due_us(NOW_US)
        calls_of(connection, ["ann"])
        tx.purge(Retention().horizons(NOW_US), 5)
        tx.stocked_of([])

    assert scans(connection, work) == []


def test_a_leg_comes_back_as_it_was_kept(connection: Connection) -> None:
    presence = SqlTransaction(connection).presence()
    kept = [row(1, "ann"), row(2, "bob", is_over=True)]
    presence.save_legs(kept)
    assert presence.legs([one.key for one in kept]) == {one.key: one.leg for one in kept}
    assert presence.busy(["ann", "bob"]) == {"ann"}
    assert calls_of(connection, ["ann", "bob"]) == {"ann": ["r1"]}


def test_calls_that_no_event_can_reach_go_and_those_that_go_on_stay(
    connection: Connection,
) -> None:
    tx = SqlTransaction(connection)
    old_us = NOW_US - 60 * DAY_US
    rows = [
        row(1, "ann", touched_us=old_us),
        row(2, "ann", is_over=True, touched_us=old_us),
        row(3, "ann", is_over=True),
    ]
    tx.presence().save_legs(rows)
    tx.purge(Retention().horizons(NOW_US), 100)
    left = tx.presence().legs([one.key for one in rows])
    assert sorted(key[1] for key in left) == ["r1", "r3"]


def test_what_is_due_moves_along_with_the_clock(connection: Connection) -> None:
    tx = SqlTransaction(connection)
    presence = tx.presence()
    presence.save_presences([Presence(agent="ann", due_us=NOW_US), Presence(agent="bob")])
    presence.save_legs([row(1, "ann")])
    assert tx.shift(1_000) == 2
    (due,) = presence.due_presences(NOW_US + 1_000, 5)
    assert (due.agent, due.due_us) == ("ann", NOW_US + 1_000)
    assert presence.stale_legs(NOW_US + 1_009, 5) == {}
    assert len(presence.stale_legs(NOW_US + 1_010, 5)) == 1


def test_who_has_waited_longest_comes_first(connection: Connection) -> None:
    presence = SqlTransaction(connection).presence()
    presence.save_presences(
        [
            Presence(agent="tried", due_us=NOW_US, attempts=1),
            Presence(agent="old", due_us=NOW_US - 2),
            Presence(agent="new", due_us=NOW_US - 1),
            Presence(agent="later", due_us=NOW_US + 1),
        ]
    )
    names = [one.agent for one in presence.due_presences(NOW_US, 10)]
    assert names == ["old", "new", "tried"]
    assert presence.next_due_us(NOW_US) == NOW_US + 1
    assert presence.next_due_us(NOW_US - 2) == NOW_US - 1


def test_a_row_that_cannot_be_read_is_an_agent_of_whom_nothing_is_known(
    connection: Connection,
) -> None:
    presence = SqlTransaction(connection).presence()
    presence.save_presences([Presence(agent="ann", due_us=NOW_US, is_busy=True)])
    connection.exec_driver_sql("UPDATE presence SET state = '[]'")
    assert presence.presences(["ann"]) == {"ann": Presence(agent="ann", due_us=NOW_US)}


def test_who_is_gone_from_the_settings_is_forgotten_after_a_while(connection: Connection) -> None:
    presence = SqlTransaction(connection).presence()
    everybody = [Presence(agent=name, touched_us=NOW_US) for name in ("ann", "bob")]
    presence.save_presences(everybody)
    assert presence.forget_agents(["ann"], NOW_US) == 0
    assert presence.forget_agents(["ann"], NOW_US + 1) == 1
    assert list(presence.presences(["ann", "bob"])) == ["ann"]
