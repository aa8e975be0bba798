"""From the first schema to the newest, and what becomes of a store that can't be brought there."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from bridge.domain.errors import StoreTooNew, StoreUnavailable, StoreUnusable
from bridge.storage import tables
from bridge.storage.engine import open_engine
from bridge.storage.schema import KNOWN_SCHEMAS, current_schema, digest_key, ensure_current, prepare
from bridge.storage.transaction import SqlTransaction

# A store as the release of schema 0001 left it: killed at work, with something in every table.
FIRST_STORE = Path(__file__).parents[1] / "data" / "store_0001.sql"
TABLES = (
    "attempts",
    "calls",
    "events",
    "meta",
    "outbox",
    "pauses",
    "people",
    "person_keys",
    "quarantine",
)
Rows = list[dict[str, Any]]


def first_store(path: Path) -> None:
    """Make the store of the first schema."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_STORE.read_text(encoding="ascii"))


def contents(path: Path, names: Iterable[str] = TABLES) -> dict[str, Rows]:
    """Return all that stands in these tables: the first schema's, if nothing else is said."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            table: [
                dict(row)
                for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")  # noqa: S608 - names of this test
            ]
            for table in names
        }


def without_what_is_new(after: dict[str, Rows]) -> dict[str, Rows]:
    """Leave out what schema 0005 has added, of which nothing is known for what was there before."""
    assert {row.pop("rule") for row in after["events"]} == {None}
    assert {row.pop("trace") for row in after["outbox"]} == {None}
    return after


def columns_of(path: Path) -> set[Any]:
    """Return each table's columns, and the indexes, as they are: a column may be added or made."""
    with closing(sqlite3.connect(path)) as connection:
        made = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'")
        found = set(made)
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            found |= {(name, *row[1:]) for row in connection.execute(f"PRAGMA table_info({name})")}
    return found


def columns_of_a_new_one(folder: Path) -> set[Any]:
    """Make a new store, and return its columns and indexes."""
    fresh = open_engine(f"sqlite:///{folder / 'fresh.db'}")
    prepare(fresh)
    fresh.dispose()
    return columns_of(folder / "fresh.db")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "bridge.db"
    first_store(made)
    return made


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{path}")
    yield made
    made.dispose()


def test_the_first_store_holds_something_of_everything(path: Path, engine: Engine) -> None:
    with engine.connect() as connection:
        assert current_schema(connection) == KNOWN_SCHEMAS[0]
    before = contents(path)
    assert all(before.values())
    tried = {(row["state"], row["attempts"] > 0) for row in before["outbox"]}
    assert tried == {
        ("blocked", False),
        ("dead", True),
        ("delivered", True),
        ("held", True),
        ("parked", False),
        ("ready", False),
        ("ready", True),
        ("sending", True),
    }


def test_nothing_of_the_first_schema_is_lost(path: Path, engine: Engine) -> None:
    before = contents(path)
    prepare(engine)
    with engine.connect() as connection:
        assert current_schema(connection) == tables.SCHEMA_HEAD
    after = without_what_is_new(contents(path))
    columns = before["outbox"][0].keys()
    after["outbox"] = [{name: row[name] for name in columns} for row in after["outbox"]]
    assert after == before


def test_what_was_tried_leaves_as_such_and_is_looked_for_among_all_errands(
    path: Path, engine: Engine
) -> None:
    prepare(engine)
    rows = contents(path)["outbox"]
    assert {row["tier"] for row in rows if row["attempts"]} == {1}
    assert {row["tier"] for row in rows if not row["attempts"]} == {0}
    # Nobody knows what the highest errand was before its first try, so any may be the one.
    assert {row["floor_id"] for row in rows if row["attempts"]} == {0}
    # What was never tried gets its floor when it first leaves.
    assert {row["floor_id"] for row in rows if row["first_us"] is None and not row["error"]} == {
        None
    }


def test_an_upgraded_store_is_made_like_a_new_one(
    path: Path, engine: Engine, tmp_path: Path
) -> None:
    prepare(engine)
    fresh = open_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    prepare(fresh)
    fresh.dispose()
    made = []
    for one in (path, tmp_path / "fresh.db"):
        with closing(sqlite3.connect(one)) as connection:
            made.append(set(connection.execute("SELECT type, name, sql FROM sqlite_master")))
    assert made[0] == made[1]


