import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bridge.domain.errors import StoreBroken, StoreUnusable
from bridge.storage import checkpoints
from bridge.storage.checkpoints import DUE_ROWS, Checkpoints, checkpoint, settle
from bridge.storage.engine import open_engine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bridge.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{path}")
    write(engine, "CREATE TABLE t (a)")
    yield engine
    engine.dispose()


def write(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def rows(count: int) -> str:
    numbers = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
    return f"{numbers} INSERT INTO t SELECT i FROM n LIMIT {count}"  # noqa: S608 - a number of ours


def in_the_file(path: Path) -> int:
    """Count the rows in the database file alone, as if its log were lost."""
    alone = path.with_name("alone.db")
    alone.write_bytes(path.read_bytes())
    with closing(sqlite3.connect(alone)) as connection:
        found: int = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    return found


def is_due(engine: Engine, looked_after: Checkpoints) -> bool:
    """Count a commit; say whether a checkpoint is due after it."""
    with engine.connect() as connection:
        return looked_after.committed(connection)


def test_sqlite_makes_no_checkpoint_by_itself(engine: Engine, path: Path) -> None:
    write(engine, "INSERT INTO t VALUES (0)")
    with engine.connect() as connection:
        checkpoint(connection)
    for _ in range(3):
        write(engine, "DELETE FROM t", "INSERT INTO t SELECT zeroblob(9000000)", rows(5))
    assert in_the_file(path) == 1


def test_a_checkpoint_is_due_once_enough_rows_were_written(engine: Engine, path: Path) -> None:
    looked_after = Checkpoints(str(path))
    write(engine, rows(10))
    assert not is_due(engine, looked_after)
    write(engine, rows(DUE_ROWS))
    assert is_due(engine, looked_after)
    with engine.connect() as connection:
        looked_after.make(connection)
    assert in_the_file(path) == DUE_ROWS + 10
    assert not is_due(engine, looked_after)


def test_a_checkpoint_is_due_after_many_commits_however_little_they_held(
    engine: Engine, path: Path
) -> None:
    looked_after = Checkpoints(str(path))
    commits = 1
    while not is_due(engine, looked_after):
        commits += 1
    assert 10 < commits < DUE_ROWS


def test_a_new_connection_counts_from_the_beginning(engine: Engine, path: Path) -> None:
    looked_after = Checkpoints(str(path))
    write(engine, rows(DUE_ROWS))
    with engine.connect() as connection:
        looked_after.make(connection)
    engine.dispose()
    assert is_due(engine, looked_after)
    with engine.connect() as connection:
        looked_after.make(connection)
    assert not is_due(engine, looked_after)


def test_a_checkpoint_is_due_when_the_log_is_long(
    engine: Engine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "LOG_BYTES_MAX", 100_000)
    looked_after = Checkpoints(str(path))
    assert not is_due(engine, looked_after)
    write(engine, "INSERT INTO t VALUES (zeroblob(100000))")
    assert is_due(engine, looked_after)


def test_no_log_is_no_long_log(engine: Engine, path: Path) -> None:
    assert not is_due(engine, Checkpoints(str(path.with_name("other.db"))))


def test_a_log_that_cannot_be_looked_at_is_no_long_log(engine: Engine, path: Path) -> None:
    (path.parent / "file").write_text("")
    assert not is_due(engine, Checkpoints(str(path.parent / "file" / "bridge.db")))


def test_what_is_still_read_stays_in_the_log_for_the_next_time(engine: Engine, path: Path) -> None:
    with engine.connect() as connection:
        checkpoint(connection)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchone()
        write(engine, rows(5))
        with engine.connect() as connection:
            checkpoint(connection)
        assert in_the_file(path) == 0
        reader.execute("COMMIT")
    with engine.connect() as connection:
        checkpoint(connection)
    assert in_the_file(path) == 5


def test_what_an_earlier_process_left_in_the_log_is_in_the_file_after_the_start(
    engine: Engine, path: Path
) -> None:
    write(engine, rows(5))
    settle(engine)
    assert in_the_file(path) == 5


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, StoreBroken),
        (sqlite3.SQLITE_CORRUPT, StoreUnusable),
        (sqlite3.SQLITE_FULL, None),
    ],
)
def test_a_start_is_stopped_by_a_failed_sync_and_by_damage_only(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception] | None
) -> None:
    def fail(_connection: object) -> None:
        error = sqlite3.OperationalError()
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(checkpoints, "checkpoint", fail)
    if kind is None:
        settle(engine)
    else:
        with pytest.raises(kind):
            settle(engine)
