"""Deliveries within one commit: lanes, claims, what came of them, and shut gates."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Update,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import Insert

from bridge.domain.contacts import EMPTY_CARD, Card, Person
from bridge.domain.deliveries import STOPPED_STATES, Draft, EndErrand, Kind, NewErrand, State
from bridge.ports import Attempt, Gate, Order, Parcel, Pause, Settlement
from bridge.storage import tables
from bridge.storage.codecs import decode, encode
from bridge.storage.sets import chunks, insert, upsert

_ALL_KINDS: Final = "*"
# Twice the longest delay of a retry.
WAIT_MAX_US: Final = 2 * 3_600_000_000
_PAYLOADS: Final[Mapping[Kind, type[NewErrand | EndErrand]]] = {
    Kind.NEW_ERRAND: NewErrand,
    Kind.WATEMPLATE: NewErrand,
    Kind.END_ERRAND: EndErrand,
}


class OutboxTransaction:
    """The deliveries' part of a transaction."""

    def __init__(self, connection: Connection) -> None:
        """Work within the connection's open transaction."""
        self._connection = connection

    def put_orders(self, orders: Sequence[Order]) -> None:
        """Keep drafts, each in its place in its lane; see `ports.Transaction`."""
        if not orders:
            return
        lanes = self._lane_states({one.draft.lane for one in orders if one.draft.position})
        for one in orders:
            lane = lanes.setdefault(one.draft.lane, {})
            lane.setdefault(one.draft.position, _first_state(one.draft, lane))
        self._connection.execute(
            _orders_upsert(),
            [
                _row(
                    key=one.draft.key,
                    lane=one.draft.lane,
                    position=one.draft.position,
                    kind=one.draft.kind,
                    route=one.draft.route,
                    state=lanes[one.draft.lane][one.draft.position],
                    due_us=one.accepted_us,
                    accepted_us=one.accepted_us,
                    source=one.source,
                    reference_id=one.reference_id,
                    event_id=one.event_id,
                    payload=encode(one.draft.payload),
                )
                for one in orders
            ],
        )

    def _lane_states(self, lanes: Iterable[str]) -> dict[str, dict[int, State]]:
        outbox = tables.outbox.c
        states: dict[str, dict[int, State]] = {}
        for some in chunks(sorted(lanes)):
            query = select(outbox.lane, outbox.position, outbox.state).where(outbox.lane.in_(some))
            for lane, position, state in self._connection.execute(query):
                states.setdefault(lane, {})[position] = State(state)
        return states

    def want_cards(self, people: Sequence[Person], accepted_us: int) -> None:
        """See to it that a contact card leaves for each of these people.

        One row a person, used again each time: what it says is worked out when it is sent.
        """
        if not people:
            return
        self._connection.execute(
            _cards_upsert(),
            [
                _row(
                    key=f"contact:{person.id}",
                    lane=f"contact:{person.id}",
                    position=0,
                    kind=Kind.CONTACT_CARD,
                    route=person.route,
                    state=State.READY,
                    due_us=accepted_us,
                    accepted_us=accepted_us,
                    person_id=person.id,
                )
                for person in people
            ],
        )

    def pauses(self) -> Sequence[Pause]:
        """Return all gates that are shut."""
        return [
            Pause(
                route=row.route,
                kind=None if row.kind == _ALL_KINDS else Kind(row.kind),
                reason=row.reason,
                since_us=row.since_us,
                probe_us=row.probe_us,
                token_mark=row.token_mark,
            )
            for row in self._connection.execute(select(tables.pauses))
        ]

    def save_pauses(self, pauses: Sequence[Pause]) -> None:
        """Shut gates, or change what is known of the shut ones."""
        if not pauses:
            return
        self._connection.execute(
            upsert(tables.pauses, ["route", "kind", "reason"], ["probe_us", "token_mark"]),
            [
                {
                    "route": pause.route,
                    "kind": pause.kind or _ALL_KINDS,
                    "reason": pause.reason,
                    "since_us": pause.since_us,
                    "probe_us": pause.probe_us,
                    "token_mark": pause.token_mark,
                }
                for pause in pauses
            ],
        )

    def clear_pauses(self, pauses: Sequence[Pause]) -> None:
        """Open gates."""
        table = tables.pauses
        for pause in pauses:
            self._connection.execute(
                delete(table).where(
                    table.c.route == pause.route,
                    table.c.kind == (pause.kind or _ALL_KINDS),
                    table.c.reason == pause.reason,
                )
            )

    def claim(self, gate: Gate, limit: int, now_us: int) -> list[Parcel]:
        """Mark up to `limit` lane heads that are due as on their way, and return them."""
        table = tables.outbox
        heads = select(table).where(
            table.c.state == State.READY,
            table.c.route == gate.route,
            table.c.kind == gate.kind,
        )
        due = heads.where(table.c.due_us <= now_us).order_by(table.c.due_us).limit(limit)
        rows = list(self._connection.execute(due))
        if len(rows) < limit:
            # Nothing waits that long: the clock was ahead when this was written, and is set right.
            odd = heads.where(table.c.due_us > now_us + WAIT_MAX_US).limit(limit - len(rows))
            rows += self._connection.execute(odd)
        if not rows:
            return []
        self._connection.execute(
            update(table)
            .where(table.c.id.in_([row.id for row in rows]))
            .values(
                state=State.SENDING,
                attempts=table.c.attempts + 1,
                first_us=func.coalesce(table.c.first_us, now_us),
            )
        )
        return [_parcel(row, now_us) for row in rows]

    def adopt(self, routes: Collection[str], default: str) -> int:
        """Give what waits at a route that is none of these to the default; return how many."""
        table = tables.outbox
        waiting = [state for state in State if state is not State.DELIVERED]
        return self._connection.execute(
            update(table)
            .where(table.c.state.in_(waiting), table.c.route.not_in(sorted(routes)))
            .values(route=default)
        ).rowcount

    def sending(self) -> list[Parcel]:
        """Return what was on its way when the store was last closed or lost."""
        query = select(tables.outbox).where(tables.outbox.c.state == State.SENDING)
        return [_parcel(row, row.first_us or 0, 0) for row in self._connection.execute(query)]

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Keep how deliveries stand now."""
        if not settlements:
            return
        self._connection.execute(
            _settlement_update(),
            [
                {
                    "of": one.id,
                    "new_state": one.state,
                    "new_due_us": one.due_us,
                    "new_attempts": one.attempts,
                    "new_remote_id": one.remote_id,
                    "new_error": one.error,
                    "new_done_us": one.done_us,
                }
                for one in settlements
            ],
        )

    def add_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Keep what was tried."""
        if not attempts:
            return
        self._connection.execute(
            tables.attempts.insert(),
            [
                {
                    "delivery_id": one.delivery_id,
                    "at_us": one.at_us,
                    "millis": round(one.seconds * 1000),
                    "outcome": one.outcome,
                    "status": one.status,
                    "detail": one.detail,
                }
                for one in attempts
            ],
        )

    def promote(self, lanes: Sequence[str], now_us: int) -> set[Gate]:
        """Let the next of each lane go, now that the one before it is delivered."""
        waiting = self._heads(lanes, [State.BLOCKED, State.PARKED])
        table = tables.outbox
        for some in chunks([row.id for row in waiting]):
            self._connection.execute(
                update(table).where(table.c.id.in_(some)).values(state=State.READY, due_us=now_us)
            )
        return {Gate(route=row.route, kind=Kind(row.kind)) for row in waiting}

    def park(self, lanes: Sequence[str]) -> None:
        """Set aside what waits in these lanes, since the one before it has stopped."""
        table = tables.outbox
        for some in chunks(list(lanes)):
            self._connection.execute(
                update(table)
                .where(table.c.lane.in_(some), table.c.state == State.BLOCKED)
                .values(state=State.PARKED)
            )

    def _heads(self, lanes: Sequence[str], states: Sequence[State]) -> Sequence[Row[Any]]:
        """Return the first undelivered of each lane, as far as it is in one of these states."""
        table = tables.outbox
        before = table.alias()
        has_one_before = (
            select(before.c.id)
            .where(
                before.c.lane == table.c.lane,
                before.c.position < table.c.position,
                before.c.state != State.DELIVERED,
            )
            .exists()
        )
        found: list[Row[Any]] = []
        for some in chunks(list(lanes)):
            query = select(table.c.id, table.c.route, table.c.kind).where(
                table.c.lane.in_(some), table.c.state.in_(states), ~has_one_before
            )
            found.extend(self._connection.execute(query))
        return found


