import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from bridge.domain.errors import StoreUnavailable
from bridge.ports import Refusal, Transaction
from bridge.storage import queries
from bridge.storage.engine import open_engine
from bridge.storage.schema import prepare
from bridge.storage.writer import SharedCommit


@asynccontextmanager
async def opened(folder: Path, **given: int) -> AsyncIterator[SharedCommit]:
    engine = open_engine(f"sqlite:///{folder / 'bridge.db'}")
    prepare(engine)
    writer = SharedCommit(engine, **given)  # type: ignore[arg-type]  # only whole numbers are given
    writer.start()
    try:
        yield writer
    finally:
        await writer.close()
        engine.dispose()


def kept(folder: Path) -> list[str]:
    engine = open_engine(f"sqlite:///{folder / 'bridge.db'}")
    with engine.connect() as connection:
        found = [row["id"] for row in queries.quarantined(connection)]
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
    going, held = threading.Event(), threading.Event()

    def hold(_tx: Transaction, items: Sequence[str]) -> list[str]:
        going.set()
        held.wait(10)
        return list(items)

    engine = open_engine(f"sqlite:///{tmp_path / 'bridge.db'}")
    prepare(engine)
    writer = SharedCommit(engine, on_commit=lambda items, _seconds: sizes.append(items))
    writer.start()
    first = asyncio.create_task(writer.submit(hold, "a"))
    await asyncio.to_thread(going.wait, 10)
    rest = [asyncio.create_task(writer.submit(keep, name)) for name in "bcd"]
    await asyncio.sleep(0)
    held.set()
    assert await asyncio.gather(first, *rest) == ["a", "b", "c", "d"]
    await writer.close()
    engine.dispose()
    assert sizes == [1, 3]


async def test_a_bad_item_fails_none_of_its_neighbours(tmp_path: Path) -> None:
    async with opened(tmp_path) as writer:
        results = await writer.submit_all(keep, ["a", "bad", "full", "b"])
    assert [type(one) for one in results] == [str, RuntimeError, RuntimeError, str]
    assert kept(tmp_path) == ["a", "b"]


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
