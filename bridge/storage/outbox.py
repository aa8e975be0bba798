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
    case,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import Insert

from bridge.domain.contacts import Person
from bridge.domain.deliveries import STOPPED_STATES, Draft, Kind, State
from bridge.ports import Attempt, Gate, Order, Settlement
from bridge.storage import tables
from bridge.storage.codecs import encode
from bridge.storage.sets import chunks, insert

_FIRST: Final = 0
_LATER: Final = 1


class OutboxTransaction:
    """The deliveries' part of a transaction."""

    def __init__(self, connection: Connection) -> None:
        """Work within the connection's open transaction."""
        self._connection = connection

    def put_orders(self, orders: Sequence[Order]) -> None:
        """Keep drafts, each in its place in its lane; see `ports.Transaction`."""
        archived = self._archived({one.draft.key for one in orders})
        orders = [one for one in orders if one.draft.key not in archived]
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
                    **_times(one),
                    source=one.source,
                    reference_id=one.reference_id,
                    event_id=one.event_id,
                    payload=encode(one.draft.payload),
                )
                for one in orders
            ],
        )

    def _archived(self, keys: Iterable[str]) -> set[str]:
        """Return which of these were delivered, and moved out of the outbox since."""
        key = tables.delivered.c.key
        return {
            found
            for some in chunks(sorted(keys))
            for found in self._connection.execute(select(key).where(key.in_(some))).scalars()
        }

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

        One row a person, used again until it moves aside: what it says is worked out when it is
        sent.
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

    def adopt(self, routes: Collection[str], default: str) -> int:
        """Give what waits at a route that is none of these to the default; see `ports`."""
        table = tables.outbox
        self._connection.execute(
            update(table)
            .where(
                table.c.state.in_([State.READY, State.BLOCKED]),
                table.c.kind == Kind.ANSWER,
                table.c.route.not_in(sorted(routes)),
            )
            .values(state=State.HELD, error="answers are not sent on: there is no address")
        )
        over = {State.DELIVERED, State.GIVEN_UP}
        return self._connection.execute(
            update(table)
            .where(
                table.c.state.in_([state for state in State if state not in over]),
                table.c.route.not_in(sorted(routes)),
                table.c.kind.not_in([Kind.WATEMPLATE, Kind.ANSWER]),
            )
            .values(route=default)
        ).rowcount

    def shift(self, drift_us: int) -> int:
        """Move every time at which something is due along with the clock; return how many."""
        outbox, calls, pauses, told = tables.outbox, tables.calls, tables.pauses, tables.told
        answers, reports = tables.answers, tables.reports
        moved = {
            outbox: ("due_us", "accepted_us", "first_us"),
            calls: ("timer_us",),
            pauses: ("probe_us", "since_us"),
            told: ("at_us",),
            answers: ("due_us", "give_up_us"),
            reports: ("due_us",),
        }
        waits = {
            outbox: outbox.c.done_us.is_(None),
            calls: calls.c.timer_us.is_not(None),
            pauses: pauses.c.probe_us.is_not(None),
            told: told.c.at_us.is_not(None),
            answers: answers.c.due_us.is_not(None),
            reports: reports.c.due_us.is_not(None),
        }
        return sum(
            self._connection.execute(
                update(table)
                .where(waits[table])
                .values({name: table.c[name] + drift_us for name in names})
            ).rowcount
            for table, names in moved.items()
        )

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
                    "new_tier": one.tier,
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
                update(table)
                .where(table.c.id.in_(some))
                .values(
                    state=State.READY,
                    due_us=case((table.c.due_us < now_us, now_us), else_=table.c.due_us),
                )
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
                # An answer that was refused for good holds no other back.
                or_(before.c.kind != Kind.ANSWER, before.c.state != State.DEAD),
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
            "tier": _FIRST,
            "attempts": 0,
            "error": "",
        },
        where=_is_any(State.DELIVERED, State.DEAD),
    )


@cache
def _settlement_update() -> Update:
    table = tables.outbox
    names = ("state", "tier", "due_us", "attempts", "remote_id", "error", "done_us")
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
        if position < draft.position
        and state is not State.DELIVERED
        and (draft.kind is not Kind.ANSWER or state is not State.DEAD)
    ]
    if any(state in STOPPED_STATES for state in before):
        return State.PARKED
    return State.BLOCKED if before else State.READY


def _times(order: Order) -> dict[str, object]:
    """Return when an order may leave, and until when.

    What is to wait counts as accepted when its time comes: until then nobody is late with it.
    """
    due_us = max(order.accepted_us, order.draft.not_before_us or 0)
    return {
        "due_us": due_us,
        "accepted_us": due_us,
        "tier": _LATER if due_us > order.accepted_us else _FIRST,
        "expires_us": order.draft.expires_us,
    }


def _row(**given: object) -> dict[str, object]:
    return {
        "expires_us": None,
        "tier": _FIRST,
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
