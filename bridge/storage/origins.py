"""Where errands come from, within one commit: which delivery made each, and so which call."""

import json
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, TextClause, and_, func, select

from bridge.domain.deliveries import Kind
from bridge.domain.reports import Origin
from bridge.storage import tables
from bridge.storage.sets import chunks

Condition = ColumnElement[bool] | TextClause
_ERRANDS: Final = [kind for kind in Kind if kind.makes_errand]


class OriginsTransaction:
    """The part of a transaction that tells the calls of errands."""

    _connection: Connection

    def origins(self, errand_ids: Collection[int], scope: str | None = None) -> list[Origin]:
        """Return the calls that these errands are of; in one workspace, or in any."""
        found: list[Origin] = []
        for some in chunks(sorted(map(str, errand_ids))):
            found += self._origins(partial(_named, ids=some, scope=scope))
        return found

    def origins_of(self, markers: Collection[str]) -> list[Origin]:
        """Return the calls of the errands with these message ids, whatever their ids."""
        keys = [f"{one}:new" for one in sorted(markers)]
        return list(self._origins(lambda table: [table.c.key.in_(keys)]))

    def _origins(self, conditions: Callable[[Table], Collection[Condition]]) -> Iterator[Origin]:
        events = tables.events
        for table in (tables.outbox, tables.delivered):
            query = (
                select(
                    table.c.scope,
                    table.c.key,
                    table.c.kind,
                    table.c.route,
                    table.c.source,
                    table.c.reference_id,
                    table.c.remote_id,
                    table.c.payload,
                    func.coalesce(events.c.occurred_us, table.c.accepted_us).label("called_us"),
                )
                .select_from(table)
                .outerjoin(
                    events,
                    and_(events.c.source == table.c.source, events.c.event_id == table.c.event_id),
                )
                .where(table.c.kind.in_(_ERRANDS), *conditions(table))
            )
            for row in self._connection.execute(query):
                yield _origin(row)


def _named(table: Table, ids: Collection[str], scope: str | None) -> list[Condition]:
    conditions: list[Condition] = [tables.HAS_REMOTE_ID, table.c.remote_id.in_(ids)]
    return conditions if scope is None else [*conditions, table.c.scope == scope]


def _origin(row: Any) -> Origin:
    errand = _errand(row.payload)
    queue = (errand.get("integration") or {}).get("queue_name")
    is_message = row.kind == Kind.WATEMPLATE
    return Origin(
        scope=row.scope or "",
        errand_id=int(row.remote_id) if row.remote_id.isdecimal() else 0,
        source=row.source,
        reference_id=row.reference_id,
        route=row.route,
        queue=str(queue or (errand.get("extradata") or {}).get("queueName") or "")[:128],
        called_us=row.called_us,
        marker=row.key.rpartition(":")[0],
        is_answered_by_rule=is_message or errand.get("answer") is not None,
    )


def _errand(payload: bytes | None) -> dict[str, Any]:
    """Return what was sent, as far as it is still kept and can be read."""
    try:
        found = json.loads(payload or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
