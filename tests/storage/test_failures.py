import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from bridge.domain.errors import StoreUnavailable, StoreUnusable
from bridge.storage.failures import is_passing, said_by, translated


@pytest.mark.parametrize(
    "words",
    [
        "database or disk is full",
        "disk I/O error",
        "attempt to write a readonly database",
        "unable to open database file",
        "database is locked",
    ],
)
def test_what_may_pass_by_itself_is_told_from_the_rest(words: str) -> None:
    assert is_passing(sqlite3.OperationalError(words))
    assert is_passing(OperationalError("SELECT 1", {}, sqlite3.OperationalError(words)))
    assert not is_passing(sqlite3.OperationalError("no such table: events"))
    assert not is_passing(RuntimeError(words))


def test_an_engines_error_becomes_the_bridges_own_without_the_statement() -> None:
    full = OperationalError("INSERT", {"name": "Ada"}, sqlite3.OperationalError("disk is full"))
    assert said_by(full) == "disk is full"
    with pytest.raises(StoreUnavailable, match=r"disk is full$"), translated():
        raise full
    with pytest.raises(StoreUnusable), translated():
        raise sqlite3.DatabaseError("malformed")
