"""Statements that are put together once and given to the driver as they are.

SQLAlchemy says what they mean, and spells them for the engine when the first is run. From then on
nothing of it is in the way: going through it takes longer than most of these statements do.

A set of rows is one statement, not one a row. SQLite works on it without Python's lock, so that
requests are answered meanwhile; row by row, the lock would change hands as often.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Final

import orjson
from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Connection,
    Insert,
    String,
    Table,
    bindparam,
    func,
    select,
)
from sqlalchemy import column as named_column
from sqlalchemy.dialects import sqlite

# Rows a statement. Sizes are powers of two, so that few texts serve for all sets.
_ROWS_MAX: Final = 64
_DIALECT: Final = sqlite.dialect()

Row = Sequence[Any]


def driver_of(connection: Connection) -> Any:
    """Return the driver's own connection, which takes statements as texts."""
    return connection.connection.driver_connection


def names_of(table: Table, *but: str) -> list[str]:
    """Return the names of a table's columns in their order, but for these."""
    return [one.name for one in table.c if one.name not in but]


def in_set(of: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Say that a column is one of a set, which is given as `as_set` has it."""
    each = func.json_each(bindparam(name, type_=String)).table_valued(
        named_column("value", of.type)
    )
    return of.in_(select(each.c.value))


def as_set(values: Iterable[str | int]) -> str:
    """Return texts or numbers in the form that `in_set` takes.

    Raises:
        ValueError: one holds U+0000, at which SQLite would cut it off and find another's row.
    """
    members = list(values)
    text = orjson.dumps(members).decode()
    if "\\u0000" in text and any("\0" in one for one in members if isinstance(one, str)):
        raise ValueError("a text with U+0000 is in no set")
    return text


class Rows:
    """A statement for a set of rows, whose values are given in the order of `columns`."""

    def __init__(self, statement: ClauseElement, columns: Sequence[str]) -> None:
        """Take an INSERT, or an UPDATE that reads its rows from VALUES."""
        self._statement = statement
        self._columns = list(columns)
        self._texts: dict[int, str] = {}
        self._constants: tuple[Any, ...] = ()

    @cached_property
    def _parts(self) -> tuple[str, str, str]:
        """What stands before the rows, one row, and what stands behind them.

        Raises:
            ValueError: the statement takes something else than its rows.
        """
        is_insert = isinstance(self._statement, Insert)
        keys = self._columns if is_insert else None
        compiled: Any = self._statement.compile(dialect=_DIALECT, column_keys=keys)
        text = str(compiled)
        row = f"({', '.join('?' * len(self._columns))})"
        before, found, after = text.partition(f"VALUES {row}")
        names = compiled.positiontup or []
        of_row, further = names[: len(self._columns)], names[len(self._columns) :]
        if not found or "?" in before or (is_insert and of_row != self._columns):
            raise ValueError(f"no statement for rows of {self._columns}: {text}")
        self._constants = tuple(compiled.params[name] for name in further)
        return f"{before}VALUES ", row, after

    def run(self, driver: Any, rows: Sequence[Row]) -> None:
        """Run it for these rows."""
        start = 0
        while start < len(rows):
            size = min(_ROWS_MAX, 1 << ((len(rows) - start).bit_length() - 1))
            some = rows[start : start + size]
            text = self._text(size)
            driver.execute(text, (*chain.from_iterable(some), *self._constants))
            start += size

    def _text(self, size: int) -> str:
        text = self._texts.get(size)
        if text is None:
            before, row, after = self._parts
            text = self._texts[size] = before + ", ".join([row] * size) + after
        return text


class Query:
    """A SELECT, or a statement that returns nothing, with its values by name."""

    def __init__(self, statement: ClauseElement) -> None:
        """Take the statement."""
        self._statement = statement

    @cached_property
    def _compiled(self) -> tuple[str, tuple[str, ...], Mapping[str, Any]]:
        compiled: Any = self._statement.compile(dialect=_DIALECT)
        return str(compiled), tuple(compiled.positiontup or ()), dict(compiled.params)

    def run(self, driver: Any, **given: Any) -> list[tuple[Any, ...]]:
        """Run it and return its rows."""
        text, names, known = self._compiled
        values = {**known, **given}
        found: list[tuple[Any, ...]] = driver.execute(
            text, [values[one] for one in names]
        ).fetchall()
        return found
