"""What happens while somebody sets the machine's clock."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from bench import Bench, bench, document
from sqlalchemy import event

from bridge.domain.errors import StoreUnavailable
from bridge.domain.outcomes import Reply

HOUR_US = 3_600_000_000
SOME_CALL = document("call.answered", callerNumber="anonymous")
both_ways = pytest.mark.parametrize("hours", [24, -24])


async def set_clock(on: Bench, hours: float) -> None:
    """Set the machine's clock, and let upkeep see it."""
    on.clock.drifted_us = round(hours * HOUR_US)
    await on.upkeep.follow_clock()


@both_ways
async def test_a_retry_is_due_when_it_was(tmp_path: Path, hours: int) -> None:
    async with bench(tmp_path) as on:
        on.sender.script = [Reply(status=425, retry_after_s=10.0)]
        on.start()
        await on.take(SOME_CALL)
        await on.turn(1)
        assert len(on.sender.sent) == 1
        await set_clock(on, hours)
        await on.turn(8)
        assert len(on.sender.sent) == 1
        await on.turn(3)
        assert len(on.sender.sent) == 2


@both_ways
async def test_what_waits_does_not_leave_all_at_once(tmp_path: Path, hours: int) -> None:
    async with bench(tmp_path) as on:
        on.sender.answer = lambda _parcel: Reply(status=425, retry_after_s=600.0)
        on.start()
        await on.take(*(SOME_CALL | {"eventId": f"{n}", "referenceId": f"r{n}"} for n in range(20)))
        await on.turn(2)
        before = len(on.sender.sent)
        assert before == 20
        await set_clock(on, hours)
        await on.turn(30)
        assert len(on.sender.sent) == before


@both_ways
async def test_a_calls_timer_runs_out_when_it_was_to(tmp_path: Path, hours: int) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.queued"), document("call.ended"))
        await set_clock(on, hours)
        on.clock.advance(9)
        await on.upkeep.close_calls()
        assert ("call", "abandoned") not in on.meter.counted
        on.clock.advance(1)
        await on.upkeep.close_calls()
        assert ("call", "abandoned") in on.meter.counted


@both_ways
async def test_the_bridge_goes_by_the_new_time_and_says_so_once(tmp_path: Path, hours: int) -> None:
    async with bench(tmp_path) as on:
        await on.take(SOME_CALL)
        before_us = on.clock.now_us()
        await set_clock(on, hours)
        await on.upkeep.follow_clock()
        assert on.clock.now_us() - before_us == hours * HOUR_US
        said = {"seconds": hours * 3600.0, "moved": 2}
        forwards = [("nothing old is removed for a while", {"hours": 24.0})] if hours > 0 else []
        assert on.log.said == [("the machine's clock was set", said), *forwards]


async def test_what_was_delivered_is_known_after_a_leap_forward_and_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.start()
        await on.take(document("call.answered"))
        await on.turn(5)
        await set_clock(on, 100 * 24)
        on.clock.advance(23 * 3600)
        await on.upkeep.archive()
        await on.upkeep.purge()
        await set_clock(on, -100 * 24)
        (receipt,) = await on.take(document("call.answered"))
        assert getattr(receipt, "taken", receipt) == "duplicate"
        await on.take(document("call.queued", "r2"))
        await on.turn(5)
        assert sorted(on.sender.kinds()) == ["contact_card", "new_errand"]


async def test_a_purge_that_waits_its_turn_while_the_clock_leaps_removes_nothing(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        await on.take(SOME_CALL)
        on.clock.drifted_us = 100 * 24 * HOUR_US
        await asyncio.gather(on.upkeep.follow_clock(), on.upkeep.purge())
        assert payloads(on) == 1


@pytest.mark.parametrize(("hours", "held_s"), [(100 * 24, 86_400), (1, 0), (-100 * 24, 0)])
async def test_what_is_old_goes_a_day_after_a_leap_forward_and_at_once_after_any_other_step(
    tmp_path: Path, hours: int, held_s: int
) -> None:
    async with bench(tmp_path) as on:
        await on.take(SOME_CALL)
        on.clock.advance(200 * 24 * 3600)
        await set_clock(on, hours)
        if held_s:
            on.clock.advance(held_s - 1)
            await on.upkeep.purge()
            assert payloads(on) == 1
            on.clock.advance(1)
        await on.upkeep.purge()
        assert payloads(on) == 0


def payloads(on: Bench) -> int:
    """Return how many events still have their content."""
    with on.engine.connect() as connection:
        query = "SELECT count(*) FROM events WHERE payload IS NOT NULL"
        return int(connection.exec_driver_sql(query).scalar_one())


async def test_a_clock_that_is_slewed_is_followed_without_a_word(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.clock.drifted_us = -1_999_999
        await on.upkeep.follow_clock()
        assert (on.clock.drifted_us, on.clock.followed_us, on.log.said) == (0, -1_999_999, [])


async def test_a_clock_is_not_followed_while_the_store_takes_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.writer.close()
        with pytest.raises(StoreUnavailable):
            await set_clock(on, 24)
        assert (on.clock.drifted_us, on.clock.followed_us) == (24 * HOUR_US, 0)


async def test_a_clock_is_followed_back_when_the_commit_fails(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL

        @event.listens_for(on.engine, "commit")
        def fail(_connection: object) -> None:
            raise full

        with pytest.raises(StoreUnavailable):
            await set_clock(on, 24)
        assert (on.clock.drifted_us, on.clock.followed_us) == (24 * HOUR_US, 0)
        event.remove(on.engine, "commit", fail)
        await on.upkeep.follow_clock()
        assert (on.clock.drifted_us, on.clock.followed_us) == (0, 24 * HOUR_US)


async def test_a_commit_that_is_done_again_follows_the_clock_once(tmp_path: Path) -> None:
    started, goes_on = threading.Event(), threading.Event()

    def hold(_tx: object, items: Sequence[None]) -> list[None]:
        started.set()
        goes_on.wait(10)
        return [None for _ in items]

    def fault(_tx: object, _items: Sequence[None]) -> list[None]:
        raise ValueError("a fault of this item's own")

    async with bench(tmp_path) as on:
        await on.take(document("call.queued"), document("call.ended"))
        holding = asyncio.ensure_future(on.writer.submit(hold, None))
        await asyncio.to_thread(started.wait, 10)
        stepping = asyncio.ensure_future(set_clock(on, 24))
        faulty = asyncio.ensure_future(on.writer.submit(fault, None))
        await asyncio.sleep(0)
        goes_on.set()
        done = await asyncio.gather(holding, stepping, faulty, return_exceptions=True)
        assert [type(one) for one in done] == [type(None), type(None), ValueError]
        assert (on.clock.drifted_us, on.clock.followed_us) == (0, 24 * HOUR_US)
        on.clock.advance(10)
        await on.upkeep.close_calls()
        assert on.meter.counted.count(("call", "abandoned")) == 1