# Statements are put together once: building one takes longer than running it.


@cache
def _orders_upsert() -> Insert:
    statement = insert(tables.outbox)
    return statement.on_conflict_do_update(
        index_elements=["key"],
        set_={"payload": statement.excluded.payload},
        where=and_(
            tables.outbox.c.attempts == 0,
            _is_any(State.READY, State.BLOCKED, State.PARKED),
        ),
    )


@cache
def _cards_upsert() -> Insert:
    statement = insert(tables.outbox)
    fresh = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "state": fresh.state,
            "route": fresh.route,
            "due_us": fresh.due_us,
            "accepted_us": fresh.accepted_us,
            "first_us": None,
            "done_us": None,
            "attempts": 0,
            "error": "",
        },
        where=_is_any(State.DELIVERED, State.DEAD),
    )


@cache
def _settlement_update() -> Update:
    table = tables.outbox
    names = ("state", "due_us", "attempts", "remote_id", "error", "done_us")
    return (
        update(table)
        .where(table.c.id == bindparam("of"))
        .values({name: bindparam(f"new_{name}") for name in names})
    )


def _is_any(*states: State) -> ColumnElement[bool]:
    # Not IN: SQLAlchemy spells that out anew each time, which many rows at once don't allow.
    return or_(*(tables.outbox.c.state == state for state in states))


def _first_state(draft: Draft, lane: Mapping[int, State]) -> State:
    before = [
        state
        for position, state in lane.items()
        if position < draft.position and state is not State.DELIVERED
    ]
    if any(state in STOPPED_STATES for state in before):
        return State.PARKED
    return State.BLOCKED if before else State.READY


def _row(**given: object) -> dict[str, object]:
    return {
        "attempts": 0,
        "source": "",
        "reference_id": "",
        "event_id": "",
        "person_id": "",
        "remote_id": "",
        "error": "",
        "payload": None,
        **given,
    }


def _parcel(row: Row[Any], now_us: int, more_attempts: int = 1) -> Parcel:
    kind = Kind(row.kind)
    payload: NewErrand | EndErrand | Card = EMPTY_CARD
    if kind in _PAYLOADS and row.payload is not None:
        payload = decode(_PAYLOADS[kind], row.payload)
    return Parcel(
        id=row.id,
        key=row.key,
        lane=row.lane,
        kind=kind,
        route=row.route,
        source=row.source,
        reference_id=row.reference_id,
        accepted_us=row.accepted_us,
        first_us=row.first_us or now_us,
        attempts=row.attempts + more_attempts,
        payload=payload,
        person=row.person_id,
    )
