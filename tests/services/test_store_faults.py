"""The services while the store fails them for a moment: nothing is lost, and they go on."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench import Bench, bench, document
from sqlalchemy import event, text

from bridge.domain.errors import StoreUnavailable
from bridge.domain.outcomes import Reply
from bridge.ports import Parcel
from bridge.services.ingest import Receipt, Taken
from bridge.services.recording import DispatchPolicy
from bridge.storage import stories

ANSWERED = document("call.answered", callerNumber="anonymous")


class Disk:
    """It is full when a test says so: then no commit succeeds."""

    def __init__(self, on: Bench) -> None:
        self.is_full = False
        event.listen(on.engine, "commit", self._commit)

    def _commit(self, _connection: object) -> None:
        if self.is_full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error


@contextmanager
def away(on: Bench, table: str) -> Iterator[None]:
    """Have a table missing for a while."""
    with on.engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO aside"))
    yield
    with on.engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE aside RENAME TO {table}"))


def states(on: Bench) -> dict[str, str]:
    with on.engine.connect() as connection:
        story = stories.story(connection, "r1")
    return {row["kind"]: row["state"] for row in story["deliveries"]}


def said(on: Bench) -> list[str]:
    return [what for what, _ in on.log.said]


async def some_rounds(on: Bench, seconds: int) -> None:
    """Let time pass where the writer answers nobody."""
    for _ in range(seconds):
        on.clock.advance(1)
        for _ in range(5):
            with suppress(StoreUnavailable):
                await on.writer.submit(_nothing, None)
            for _ in range(10):
                await asyncio.sleep(0)


def _nothing(_tx: object, items: Sequence[None]) -> list[None]:
    return list(items)


async def test_nothing_leaves_while_a_claim_cannot_be_kept_and_all_does_afterwards(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        disk = Disk(on)
        await on.take(ANSWERED)
        disk.is_full = True
        on.start()
        await some_rounds(on, 2)
        assert on.sender.sent == []
        assert "nothing can be claimed" in said(on)
        disk.is_full = False
        await on.turn(3)
        assert states(on) == {"new_errand": "delivered"}


async def test_what_came_just_before_the_disk_filled_up_leaves_once_there_is_room(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        on.start()
        await on.turn(2)
        disk = Disk(on)
        await on.take(ANSWERED)
        disk.is_full = True
        await some_rounds(on, 1)
        disk.is_full = False
        await on.turn(2)
        assert len(on.sender.sent) == 1


async def test_a_fault_in_claiming_is_told_and_passes(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(ANSWERED)
        with away(on, "pauses"):
            on.start()
            await on.turn(2)
            assert "claiming failed" in said(on)
            assert on.sender.sent == []
        await on.turn(3)
        assert states(on) == {"new_errand": "delivered"}


async def test_what_came_back_is_recorded_once_there_is_room(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        disk = Disk(on)

        def answer(_parcel: Parcel) -> Reply:
            disk.is_full = True
            return Reply(status=201, remote_id="77")

        on.sender.answer = answer
        on.start()
        await on.take(ANSWERED)
        await some_rounds(on, 3)
        assert "an outcome can't be recorded yet" in said(on)
        assert states(on) == {"new_errand": "sending"}
        disk.is_full = False
        await on.turn(3)
        assert states(on) == {"new_errand": "delivered"}
        assert len(on.sender.sent) == 1


async def test_a_fault_of_the_sender_leaves_the_delivery_in_doubt(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=DispatchPolicy(in_doubt="hold")) as on:

        def answer(_parcel: Parcel) -> Reply:
            raise RuntimeError("a fault")

        on.sender.answer = answer
        on.start()
        await on.take(ANSWERED)
        await on.turn(2)
        assert on.dispatcher.in_flight == 0
        assert states(on) == {"new_errand": "held"}
        assert len(on.sender.sent) == 1


async def test_a_fault_in_recording_leaves_the_delivery_in_doubt_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, policy=DispatchPolicy(in_doubt="hold")) as on:
        on.sender.gate = asyncio.Event()
        on.start()
        await on.take(ANSWERED)
        await on.turn(1)
        with away(on, "attempts"):
            on.sender.gate.set()
            await on.turn(1)
            assert "a delivery's outcome is not known" in said(on)
        assert on.dispatcher.in_flight == 0
        assert states(on) == {"new_errand": "sending"}
        await on.dispatcher.recover()
        assert states(on) == {"new_errand": "held"}


async def test_look_ups_wait_for_the_store_and_go_on(tmp_path: Path) -> None:
    policy = DispatchPolicy(in_doubt="reconcile")
    async with bench(tmp_path, policy=policy, sender=lambda on: on.cention) as on:
        disk = Disk(on)
        on.cention.creates = ["dropped"]
        on.start()
        await on.take(ANSWERED)
        await on.turn(2)
        disk.is_full = True
        on.look_up()
        await some_rounds(on, 2)
        assert "look-ups have to wait" in said(on)
        assert on.cention.asked == []
        disk.is_full = False
        await on.turn(5)
        assert states(on) == {"new_errand": "delivered"}


async def test_a_fault_in_what_look_ups_read_is_told_and_passes(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        with away(on, "outbox"):
            on.look_up()
            await on.turn(1)
            assert "look-ups failed" in said(on)
            assert on.cention.asked == []
        await on.turn(61)
        # What may still be off the list is put back, or seen not to be.
        assert said(on).count("look-ups failed") == 1


async def test_upkeep_goes_on_after_a_fault(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.queued", callerNumber="anonymous"))
        working = asyncio.create_task(on.upkeep.run())
        on.clock.advance(73 * 3600)
        with away(on, "quarantine"):
            await on.turn(61)
            assert "upkeep failed" in said(on)
        await on.turn(61)
        with on.engine.connect() as connection:
            (came,) = stories.story(connection, "r1")["events"]
        assert came["payload"] is None
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_an_event_of_a_call_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(ANSWERED)
        with on.engine.begin() as connection:
            connection.execute(text("UPDATE calls SET state = X'00'"))
        on.meter.counted.clear()
        fine = document("call.answered", "r2", callerNumber="anonymous")
        failed, kept = await on.take(document("call.ended", callerNumber="anonymous"), fine)
        assert isinstance(failed, ValueError)
        assert isinstance(kept, Receipt)
        assert kept.taken is Taken.ACCEPTED
        assert [one[1:] for one in on.meter.counted if one[0] == "event"] == [
            ("call.answered", "accepted")
        ]
