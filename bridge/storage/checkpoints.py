"""Bringing SQLite's write-ahead log (WAL) into the database file, such that a failure is seen.

SQLite does this by itself every 1000 pages, within a commit, and says nothing when it fails. A
failed sync of the database file would go unseen, the next might be a success that isn't one, and
what the log held would be overwritten. So it is switched off (`engine`), and done here.
"""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine

from bridge.domain.errors import StoreBroken, StoreUnavailable
from bridge.storage.failures import translated

# In rows; each commit counts as some more, for the pages that it writes whatever it holds. As
# measured, this makes a log of 800 to 2000 pages, about where SQLite would make a checkpoint.
DUE_ROWS: Final = 1600
_ROWS_A_COMMIT: Final = 25
# Where few rows hold much. The file shrinks to this size when the log starts over.
LOG_BYTES_MAX: Final = 64 * 2**20


class Checkpoints:
    """Says when the next one is due, by what the writer's connection has written, and makes it."""

    def __init__(self, database: str) -> None:
        """Look after the log beside this database file."""
        self._log = Path(f"{database}-wal")
        self._rows = 0
        self._commits = 0

    def committed(self, connection: Connection) -> bool:
        """Count a commit; say whether enough was written since the last checkpoint."""
        self._commits += 1
        rows = _rows_changed(connection) - self._rows
        # Negative on a new connection, which counts from 0.
        is_enough = rows < 0 or rows + self._commits * _ROWS_A_COMMIT >= DUE_ROWS
        return is_enough or self._is_long()

    def make(self, connection: Connection) -> None:
        """Make one; see `checkpoint`.

        Raises:
            sqlite3.Error: as there.
        """
        self._rows, self._commits = _rows_changed(connection), 0
        checkpoint(connection)

    def _is_long(self) -> bool:
        try:
            return self._log.stat().st_size > LOG_BYTES_MAX
        except OSError:
            # None yet, or the disk is away: the next commit finds out, this one is done.
            return False


def settle(engine: Engine) -> None:
    """Have what an earlier process left in the log synced, before anything builds on it.

    After a sync that failed, what the log seems to hold may be in memory only; copied and synced,
    it is on disk. Where there is no room for that now, all stays as it was.

    Raises:
        StoreBroken: the disk fails to sync.
        StoreUnusable: the store is damaged.
    """
    try:
        with translated(), engine.connect() as connection:
            checkpoint(connection)
    except StoreBroken:
        raise
    except StoreUnavailable:
        pass


def checkpoint(connection: Connection) -> None:
    """Copy what the log holds into the database file, and sync both; outside any transaction.

    It waits for nobody: what somebody still reads from the log stays there for the next time.

    Raises:
        sqlite3.Error: it failed. The log still holds all, and a later try may succeed, unless
            `failures.ending` says otherwise.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
    finally:
        cursor.close()


def _rows_changed(connection: Connection) -> int:
    driver: Any = connection.connection.driver_connection
    changed: int = driver.total_changes
    return changed
