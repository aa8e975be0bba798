"""What SQLite's errors mean: whether they pass by themselves, or a person has to do something."""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import DBAPIError

from bridge.domain.errors import StoreError, StoreUnavailable, StoreUnusable

_PASSING: Final = ("disk is full", "disk i/o error", "readonly", "unable to open", "locked", "busy")


def is_passing(error: BaseException) -> bool:
    """Say whether the same thing may work later: a full disk, a lock, a disk that was away."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        return error.orig is not None and is_passing(error.orig)
    said = str(error).lower()
    return isinstance(error, sqlite3.Error) and any(word in said for word in _PASSING)


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
    if is_passing(error):
        return StoreUnavailable(f"store.url: the store can't be used now: {said_by(error)}")
    return StoreUnusable(f"store.url: the store can't be used: {said_by(error)}")
