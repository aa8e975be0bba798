"""Shut gates within one commit: who may not leave, why, and when one is let through to see."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, select

from bridge.domain.deliveries import Kind
from bridge.ports import Pause
from bridge.storage import tables
from bridge.storage.prepared import Query
from bridge.storage.sets import upsert

ALL_KINDS: Final = "*"


class _ShutRow(NamedTuple):
    """A row of the table, with its columns in their order."""

    route: str
    kind: str
    reason: str
    since_us: int
    probe_us: int
    token_mark: str


_PAUSES: Final = Query(select(*(tables.pauses.c[name] for name in _ShutRow._fields)))


class GatesTransaction:
    """The gates' part of a transaction."""

    _connection: Connection
    _driver: Any

    def pauses(self) -> Sequence[Pause]:
        """Return all gates that are shut."""
        return [
            Pause(
                route=row.route,
                kind=None if row.kind == ALL_KINDS else Kind(row.kind),
                reason=row.reason,
                since_us=row.since_us,
                probe_us=row.probe_us,
                token_mark=row.token_mark,
            )
            for row in map(_ShutRow._make, _PAUSES.run(self._driver))
        ]

    def save_pauses(self, pauses: Sequence[Pause]) -> None:
        """Shut gates, or change what is known of the shut ones."""
        if not pauses:
            return
        self._connection.execute(
            upsert(tables.pauses, ["route", "kind", "reason"], ["probe_us", "token_mark"]),
            [
                {
                    "route": pause.route,
                    "kind": pause.kind or ALL_KINDS,
                    "reason": pause.reason,
                    "since_us": pause.since_us,
                    "probe_us": pause.probe_us,
                    "token_mark": pause.token_mark,
                }
                for pause in pauses
            ],
        )

    def clear_pauses(self, pauses: Sequence[Pause]) -> None:
        """Open gates."""
        table = tables.pauses
        for pause in pauses:
            self._connection.execute(
                delete(table).where(
                    table.c.route == pause.route,
                    table.c.kind == (pause.kind or ALL_KINDS),
                    table.c.reason == pause.reason,
                )
            )
