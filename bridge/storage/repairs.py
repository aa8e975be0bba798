"""What a person changes by hand, beside a running daemon: it notices within a second."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, delete, select, update

from bridge.domain.calls import Thread
from bridge.domain.deliveries import STOPPED_STATES, Kind, State
from bridge.domain.spans import Span
from bridge.ports import CallKey
from bridge.storage import tables
from bridge.storage.codecs import decode, encode
from bridge.storage.sets import chunks, grouped, insert

BY_HAND = "by hand"
ALL_KINDS = "*"
# What is not on its way and not delivered: it may be taken away, since nobody will report on it.
_IDLE: Final = (*STOPPED_STATES, State.READY, State.BLOCKED)


def replay(connection: Connection, ids: Sequence[int], now_us: int) -> int:
    """Send stopped deliveries again, and let what depends on them wait for them; return how many.

    A parked one takes the one that it waits for along, so that a lane keeps its order: whatever
    has stopped in a lane waits, except what heads it.
    """
    outbox = tables.outbox
    before = outbox.alias()
    has_one_before = (
        select(before.c.id)
        .where(
            before.c.lane == outbox.c.lane,
            before.c.position < outbox.c.position,
            before.c.state != State.DELIVERED,
        )
        .exists()
    )
    count = 0
    for some in chunks(sorted({lane for lane, _ in _stopped(connection, ids)})):
        again = update(outbox).where(outbox.c.lane.in_(some), outbox.c.state.in_(STOPPED_STATES))
        count += connection.execute(
            again.values(
                state=State.BLOCKED, due_us=now_us, accepted_us=now_us, attempts=0, first_us=None
            )
        ).rowcount
        heads = update(outbox).where(
            outbox.c.lane.in_(some), outbox.c.state == State.BLOCKED, ~has_one_before
        )
        connection.execute(heads.values(state=State.READY))
    return count


def drop(connection: Connection, ids: Sequence[int]) -> int:
    """Remove stopped deliveries, and what waits behind them, for good; return how many.

    What they wait for stays. An end that would come later is not sent either: there is no errand
    for it, or nobody wants it ended.
    """
    outbox = tables.outbox
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
    return len(doomed)


def remove(connection: Connection, ids: Sequence[int]) -> None:
    """Take deliveries away, and what was tried of them: SQLite gives a number to another."""
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
