import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kept import NOW_US, kept, said
from msgspec.structs import astuple
from sqlalchemy import ClauseElement, Connection, bindparam, column, delete, select, update, values

from bridge.domain.deliveries import State
from bridge.ports import Settlement
from bridge.storage import tables
from bridge.storage.prepared import Query, Rows, as_set, driver_of, in_set, names_of
from bridge.storage.sets import insert, upsert

SIZES = (0, 1, 2, 3, 63, 64, 65, 127, 128, 200)
WORKSPACES = names_of(tables.workspaces)
ALL_WORKSPACES = select(tables.workspaces).order_by(tables.workspaces.c.scope)
ATTEMPT = names_of(tables.attempts, "id")
ODD_TEXTS = (
    *("", "'", '"', "\\", "''; --", '["a"]', "a,b", "null", "1", "01", "1.0", "1e1", "true"),
    *(
        "?",
        ":of",
        "%s",
        "Å",
        "å",
        "A",
        "a",
        "a\u030a",
        "\N{GRINNING FACE}",
        "\u2028",
        "\x01",
        "\n",
        "\x7f",
        " a ",
    ),
    *("x" * 100_000, "\N{GRINNING FACE}" * 20_000),
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with kept(tmp_path) as store, store.engine.begin() as one:
        yield one


@pytest.fixture
def driver(connection: Connection) -> sqlite3.Connection:
    found = driver_of(connection)
    assert isinstance(found, sqlite3.Connection)
    return found


def attempts(count: int) -> list[tuple[object, ...]]:
    return [
        (number % 7, NOW_US - number, number, "retried", 503, f"'{number}'\"å")
        for number in range(count)
    ]


def found_attempts(connection: Connection) -> list[tuple[Any, ...]]:
    table = tables.attempts
    query = select(*(table.c[name] for name in ATTEMPT)).order_by(table.c.id)
    return [tuple(row) for row in connection.execute(query)]


def of_outbox(*names: str) -> Callable[[Connection], list[tuple[Any, ...]]]:
    """Return what reads these columns of the outbox."""
    table = tables.outbox
    query = select(*(table.c[name] for name in names)).order_by(table.c.id)
    return lambda connection: [tuple(row) for row in connection.execute(query)]


def found_workspaces(connection: Connection) -> dict[str, int]:
    return {row.scope: row.highest_id for row in connection.execute(ALL_WORKSPACES)}


@pytest.mark.parametrize("size", SIZES)
def test_a_set_of_rows_arrives_whole_and_in_order(
    connection: Connection, driver: sqlite3.Connection, size: int
) -> None:
    Rows(tables.attempts.insert(), ATTEMPT).run(driver, attempts(size))
    assert found_attempts(connection) == attempts(size)


@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 1), (63, 6), (64, 1), (65, 2), (200, 4)])
def test_a_set_of_rows_takes_a_few_statements(
    driver: sqlite3.Connection, size: int, count: int
) -> None:
    run: list[str] = []
    driver.set_trace_callback(run.append)
    Rows(tables.attempts.insert(), ATTEMPT).run(driver, attempts(size))
    driver.set_trace_callback(None)
    assert len(run) == count


def test_one_statement_serves_for_sets_of_all_sizes_one_after_another(
    connection: Connection, driver: sqlite3.Connection
) -> None:
    rows = Rows(tables.attempts.insert(), ATTEMPT)
    for size in (*SIZES, *reversed(SIZES)):
        rows.run(driver, attempts(size))
    assert found_attempts(connection) == [
        one for size in (*SIZES, *reversed(SIZES)) for one in attempts(size)
    ]


@pytest.mark.parametrize("size", SIZES)
def test_an_upsert_gives_what_is_there_its_new_values_and_adds_the_rest(
    connection: Connection, driver: sqlite3.Connection, size: int
) -> None:
    rows = Rows(upsert(tables.workspaces, ["scope"], ["highest_id"]), WORKSPACES)
    rows.run(driver, [(f"s{number}", 1) for number in range(0, size, 2)])
    rows.run(driver, [(f"s{number}", number) for number in range(size)])
    assert found_workspaces(connection) == {f"s{number}": number for number in range(size)}


@pytest.mark.parametrize("size", SIZES)
def test_the_constants_of_an_upsert_stand_behind_its_rows(
    connection: Connection, driver: sqlite3.Connection, size: int
) -> None:
    table = tables.workspaces
    statement = insert(table).on_conflict_do_update(
        index_elements=["scope"], set_={"highest_id": 777}, where=table.c.highest_id != 3
    )
    rows = Rows(statement, WORKSPACES)
    given = [(f"s{number}", number) for number in range(size)]
    rows.run(driver, given)
    assert found_workspaces(connection) == dict(given)
    rows.run(driver, given)
    assert found_workspaces(connection) == {
        scope: 3 if number == 3 else 777 for scope, number in given
    }


