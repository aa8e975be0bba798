"""Telling a damaged store from a disk that failed to read: SQLite calls both SQLITE_CORRUPT."""

import contextlib
import sqlite3
import threading

from bridge.storage.engine import path_of
from bridge.storage.failures import ending


def is_damaged(url: str, within_s: float) -> bool:
    """Look through the whole store for damage; False also where that takes longer than this."""
    found: list[bool] = []

    def look() -> None:
        found.append(_is_damaged(url))

    thread = threading.Thread(target=look, name="soundness", daemon=True)
    thread.start()
    thread.join(within_s)
    return any(found)


def _is_damaged(url: str) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(path_of(url))) as connection:
            said = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        return ending(error) is not None
    return bool(said != ("ok",))
