"""What a person changes by hand, beside a running daemon: it notices within a second."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, update

from bridge.domain.deliveries import STOPPED_STATES, Kind, State
from bridge.storage import tables
from bridge.storage.sets import chunks, insert

BY_HAND = "by hand"
ALL_KINDS = "*"


def replay(connection: Connection, ids: Sequence[int], now_us: int) -> int:
    """Send stopped deliveries again, and let what depends on them wait for them; return how many.

    A parked one takes the one that it waits for along, so that a lane keeps its order.
    """
    outbox = tables.outbox
    lanes: set[str] = set()
    for some in chunks(ids):
        query = select(outbox.c.lane).where(
            outbox.c.id.in_(some), outbox.c.state.in_(STOPPED_STATES)
        )
        lanes.update(connection.execute(query).scalars())
    count = 0
    for some_lanes in chunks(sorted(lanes)):
        revived = update(outbox).where(
            outbox.c.lane.in_(some_lanes), outbox.c.state.in_([State.DEAD, State.HELD])
        )
        count += connection.execute(
            revived.values(
                state=State.READY, due_us=now_us, accepted_us=now_us, attempts=0, first_us=None
            )
        ).rowcount
        unparked = update(outbox).where(
            outbox.c.lane.in_(some_lanes), outbox.c.state == State.PARKED
        )
        count += connection.execute(unparked.values(state=State.BLOCKED)).rowcount
    return count


def drop(connection: Connection, ids: Sequence[int]) -> int:
    """Remove stopped deliveries, and what depends on them, for good; return how many."""
    outbox = tables.outbox
    count = 0
    for some in chunks(ids):
        lanes = select(outbox.c.lane).where(
            outbox.c.id.in_(some), outbox.c.state.in_(STOPPED_STATES)
        )
        gone = delete(outbox).where(
            outbox.c.lane.in_(list(connection.execute(lanes).scalars())),
            outbox.c.state.in_(STOPPED_STATES),
        )
        count += connection.execute(gone).rowcount
    return count


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
