"""Offers, and what may come between one and its commit."""

import asyncio
import gc
from math import inf
from pathlib import Path

import pytest
from bench import gate
from offer_bench import answered, ended, hang, offering, some_steps
from sqlalchemy import text

from bridge.domain.deliveries import Kind
from bridge.domain.errors import StoreUnavailable
from bridge.services.ingest import Receipt, Taken
from bridge.services.recording import DispatchPolicy

DEFAULT = {"default"}


async def test_nothing_is_claimed_once_work_is_refused(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        on.dispatcher.refuse_work()
        assert on.dispatcher.offer(DEFAULT) is None
        await on.take(answered())
        assert on.states() == {"new_errand r1": "ready"}
        assert on.sent() == []
    async with offering(tmp_path) as on:
        await on.dispatcher.recover()
        on.start()
        await on.turn()
        assert on.sent() == ["new_errand r1"]


async def test_an_offer_is_taken_back_as_work_is_refused(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        async with on.held():
            taking = asyncio.create_task(on.take(answered()))
            await some_steps()
            stopping = asyncio.create_task(on.dispatcher.stop(5.0))
            await some_steps()
            assert not stopping.done()
        await taking
        assert await stopping == 0
        assert on.dispatcher.in_flight == 0
        assert on.sent() == []
        assert on.states() == {"new_errand r1": "ready"}
    async with offering(tmp_path) as on:
        await on.dispatcher.recover()
        on.start()
        await on.turn()
        assert on.sent() == ["new_errand r1"]


async def test_what_was_claimed_just_before_work_was_refused_leaves_and_is_waited_for(
    tmp_path: Path,
) -> None:
    async with offering(tmp_path) as on:
        async with on.committing(answered()):
            stopping = asyncio.create_task(on.dispatcher.stop(5.0))
            await some_steps()
            assert not stopping.done()
        assert await stopping == 0
        assert on.dispatcher.in_flight == 0
        assert on.sent() == ["new_errand r1"]
        assert on.states() == {"new_errand r1": "delivered"}


async def test_nothing_leaves_once_a_cancelled_request_and_the_dispatcher_are_done(
    tmp_path: Path,
) -> None:
    async with offering(tmp_path) as on:
        async with on.held():
            taking = asyncio.create_task(on.take(answered()))
            await some_steps()
            taking.cancel()
            stopping = asyncio.create_task(on.dispatcher.stop(5.0))
        assert await stopping == 0
        await on.writer.close()
        await some_steps()
        assert on.sent() == []
        assert on.states() == {"new_errand r1": "ready"}


async def test_a_commit_that_fails_gives_back_where_something_may_be_waiting(
    tmp_path: Path,
) -> None:
    async with offering(tmp_path) as on:
        on.dispatcher.wake([gate(Kind.ANSWER)])
        on.room = 0
        with pytest.raises(StoreUnavailable):
            await on.take(answered())
        assert {one for one, _ in on.channel.hot} >= {gate(Kind.ANSWER), gate(Kind.NEW_ERRAND)}
        assert not on.channel.is_claiming
        assert on.states() == {}
        assert on.sent() == []


async def test_after_a_commit_that_failed_the_next_event_leaves_and_the_refused_one_later(
    tmp_path: Path,
) -> None:
    async with offering(tmp_path) as on:
        on.start()
        await on.turn(2)
        hanging = hang(on)
        async with on.held():
            failing = [asyncio.create_task(on.take(answered(f"r{number}"))) for number in range(3)]
            await some_steps()
            on.room = 1
        refused = await asyncio.gather(*failing, return_exceptions=True)
        assert [type(one) for one in refused] == [StoreUnavailable] * 3
        on.room = inf
        await on.turn(2)
        await on.take(answered("next"))
        assert on.states() == {"new_errand next": "sending"}
        await on.take(*(answered(f"r{number}") for number in range(3)))
        hanging.set()
        await on.turn(2)
        first, *others = on.sent()
        assert first == "new_errand next"
        assert sorted(others) == [f"new_errand r{number}" for number in range(3)]


async def test_what_waited_before_a_commit_failed_still_leaves(tmp_path: Path) -> None:
    async with offering(tmp_path, policy=DispatchPolicy(in_flight_max=1)) as on:
        hanging = hang(on)
        await on.take(answered(), answered("r2"))
        hanging.set()
        await on.turn()
        assert sorted(on.states().values()) == ["delivered", "ready"]
        on.room = 0
        with pytest.raises(StoreUnavailable):
            await on.take(answered("r3"))
        on.room = inf
        await on.take(answered("r4"))
        await on.turn()
        on.start()
        await on.turn()
        assert sorted(on.sent()) == [f"new_errand r{number}" for number in (1, 2, 4)]


async def test_a_store_that_is_closing_takes_up_no_offer_and_keeps_none(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        await on.writer.close()
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await on.take(answered())
        assert not on.channel.is_claiming
        assert gate(Kind.NEW_ERRAND) in {one for one, _ in on.channel.hot}


async def test_whoever_is_cancelled_while_waiting_keeps_nothing_from_leaving(
    tmp_path: Path,
) -> None:
    async with offering(tmp_path) as on:
        async with on.held():
            taking = asyncio.create_task(on.take(answered()))
            await some_steps()
            taking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taking
        await on.turn()
        assert on.sent() == ["new_errand r1"]
        assert on.states() == {"new_errand r1": "delivered"}
        assert not on.channel.is_claiming


async def test_whoever_is_cancelled_before_a_commit_that_fails_leaves_no_claim_and_no_noise(
    tmp_path: Path,
) -> None:
    noise: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: noise.append(context["message"]))
    async with offering(tmp_path) as on:
        async with on.held():
            taking = asyncio.create_task(on.take(answered()))
            await some_steps()
            taking.cancel()
            on.room = 1
        with pytest.raises(StoreUnavailable):
            await on.take(answered("r2"))
        on.room = inf
        assert taking.cancelled()
        assert on.states() == {}
        assert not on.channel.is_claiming
        await on.take(answered())
        await on.turn()
        assert on.sent() == ["new_errand r1"]
    # What is never asked for is told of when it goes.
    del taking
    gc.collect()
    assert noise == []


async def test_an_event_that_fails_alone_fails_no_offer(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        await on.take(answered())
        await on.turn()
        with on.engine.begin() as connection:
            connection.execute(text("UPDATE calls SET state = X'00'"))
        hang(on)
        failed, kept = await on.take(ended(), answered("r2"))
        assert isinstance(failed, ValueError)
        assert isinstance(kept, Receipt)
        assert on.states() == {"new_errand r1": "delivered", "new_errand r2": "sending"}


async def test_events_behind_an_offer_of_a_commit_that_goes_singly_leave_too(
    tmp_path: Path,
) -> None:
    async with offering(tmp_path) as on:
        await on.take(answered())
        on.start()
        await on.turn(2)
        with on.engine.begin() as connection:
            connection.execute(text("UPDATE calls SET state = X'00'"))
        async with on.held():
            failing = asyncio.create_task(on.take(ended()))
            await some_steps()
            fine = asyncio.create_task(on.take(answered("r2")))
        assert isinstance((await failing)[0], ValueError)
        await fine
        await on.turn()
        assert on.sent() == ["new_errand r1", "new_errand r2"]


async def test_a_claim_that_fails_alone_fails_no_event(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        with on.engine.begin() as connection:
            connection.execute(text("ALTER TABLE pauses RENAME TO aside"))
        (kept,) = await on.take(answered())
        assert isinstance(kept, Receipt)
        assert kept.taken is Taken.ACCEPTED
        assert on.states() == {"new_errand r1": "ready"}
        assert on.told == [gate(Kind.NEW_ERRAND)]
        assert not on.channel.is_claiming
        with on.engine.begin() as connection:
            connection.execute(text("ALTER TABLE aside RENAME TO pauses"))
        on.start()
        await on.turn()
        assert on.sent() == ["new_errand r1"]


async def test_what_is_found_sending_after_an_offer_and_a_crash_is_in_doubt(
    tmp_path: Path,
) -> None:
    policy = DispatchPolicy(in_doubt="hold")
    async with offering(tmp_path, policy=policy) as on:
        hang(on)
        await on.take(answered())
        await some_steps()
        await on.stop()
        assert on.states() == {"new_errand r1": "sending"}
    async with offering(tmp_path, policy=policy) as on:
        await on.dispatcher.recover()
        assert on.states() == {"new_errand r1": "held"}


async def test_what_a_slow_commit_claimed_after_the_end_does_not_leave(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        async with on.committing(answered()):
            stopping = asyncio.create_task(on.dispatcher.stop(5.0))
            await some_steps()
            on.clock.advance(6)
            assert await stopping == 0
        await on.writer.close()
        await some_steps()
        assert on.sent() == []
