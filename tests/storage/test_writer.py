import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from bridge.domain.errors import StoreBroken, StoreError, StoreUnavailable, StoreUnusable
from bridge.ports import Refusal, Transaction
from bridge.storage import checkpoints, refusals
from bridge.storage.engine import open_engine
from bridge.storage.schema import prepare
from bridge.storage.writer import SharedCommit


@asynccontextmanager
async def opened(
    folder: Path, failures: Sequence[Exception | None] = (), **given: Any
) -> AsyncIterator[SharedCommit]:
    """Give a writer at work, of whose commits the first ones fail as told."""
    engine = open_engine(f"sqlite:///{folder / 'bridge.db'}")
    prepare(engine)
    coming = iter(failures)

    def fail(_connection: object) -> None:
        if (failure := next(coming, None)) is not None:
            raise failure

    event.listen(engine, "commit", fail)
    writer = SharedCommit(engine, **given)
    writer.start()
    try:
        yield writer
    finally:
        await writer.close()
        engine.dispose()


def failure_of(code: int) -> sqlite3.OperationalError:
    """Return an error as SQLite raises it."""
    error = sqlite3.OperationalError("some words")
    error.sqlite_errorcode = code
    return error


class Holder:
    """Holds the writer, once it has begun, such that what is submitted meanwhile has to wait."""

    def __init__(self) -> None:
        self._going, self._held = threading.Event(), threading.Event()

    def __call__(self, _tx: Transaction, items: Sequence[str]) -> list[str]:
        self._going.set()
        self._held.wait(10)
        return list(items)

    async def begun(self) -> None:
        await asyncio.to_thread(self._going.wait, 10)

    def let_go(self) -> None:
        self._held.set()


async def results_of_waiting(writer: SharedCommit) -> list[str | BaseException]:
    """Return what becomes of one that is being handled and three that wait behind it."""
    holder = Holder()
    first = asyncio.create_task(writer.submit(holder, "a"))
    await holder.begun()
    rest = [asyncio.create_task(writer.submit(keep, name)) for name in "bcd"]
    await asyncio.sleep(0)
    holder.let_go()
    return await asyncio.gather(first, *rest, return_exceptions=True)


def kept(folder: Path) -> list[str]:
    engine = open_engine(f"sqlite:///{folder / 'bridge.db'}")
    with engine.connect() as connection:
        found = [row["id"] for row in refusals.rows(connection)]
    engine.dispose()
    return sorted(found)


def refusal(name: str) -> Refusal:
    return Refusal(
        id=name,
        source="aventa",
        received_us=1,
        status=422,
        content_type="application/json",
        event_id="",
        event_type="",
        issues=(),
        body=b"{}",
        is_cut=False,
    )


def keep(tx: Transaction, names: Sequence[str]) -> list[str]:
    for name in names:
        if name == "bad":
            raise RuntimeError("a bad item")
        if name == "full":
            tx.add_refusals([refusal("half-done")])
            raise RuntimeError("after half of the work")
        tx.add_refusals([refusal(name)])
    return list(names)


async def test_what_is_submitted_while_a_commit_runs_shares_the_next_one(tmp_path: Path) -> None:
    sizes: list[int] = []
    async with opened(tmp_path, on_commit=lambda items, _seconds: sizes.append(items)) as writer:
        assert await results_of_waiting(writer) == ["a", "b", "c", "d"]
    assert sizes == [1, 3]


async def test_a_bad_item_fails_none_of_its_neighbours(tmp_path: Path) -> None:
    async with opened(tmp_path) as writer:
        results = await writer.submit_all(keep, ["a", "bad", "full", "b"])
    assert [type(one) for one in results] == [str, RuntimeError, RuntimeError, str]
    assert kept(tmp_path) == ["a", "b"]


async def test_an_item_that_fails_alone_raises_what_its_handler_did(tmp_path: Path) -> None:
    async with opened(tmp_path) as writer:
        with pytest.raises(RuntimeError, match="a bad item"):
            await writer.submit(keep, "bad")


async def test_a_commit_takes_so_many_and_the_rest_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.storage.writer.GROUP_MAX", 2)
    sizes: list[int] = []
    async with opened(tmp_path, on_commit=lambda items, _seconds: sizes.append(items)) as writer:
        assert await results_of_waiting(writer) == ["a", "b", "c", "d"]
    assert sizes == [1, 2, 1]


