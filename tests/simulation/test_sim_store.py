"""The simulated store behaves as the SQL one: the same operations, the same that can be seen."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sim_rows import Rows
from sim_steps import COLUMNS, KINDS, LANES, ROUTES, SCOPE, Side, Step, groups, seen, stock
from sim_store import SimTransaction
from sqlalchemy import Connection, Engine, select

from bridge.ports import Gate, Order, Transaction
from bridge.storage import tables
from bridge.storage.codecs import encode
from bridge.storage.engine import open_engine
from bridge.storage.schema import prepare
from bridge.storage.transaction import SqlTransaction

EXAMPLES: Final = 70
QUARREL: Final = ("scope", "kind", "value", "claimant", "owner", "decided", "last_us", "times")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path_factory.mktemp('store') / 'bridge.db'}")
    prepare(made)
    yield made
    made.dispose()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(stocked=stock, script=st.lists(st.tuples(groups, st.booleans()), min_size=4, max_size=10))
def test_the_simulated_store_shows_what_the_sql_store_shows(
    engine: Engine, stocked: list[Order], script: list[tuple[list[Step], bool]]
) -> None:
    rows = Rows()
    with engine.connect() as connection, connection.begin() as whole:
        sim = Side(SimTransaction(rows), rows.by_key.get)
        outbox = tables.outbox.c
        sql = Side(
            SqlTransaction(connection),
            lambda key: connection.execute(
                select(outbox.id).where(outbox.key == key)
            ).scalar_one_or_none(),
        )
        for side in (sim, sql):
            side.tx.put_orders(stocked)
        for steps, is_kept in script:
            savepoint, mark = connection.begin_nested(), rows.mark()
            for step in steps:
                assert step.run(sim) == step.run(sql), step
            if is_kept:
                savepoint.commit()
            else:
                savepoint.rollback()
                rows.roll_back(mark)
            assert _view(sim.tx) == _view(sql.tx)
            assert _kept(rows) == _stored(connection)
        whole.rollback()


def _view(tx: Transaction) -> dict[str, Any]:
    """Return what either shows through the port."""
    return {
        "sending": sorted(seen(tx.sending()), key=lambda one: one.key),
        "doubtful": sorted(seen(tx.doubtful()), key=lambda one: one.key),
        "stocked": tx.stocked([Gate(route=one, kind=kind) for one in ROUTES for kind in KINDS]),
        "pauses": sorted(tx.pauses(), key=repr),
        "highest": tx.highest_ids(),
        "intents": tx.intents(SCOPE),
        "marked": tx.marked(SCOPE, LANES),
        "seen": tx.seen(SCOPE, range(1, 6)),
        "threads": tx.threads([("aventa", lane) for lane in LANES]),
        "people": tx.people(["p1", "p2"]),
        "owners": tx.owners([(SCOPE, "voice", "+1"), (SCOPE, "voice", "+2")]),
        "told": tx.told(["a", "b"]),
    }


def _kept(rows: Rows) -> list[tuple[Any, ...]]:
    deliveries = [
        (*(getattr(row, name) for name in COLUMNS), row.payload and encode(row.payload))
        for row in rows.outbox.values()
    ]
    read = [(*key, row.state, row.marker, row.at_us) for key, row in rows.sightings.items()]
    quarrels = [
        (*key, claimant, one.owner, one.decided, one.at_us, times)
        for (key, claimant), (one, times) in rows.quarrels.items()
    ]
    return [*sorted(deliveries), *sorted(read), *sorted(quarrels)]


def _stored(connection: Connection) -> list[tuple[Any, ...]]:
    outbox, sightings = tables.outbox, tables.sightings
    deliveries = select(*(outbox.c[name] for name in COLUMNS), outbox.c.payload)
    names = ("scope", "errand_id", "state", "marker", "at_us")
    read = select(*(sightings.c[name] for name in names))
    quarrels = select(
        *(
            tables.quarrels.c[name]
            for name in (
                "scope",
                "kind",
                "value",
                "claimant",
                "owner",
                "decided",
                "last_us",
                "times",
            )
        )
    )
    return [
        *sorted(tuple(row) for row in connection.execute(deliveries)),
        *sorted(tuple(row) for row in connection.execute(read)),
        *sorted(tuple(row) for row in connection.execute(quarrels)),
    ]
