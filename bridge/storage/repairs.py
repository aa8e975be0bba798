"""What a person changes by hand, beside a running daemon: it notices within a second."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Connection, Row, bindparam, delete, select, update

from bridge.domain.calls import Thread
from bridge.domain.deliveries import STOPPED_STATES, Kind, State
from bridge.domain.spans import Span
from bridge.ports import Attempt, CallKey
from bridge.storage import tables
from bridge.storage.codecs import decode, encode
from bridge.storage.gates import ALL_KINDS
from bridge.storage.outbox import OutboxTransaction
from bridge.storage.sets import chunks, grouped, insert

BY_HAND = "by hand"
# What a person does about a delivery, among its attempts.
EDITED: Final = "edited"
ARRIVED: Final = "arrived"
_LATER: Final = 1
# What is not on its way and not delivered: it may be taken away, since nobody will report on it.
_IDLE: Final = (*STOPPED_STATES, State.READY, State.BLOCKED)


def replay(connection: Connection, ids: Sequence[int], due_us: int, every_us: float = 0.0) -> int:
    """Send stopped deliveries again, and let what depends on them wait for them; return how many.

    A parked one takes the one that it waits for along, so that a lane keeps its order: whatever
    has stopped in a lane waits, except what heads it. The first lane is due at `due_us`, the next
    `every_us` later, and so on in the order of their heads' ids. When they were accepted stays as
    it is, and they leave as what was tried before: what is new goes first.
    """
    outbox = tables.outbox
    lanes: dict[str, list[Row[Any, Any, Any]]] = {}
    for some in chunks(sorted({lane for lane, _ in _stopped(connection, ids)})):
        query = (
            select(outbox.c.id, outbox.c.lane, outbox.c.state)
            .where(outbox.c.lane.in_(some), outbox.c.state != State.DELIVERED)
            .order_by(outbox.c.lane, outbox.c.position)
        )
        for row in connection.execute(query):
            lanes.setdefault(row.lane, []).append(row)
    changes = [
        {
            "of": row.id,
            "new_state": State.READY if row is lane[0] else State.BLOCKED,
            "new_due_us": due_us + round(place * every_us),
        }
        for place, lane in enumerate(sorted(lanes.values(), key=lambda lane: lane[0].id))
        for row in lane
        if row.state in STOPPED_STATES
    ]
    if changes:
        again = update(outbox).where(outbox.c.id == bindparam("of"))
        connection.execute(
            again.values(
                state=bindparam("new_state"),
                tier=_LATER,
                due_us=bindparam("new_due_us"),
                attempts=0,
                first_us=None,
            ),
            changes,
        )
    return len(changes)


def revise(
    connection: Connection, delivery_id: int, before: bytes, after: bytes, now_us: int
) -> bool:
    """Give a stopped delivery another payload; False: it is not as it was any more."""
    outbox = tables.outbox
    is_done = connection.execute(
        update(outbox)
        .where(
            outbox.c.id == delivery_id,
            outbox.c.state.in_(STOPPED_STATES),
            outbox.c.payload == before,
        )
        .values(payload=after)
    ).rowcount
    if is_done:
        _note(connection, delivery_id, EDITED, now_us)
    return bool(is_done)


def arrive(connection: Connection, delivery_id: int, remote_id: str, now_us: int) -> bool:
    """Count an errand as created, since a person has seen it, and let go what depends on it.

    False: it is no creation that is dead or held.
    """
    outbox = tables.outbox
    lane = connection.execute(
        select(outbox.c.lane).where(
            outbox.c.id == delivery_id,
            outbox.c.kind.in_([kind for kind in Kind if kind.makes_errand]),
            outbox.c.state.in_([State.DEAD, State.HELD]),
        )
    ).scalar()
    if lane is None:
        return False
    connection.execute(
        update(outbox)
        .where(outbox.c.id == delivery_id)
        .values(state=State.DELIVERED, done_us=now_us, remote_id=remote_id, error="")
    )
    _note(connection, delivery_id, ARRIVED, now_us)
    behind = update(outbox).where(outbox.c.lane == lane, outbox.c.state == State.PARKED)
    connection.execute(behind.values(state=State.BLOCKED))
    OutboxTransaction(connection).promote([lane], now_us)
    return True


def _note(connection: Connection, delivery_id: int, outcome: str, now_us: int) -> None:
    """Note among a delivery's attempts what a person has done about it."""
    OutboxTransaction(connection).add_attempts(
        [
            Attempt(
                delivery_id=delivery_id,
                at_us=now_us,
                seconds=0.0,
                outcome=outcome,
                status=0,
                detail=BY_HAND,
            )
        ]
    )


