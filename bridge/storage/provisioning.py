"""What is known of a centre that was set up, kept beside the daemon, which never looks at it."""

import fcntl
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from sqlalchemy import Connection, Engine, Row, delete, func, select, update

from bridge.domain.centre_plan import Record, Standing
from bridge.domain.centre_values import Kind, Ref
from bridge.domain.errors import StoreUnavailable
from bridge.ports.system import Clock
from bridge.storage import tables
from bridge.storage.engine import path_of
from bridge.storage.failures import translated
from bridge.storage.sets import insert

_TABLE: Final = tables.provisioned


class SqlCentreState:
    """A `ports.provisioning.CentreState`: each change is a commit of its own, synced."""

    def __init__(self, engine: Engine, scope: str, clock: Clock) -> None:
        """Work on one workspace, `<base URL>/s/<workspace>`."""
        self._engine = engine
        self._scope = scope
        self._clock = clock

    def records(self) -> Sequence[Record]:
        """Return all that is known, by kind and in the order in which it was made."""
        with translated(), self._engine.connect() as connection:
            return read_records(connection, self._scope)

    def elsewhere(self) -> Mapping[str, int]:
        """Return of which other workspaces something is known, and of how many things."""
        of_others = select(_TABLE.c.scope, func.count()).where(_TABLE.c.scope != self._scope)
        with translated(), self._engine.connect() as connection:
            found = connection.execute(of_others.group_by(_TABLE.c.scope).order_by(_TABLE.c.scope))
            return {row[0]: row[1] for row in found}

    def note(self, ref: Ref, standing: Standing, pending: Mapping[str, Any]) -> None:
        """Note what is about to be sent."""
        values = {
            "state": standing,
            "pending": _encode(pending),
            "changed_us": self._clock.now_us(),
        }
        with translated(), self._engine.begin() as connection:
            if standing is Standing.CREATING:
                self._add(connection, ref, {**values, "fields": _encode({}), "remote_id": None})
            else:
                connection.execute(update(_TABLE).where(*self._is(ref)).values(values))

    def settle(self, ref: Ref, remote_id: int, fields: Mapping[str, Any]) -> None:
        """Note that something is there, with this id and these fields."""
        values = {
            "state": Standing.DONE,
            "remote_id": remote_id,
            "fields": _encode(fields),
            "pending": _encode({}),
            "changed_us": self._clock.now_us(),
        }
        with translated(), self._engine.begin() as connection:
            statement = update(_TABLE).where(*self._is(ref)).values(values)
            if not connection.execute(statement).rowcount:
                self._add(connection, ref, values)

    def withdraw(self, ref: Ref) -> None:
        """Take back what was noted: it was not done. What was never made is forgotten."""
        with translated(), self._engine.begin() as connection:
            is_new = _TABLE.c.remote_id.is_(None)
            connection.execute(delete(_TABLE).where(*self._is(ref), is_new))
            values = {"state": Standing.DONE, "pending": _encode({})}
            connection.execute(update(_TABLE).where(*self._is(ref)).values(values))

    def forget(self, ref: Ref) -> None:
        """Note that something is not there."""
        with translated(), self._engine.begin() as connection:
            connection.execute(delete(_TABLE).where(*self._is(ref)))

    def rename(self, ref: Ref, name: str) -> None:
        """Know something by another name from now on."""
        with translated(), self._engine.begin() as connection:
            connection.execute(update(_TABLE).where(*self._is(ref)).values(name=name))

    def _add(self, connection: Connection, ref: Ref, values: Mapping[str, Any]) -> None:
        highest = connection.execute(select(func.max(_TABLE.c.place))).scalar()
        connection.execute(
            insert(_TABLE).values(
                scope=self._scope,
                kind=ref.kind,
                name=ref.name,
                place=(highest or 0) + 1,
                **values,
            )
        )

    def _is(self, ref: Ref) -> tuple[Any, ...]:
        return (
            _TABLE.c.scope == self._scope,
            _TABLE.c.kind == ref.kind,
            _TABLE.c.name == ref.name,
        )


def read_records(connection: Connection, scope: str) -> list[Record]:
    """Return all that is known of a workspace, by kind and in the order in which it was made."""
    rows = connection.execute(select(_TABLE).where(_TABLE.c.scope == scope))
    return sorted(map(_record, rows), key=lambda one: (one.ref.kind.rank, one.place))


def _record(row: Row[Any]) -> Record:
    return Record(
        ref=Ref(Kind(row.kind), str(row.name)),
        standing=Standing(row.state),
        remote_id=row.remote_id,
        place=row.place,
        fields=msgspec.json.decode(row.fields),
        pending=msgspec.json.decode(row.pending),
        changed_us=row.changed_us,
    )


def _encode(fields: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(fields)


class ProvisionLock:
    """Held by the one command that sets a centre up, from plan to end."""

    def __init__(self, url: str) -> None:
        """Take the lock.

        Raises:
            StoreUnavailable: another command holds it, or it can't be made.
        """
        path = Path(f"{path_of(url)}.provision.lock")
        try:
            # To hold it, reading is enough: another user, such as root, may have made it.
            self._file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreUnavailable(f"{path} can't be made ({error.strerror})") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise StoreUnavailable(
                "another `provision` command is at work on this store; wait until it has ended"
            ) from None

    def __enter__(self) -> Self:
        """Hold it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the next one in."""
        os.close(self._file)
