"""Dead letters, as the commands look at them: which there are, and what stands around one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select

from bridge.domain.deliveries import Kind, State
from bridge.storage import tables
from bridge.storage.sets import chunks


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Which of the deliveries that have stopped are meant: those of which all this is true.

    `error` is part of what was said last, in any case of its letters. `after_us` (included) and
    `before_us` (not included) bound when it was accepted, in microseconds since 1970.
    """

    kind: Kind | None = None
    route: str | None = None
    reference_id: str | None = None
    state: State | None = None
    error: str | None = None
    after_us: int | None = None
    before_us: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what is to be true of a row of the outbox, besides that it has stopped."""
        outbox = tables.outbox.c
        wanted = {
            outbox.kind: self.kind,
            outbox.route: self.route,
            outbox.reference_id: self.reference_id,
            outbox.state: self.state,
        }
        found = [column == value for column, value in wanted.items() if value is not None]
        if self.error is not None:
            found.append(outbox.error.icontains(self.error, autoescape=True))
        if self.after_us is not None:
            found.append(outbox.accepted_us >= self.after_us)
        if self.before_us is not None:
            found.append(outbox.accepted_us < self.before_us)
        return found


ANY: Final = Stopped()


def rows(
    connection: Connection, which: Stopped = ANY, limit: int | None = None
) -> list[dict[str, Any]]:
    """Return deliveries that have stopped, the oldest first."""
    outbox = tables.outbox.c
    query = (
        select(
            outbox.id,
            outbox.kind,
            outbox.route,
            outbox.state,
            outbox.source,
            outbox.reference_id,
            outbox.attempts,
            outbox.accepted_us,
            outbox.error,
        )
        .where(tables.IS_STOPPED, *which.conditions())
        .order_by(outbox.id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def ids(connection: Connection, which: Stopped = ANY) -> list[int]:
    """Return which deliveries have stopped, the oldest first."""
    outbox = tables.outbox.c
    query = select(outbox.id).where(tables.IS_STOPPED, *which.conditions()).order_by(outbox.id)
    return list(connection.execute(query).scalars())


def among(connection: Connection, named: Sequence[int]) -> list[int]:
    """Return which of these deliveries have stopped, the oldest first."""
    outbox = tables.outbox.c
    return sorted(
        found
        for some in chunks(named)
        for found in connection.execute(
            select(outbox.id).where(tables.IS_STOPPED, outbox.id.in_(some))
        ).scalars()
    )


def count(connection: Connection) -> int:
    """Return how many deliveries have stopped."""
    query = select(func.count()).select_from(tables.outbox).where(tables.IS_STOPPED)
    return connection.execute(query).scalar_one()


def heads(connection: Connection, chosen: Sequence[int]) -> list[int]:
    """Return the first that has stopped of each lane that holds any of these, the oldest first."""
    outbox = tables.outbox.c
    lanes = {
        lane
        for some in chunks(chosen)
        for lane in connection.execute(
            select(outbox.lane).where(tables.IS_STOPPED, outbox.id.in_(some))
        ).scalars()
    }
    first: dict[str, int] = {}
    for some_lanes in chunks(sorted(lanes)):
        query = (
            select(outbox.lane, outbox.id)
            .where(tables.IS_STOPPED, outbox.lane.in_(some_lanes))
            .order_by(outbox.position)
        )
        for lane, delivery_id in connection.execute(query):
            first.setdefault(lane, delivery_id)
    return sorted(first.values())


def around(connection: Connection, delivery_id: int) -> dict[str, list[dict[str, Any]]]:
    """Return what a delivery waits for in its lane, and what waits behind it, in order."""
    outbox = tables.outbox.c
    here = connection.execute(
        select(outbox.lane, outbox.position).where(outbox.id == delivery_id)
    ).first()
    found: dict[str, list[dict[str, Any]]] = {"waits_for": [], "behind": []}
    if here is None:
        return found
    query = (
        select(outbox.id, outbox.kind, outbox.state, outbox.position)
        .where(
            outbox.lane == here.lane,
            outbox.id != delivery_id,
            outbox.state != State.DELIVERED,
        )
        .order_by(outbox.position)
    )
    for row in connection.execute(query):
        side = "waits_for" if row.position < here.position else "behind"
        found[side].append({"id": row.id, "kind": row.kind, "state": row.state})
    return found


@dataclass(frozen=True, slots=True)
class Letter:
    """What a stopped delivery holds; `payload` is None for what is worked out when it is sent."""

    kind: Kind
    state: State
    payload: bytes | None


def letters(connection: Connection, chosen: Sequence[int]) -> dict[int, Letter]:
    """Return those of these deliveries that have stopped, with what they hold."""
    outbox = tables.outbox.c
    return {
        row.id: Letter(Kind(row.kind), State(row.state), row.payload)
        for some in chunks(chosen)
        for row in connection.execute(
            select(outbox.id, outbox.kind, outbox.state, outbox.payload).where(
                tables.IS_STOPPED, outbox.id.in_(some)
            )
        )
    }
