"""Looking into the store, for metrics and for the commands: nothing here changes anything."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select, text

from bridge.domain.deliveries import PENDING_STATES, STOPPED_STATES, Kind, State
from bridge.domain.events import EventType
from bridge.storage import tables
from bridge.storage.sets import chunks

WAITING_FOR_A_PERSON: Final = (State.DEAD, State.HELD)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the store holds just now; see `ops.metrics.StoreFigures`."""

    pending: Mapping[str, int]
    oldest_us: int | None
    dead_letters: int
    quarantined: int
    calls_active: int
    pauses: Sequence[tuple[str, str]]


def figures(connection: Connection) -> Figures:
    """Count what the gauges show."""
    outbox = tables.outbox.c
    pending: dict[str, int] = {}
    oldest: list[int] = []
    query = (
        select(outbox.kind, func.count(), func.min(outbox.accepted_us))
        .where(outbox.state.in_(PENDING_STATES))
        .group_by(outbox.kind)
    )
    for kind, count, accepted_us in connection.execute(query):
        pending[kind] = count
        oldest.append(accepted_us)
    dead = select(func.count()).where(outbox.state.in_(WAITING_FOR_A_PERSON))
    return Figures(
        pending=pending,
        oldest_us=min(oldest, default=None),
        dead_letters=connection.execute(dead).scalar_one(),
        quarantined=connection.execute(
            select(func.count()).select_from(tables.quarantine)
        ).scalar_one(),
        calls_active=connection.execute(
            select(func.count()).where(text("is_active = 1")).select_from(tables.calls)
        ).scalar_one(),
        pauses=[
            (route, kind)
            for route, kind in connection.execute(
                select(tables.pauses.c.route, tables.pauses.c.kind).distinct()
            )
        ],
    )


