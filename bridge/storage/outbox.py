"""Deliveries within one commit: lanes, claims, what came of them, and shut gates."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import astuple
from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    case,
    column,
    func,
    or_,
    select,
    update,
    values,
)
from sqlalchemy.dialects.sqlite import Insert

from bridge.domain.contacts import Person
from bridge.domain.deliveries import STOPPED_STATES, Draft, Kind, State
from bridge.ports import Attempt, Gate, Order, Settlement
from bridge.storage import tables
from bridge.storage.codecs import encode
from bridge.storage.prepared import Query, Rows, as_set, driver_of, in_set, names_of
from bridge.storage.sets import chunks, insert

# What nobody else has the token of, or the address.
_OF_NO_OTHER: Final = (Kind.WATEMPLATE, Kind.ANSWER, Kind.PICK_TICKET, Kind.CLOSE_ROOM)
_FIRST: Final = 0
_LATER: Final = 1


class OutboxTransaction:
    """The deliveries' part of a transaction."""

    def __init__(self, connection: Connection) -> None:
        """Work within the connection's open transaction."""
        self._connection = connection
        self._driver = driver_of(connection)

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
        _ORDERS.run(
            self._driver,
            [_order_row(one, lanes[one.draft.lane][one.draft.position]) for one in orders],
        )

    def _archived(self, keys: Iterable[str]) -> set[str]:
        """Return which of these were delivered, and moved out of the outbox since."""
        return {key for (key,) in _ARCHIVED.run(self._driver, of=as_set(keys))}

    def _lane_states(self, lanes: Iterable[str]) -> dict[str, dict[int, State]]:
        states: dict[str, dict[int, State]] = {}
        wanted = list(lanes)
        rows = _LANES.run(self._driver, of=as_set(wanted)) if wanted else ()
        for lane, position, state in rows:
            states.setdefault(lane, {})[position] = State(state)
        return states

    def want_cards(
        self,
        people: Sequence[Person],
        accepted_us: int,
        traces: Mapping[str, str] | None = None,
    ) -> None:
        """See to it that a contact card leaves for each of these people.

        One row a person, used again until it moves aside: what it says is worked out when it is
        sent.
        """
        traces = traces or {}
        _CARDS.run(
            self._driver,
            [_card_row(person, accepted_us, traces.get(person.id)) for person in people],
        )
        if traces:
            _TRACED.run(
                self._driver,
                [(_card_key(one.id), traces[one.id]) for one in people if one.id in traces],
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
        self._connection.execute(
            update(table)
            .where(
                table.c.state.in_([State.READY, State.BLOCKED]),
                table.c.kind.in_([Kind.PICK_TICKET, Kind.CLOSE_ROOM]),
                table.c.route.not_in(sorted(routes)),
            )
            .values(state=State.HELD, error="its agent is none of the settings any more")
        )
        over = {State.DELIVERED, State.GIVEN_UP}
        return self._connection.execute(
            update(table)
            .where(
                table.c.state.in_([state for state in State if state not in over]),
                table.c.route.not_in(sorted(routes)),
                table.c.kind.not_in(_OF_NO_OTHER),
            )
            .values(route=default)
        ).rowcount

    def shift(self, drift_us: int) -> int:
        """Move every time at which something is due along with the clock; return how many."""
        outbox, calls, pauses, told = tables.outbox, tables.calls, tables.pauses, tables.told
        answers, reports = tables.answers, tables.reports
        on_calls, presence = tables.agent_calls, tables.presence
        moved = {
            outbox: ("due_us", "accepted_us", "first_us"),
            calls: ("timer_us",),
            pauses: ("probe_us", "since_us"),
            told: ("at_us",),
            answers: ("due_us", "give_up_us"),
            reports: ("due_us",),
            on_calls: ("expires_us",),
            presence: ("due_us",),
        }
        waits = {
            outbox: outbox.c.done_us.is_(None),
            calls: calls.c.timer_us.is_not(None),
            pauses: pauses.c.probe_us.is_not(None),
            told: told.c.at_us.is_not(None),
            answers: answers.c.due_us.is_not(None),
            reports: reports.c.due_us.is_not(None),
            on_calls: on_calls.c.expires_us.is_not(None),
            presence: presence.c.due_us.is_not(None),
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
        _SETTLED.run(self._driver, [astuple(one) for one in settlements])

    def add_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Keep what was tried."""
        _ATTEMPTS.run(
            self._driver,
            [
                (
                    one.delivery_id,
                    one.at_us,
                    round(one.seconds * 1000),
                    one.outcome,
                    one.status,
                    one.detail,
                )
                for one in attempts
            ],
        )

    def promote(self, lanes: Sequence[str], now_us: int) -> set[Gate]:
        """Let the next of each lane go, now that the one before it is delivered."""
        waiting = _HEADS.run(self._driver, of=as_set(lanes))
        if waiting:
            _PROMOTED.run(self._driver, of=as_set([found[0] for found in waiting]), now=now_us)
        return {Gate(route=route, kind=Kind(kind)) for _, route, kind in waiting}

    def park(self, lanes: Sequence[str]) -> None:
        """Set aside what waits in these lanes, since the one before it has stopped."""
        table = tables.outbox
        for some in chunks(list(lanes)):
            self._connection.execute(
                update(table)
                .where(table.c.lane.in_(some), table.c.state == State.BLOCKED)
                .values(state=State.PARKED)
            )


def _is_any(*states: State) -> ColumnElement[bool]:
    return or_(*(tables.outbox.c.state == state for state in states))


def _heads() -> Select[Any]:
    """Return the first undelivered of each lane, as far as something held it back."""
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
    return select(table.c.id, table.c.route, table.c.kind).where(
        in_set(table.c.lane, "of"), _is_any(State.BLOCKED, State.PARKED), ~has_one_before
    )


def _orders() -> Insert:
    """Asked for again, another payload takes the place of one that was not tried yet."""
    statement = insert(tables.outbox)
    return statement.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "payload": statement.excluded.payload,
            "trace": func.coalesce(statement.excluded.trace, tables.outbox.c.trace),
        },
        where=and_(
            tables.outbox.c.attempts == 0,
            _is_any(State.READY, State.BLOCKED, State.PARKED),
        ),
    )


def _cards() -> Insert:
    """Wanted again, what was done or given up with leaves once more."""
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
            "trace": fresh.trace,
        },
        where=_is_any(State.DELIVERED, State.DEAD),
    )


def _traced() -> Update:
    """What waits is a part of the trace of what it tells last."""
    table = tables.outbox
    columns = [column(name, table.c[name].type) for name in ("key", "trace")]
    traced = values(*columns, name="traced").data([("", "")]).cte()
    return (
        update(table)
        .where(table.c.key == traced.c.key, table.c.trace.is_distinct_from(traced.c.trace))
        .values(trace=traced.c.trace)
    )


def _settled() -> Update:
    table = tables.outbox
    names = Settlement.__struct_fields__
    columns = [column(name, table.c[name].type) for name in names]
    settled = values(*columns, name="settled").data([(0,) * len(names)]).cte()
    return (
        update(table)
        .where(table.c.id == settled.c.id)
        .values({name: settled.c[name] for name in names if name != "id"})
    )


def _promoted() -> Update:
    table = tables.outbox
    now: BindParameter[int] = bindparam("now", type_=BigInteger)
    return (
        update(table)
        .where(in_set(table.c.id, "of"))
        .values(state=State.READY, due_us=case((table.c.due_us < now, now), else_=table.c.due_us))
    )


_COLUMNS: Final = names_of(tables.outbox, "id")
_ORDERS: Final = Rows(_orders(), _COLUMNS)
_CARDS: Final = Rows(_cards(), _COLUMNS)
_TRACED: Final = Rows(_traced(), ("key", "trace"))
_SETTLED: Final = Rows(_settled(), Settlement.__struct_fields__)
_ATTEMPTS: Final = Rows(tables.attempts.insert(), names_of(tables.attempts, "id"))
_HEADS: Final = Query(_heads())
_PROMOTED: Final = Query(_promoted())
_ARCHIVED: Final = Query(select(tables.delivered.c.key).where(in_set(tables.delivered.c.key, "of")))
_LANES: Final = Query(
    select(tables.outbox.c.lane, tables.outbox.c.position, tables.outbox.c.state).where(
        in_set(tables.outbox.c.lane, "of")
    )
)


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


def _order_row(order: Order, state: State) -> list[object]:
    draft = order.draft
    due_us = max(order.accepted_us, draft.not_before_us or 0)
    return _row(
        {
            "key": draft.key,
            "lane": draft.lane,
            "position": draft.position,
            "kind": draft.kind.value,
            "route": draft.route,
            "state": state.value,
            "tier": _LATER if due_us > order.accepted_us else _FIRST,
            "due_us": due_us,
            # What is to wait counts as accepted when its time comes: until then nobody is late
            # with it.
            "accepted_us": due_us,
            "source": order.source,
            "reference_id": order.reference_id,
            "event_id": order.event_id,
            "payload": encode(draft.payload),
            "expires_us": draft.expires_us,
            "trace": order.trace,
        }
    )


def _card_key(person_id: str) -> str:
    return f"contact:{person_id}"


def _card_row(person: Person, accepted_us: int, trace: str | None) -> list[object]:
    return _row(
        {
            "key": _card_key(person.id),
            "lane": _card_key(person.id),
            "kind": Kind.CONTACT_CARD.value,
            "route": person.route,
            "due_us": accepted_us,
            "accepted_us": accepted_us,
            "person_id": person.id,
            "trace": trace,
        }
    )


_FRESH: Final[Mapping[str, object]] = {
    **dict.fromkeys(_COLUMNS),
    **dict.fromkeys(("position", "tier", "attempts"), 0),
    **dict.fromkeys(("source", "reference_id", "event_id", "person_id", "remote_id", "error"), ""),
    "state": State.READY.value,
}


def _row(given: Mapping[str, object]) -> list[object]:
    return list({**_FRESH, **given}.values())