def test_a_number_of_the_first_store_is_never_given_again(path: Path, engine: Engine) -> None:
    highest = max(row["id"] for row in contents(path)["outbox"])
    prepare(engine)
    with engine.begin() as connection:
        columns = ", ".join(column.name for column in tables.outbox.c if column.name != "id")
        again = columns.replace("key,", "key || '-again',")
        connection.execute(text("CREATE TEMP TABLE spare AS SELECT * FROM outbox LIMIT 1"))
        connection.execute(text("DELETE FROM outbox"))
        connection.execute(text(f"INSERT INTO outbox ({columns}) SELECT {again} FROM spare"))  # noqa: S608 - the bridge's own names
        given = connection.execute(text("SELECT id FROM outbox")).scalar_one()
    assert given == highest + 1


def test_the_secret_stays_so_that_duplicates_are_known(path: Path, engine: Engine) -> None:
    (before,) = (row["value"] for row in contents(path)["meta"] if row["name"] == "digest_key")
    prepare(engine)
    assert digest_key(engine) == before


SECOND_STORE = Path(__file__).parents[1] / "data" / "store_0002.sql"


class TestFromTheSecondSchema:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        made = tmp_path / "bridge.db"
        with closing(sqlite3.connect(made)) as connection:
            connection.executescript(SECOND_STORE.read_text(encoding="ascii"))
        return made

    def test_nothing_is_lost(self, path: Path, engine: Engine) -> None:
        tables_of_it = (*TABLES, "delivered", "sightings", "workspaces")
        before = contents(path, tables_of_it)
        assert all(before.values())
        prepare(engine)
        after = contents(path, tables_of_it)
        assert {row.pop("expires_us") for row in after["outbox"]} == {None}
        assert without_what_is_new(after) == before

    def test_it_is_made_like_a_new_one(self, path: Path, engine: Engine, tmp_path: Path) -> None:
        prepare(engine)
        assert columns_of(path) == columns_of_a_new_one(tmp_path)

    def test_what_it_knew_of_calls_and_people_is_read(self, path: Path, engine: Engine) -> None:
        keys = [("aventa", row["reference_id"]) for row in contents(path)["calls"]]
        prepare(engine)
        with engine.begin() as connection:
            tx = SqlTransaction(connection)
            assert len(tx.threads(keys)) == len(keys)
            people = tx.people([row["id"] for row in contents(path)["people"]])
        assert "c-1" in {one.wanted.cuid for one in people.values()}


THIRD_STORE = Path(__file__).parents[1] / "data" / "store_0003.sql"


class TestFromTheThirdSchema:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        made = tmp_path / "bridge.db"
        with closing(sqlite3.connect(made)) as connection:
            connection.executescript(THIRD_STORE.read_text(encoding="ascii"))
        return made

    def test_nothing_is_lost(self, path: Path, engine: Engine) -> None:
        later = ("delivered", "sightings", "workspaces", "quarrels", "told")
        before = contents(path, (*TABLES, *later))
        assert all(before.values())
        assert "given_up" in {row["state"] for row in before["outbox"]}
        prepare(engine)
        assert without_what_is_new(contents(path, (*TABLES, *later))) == before

    def test_it_is_made_like_a_new_one(self, path: Path, engine: Engine, tmp_path: Path) -> None:
        prepare(engine)
        assert columns_of(path) == columns_of_a_new_one(tmp_path)

    def test_answers_to_its_errands_find_their_calls(self, path: Path, engine: Engine) -> None:
        prepare(engine)
        with engine.begin() as connection:
            tx = SqlTransaction(connection)
            made = [
                int(row["remote_id"])
                for table in ("outbox", "delivered")
                for row in contents(path, (table,))[table]
                if row["kind"] == "new_errand" and row["remote_id"]
            ]
            found = {one.reference_id for one in tx.origins(made)}
        assert found == {"done", "open"}


FOURTH_STORE = Path(__file__).parents[1] / "data" / "store_0004.sql"


class TestFromTheFourthSchema:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        made = tmp_path / "bridge.db"
        with closing(sqlite3.connect(made)) as connection:
            connection.executescript(FOURTH_STORE.read_text(encoding="ascii"))
        return made

    def test_nothing_is_lost(self, path: Path, engine: Engine) -> None:
        later = ("delivered", "sightings", "workspaces", "quarrels", "told")
        back = ("answers", "reports", "ratings")
        before = contents(path, (*TABLES, *later, *back))
        assert all(before.values())
        prepare(engine)
        assert without_what_is_new(contents(path, (*TABLES, *later, *back))) == before

    def test_it_is_made_like_a_new_one(self, path: Path, engine: Engine, tmp_path: Path) -> None:
        prepare(engine)
        assert columns_of(path) == columns_of_a_new_one(tmp_path)