def dead_letters(
    connection: Connection, *, kind: Kind | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """Return deliveries that have stopped, the oldest first."""
    outbox = tables.outbox
    query = (
        select(
            outbox.c.id,
            outbox.c.kind,
            outbox.c.route,
            outbox.c.state,
            outbox.c.source,
            outbox.c.reference_id,
            outbox.c.attempts,
            outbox.c.accepted_us,
            outbox.c.error,
        )
        .where(outbox.c.state.in_(STOPPED_STATES))
        .order_by(outbox.c.id)
    )
    if kind is not None:
        query = query.where(outbox.c.kind == kind)
    if limit is not None:
        query = query.limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def stopped_ids(
    connection: Connection, *, ids: Sequence[int] | None = None, kind: Kind | None = None
) -> list[int]:
    """Return which deliveries have stopped, of those named or of all, the oldest first."""
    outbox = tables.outbox.c
    query = select(outbox.id).where(outbox.state.in_(STOPPED_STATES))
    if kind is not None:
        query = query.where(outbox.kind == kind)
    if ids is None:
        return list(connection.execute(query.order_by(outbox.id)).scalars())
    return sorted(
        found
        for some in chunks(ids)
        for found in connection.execute(query.where(outbox.id.in_(some))).scalars()
    )


def delivery(connection: Connection, delivery_id: int) -> dict[str, Any] | None:
    """Return one delivery with its payload and every attempt; None: there is none.

    A contact card is worked out when it is sent; here it is all that is wanted on it.
    """
    row = (
        connection.execute(select(tables.outbox).where(tables.outbox.c.id == delivery_id))
        .mappings()
        .one_or_none()
    )
    if row is None:
        return None
    found = dict(row)
    wanted = select(tables.people.c.wanted).where(tables.people.c.id == row["person_id"])
    payload = row["payload"] or connection.execute(wanted).scalar()
    found["payload"] = json.loads(payload) if payload else None
    found["tries"] = _attempts(connection, [delivery_id]).get(delivery_id, [])
    return found


def _attempts(connection: Connection, ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    attempts = tables.attempts
    found: dict[int, list[dict[str, Any]]] = {}
    for some in chunks(ids):
        query = select(attempts).where(attempts.c.delivery_id.in_(some)).order_by(attempts.c.id)
        for row in connection.execute(query).mappings():
            found.setdefault(row["delivery_id"], []).append(
                {
                    "at_us": row["at_us"],
                    "millis": row["millis"],
                    "outcome": row["outcome"],
                    "status": row["status"],
                    "detail": row["detail"],
                }
            )
    return found


def quarantined(connection: Connection, limit: int | None = None) -> list[dict[str, Any]]:
    """Return what was refused at the door, the oldest first, without the bodies."""
    table = tables.quarantine
    columns = [column for column in table.c if column.name != "body"]
    query = select(*columns).order_by(table.c.received_us, table.c.id)
    if limit is not None:
        query = query.limit(limit)
    return [_refusal(row) for row in connection.execute(query)]


def refusal_ids(connection: Connection, beginning: str = "", limit: int | None = None) -> list[str]:
    """Return the refusals whose id begins so, the oldest first."""
    table = tables.quarantine
    query = (
        select(table.c.id)
        .where(table.c.id.startswith(beginning, autoescape=True))
        .order_by(table.c.received_us, table.c.id)
    )
    return list(connection.execute(query.limit(limit)).scalars())


def refusal(connection: Connection, refusal_id: str) -> dict[str, Any] | None:
    """Return one refusal with its body; None: there is none. An unambiguous beginning will do."""
    table = tables.quarantine
    ids = refusal_ids(connection, refusal_id, limit=2)
    row = connection.execute(select(table).where(table.c.id.in_(ids))).first()
    return _refusal(row) if row is not None and len(ids) == 1 else None


def _refusal(row: Row[Any]) -> dict[str, Any]:
    found = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented accessor
    found["issues"] = [
        {"pointer": pointer, "detail": detail} for pointer, detail in json.loads(found["issues"])
    ]
    return found


def story(connection: Connection, reference_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return all that is known of a call: its events and its deliveries with their attempts."""
    events, outbox = tables.events, tables.outbox
    came = [
        dict(row)
        for row in connection.execute(
            select(events)
            .where(events.c.reference_id == reference_id)
            .order_by(events.c.occurred_us, events.c.id)
        ).mappings()
    ]
    left = [
        dict(row)
        for row in connection.execute(
            select(outbox)
            .where(outbox.c.reference_id == reference_id)
            .order_by(outbox.c.lane, outbox.c.position)
        ).mappings()
    ]
    tries = _attempts(connection, [row["id"] for row in left])
    for event in came:
        event["payload"] = json.loads(event["payload"]) if event["payload"] else None
    for row in left:
        row["payload"] = json.loads(row["payload"]) if row["payload"] else None
        row["tries"] = tries.get(row["id"], [])
    return {"events": came, "deliveries": left}


def belongs_to(connection: Connection, reference_id: str) -> str | None:
    """Return the call that an outbound call of this reference was counted to, if it was.

    Only the content of its events tells, so it is known for as long as that is kept.
    """
    events = tables.events.c
    said = json.dumps({"referenceId": reference_id}, ensure_ascii=False, separators=(",", ":"))
    query = select(events.reference_id).where(
        events.event_type.in_([one for one in EventType if one.is_outbound]),
        func.instr(events.payload, said[1:-1].encode()) > 0,
    )
    return connection.execute(query.limit(1)).scalar()


def people(connection: Connection, *texts: str) -> list[dict[str, Any]]:
    """Return who is known by a number, a cuid or another channel's value."""
    keys, table = tables.person_keys, tables.people
    ids = select(keys.c.person_id).where(keys.c.value.in_(texts))
    query = select(table).where(table.c.id.in_(ids)).order_by(table.c.id)
    found = []
    for row in connection.execute(query).mappings():
        person = dict(row)
        person["wanted"] = json.loads(person["wanted"])
        person["confirmed"] = json.loads(person["confirmed"])
        found.append(person)
    return found


def pauses(connection: Connection) -> list[dict[str, Any]]:
    """Return the gates that are shut."""
    return [dict(row) for row in connection.execute(select(tables.pauses)).mappings()]