async def test_whoever_waits_may_be_cancelled_and_the_item_is_kept_all_the_same(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as writer:
        task = asyncio.create_task(writer.submit(keep, "a"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert kept(tmp_path) == ["a"]


async def test_a_closed_store_takes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as writer:
        await writer.close()
        with pytest.raises(StoreUnavailable):
            await writer.submit(keep, "a")


async def test_too_much_in_flight_is_refused_and_what_is_in_goes_through(tmp_path: Path) -> None:
    async with opened(tmp_path, pending_max=2) as writer:
        first = asyncio.create_task(writer.submit_all(keep, ["a", "b"]))
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="in flight"):
            await writer.submit(keep, "c")
        assert await first == ["a", "b"]
        assert await writer.submit(keep, "d") == "d"


async def test_a_full_disk_fails_the_whole_group_and_the_writer_recovers(tmp_path: Path) -> None:
    def fill(tx: Transaction, items: Sequence[str]) -> list[str]:
        connection = tx._connection  # type: ignore[attr-defined]  # noqa: SLF001 - to fill it up
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count={pages}"))
        return list(items)

    def free(tx: Transaction, items: Sequence[str]) -> list[str]:
        connection = tx._connection  # type: ignore[attr-defined]  # noqa: SLF001 - as above
        connection.execute(text("PRAGMA max_page_count=1073741823"))
        return list(items)

    def keep_much(tx: Transaction, names: Sequence[str]) -> list[str]:
        many = [refusal(f"{name}-{number}") for name in names for number in range(2000)]
        tx.add_refusals(many)
        return list(names)

    async with opened(tmp_path) as writer:
        await writer.submit(fill, "")
        with pytest.raises(StoreUnavailable, match="full"):
            await writer.submit(keep_much, "a")
        await writer.submit(free, "")
        assert await writer.submit(keep_much, "b") == "b"
    assert all(name.startswith("b") for name in kept(tmp_path))


async def test_what_waited_for_a_locked_store_is_refused_with_the_one_that_found_out(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, [failure_of(sqlite3.SQLITE_BUSY)]) as writer:
        results = await results_of_waiting(writer)
        assert [type(one) for one in results] == [StoreUnavailable] * 4
        assert writer.failure is None
        assert await writer.submit(keep, "e") == "e"
    assert kept(tmp_path) == ["e"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [(sqlite3.SQLITE_IOERR_FSYNC, StoreBroken), (sqlite3.SQLITE_CORRUPT, StoreUnusable)],
)
async def test_after_a_failed_sync_or_damage_nobody_is_answered_and_nothing_is_taken(
    tmp_path: Path, code: int, kind: type[StoreError]
) -> None:
    told: list[str] = []
    async with opened(
        tmp_path, [failure_of(code)], on_broken=lambda: told.append("broken")
    ) as writer:
        results = await results_of_waiting(writer)
        assert [type(one) for one in results] == [StoreBroken] * 4
        assert type(writer.failure) is kind
        assert told == ["broken"]
        with pytest.raises(StoreBroken):
            await writer.submit(keep, "e")
    assert kept(tmp_path) == []


async def test_a_failed_sync_is_the_end_whether_anybody_wants_to_be_told_or_not(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, [failure_of(sqlite3.SQLITE_IOERR_FSYNC)]) as writer:
        with pytest.raises(StoreBroken):
            await writer.submit(keep, "a")
        assert isinstance(writer.failure, StoreBroken)


async def test_a_full_disk_while_items_are_handled_one_by_one_fails_them_all(
    tmp_path: Path,
) -> None:
    def fail(tx: Transaction, names: Sequence[str]) -> list[str]:
        if len(names) > 1:
            raise RuntimeError("a bad item")
        if names == ["b"]:
            raise failure_of(sqlite3.SQLITE_FULL)
        return keep(tx, names)

    async with opened(tmp_path) as writer:
        with pytest.raises(StoreUnavailable):
            await writer.submit_all(fail, ["a", "b"])
        assert writer.failure is None
    assert kept(tmp_path) == []


async def test_a_store_that_can_not_be_opened_refuses_with_its_reason(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'bridge.db'}")
    prepare(engine)
    engine.dispose()

    @event.listens_for(engine, "do_connect")
    def connect(*_: object) -> None:
        raise StoreUnavailable("the disk is away")

    writer = SharedCommit(engine)
    writer.start()
    with pytest.raises(StoreUnavailable, match="the disk is away"):
        await writer.submit(keep, "a")
    await writer.close()


async def test_a_handler_that_answers_for_too_few_fails_alone(tmp_path: Path) -> None:
    def forget_one(tx: Transaction, names: Sequence[str]) -> list[str]:
        return keep(tx, names)[1:]

    async with opened(tmp_path) as writer:
        results = await writer.submit_all(forget_one, ["a", "b"])
        assert [type(one) for one in results] == [ValueError, ValueError]
        assert await writer.submit(keep, "c") == "c"
    assert kept(tmp_path) == ["c"]


async def test_a_fault_of_the_writers_own_leaves_nobody_waiting(tmp_path: Path) -> None:
    def fail(_items: int, _seconds: float) -> None:
        raise RuntimeError("not counted")

    async with opened(tmp_path, on_commit=fail) as writer:
        results = await results_of_waiting(writer)
        assert results[0] == "a"
        assert [type(one) for one in results[1:]] == [StoreBroken] * 3
        assert "RuntimeError" in str(writer.failure)
        assert "not counted" not in str(writer.failure)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (None, None),
        (sqlite3.SQLITE_FULL, None),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreBroken),
        (sqlite3.SQLITE_CORRUPT, StoreUnusable),
    ],
)
async def test_a_checkpoint_ends_the_writer_only_where_a_commit_would_and_after_the_answer(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int | None,
    kind: type[StoreError] | None,
) -> None:
    made = threading.Event()

    def checkpoint(_connection: object) -> None:
        made.set()
        if code is not None:
            raise failure_of(code)

    monkeypatch.setattr(checkpoints, "DUE_ROWS", 1)
    monkeypatch.setattr(checkpoints, "checkpoint", checkpoint)
    async with opened(tmp_path) as writer:
        assert await writer.submit(keep, "a") == "a"
        await asyncio.to_thread(made.wait, 10)
        if kind is None:
            assert await writer.submit(keep, "b") == "b"
        else:
            with pytest.raises(StoreBroken):
                await writer.submit(keep, "b")
            assert type(writer.failure) is kind
    assert "a" in kept(tmp_path)


