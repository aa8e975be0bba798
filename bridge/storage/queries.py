"""Looking into the store, for metrics and for the commands: nothing here changes anything."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    Table,
    case,
    func,
    literal,
    null,
    or_,
    select,
    text,
    union_all,
)

from bridge.domain.contacts import CHANNELS
from bridge.domain.deliveries import State
from bridge.storage import tables
from bridge.storage.sets import chunks

WAITING_FOR_A_PERSON: Final = (State.DEAD, State.HELD)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the store holds just now; see `ops.store_metrics.StoreFigures`."""

    pending: Mapping[str, int]
    rows: Mapping[str, int]
    oldest_us: int | None
    due_us: Mapping[str, int]
    dead_letters: int
    quarantined: int
    calls_active: int
    pauses: Sequence[tuple[str, str]]
    refusals: Sequence[tuple[str, str]]
    answers_waiting: int
    rating_mean: float | None


def figures(connection: Connection) -> Figures:
    """Count what the gauges show."""
    outbox = tables.outbox.c
    pending: dict[str, int] = {}
    oldest: list[int] = []
    query = (
        select(outbox.kind, func.count(), func.min(outbox.accepted_us))
        .where(tables.IS_PENDING)
        .group_by(outbox.kind)
    )
    for kind, count, accepted_us in connection.execute(query):
        pending[kind] = count
        oldest.append(accepted_us)
    rows, due_us = _rows_by_state(connection, sum(pending.values()))
    shut = connection.execute(
        select(
            tables.pauses.c.route, tables.pauses.c.kind, func.max(tables.pauses.c.token_mark)
        ).group_by(tables.pauses.c.route, tables.pauses.c.kind)
    ).all()
    return Figures(
        pending=pending,
        oldest_us=min(oldest, default=None),
        due_us=due_us,
        rows=rows,
        dead_letters=sum(rows[state] for state in WAITING_FOR_A_PERSON),
        quarantined=connection.execute(
            select(func.count()).select_from(tables.quarantine)
        ).scalar_one(),
        calls_active=connection.execute(
            select(func.count()).where(text("is_active = 1")).select_from(tables.calls)
        ).scalar_one(),
        pauses=[(route, kind) for route, kind, _ in shut],
        refusals=[(route, kind) for route, kind, mark in shut if mark],
        answers_waiting=connection.execute(
            select(func.count()).select_from(tables.answers).where(tables.IS_UNDONE)
        ).scalar_one(),
        rating_mean=connection.execute(
            select(func.avg(tables.ratings.c.stars)).where(tables.ratings.c.stars > 0)
        ).scalar(),
    )