def test_columns_with_a_value_of_their_own_may_be_left_out(
    connection: Connection, driver: sqlite3.Connection
) -> None:
    assert [one.name for one in tables.attempts.c] == ["id", *ATTEMPT]
    assert names_of(tables.workspaces, *WORKSPACES) == []
    Rows(tables.attempts.insert(), ATTEMPT).run(driver, attempts(2))
    assert list(connection.execute(select(tables.attempts.c.id)).scalars()) == [1, 2]


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        (tables.workspaces.insert(), WORKSPACES[::-1]),
        (upsert(tables.workspaces, ["scope"], ["highest_id"]), WORKSPACES[::-1]),
        (tables.attempts.insert(), sorted(ATTEMPT)),
        (tables.workspaces.insert().values(highest_id=1), ["scope"]),
        (select(tables.workspaces), WORKSPACES),
        (delete(tables.workspaces), WORKSPACES),
        (update(tables.workspaces).values(highest_id=1), ["highest_id"]),
        (
            update(tables.workspaces)
            .values(highest_id=column("n"))
            .where(tables.workspaces.c.scope.in_(["s1"])),
            WORKSPACES,
        ),
    ],
)
def test_what_is_no_statement_for_these_rows_is_refused_and_changes_nothing(
    connection: Connection,
    driver: sqlite3.Connection,
    statement: ClauseElement,
    columns: Sequence[str],
) -> None:
    Rows(tables.workspaces.insert(), WORKSPACES).run(driver, [("s1", 5)])
    refused = Rows(statement, columns)
    for _ in range(2):
        with pytest.raises(ValueError, match="no statement for rows"):
            refused.run(driver, [("7",) * len(columns)])
    assert found_workspaces(connection) == {"s1": 5}


def test_an_update_that_reads_fewer_columns_than_are_given_is_refused(
    driver: sqlite3.Connection,
) -> None:
    table = tables.workspaces
    fresh = values(column("scope", table.c.scope.type), name="fresh").data([("",)]).cte()
    statement = update(table).where(table.c.scope == fresh.c.scope).values(highest_id=1)
    with pytest.raises(ValueError, match="no statement for rows"):
        Rows(statement, WORKSPACES).run(driver, [("s1", 5)])


def test_the_constants_of_an_update_stand_behind_its_rows(
    connection: Connection, driver: sqlite3.Connection
) -> None:
    table = tables.workspaces
    Rows(table.insert(), WORKSPACES).run(driver, [(f"s{number}", number) for number in range(200)])
    fresh = values(column("scope", table.c.scope.type), name="fresh").data([("",)]).cte()
    statement = (
        update(table)
        .where(table.c.scope == fresh.c.scope, table.c.highest_id > 99)
        .values(highest_id=777)
    )
    Rows(statement, ["scope"]).run(driver, [(f"s{number}",) for number in range(0, 200, 2)])
    assert found_workspaces(connection) == {
        f"s{number}": number if number % 2 or number <= 99 else 777 for number in range(200)
    }


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 200])
def test_settling_changes_exactly_the_rows_named_and_of_them_what_is_settled(
    tmp_path: Path, size: int
) -> None:
    names = Settlement.__struct_fields__
    rest = names_of(tables.outbox, *names)
    with kept(tmp_path) as store:
        store.take(
            *(
                said("call.answered", f"r{number}", callerNumber="anonymous")
                for number in range(205)
            )
        )
        before, rest_before = store.do(of_outbox(*names)), store.do(of_outbox(*rest))
        assert len(before) == 205
        settled = [
            Settlement(
                id=one[0],
                state=list(State)[index % len(State)],
                due_us=NOW_US + index,
                attempts=index,
                tier=index % 2,
                remote_id=str(index),
                error="'å\"" if index % 3 else "",
                done_us=index if index % 2 else None,
            )
            for index, one in enumerate(before[3 : 3 + size])
        ]
        foreign = Settlement(id=10_000, state=State.DEAD, due_us=0, attempts=0)
        store.tx(lambda tx: tx.settle([*reversed(settled), foreign]))
        assert store.do(of_outbox(*names)) == [
            *before[:3],
            *map(astuple, settled),
            *before[3 + size :],
        ]
        assert store.do(of_outbox(*rest)) == rest_before


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sets(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
        | st.sampled_from(ODD_TEXTS)
    ),
    st.sets(st.sampled_from(ODD_TEXTS)),
)
@example(set(ODD_TEXTS), set(ODD_TEXTS))
@example(set(), set(ODD_TEXTS))
def test_the_texts_of_a_set_are_found_and_no_others(
    connection: Connection, driver: sqlite3.Connection, there: set[str], wanted: set[str]
) -> None:
    driver.execute("DELETE FROM workspaces")
    Rows(tables.workspaces.insert(), WORKSPACES).run(driver, [(one, 1) for one in there])
    scope = tables.workspaces.c.scope
    query = Query(select(scope).where(in_set(scope, "of")))
    assert {one for (one,) in query.run(driver, of=as_set(wanted))} == there & wanted
    found = connection.execute(select(scope).where(in_set(scope, "of")), {"of": as_set(wanted)})
    assert set(found.scalars()) == there & wanted


