"""Looking up within one commit: which errands were read at Cention, and what they carry.

A row of `sightings` is `open` from before an errand is read, since reading takes it off Cention's
list; `noted` once it is known what it carries; `closed` when it is on the list again, or doesn't
belong there. One that was never noted goes away instead: it is to be read again.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select, update

from bridge.domain.deliveries import Kind
from bridge.ports import Sighting
from bridge.storage import tables
from bridge.storage.prepared import Rows, names_of
from bridge.storage.sets import chunks, upsert

_OPEN: Final = "open"
_NOTED: Final = "noted"
CLOSED: Final = "closed"
_HIGHEST: Final = Rows(
    upsert(tables.workspaces, ["scope"], ["highest_id"]), names_of(tables.workspaces)
)


class LookupsTransaction:
    """The look-ups' part of a transaction."""

    _connection: Connection
    _driver: Any

    def highest_ids(self) -> dict[str, int]:
        """Return the highest id that an errand is known to have, by workspace's scope."""
        table = tables.workspaces.c
        rows = self._connection.execute(select(table.scope, table.highest_id)).all()
        return {row.scope: row.highest_id for row in rows}

    def save_highest_ids(self, highest: Mapping[str, int]) -> None:
        """Keep the highest ids."""
        _HIGHEST.run(self._driver, list(highest.items()))

    def seen(self, scope: str, errand_ids: Collection[int]) -> set[int]:
        """Return those errands that need not be read: whose they are is known already."""
        sightings = tables.sightings.c
        found: set[int] = set()
        for some in chunks(sorted(errand_ids)):
            query = select(sightings.errand_id).where(
                sightings.scope == scope,
                sightings.errand_id.in_(some),
                sightings.state.in_([_NOTED, CLOSED]),
            )
            found.update(self._connection.execute(query).scalars())
            for table in (tables.outbox.c, tables.delivered.c):
                named = select(table.remote_id).where(
                    tables.HAS_REMOTE_ID,
                    table.remote_id.in_([str(one) for one in some]),
                    table.scope == scope,
                )
                found.update(int(one) for one in self._connection.execute(named).scalars())
        return found

    def marked(self, scope: str, markers: Collection[str]) -> dict[str, int]:
        """Return which errands carry these markers; of several, the one with the lowest id."""
        table = tables.sightings.c
        found: dict[str, int] = {}
        for some in chunks(sorted(markers)):
            query = (
                select(table.marker, func.min(table.errand_id))
                .where(tables.HAS_MARKER, table.marker.in_(some), table.scope == scope)
                .group_by(table.marker)
            )
            found.update((marker, lowest) for marker, lowest in self._connection.execute(query))
        return found

    def intend(self, scope: str, errand_ids: Collection[int], now_us: int) -> None:
        """Note that these errands are about to be read, which takes them off Cention's list."""
        self._connection.execute(
            upsert(tables.sightings, ["scope", "errand_id"], ["state"]),
            [
                {"scope": scope, "errand_id": one, "state": _OPEN, "marker": "", "at_us": now_us}
                for one in errand_ids
            ],
        )

    def note(self, scope: str, sightings: Sequence[Sighting], now_us: int) -> None:
        """Note what was read; see `ports.Transaction`."""
        if not sightings:
            return
        self._connection.execute(
            upsert(tables.sightings, ["scope", "errand_id"], ["state", "marker"]),
            [
                {
                    "scope": scope,
                    "errand_id": one.errand_id,
                    "state": _NOTED,
                    "marker": one.marker,
                    "at_us": now_us,
                }
                for one in sightings
            ],
        )

    def intents(self, scope: str) -> list[int]:
        """Return the open intents: errands that may be off the list, and have to be put back."""
        table = tables.sightings.c
        query = select(table.errand_id).where(tables.IS_OPEN, table.scope == scope)
        return sorted(self._connection.execute(query).scalars())

    def close_intents(self, scope: str, errand_ids: Collection[int]) -> None:
        """Note that these errands are on the list again, or don't belong there."""
        table = tables.sightings
        for some in chunks(sorted(errand_ids)):
            are_these = table.c.scope == scope, table.c.errand_id.in_(some)
            self._connection.execute(
                update(table).where(*are_these, table.c.state == _NOTED).values(state=CLOSED)
            )
            self._connection.execute(delete(table).where(*are_these, table.c.state == _OPEN))

    def is_unclear(self, before_us: int, *, with_unnamed: bool) -> bool:
        """Say whether there is an errand, first sent before then, whose id may become known."""
        outbox = tables.outbox.c
        makes_errand = outbox.kind.in_([kind for kind in Kind if kind.makes_errand])
        unclear = [(tables.IS_UNCLEAR, makes_errand)]
        if with_unnamed:
            unclear.append((tables.IS_UNNAMED, makes_errand))
        return any(
            self._connection.execute(
                select(outbox.id).where(*conditions, outbox.first_us < before_us).limit(1)
            ).scalar()
            is not None
            for conditions in unclear
        )

    def name_errands(self, ids: Mapping[int, int]) -> None:
        """Note the ids of errands whose answers had none, by delivery."""
        if not ids:
            return
        table = tables.outbox
        self._connection.execute(
            update(table)
            .where(table.c.id == bindparam("of"), tables.IS_UNNAMED)
            .values(remote_id=bindparam("errand_id")),
            [{"of": of, "errand_id": str(errand_id)} for of, errand_id in ids.items()],
        )
