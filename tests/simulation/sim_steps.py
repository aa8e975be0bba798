"""Operations on a store, for comparing the simulated one with the SQL one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from hypothesis import strategies as st
from msgspec.structs import replace
from sim_rows import Row

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
    Quarrel,
    Settlement,
    Sighting,
    Telling,
    ThreadRow,
    Transaction,
)

T = TypeVar("T")
SCOPE: Final = "https://cention.example/s/demo"
ROUTES: Final = ("default", "other")
KINDS: Final = (Kind.NEW_ERRAND, Kind.END_ERRAND, Kind.CONTACT_CARD, Kind.WATEMPLATE)
LANES: Final = ("m1", "m2", "m3")
MESSAGES: Final = ("w1:new", "w2:new")
KEYS: Final = (
    *(f"{lane}:{what}" for lane in LANES for what in ("new", "end")),
    "contact:p1",
    *MESSAGES,
)
COLUMNS: Final = [name for name in Row.__struct_fields__ if name not in {"id", "payload"}]


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
traces = st.sampled_from(("t1", "t2"))
maybe_traces = st.one_of(st.none(), traces)
gates = st.builds(lambda route, kind: Gate(route=route, kind=kind), routes, kinds)


def few(of: st.SearchStrategy[T]) -> st.SearchStrategy[list[T]]:
    """Return a strategy for a handful of these."""
    return st.lists(of, min_size=1, max_size=3)


def _each_once(people: list[Person]) -> list[Person]:
    return list({one.id: one for one in people}.values())


def _order(lane: str, position: int, route: str, at_us: int, text: str, trace: str | None) -> Order:
    what: NewErrand | EndErrand
    if position == 0:
        key, kind = f"{lane}:new", Kind.NEW_ERRAND
        what = NewErrand(message_id=lane, name=text, sender="+46", subject="", body="")
    else:
        key, kind = f"{lane}:end", Kind.END_ERRAND
        what = EndErrand(reference_id=lane, agent=Agent(1, 1), dialed_number=text)
    draft = Draft(key=key, lane=lane, position=position, kind=kind, route=route, payload=what)
    return Order(
        draft=draft,
        source="aventa",
        reference_id=lane,
        event_id=f"e-{lane}",
        accepted_us=at_us,
        trace=trace,
    )


def _message(key: str, route: str, at_us: int, wait_us: int, use_us: int) -> Order:
    lane = key.partition(":")[0]
    draft = Draft(
        key=key,
        lane=lane,
        position=0,
        kind=Kind.WATEMPLATE,
        route=route,
        payload=NewErrand(message_id=lane, name="n", sender="+46", subject="", body=""),
        not_before_us=at_us + wait_us,
        expires_us=at_us + use_us,
    )
    return Order(
        draft=draft, source="aventa", reference_id=lane, event_id=f"e-{lane}", accepted_us=at_us
    )


def _quarrel(claimant: str, decided: str, at_us: int) -> Quarrel:
    key = SCOPE, "voice", "+1"
    return Quarrel(key=key, owner="p1", claimant=claimant, decided=decided, at_us=at_us)


def _person(number: str, route: str, name: str) -> Person:
    return Person(id=number, scope=SCOPE, route=route, wanted=Card(name=name, voice=("+46",)))


def _step(says: str, run: Callable[[Transaction], object]) -> Step:
    return Step(says, lambda side: run(side.tx))


def seen(parcels: list[Parcel]) -> list[Parcel]:
    """Return parcels without their numbers, which differ."""
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


orders = st.builds(
    _order, lanes, st.integers(0, 1), routes, times, st.sampled_from("abc"), maybe_traces
)
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
        return seen(side.tx.claim(claim))

    return Step(f"{lane} due at {due_us}, claimed at {now_us}", run)


deliveries = st.one_of(
    st.builds(_delivered, lanes, times),
    st.builds(_due_later, lanes, routes, times, times),
    few(orders).map(lambda some: _step(f"put {some}", lambda tx: tx.put_orders(some))),
    st.builds(
        lambda some, at_us, traces: _step(
            f"cards {some} {traces}", lambda tx: tx.want_cards(some, at_us, traces)
        ),
        few(people).map(_each_once),
        times,
        st.one_of(st.none(), st.dictionaries(st.sampled_from(["p1", "p2"]), traces, max_size=2)),
    ),
    claims.map(lambda one: _step(f"{one}", lambda tx: seen(tx.claim(one)))),
    claims.map(lambda one: _step(f"{one}", lambda tx: seen(tx.claim(one)))),
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
message_keys = st.sampled_from(MESSAGES)
messages = st.one_of(
    few(st.builds(_message, message_keys, routes, times, st.integers(-100, 300), times)).map(
        lambda some: _step(f"put {some}", lambda tx: tx.put_orders(some))
    ),
    st.builds(
        lambda whom, key, at_us: _step(
            f"tell {whom} {key} {at_us}",
            lambda tx: tx.tell([Telling(whom=whom, template="ns/t", key=key, at_us=at_us)]),
        ),
        st.sampled_from("ab"),
        message_keys,
        times,
    ),
    st.builds(
        lambda some, at_us: _step(f"off {some}", lambda tx: tx.call_off(some, "why", at_us)),
        few(message_keys),
        times,
    ),
    st.builds(
        lambda at_us, limit: _step(f"expire {at_us}", lambda tx: tx.expire(at_us, limit)),
        times,
        st.integers(1, 3),
    ),
    st.builds(
        lambda claimant, decided, at_us: _step(
            f"quarrel {claimant} {at_us}",
            lambda tx: tx.note_quarrels([_quarrel(claimant, decided, at_us)]),
        ),
        st.sampled_from(["", "p2"]),
        st.sampled_from(["hold", "prefer_cuid"]),
        times,
    ),
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


plain = st.one_of(deliveries, deliveries, deliveries, lookups, gate_steps, intake, messages)
groups = st.lists(plain, min_size=2, max_size=6)
# A store in which something waits already, most of it at the same gate.
stock = st.tuples(
    *(
        st.builds(_order, st.just(lane), st.just(at), routes, times, st.just("a"), maybe_traces)
        for lane in LANES
        for at in (0, 1)
    )
).map(list)