def _rows_by_state(
    connection: Connection, pending: int
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Count what is not over by its state, each from an index: a backlog may be large.

    Returns also, by route, since when the first of what is ready is due.
    """
    outbox = tables.outbox.c
    due_us: dict[str, int] = {}
    rows: Counter[str] = Counter()
    for some in (tables.IS_UNCLEAR, tables.IS_STOPPED):
        query = select(outbox.state, func.count()).where(some).group_by(outbox.state)
        for state, count in connection.execute(query):
            rows[state] = count
    unclear = rows[State.SENDING] + rows[State.DOUBTFUL]
    # A first attempt is due once it is accepted.
    for some, due in ((tables.IS_FIRST, outbox.accepted_us), (tables.IS_LATER, outbox.due_us)):
        ready = select(outbox.route, func.count(), func.min(due)).where(some).group_by(outbox.route)
        for route, count, first_us in connection.execute(ready):
            rows[State.READY] += count
            due_us[route] = min(first_us, due_us.get(route, first_us))
    rows[State.BLOCKED] = max(0, pending - unclear - rows[State.READY])
    return rows, due_us


def delivery(connection: Connection, delivery_id: int) -> dict[str, Any] | None:
    """Return one delivery with its payload and every attempt; None: there is none.

    A contact card is worked out when it is sent; here it is all that is wanted on it.
    """
    query = _deliveries(lambda table: table.c.id == delivery_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    found = dict(row)
    wanted = select(tables.people.c.wanted).where(tables.people.c.id == row["person_id"])
    payload = row["payload"] or connection.execute(wanted).scalar()
    found["payload"] = document(payload)
    found["tries"] = _attempts(connection, [delivery_id]).get(delivery_id, [])
    return found


def deliveries(
    connection: Connection, condition: Callable[[Table], ColumnElement[bool]]
) -> list[dict[str, Any]]:
    """Return deliveries of which a condition is true, lane by lane, with every attempt."""
    query = _deliveries(condition).order_by("lane", "position")
    rows = [dict(row) for row in connection.execute(query).mappings()]
    tries = _attempts(connection, [row["id"] for row in rows])
    for row in rows:
        row["payload"] = document(row["payload"])
        row["tries"] = tries.get(row["id"], [])
    return rows


def _deliveries(condition: Callable[[Table], ColumnElement[bool]]) -> CompoundSelect[Any]:
    """Return what is told of deliveries, the same whether they have moved to `delivered` or not."""
    outbox, delivered = tables.outbox, tables.delivered
    is_done = outbox.c.state == State.DELIVERED
    waits: Select[Any] = select(
        *(outbox.c[column.name] for column in delivered.c),
        outbox.c.state,
        case((is_done, null()), else_=outbox.c.due_us).label("due_us"),
        case((is_done, ""), else_=outbox.c.error).label("error"),
    )
    done: Select[Any] = select(
        delivered,
        literal(State.DELIVERED.value).label("state"),
        null().label("due_us"),
        literal("").label("error"),
    )
    return union_all(waits.where(condition(outbox)), done.where(condition(delivered)))


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


def steps(connection: Connection, column: ColumnElement[str]) -> list[str]:
    """Return the few values of a column that begins an index, at a step each."""
    found: list[str] = []
    last: str | None = ""
    while last is not None:
        last = connection.execute(select(func.min(column)).where(column > last)).scalar()
        found += [last] if last is not None else []
    return found


def people(connection: Connection, *texts: str) -> list[dict[str, Any]]:
    """Return who is known by a number, a cuid or another channel's value."""
    keys, table = tables.person_keys, tables.people
    # By all of the key, or the index would not serve.
    ids = select(keys.c.person_id).where(
        keys.c.scope.in_(steps(connection, keys.c.scope)),
        keys.c.kind.in_(("cuid", *CHANNELS)),
        keys.c.value.in_(texts),
    )
    query = select(table).where(table.c.id.in_(ids)).order_by(table.c.id)
    found = []
    for row in connection.execute(query).mappings():
        person = dict(row)
        person["wanted"] = document(person["wanted"]) or {}
        person["confirmed"] = document(person["confirmed"]) or {}
        found.append(person)
    return found


def quarrels(connection: Connection, ids: Sequence[str], *texts: str) -> list[dict[str, Any]]:
    """Return what is said to be one's and is another's, where one of these people is in it.

    Texts are values that were quarrelled over, known as anybody's or not. The latest come first;
    each tells which cards the two have.
    """
    table = tables.quarrels
    query = select(table).where(
        or_(table.c.owner.in_(ids), table.c.claimant.in_(ids), table.c.value.in_(texts))
    )
    rows = connection.execute(query.order_by(table.c.last_us.desc())).mappings().all()
    involved = {row[column] for row in rows for column in ("owner", "claimant")}
    people = tables.people.c
    cards = {
        person: card_id
        for some in chunks(sorted(involved))
        for person, card_id in connection.execute(
            select(people.id, people.card_id).where(people.id.in_(some))
        )
    }
    return [
        {
            **row,
            "owner_card": cards.get(row["owner"]) or None,
            "claimant_card": cards.get(row["claimant"]) or None,
        }
        for row in rows
    ]


def pauses(connection: Connection) -> list[dict[str, Any]]:
    """Return the gates that are shut."""
    return [dict(row) for row in connection.execute(select(tables.pauses)).mappings()]


def document(raw: bytes | None) -> Any:
    """Return what was kept as JSON; None where nothing is left of it, or nothing readable."""
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None
