"""Opening the store such that it can keep its promise, and refusing it where it can't."""

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from bridge.domain.errors import StoreUnavailable, StoreUnusable
from bridge.storage.checkpoints import LOG_BYTES_MAX
from bridge.storage.failures import is_passing
from bridge.storage.prepared import driver_of

_BUSY_TIMEOUT_MS: Final = 10_000
_SYNCHRONOUS_FULL: Final = 2


def parse_url(url: str) -> URL:
    """Read a store's address as SQLAlchemy does.

    Raises:
        StoreUnusable: it is no address, or of an engine that is not served.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreUnusable("store.url is no database address") from None
    if parsed.get_backend_name() != "sqlite":
        raise StoreUnusable(
            f"store.url: {parsed.get_backend_name()} is not served yet; use sqlite:////path/file.db"
        )
    if parsed.database in {None, "", ":memory:"}:
        raise StoreUnusable(
            "store.url: a store in memory keeps nothing; use sqlite:////path/file.db"
        )
    return parsed


def path_of(url: str) -> Path:
    """Return the database file of a store's address."""
    return Path(parse_url(url).database or "")


def unfinished_mark(store: Path) -> Path:
    """Return the file that is there as long as a restore is halfway through.

    A damaged store's log has to go before the new store comes, and both at once can't be.
    """
    return store.with_name(f"{store.name}.restoring")


def open_reader(url: str) -> Engine:
    """Open a store for looking only: its reads never hold up the writer.

    Raises:
        StoreUnusable: there is no store yet, or it is not for this user to see.
    """
    path = path_of(url).absolute()
    try:
        is_there = path.is_file()
        is_readable = not is_there or os.access(path, os.R_OK)
    except PermissionError:
        is_there, is_readable = True, False
    if not is_readable:
        raise StoreUnusable(
            f"store.url: {path} can't be read (Permission denied); run this as the daemon's user"
        )
    if not is_there:
        raise StoreUnusable(f"store.url: there is no store at {path} yet; {_maker(url)}")
    engine = create_engine(parse_url(url), connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _configure_reader)
    return engine


def _maker(url: str) -> str:
    if path_of(url).is_absolute():
        return "`run` makes one"
    return "`run` makes one, unless it runs in another folder: store.url is relative"


def _configure_reader(connection: Any, record: object) -> None:
    _configure(connection, record)
    connection.execute("PRAGMA query_only=ON")


def open_engine(url: str) -> Engine:
    """Open a store; its folder is made if it isn't there.

    Every connection runs SQLite in WAL mode with `synchronous=FULL`, so that a commit is on disk
    (fsynced) when it returns, and is refused if SQLite says otherwise.

    Raises:
        StoreUnusable: the folder can't be made or written, or a restore was cut short.
    """
    parsed = parse_url(url)
    path = Path(parsed.database or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnusable(
            f"store.url: the folder {path.parent} can't be made ({error.strerror});"
            " make it, or choose another"
        ) from None
    if not os.access(path.parent, os.W_OK):
        raise StoreUnusable(f"store.url: the folder {path.parent} can't be written to")
    if unfinished_mark(path).exists():
        raise StoreUnusable(
            f"store.url: a restore of {path} was cut short; `aventa-bridge restore` it again"
        )
    try:
        # Made before SQLite makes it, since it holds what callers said: for the bridge's eyes only.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreUnusable(f"store.url: {path} can't be written ({error.strerror})") from None
    engine = create_engine(parsed, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        mode = cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        cursor.execute("PRAGMA synchronous=FULL")
        level = cursor.execute("PRAGMA synchronous").fetchone()[0]
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")
        # Checkpoints are the writer's: SQLite hides it when its own fail.
        cursor.execute("PRAGMA wal_autocheckpoint=0")
        cursor.execute(f"PRAGMA journal_size_limit={LOG_BYTES_MAX}")
    except sqlite3.OperationalError as error:
        if is_passing(error):
            raise StoreUnavailable(f"store.url: the store can't be used now: {error}") from None
        raise StoreUnusable(f"store.url: the file can't be used as a store: {error}") from None
    except sqlite3.DatabaseError:
        raise StoreUnusable("store.url: the file is no SQLite database") from None
    finally:
        cursor.close()
    if mode != "wal" or level != _SYNCHRONOUS_FULL:
        raise StoreUnusable(
            f"store.url: SQLite refuses WAL with synchronous=FULL (it says {mode}, {level});"
            " the file must be on a local disk"
        )


def _begin_immediate(connection: Any) -> None:
    # A deferred transaction could find at its first write that another process was quicker; this
    # one waits at the start instead.
    driver_of(connection).execute("BEGIN IMMEDIATE")


class DaemonLock:
    """Held by the one daemon that works on a store; commands beside it don't need it."""

    def __init__(self, url: str) -> None:
        """Take the lock.

        Raises:
            StoreUnusable: another daemon holds it.
        """
        path = path_of(url)
        try:
            self._file = Path(f"{path}.lock").open("w", encoding="ascii")  # noqa: SIM115 - held
        except OSError as error:
            raise StoreUnusable(
                f"store.url: {path}.lock can't be made ({error.strerror})"
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise StoreUnusable(f"store.url: another daemon is at work on {path}") from None

    def release(self) -> None:
        """Let the next daemon in."""
        self._file.close()
