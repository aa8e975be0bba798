"""What no store can be made of is refused in one line that says what to do."""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.domain.errors import StoreUnavailable, StoreUnusable
from bridge.storage import engine as engines
from bridge.storage.engine import DaemonLock, open_engine, open_reader


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'bridge.db'}"


def test_a_folder_that_may_not_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # For root, who may run this, there is no such folder.
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path)
    with pytest.raises(StoreUnusable, match="can't be written to"):
        open_engine(url_of(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_files_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bridge.db").mkdir()
    with pytest.raises(StoreUnusable, match=r"bridge.db can't be written \("):
        open_engine(url_of(tmp_path))


def test_a_store_that_is_not_for_this_user_to_see_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bridge.db"
    path.touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StoreUnusable, match=r"can't be read .* run this as the daemon's user"):
        open_reader(url_of(tmp_path))

    def refuse(self: Path) -> bool:
        raise PermissionError(errno.EACCES, str(self))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(StoreUnusable, match=r"can't be read .* run this as the daemon's user"):
        open_reader(url_of(tmp_path))


def test_a_store_that_is_looked_for_from_another_folder_is_told_with_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreUnusable, match=f"{tmp_path}/var/bridge.db yet.* is relative"):
        open_reader("sqlite:///var/bridge.db")


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "bridge.db.lock").mkdir()
    with pytest.raises(StoreUnusable, match=r"bridge.db.lock can't be made \("):
        DaemonLock(url_of(tmp_path))


def test_a_file_of_a_later_sqlite_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE one (two)")
    raw = bytearray(path.read_bytes())
    # The schema format number: https://www.sqlite.org/fileformat2.html, 1.3.
    raw[44:48] = (99).to_bytes(4, "big")
    path.write_bytes(raw)
    engine = open_engine(url_of(tmp_path))
    with pytest.raises(StoreUnusable, match="can't be used as a store: unsupported file format"):
        engine.connect()
    engine.dispose()


def test_a_store_that_somebody_else_holds_may_be_used_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_BUSY_TIMEOUT_MS", 1)
    engine = open_engine(url_of(tmp_path))
    with closing(sqlite3.connect(tmp_path / "bridge.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="can't be used now: database is locked"):
            engine.connect()
    with engine.connect():
        pass
    engine.dispose()
