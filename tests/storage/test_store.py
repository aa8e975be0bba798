import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text

from bridge.domain.errors import StoreTooNew, StoreUnusable
from bridge.storage import tables
from bridge.storage.engine import DaemonLock, open_engine, open_reader, parse_url
from bridge.storage.schema import KNOWN_SCHEMAS, digest_key, prepare


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'bridge.db'}"


def made(folder: Path) -> Engine:
    engine = open_engine(url_of(folder))
    prepare(engine)
    return engine


def test_every_connection_syncs_in_full(tmp_path: Path) -> None:
    engine = made(tmp_path)
    levels = []
    for _ in range(2):
        with engine.connect() as connection:
            levels.append(connection.execute(text("PRAGMA synchronous")).scalar_one())
            assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        engine.dispose()
    assert levels == [2, 2]


def test_a_connection_that_does_not_sync_in_full_is_refused(tmp_path: Path) -> None:
    engine = open_engine(url_of(tmp_path))

    class Lying(sqlite3.Connection):
        """As on a file system where WAL can't work."""

        def cursor(self, *_: object) -> sqlite3.Cursor:  # type: ignore[override]
            return LyingCursor(self)

    class LyingCursor(sqlite3.Cursor):
        def execute(self, sql: str, *_: object) -> "LyingCursor":
            return super().execute(sql.replace("journal_mode=WAL", "journal_mode=DELETE"))

    @event.listens_for(engine, "do_connect")
    def connect(*_: object) -> sqlite3.Connection:
        return Lying(tmp_path / "bridge.db")

    with pytest.raises(StoreUnusable, match="local disk"):
        engine.connect()
    engine.dispose()


def test_the_migrations_make_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    engine = made(tmp_path)
    plain = open_engine(f"sqlite:///{tmp_path / 'plain.db'}")
    with plain.begin() as connection:
        tables.metadata.create_all(connection)
    schemas = []
    for one in (engine, plain):
        with one.connect() as connection:
            rows = connection.execute(text("SELECT type, name, sql FROM sqlite_master"))
            schemas.append(
                {
                    (kind, name): " ".join((sql or "").replace("\n", " ").split())
                    for kind, name, sql in rows
                    if name != "alembic_version" and "sqlite_autoindex" not in name
                }
            )
        one.dispose()
    assert schemas[0] == schemas[1]
    assert KNOWN_SCHEMAS[-1] == tables.SCHEMA_HEAD


def test_preparing_twice_changes_nothing(tmp_path: Path) -> None:
    engine = made(tmp_path)
    key = digest_key(engine)
    prepare(engine)
    assert digest_key(engine) == key
    assert len(key) == 32
    engine.dispose()


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    engine = made(tmp_path)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew, match="schema 9999"):
        prepare(engine)
    engine.dispose()


def test_the_store_is_for_the_bridges_eyes_only(tmp_path: Path) -> None:
    engine = made(tmp_path)
    for path in tmp_path.glob("bridge.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    engine.dispose()


def test_what_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bridge.db").write_bytes(b"x" * 5000)
    engine = open_engine(url_of(tmp_path))
    with pytest.raises(StoreUnusable, match="no SQLite database"):
        engine.connect()
    engine.dispose()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="file"):
        open_engine(f"sqlite:///{tmp_path}/file/bridge.db")


@pytest.mark.parametrize("url", ["sqlite://", "postgresql://h/d", "nonsense", "sqlite:///:memory:"])
def test_an_address_that_keeps_nothing_or_is_not_served_is_refused(url: str) -> None:
    with pytest.raises(StoreUnusable):
        parse_url(url)


def test_a_second_daemon_on_the_same_store_is_refused(tmp_path: Path) -> None:
    first = DaemonLock(url_of(tmp_path))
    with pytest.raises(StoreUnusable, match="another daemon"):
        DaemonLock(url_of(tmp_path))
    first.release()
    DaemonLock(url_of(tmp_path)).release()


def test_a_reader_can_look_and_not_change(tmp_path: Path) -> None:
    made(tmp_path).dispose()
    reader = open_reader(url_of(tmp_path))
    with reader.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM events")).scalar_one() == 0
        with pytest.raises(Exception, match="readonly"):
            connection.execute(text("DELETE FROM events"))
    reader.dispose()


def test_looking_into_a_store_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="no store"):
        open_reader(url_of(tmp_path))