@pytest.mark.parametrize("failure", [OSError("away"), failure_of(sqlite3.SQLITE_BUSY)])
async def test_what_fails_after_a_commit_changes_no_answer_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*_: object) -> bool:
        raise failure

    monkeypatch.setattr(checkpoints.Checkpoints, "committed", fail)
    async with opened(tmp_path) as writer:
        assert await results_of_waiting(writer) == ["a", "b", "c", "d"]
        assert await writer.submit(keep, "e") == "e"
        assert writer.failure is None
    assert kept(tmp_path) == ["b", "c", "d", "e"]


async def test_damage_that_is_found_after_a_commit_ends_the_writer_and_not_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise failure_of(sqlite3.SQLITE_CORRUPT)

    monkeypatch.setattr(checkpoints.Checkpoints, "committed", fail)
    async with opened(tmp_path) as writer:
        assert await writer.submit(keep, "a") == "a"
        await writer.close()
        await asyncio.sleep(0)
        assert type(writer.failure) is StoreUnusable
    assert kept(tmp_path) == ["a"]


def test_a_writer_whose_loop_is_gone_finishes_all_the_same(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'bridge.db'}")
    prepare(engine)
    writer, holder = SharedCommit(engine), Holder()

    async def leave() -> None:
        writer.start()
        asyncio.create_task(writer.submit(holder, "a"))  # noqa: RUF006 - it is to be left alone
        await holder.begun()

    asyncio.run(leave())
    holder.let_go()
    asyncio.run(writer.close())
    engine.dispose()


async def test_a_writer_that_never_started_takes_nothing_and_closes(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'bridge.db'}")
    writer = SharedCommit(engine)
    with pytest.raises(StoreUnavailable):
        await writer.submit(keep, "a")
    await writer.close()
    engine.dispose()
