"""The simulated store behaves as the SQL one: the same operations, the same that can be seen."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sim_rows import Row, Rows
from sim_store import SimTransaction
from sqlalchemy import Connection, Engine, select

from bridge.domain.calls import Thread
from bridge.domain.contacts import Card, Person
from bridge.domain.deliveries import Draft, EndErrand, Kind, NewErrand, State, Tier
from bridge.domain.events import Agent
from bridge.domain.spans import Span
from bridge.ports import (
    Claim,
    Entry,
    Gate,
    Order,
    Parcel,
    Pause,
    Settlement,
    Sighting,
    ThreadRow,
    Transaction,
)
from bridge.storage import tables
from bridge.storage.codecs import encode
from bridge.storage.engine import open_engine
from bridge.storage.schema import prepare
from bridge.storage.transaction import SqlTransaction

EXAMPLES: Final = 100
T = TypeVar("T")
SCOPE: Final = "https://cention.example/s/demo"
ROUTES: Final = ("default", "other")
KINDS: Final = (Kind.NEW_ERRAND, Kind.END_ERRAND, Kind.CONTACT_CARD)
LANES: Final = ("m1", "m2", "m3")
KEYS: Final = (*(f"{lane}:{what}" for lane in LANES for what in ("new", "end")), "contact:p1")
COLUMNS: Final = [one.name for one in fields(Row) if one.name not in {"id", "payload"}]


@dataclass
class Side:
    """One of the two stores, with an open transaction."""

    tx: Transaction
    id_of: Callable[[str], int | None]


@dataclass(frozen=True)
class Step:
    """An operation on either; it returns what can be seen of it."""

    says: str
    run: Callable[[Side], object]

    def __repr__(self) -> str:
        return self.says


routes = st.sampled_from(("default", "default", "other"))
kinds = st.sampled_from(KINDS)
lanes = st.sampled_from(LANES)
times = st.integers(1, 12).map(lambda one: one * 100)
ids = st.integers(1, 5)
gates = st.builds(lambda route, kind: Gate(route=route, kind=kind), routes, kinds)


def few(of: st.SearchStrategy[T]) -> st.SearchStrategy[list[T]]:
    """Return a strategy for a handful of these."""
    return st.lists(of, min_size=1, max_size=3)


def _each_once(people: list[Person]) -> list[Person]:
    return list({one.id: one for one in people}.values())


def _order(lane: str, position: int, route: str, at_us: int, text: str) -> Order:
    what: NewErrand | EndErrand
    if position == 0:
        key, kind = f"{lane}:new", Kind.NEW_ERRAND
        what = NewErrand(message_id=lane, name=text, sender="+46", subject="", body="")
    else:
        key, kind = f"{lane}:end", Kind.END_ERRAND
        what = EndErrand(reference_id=lane, agent=Agent(1, 1), dialed_number=text)
    draft = Draft(key=key, lane=lane, position=position, kind=kind, route=route, payload=what)
    return Order(
        draft=draft, source="aventa", reference_id=lane, event_id=f"e-{lane}", accepted_us=at_us
    )


def _person(number: str, route: str, name: str) -> Person:
    return Person(id=number, scope=SCOPE, route=route, wanted=Card(name=name, voice=("+46",)))


def _step(says: str, run: Callable[[Transaction], object]) -> Step:
    return Step(says, lambda side: run(side.tx))


def _seen(parcels: list[Parcel]) -> list[Parcel]:
    return [replace(one, id=0) for one in parcels]


def _settlement(key: str, state: State, due_us: int, attempts: int, tier: int, remote: int) -> Step:
    def run(side: Side) -> None:
        row_id = side.id_of(key)
        if row_id is not None:
            one = Settlement(
                id=row_id,
                state=state,
                due_us=due_us,
                attempts=attempts,
                tier=tier,
                remote_id=str(remote) if state is State.DELIVERED else "",
                done_us=due_us if state is State.DELIVERED else None,
            )
            side.tx.settle([one])

    return Step(f"settle {key} {state} due {due_us} tier {tier}", run)


orders = st.builds(_order, lanes, st.integers(0, 1), routes, times, st.sampled_from("abc"))
claims = st.builds(
    lambda gate, tier, limit, now_us, floor_id: Claim(
        gate=gate,
        tier=tier,
        limit=limit,
        now_us=now_us,
        live_us=now_us - 300,
        scope=SCOPE if floor_id % 2 else "elsewhere",
        floor_id=floor_id,
    ),
    gates,
    st.sampled_from(Tier),
    st.integers(1, 3),
    times,
    ids,
)
pauses = st.builds(
    lambda route, kind, reason, since_us, mark: Pause(
        route=route,
        kind=kind,
        reason=reason,
        since_us=since_us,
        probe_us=since_us + 60,
        token_mark=mark,
    ),
    routes,
    st.none() | kinds,
    st.sampled_from(["401", "404"]),
    times,
    st.sampled_from("xy"),
)
people = st.builds(_person, st.sampled_from(["p1", "p2"]), routes, st.sampled_from("AB"))


def _delivered(lane: str, now_us: int) -> Step:
    def run(side: Side) -> object:
        _settlement(f"{lane}:new", State.DELIVERED, now_us, 1, 0, 1).run(side)
        return side.tx.promote([lane], now_us)

    return Step(f"{lane} delivered at {now_us}", run)


def _due_later(lane: str, route: str, due_us: int, now_us: int) -> Step:
    """Make a retry, and claim it: it may not be due yet."""
    gate = Gate(route=route, kind=Kind.NEW_ERRAND)
    claim = Claim(gate=gate, tier=Tier.LATER, limit=2, now_us=now_us, live_us=0, scope=SCOPE)

    def run(side: Side) -> object:
        _settlement(f"{lane}:new", State.READY, due_us, 1, 1, 1).run(side)
        return _seen(side.tx.claim(claim))

    return Step(f"{lane} due at {due_us}, claimed at {now_us}", run)


deliveries = st.one_of(
    st.builds(_delivered, lanes, times),
    st.builds(_due_later, lanes, routes, times, times),
    few(orders).map(lambda some: _step(f"put {some}", lambda tx: tx.put_orders(some))),
    st.builds(
        lambda some, at_us: _step(f"cards {some}", lambda tx: tx.want_cards(some, at_us)),
        few(people).map(_each_once),
        times,
    ),
    claims.map(lambda one: _step(f"{one}", lambda tx: _seen(tx.claim(one)))),
    claims.map(lambda one: _step(f"{one}", lambda tx: _seen(tx.claim(one)))),
    st.builds(
        _settlement,
        st.sampled_from(KEYS),
        st.sampled_from(State),
        times,
        st.integers(0, 3),
        st.integers(0, 1),
        ids,
    ),
    st.builds(
        lambda some, now_us: _step(f"promote {some}", lambda tx: tx.promote(some, now_us)),
        few(lanes),
        times,
    ),
    few(lanes).map(lambda some: _step(f"park {some}", lambda tx: tx.park(some))),
    few(gates).map(lambda some: _step("stocked", lambda tx: tx.stocked(some))),
    routes.map(lambda one: _step(f"adopt to {one}", lambda tx: tx.adopt({one}, one))),
    st.integers(-300, 300).map(lambda by: _step(f"shift {by}", lambda tx: tx.shift(by))),
    st.builds(
        lambda before_us, limit: _step(
            f"archive {before_us} {limit}", lambda tx: tx.archive(before_us, limit)
        ),
        times,
        st.integers(1, 5),
    ),
)
gate_steps = st.one_of(
    few(pauses).map(lambda some: _step(f"shut {some}", lambda tx: tx.save_pauses(some))),
    few(pauses).map(lambda some: _step(f"open {some}", lambda tx: tx.clear_pauses(some))),
)
lookups = st.one_of(
    st.builds(
        lambda some, at_us: _step(f"intend {some}", lambda tx: tx.intend(SCOPE, some, at_us)),
        few(ids).map(lambda some: sorted(set(some))),
        times,
    ),
    st.builds(
        lambda one, text, at_us: _step(
            f"note {one} {text}",
            lambda tx: tx.note(SCOPE, [Sighting(errand_id=one, marker=text)], at_us),
        ),
        ids,
        st.sampled_from(["", *LANES]),
        times,
    ),
    few(ids).map(lambda some: _step(f"close {some}", lambda tx: tx.close_intents(SCOPE, some))),
    few(ids).map(lambda some: _step(f"seen {some}", lambda tx: tx.seen(SCOPE, some))),
    ids.map(lambda one: _step(f"highest {one}", lambda tx: tx.save_highest_ids({SCOPE: one}))),
)
intake = st.one_of(
    st.integers(1, 40).map(
        lambda one: _step(f"event {one}", lambda tx: _add_event(tx, f"event-{one}"))
    ),
    st.builds(
        lambda lane, at_us, timer_us: _step(
            f"thread {lane} {timer_us}",
            lambda tx: tx.save_threads(
                [
                    ThreadRow(
                        key=("aventa", lane),
                        thread=Thread(spans=(Span(first_us=at_us, last_us=at_us, rings=True),)),
                        timer_us=timer_us,
                    )
                ]
            ),
        ),
        lanes,
        times,
        st.none() | times,
    ),
    st.builds(
        lambda one, value: _step(
            f"save {one} {value}",
            lambda tx: tx.save_people([one], [((SCOPE, "voice", value), one.id)]),
        ),
        people,
        st.sampled_from(["+1", "+2"]),
    ),
    times.map(lambda at_us: _step(f"due {at_us}", lambda tx: tx.due_threads(at_us, 100))),
)


def _add_event(tx: Transaction, event_id: str) -> object:
    known = tx.digests([("aventa", event_id)])
    if not known:
        entry = Entry(
            source="aventa",
            event_id=event_id,
            event_type="call.queued",
            reference_id="r",
            route="default",
            occurred_us=1,
            received_us=1,
            digest=event_id.encode(),
            payload=b"{}",
        )
        tx.add_events([entry])
    return known


plain = st.one_of(deliveries, deliveries, deliveries, lookups, gate_steps, intake)
groups = st.lists(plain, min_size=2, max_size=6)
# A store in which something waits already, most of it at the same gate.
stock = st.tuples(
    *(
        st.builds(_order, st.just(lane), st.just(at), routes, times, st.just("a"))
        for lane in LANES
        for at in (0, 1)
    )
).map(list)


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
        "sending": sorted(_seen(tx.sending()), key=lambda one: one.key),
        "doubtful": sorted(_seen(tx.doubtful()), key=lambda one: one.key),
        "stocked": tx.stocked([Gate(route=one, kind=kind) for one in ROUTES for kind in KINDS]),
        "pauses": sorted(tx.pauses(), key=repr),
        "highest": tx.highest_ids(),
        "intents": tx.intents(SCOPE),
        "marked": tx.marked(SCOPE, LANES),
        "seen": tx.seen(SCOPE, range(1, 6)),
        "threads": tx.threads([("aventa", lane) for lane in LANES]),
        "people": tx.people(["p1", "p2"]),
        "owners": tx.owners([(SCOPE, "voice", "+1"), (SCOPE, "voice", "+2")]),
    }


def _kept(rows: Rows) -> list[tuple[Any, ...]]:
    deliveries = [
        (*(getattr(row, name) for name in COLUMNS), row.payload and encode(row.payload))
        for row in rows.outbox.values()
    ]
    read = [(*key, row.state, row.marker, row.at_us) for key, row in rows.sightings.items()]
    return [*sorted(deliveries), *sorted(read)]


def _stored(connection: Connection) -> list[tuple[Any, ...]]:
    outbox, sightings = tables.outbox, tables.sightings
    deliveries = select(*(outbox.c[name] for name in COLUMNS), outbox.c.payload)
    names = ("scope", "errand_id", "state", "marker", "at_us")
    read = select(*(sightings.c[name] for name in names))
    return [
        *sorted(tuple(row) for row in connection.execute(deliveries)),
        *sorted(tuple(row) for row in connection.execute(read)),
    ]
