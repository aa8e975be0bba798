"""Working on sets: one statement for many rows, within what an engine takes at a time."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from sqlalchemy import Table
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

GroupT = TypeVar("GroupT")
ValueT = TypeVar("ValueT")

# SQLite takes 32,766 variables a statement; short lists also keep its plans simple.
_CHUNK: Final = 500


def chunks(values: Sequence[ValueT]) -> Iterator[Sequence[ValueT]]:
    """Yield the values in runs that fit into one statement."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def grouped(pairs: Iterable[tuple[GroupT, ValueT]]) -> Collection[tuple[GroupT, list[ValueT]]]:
    """Return (first, seconds) for pairs that share the first."""
    groups: dict[GroupT, list[ValueT]] = {}
    for first, second in pairs:
        groups.setdefault(first, []).append(second)
    return groups.items()


def insert(table: Table) -> Insert:
    """Return an INSERT that can say what to do ON CONFLICT; engines spell it differently."""
    return sqlite_insert(table)


def upsert(table: Table, keys: Sequence[str], columns: Sequence[str]) -> Insert:
    """Return an INSERT that gives a row that is there already these columns' new values."""
    statement = insert(table)
    fresh = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=list(keys), set_={name: fresh[name] for name in columns}
    )