FIFTH_STORE = Path(__file__).parents[1] / "data" / "store_0005.sql"


class TestFromTheFifthSchema:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        made = tmp_path / "bridge.db"
        with closing(sqlite3.connect(made)) as connection:
            connection.executescript(FIFTH_STORE.read_text(encoding="ascii"))
        return made

    def test_nothing_is_lost(self, path: Path, engine: Engine) -> None:
        later = ("delivered", "sightings", "workspaces", "quarrels", "told")
        back = ("answers", "reports", "ratings")
        before = contents(path, (*TABLES, *later, *back))
        assert all(before.values())
        assert any(row["rule"] for row in before["events"])
        prepare(engine)
        assert contents(path, (*TABLES, *later, *back)) == before
        assert contents(path, ("agent_calls", "presence")) == {"agent_calls": [], "presence": []}

    def test_it_is_made_like_a_new_one(self, path: Path, engine: Engine, tmp_path: Path) -> None:
        prepare(engine)
        assert columns_of(path) == columns_of_a_new_one(tmp_path)


SIXTH_STORE = Path(__file__).parents[1] / "data" / "store_0006.sql"


class TestFromTheSixthSchema:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        made = tmp_path / "bridge.db"
        with closing(sqlite3.connect(made)) as connection:
            connection.executescript(SIXTH_STORE.read_text(encoding="ascii"))
        return made

    def test_nothing_is_lost(self, path: Path, engine: Engine) -> None:
        later = ("delivered", "sightings", "workspaces", "quarrels", "told")
        back = ("answers", "reports", "ratings", "agent_calls", "presence")
        before = contents(path, (*TABLES, *later, *back))
        assert all(before.values())
        prepare(engine)
        assert contents(path, (*TABLES, *later, *back)) == before
        assert contents(path, ("provisioned",)) == {"provisioned": []}

    def test_it_is_made_like_a_new_one(self, path: Path, engine: Engine, tmp_path: Path) -> None:
        prepare(engine)
        assert columns_of(path) == columns_of_a_new_one(tmp_path)


class TestBesideTheDaemon:
    def test_a_store_that_is_ready_can_be_worked_with(self, engine: Engine) -> None:
        prepare(engine)
        ensure_current(engine)

    def test_a_store_of_an_older_schema_is_left_to_the_daemon(self, engine: Engine) -> None:
        with pytest.raises(StoreUnusable, match=r"schema 0001.*start `run` once"):
            ensure_current(engine)

    def test_an_empty_file_is_left_to_the_daemon(self, tmp_path: Path) -> None:
        engine = open_engine(f"sqlite:///{tmp_path / 'empty.db'}")
        with pytest.raises(StoreUnusable, match="schema none"):
            ensure_current(engine)
        engine.dispose()

    def test_a_store_without_its_secret_is_not_ready(self, engine: Engine) -> None:
        prepare(engine)
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM meta"))
        with pytest.raises(StoreUnusable, match="start `run` once"):
            ensure_current(engine)
        assert digest_key(engine) == b""

    def test_a_store_of_a_newer_release_is_refused(self, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(StoreTooNew, match="schema 9999"):
            ensure_current(engine)


def test_a_store_that_is_not_the_bridges_own_is_refused_and_stays_as_it_was(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE outbox")
        connection.execute("CREATE TABLE outbox (recipe TEXT)")
        connection.execute("INSERT INTO outbox VALUES ('cake')")
        connection.commit()
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(StoreUnusable, match="is it the bridge's own"):
        prepare(engine)
    with engine.connect() as connection:
        assert current_schema(connection) == "0001"
        assert connection.execute(text("SELECT recipe FROM outbox")).scalars().all() == ["cake"]
    engine.dispose()


def test_a_store_that_has_no_room_to_be_migrated_may_be_later(path: Path, engine: Engine) -> None:
    before = contents(path)
    pages = 0

    def fill_up(connection: Any, _record: object) -> None:
        # As on a disk that has no room for one more page.
        connection.execute(f"PRAGMA max_page_count={pages}")

    with engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    engine.dispose()
    event.listen(engine, "connect", fill_up)
    with pytest.raises(StoreUnavailable, match="disk full"):
        prepare(engine)
    event.remove(engine, "connect", fill_up)
    engine.dispose()
    assert contents(path) == before
    prepare(engine)
    assert len(contents(path)["outbox"]) == len(before["outbox"])
