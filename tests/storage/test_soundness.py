import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.storage.soundness import is_damaged

DEADLINE_S = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "bridge.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a UNIQUE)")
        connection.executemany("INSERT INTO t VALUES (?)", [(f"{n:0100}",) for n in range(1000)])
        connection.commit()
    return path


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def test_a_sound_store_is_not_called_damaged(path: Path) -> None:
    assert not is_damaged(url_of(path), DEADLINE_S)


@pytest.mark.parametrize("at", [0, 4096, 40_960])
def test_a_page_that_was_overwritten_is_found(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * 4096)
    assert is_damaged(url_of(path), DEADLINE_S)


def test_what_can_not_be_looked_at_is_not_called_damaged(tmp_path: Path) -> None:
    assert not is_damaged(url_of(tmp_path), DEADLINE_S)
