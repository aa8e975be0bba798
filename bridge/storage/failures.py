"""What SQLite's errors mean: whether they pass by themselves, and whether the daemon can go on.

- *Passing* (disk full, a write that failed, a lock): the transaction is rolled back, whoever waits
  is told to come back, and the next commit is tried as if nothing had happened.
- *A sync that failed*: the kernel may have dropped what it could not write, and call the next sync
  a success (PostgreSQL's "fsyncgate", 2018; fsync(2), `EIO`). So no later success proves anything
  to this process. It ends, and the one that is started next goes on from what is there.
- *Damage* (SQLITE_CORRUPT, SQLITE_NOTADB): further writes may damage more, and what they keep is
  lost with the store when a backup takes its place. The daemon ends. SQLite says the same where
  the disk fails to read, which may pass; `soundness` tells the two apart.
- All else is about one statement, not about the store.

Told apart by SQLite's codes, not its words: https://www.sqlite.org/rescode.html.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import DBAPIError

from bridge.domain.errors import StoreBroken, StoreError, StoreUnavailable, StoreUnusable

_PRIMARY: Final = 0xFF
_PASSING: Final = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    )
)
_SYNC: Final = frozenset((sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC))
_DAMAGE: Final = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))


def is_passing(error: BaseException) -> bool:
    """Say whether the same thing may work later: a full disk, a lock, a disk that was away."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return _code(error) & _PRIMARY in _PASSING


def ending(error: BaseException) -> StoreError | None:
    """Return why the daemon has to end after this error; None where it can go on.

    A `StoreBroken` where starting anew may help, a `StoreUnusable` where a person has to.
    """
    if isinstance(error, StoreBroken | StoreUnusable):
        return error
    code = _code(error)
    if code in _SYNC:
        return StoreBroken(
            "store.url: the disk failed to sync what was written, so nothing more is written to it;"
            " started again, the bridge goes on from what is there. The kernel's log (dmesg) says"
            " what is wrong with the disk"
        )
    if code & _PRIMARY in _DAMAGE:
        return StoreUnusable(
            "store.url: the store is damaged or can't be read, so nothing more is written to it;"
            " look at the disk, and put a backup in the store's place"
        )
    return None


def said_by(error: BaseException) -> str:
    """Return the engine's own words, without the statement and what it held."""
    return str(error.orig) if isinstance(error, DBAPIError) else str(error)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn the engine's errors into the bridge's own.

    Raises:
        StoreUnavailable: it may work later.
        StoreUnusable: it won't, until somebody changes something.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        raise _translation(error) from error


def _translation(error: BaseException) -> StoreError:
    final = ending(error)
    if final is not None:
        return final
    if is_passing(error):
        return StoreUnavailable(f"store.url: the store can't be used now: {said_by(error)}")
    return StoreUnusable(f"store.url: the store can't be used: {said_by(error)}")


def _code(error: BaseException) -> int:
    """Return SQLite's extended result code; 0 for what is no error of SQLite's."""
    said = error.orig if isinstance(error, DBAPIError) else error
    return int(getattr(said, "sqlite_errorcode", 0)) if isinstance(said, sqlite3.Error) else 0
