import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from bridge.domain.errors import StoreBroken, StoreError, StoreUnavailable, StoreUnusable
from bridge.storage.failures import ending, is_passing, said_by, translated


def failure(code: int, words: str = "") -> sqlite3.OperationalError:
    """Return an error as SQLite raises it; its words don't matter."""
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code
    return error


def wrapped(error: sqlite3.Error) -> OperationalError:
    return OperationalError("INSERT", {"name": "Ada"}, error)


def raised_by(path: Path, last: str, *before: str) -> sqlite3.Error:
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        for statement in before:
            connection.execute(statement)
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute(last)
    return caught.value


@pytest.mark.parametrize(
    "code",
    [
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY_SNAPSHOT,
        sqlite3.SQLITE_LOCKED,
    ],
)
def test_what_may_pass_by_itself_is_told_from_the_rest(code: int) -> None:
    for error in (failure(code), wrapped(failure(code))):
        assert is_passing(error)
        assert ending(error) is None


def test_an_error_about_one_statement_neither_passes_nor_ends_anything() -> None:
    for error in (failure(sqlite3.SQLITE_ERROR), failure(sqlite3.SQLITE_CONSTRAINT_UNIQUE)):
        assert not is_passing(wrapped(error))
        assert ending(wrapped(error)) is None
    assert not is_passing(RuntimeError("disk is full"))


def test_a_lost_connection_may_come_back() -> None:
    lost = OperationalError("", {}, failure(sqlite3.SQLITE_ERROR), connection_invalidated=True)
    assert is_passing(lost)


def test_sqlite_gives_these_codes(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    before = ("CREATE TABLE t (a)", "PRAGMA max_page_count=2")
    full = raised_by(path, "INSERT INTO t VALUES (zeroblob(90000))", *before)
    assert full.sqlite_errorcode == sqlite3.SQLITE_FULL
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert raised_by(path, "BEGIN IMMEDIATE").sqlite_errorcode == sqlite3.SQLITE_BUSY
    path.write_bytes(b"no database at all".ljust(5000))
    assert isinstance(ending(raised_by(path, "SELECT * FROM t")), StoreUnusable)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, StoreBroken),
        (sqlite3.SQLITE_IOERR_DIR_FSYNC, StoreBroken),
        (sqlite3.SQLITE_CORRUPT, StoreUnusable),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreUnusable),
        (sqlite3.SQLITE_NOTADB, StoreUnusable),
    ],
)
def test_a_failed_sync_and_damage_end_the_daemon(code: int, kind: type[StoreError]) -> None:
    assert type(ending(wrapped(failure(code)))) is kind
    with pytest.raises(kind), translated():
        raise failure(code)


def test_what_ends_the_daemon_stays_what_it_is() -> None:
    for final in (StoreBroken("broken"), StoreUnusable("damaged")):
        assert ending(final) is final
    assert ending(StoreUnavailable("locked")) is None


def test_an_engines_error_becomes_the_bridges_own_without_the_statement() -> None:
    full = wrapped(failure(sqlite3.SQLITE_FULL, "disk is full"))
    assert said_by(full) == "disk is full"
    with pytest.raises(StoreUnavailable, match=r"disk is full$"), translated():
        raise full
    with pytest.raises(StoreUnusable, match=r"no such table$"), translated():
        raise failure(sqlite3.SQLITE_ERROR, "no such table")