def drop(connection: Connection, ids: Sequence[int]) -> int:
    """Remove stopped deliveries, and what waits behind them, for good; return how many.

    What they wait for stays. An end that would come later is not sent either: there is no errand
    for it, or nobody wants it ended.
    """
    outbox = tables.outbox
    answers = _answers_of(connection, ids)
    remove(connection, answers)
    first: dict[str, int] = {}
    for lane, position in _stopped(connection, ids):
        first[lane] = min(position, first.get(lane, position))
    doomed: list[int] = []
    ended: set[tuple[CallKey, str]] = set()
    for some in chunks(sorted(first)):
        query = select(
            outbox.c.id, outbox.c.lane, outbox.c.position, outbox.c.source, outbox.c.reference_id
        ).where(outbox.c.lane.in_(some), outbox.c.state.in_(_IDLE))
        for row in connection.execute(query):
            if row.position >= first[row.lane]:
                doomed.append(row.id)
                ended.add(((row.source, row.reference_id), row.lane))
    for key, lanes in grouped(ended):
        _expect_no_end(connection, key, lanes)
    remove(connection, doomed)
    return len(answers) + len(doomed)


def _answers_of(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Return which of these are answers that have stopped: they take none along."""
    outbox = tables.outbox
    return [
        found
        for some in chunks(ids)
        for found in connection.execute(
            select(outbox.c.id).where(
                outbox.c.id.in_(some),
                outbox.c.kind == Kind.ANSWER,
                outbox.c.state.in_(STOPPED_STATES),
            )
        ).scalars()
    ]


def remove(connection: Connection, ids: Sequence[int]) -> None:
    """Take deliveries away, and what was tried of them."""
    outbox, attempts = tables.outbox, tables.attempts
    for some in chunks(ids):
        connection.execute(delete(attempts).where(attempts.c.delivery_id.in_(some)))
        connection.execute(delete(outbox).where(outbox.c.id.in_(some)))


def _stopped(connection: Connection, ids: Sequence[int]) -> list[tuple[str, int]]:
    """Return lane and position of those that have stopped."""
    outbox = tables.outbox
    return [
        (row.lane, row.position)
        for some in chunks(ids)
        for row in connection.execute(
            select(outbox.c.lane, outbox.c.position).where(
                outbox.c.id.in_(some), outbox.c.state.in_(STOPPED_STATES)
            )
        )
    ]


def _expect_no_end(connection: Connection, key: CallKey, lanes: Iterable[str]) -> None:
    """Note on a call that these errands get no end any more, whatever is still to come."""
    calls = tables.calls
    is_it = (calls.c.source == key[0], calls.c.reference_id == key[1])
    state = connection.execute(select(calls.c.state).where(*is_it)).scalar()
    if state is None:
        return
    thread = decode(Thread, state)
    after = replace(thread, spans=tuple(_without_end(one, set(lanes)) for one in thread.spans))
    if after != thread:
        state = encode(after)
        connection.execute(update(calls).where(*is_it).values(state=state, is_open=after.is_open))


def _without_end(span: Span, lanes: set[str]) -> Span:
    return replace(
        span,
        # Nobody is to be called back for an errand that is not there.
        awaits_callback=span.awaits_callback
        and not any(one.message_id in lanes for one in span.creations),
        creations=tuple(
            # As if it had been created without an agent: such an errand can't be ended.
            replace(one, has_agent=False, end_is_skipped=True) if one.message_id in lanes else one
            for one in span.creations
        ),
    )


def forget_refusals(connection: Connection, ids: Sequence[str]) -> int:
    """Remove refusals from the quarantine; return how many."""
    table = tables.quarantine
    return sum(
        connection.execute(delete(table).where(table.c.id.in_(some))).rowcount
        for some in chunks(ids)
    )


def pause(connection: Connection, route: str, kind: Kind | None, now_us: int) -> None:
    """Shut a gate until somebody opens it."""
    connection.execute(
        insert(tables.pauses)
        .values(
            route=route,
            kind=kind or ALL_KINDS,
            reason=BY_HAND,
            since_us=now_us,
            probe_us=now_us,
            token_mark="",
        )
        .on_conflict_do_nothing()
    )


def resume(connection: Connection, route: str) -> int:
    """Open all gates of a route, whoever shut them; return how many were shut."""
    table = tables.pauses
    return connection.execute(delete(table).where(table.c.route == route)).rowcount
