"""What was refused at the door, as the commands look at it."""

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, select

from bridge.storage import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Which refusals are meant: those of which all this is true.

    `after_us` (included) and `before_us` (not included) bound when it was received, in
    microseconds since 1970.
    """

    source: str | None = None
    status: int | None = None
    event_type: str | None = None
    after_us: int | None = None
    before_us: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what is to be true of a row."""
        table = tables.quarantine.c
        wanted = {
            table.source: self.source,
            table.status: self.status,
            table.event_type: self.event_type,
        }
        found = [column == value for column, value in wanted.items() if value is not None]
        if self.after_us is not None:
            found.append(table.received_us >= self.after_us)
        if self.before_us is not None:
            found.append(table.received_us < self.before_us)
        return found


ANY: Final = Refused()


def rows(
    connection: Connection, which: Refused = ANY, limit: int | None = None
) -> list[dict[str, Any]]:
    """Return what was refused at the door, the oldest first, without the bodies."""
    table = tables.quarantine
    columns = [column for column in table.c if column.name != "body"]
    query = select(*columns).where(*which.conditions()).order_by(table.c.received_us, table.c.id)
    return [from_row(row) for row in connection.execute(query.limit(limit))]


def ids(connection: Connection, which: Refused = ANY) -> list[str]:
    """Return which refusals there are, the oldest first."""
    table = tables.quarantine.c
    query = select(table.id).where(*which.conditions()).order_by(table.received_us, table.id)
    return list(connection.execute(query).scalars())


def beginning_with(connection: Connection, beginning: str, limit: int) -> list[str]:
    """Return the refusals whose id begins so, the oldest first, and no more than `limit`."""
    table = tables.quarantine.c
    query = (
        select(table.id)
        .where(table.id.startswith(beginning, autoescape=True))
        .order_by(table.received_us, table.id)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def one(connection: Connection, refusal_id: str) -> dict[str, Any] | None:
    """Return one refusal with its body; None: there is none."""
    table = tables.quarantine
    row = connection.execute(select(table).where(table.c.id == refusal_id)).first()
    return None if row is None else from_row(row)


def from_row(row: Row[Any]) -> dict[str, Any]:
    """Return a row with its issues as documents."""
    found = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented accessor
    found["issues"] = [
        {"pointer": pointer, "detail": detail} for pointer, detail in json.loads(found["issues"])
    ]
    return found