def test_a_text_that_sqlite_would_cut_off_is_in_no_set(driver: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match=re.escape("U+0000")):
        as_set(["fine", "a\0b"])
    scope = tables.workspaces.c.scope
    harmless = ["a", "\\u0000", "a\\\\u0000"]
    Rows(tables.workspaces.insert(), WORKSPACES).run(driver, [(one, 1) for one in harmless])
    found = Query(select(scope).where(in_set(scope, "of"))).run(driver, of=as_set(harmless))
    assert {one for (one,) in found} == set(harmless)


def test_the_numbers_of_a_set_are_found_and_no_others(driver: sqlite3.Connection) -> None:
    there = {0, 1, -1, 17, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)}
    Rows(tables.workspaces.insert(), WORKSPACES).run(driver, [(f"s{one}", one) for one in there])
    number = tables.workspaces.c.highest_id
    query = Query(select(number).where(in_set(number, "of")))
    for wanted in (there, {17, 18}, {2**53, 2**53 + 1}, {2**63 - 1, -(2**63)}, set[int]()):
        assert {one for (one,) in query.run(driver, of=as_set(wanted))} == there & wanted


@pytest.mark.parametrize("size", [*SIZES, 40_000])
def test_a_set_may_be_of_any_size(driver: sqlite3.Connection, size: int) -> None:
    there = [(f"s{number}", number) for number in range(0, 200, 3)]
    Rows(tables.workspaces.insert(), WORKSPACES).run(driver, there)
    query = Query(select(tables.workspaces).where(in_set(tables.workspaces.c.scope, "of")))
    found = query.run(driver, of=as_set(f"s{number}" for number in range(size)))
    assert sorted(found) == sorted(one for one in there if one[1] < size)


def test_a_query_keeps_its_constants_and_takes_what_it_is_given_by_name(
    driver: sqlite3.Connection,
) -> None:
    table = tables.workspaces
    Rows(table.insert(), WORKSPACES).run(driver, [(f"s{number}", number) for number in range(20)])
    query = Query(
        select(table.c.highest_id, table.c.scope)
        .where(table.c.highest_id > 3, table.c.highest_id < bindparam("below"))
        .order_by(table.c.highest_id.desc())
        .limit(2)
        .offset(bindparam("after"))
    )
    assert query.run(driver, below=10, after=0) == [(9, "s9"), (8, "s8")]
    assert query.run(driver, after=1, below=6) == [(4, "s4")]
    assert query.run(driver, below=4, after=0) == []
    assert query.run(driver, below=10, after=0) == [(9, "s9"), (8, "s8")]


def test_a_value_that_has_a_name_may_stand_at_several_places(driver: sqlite3.Connection) -> None:
    table = tables.workspaces
    Rows(table.insert(), WORKSPACES).run(driver, [("s1", 1), ("s2", 2)])
    one: Any = bindparam("one")
    query = Query(
        select(table.c.scope, (table.c.highest_id + one).label("sum"))
        .where(table.c.highest_id == one)
        .where(table.c.scope != bindparam("but"))
    )
    assert query.run(driver, one=2, but="s1") == [("s2", 4)]
    assert query.run(driver, one=2, but="s2") == []


def test_a_value_that_was_given_once_is_not_kept_for_the_next_time(
    driver: sqlite3.Connection,
) -> None:
    table = tables.workspaces
    Rows(table.insert(), WORKSPACES).run(driver, [("s1", 1), ("s2", 2)])
    number: Any = bindparam("number", 1)
    query = Query(select(table.c.scope).where(table.c.highest_id == number))
    assert query.run(driver, number=2) == [("s2",)]
    assert query.run(driver) == [("s1",)]


def test_a_statement_that_returns_nothing_is_run_and_returns_no_rows(
    connection: Connection, driver: sqlite3.Connection
) -> None:
    table = tables.workspaces
    Rows(table.insert(), WORKSPACES).run(driver, [("s1", 1), ("s2", 2), ("s3", 3)])
    change = Query(update(table).where(in_set(table.c.scope, "of")).values(highest_id=7))
    assert change.run(driver, of=as_set(["s1", "s3"])) == []
    assert found_workspaces(connection) == {"s1": 7, "s2": 2, "s3": 7}


def test_what_is_written_through_the_driver_goes_with_the_transaction(tmp_path: Path) -> None:
    rows = Rows(tables.workspaces.insert(), WORKSPACES)
    with kept(tmp_path) as store:
        with store.engine.connect() as connection:
            with connection.begin():
                rows.run(driver_of(connection), [("s1", 1)])
            with connection.begin() as undone:
                rows.run(driver_of(connection), [("s2", 2)])
                savepoint = connection.begin_nested()
                rows.run(driver_of(connection), [("s3", 3)])
                savepoint.rollback()
                assert found_workspaces(connection) == {"s1": 1, "s2": 2}
                undone.rollback()
        assert store.do(found_workspaces) == {"s1": 1}
