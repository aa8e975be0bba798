import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench, document
from msgspec.structs import replace
from sqlalchemy import text

from bridge.domain.calls import CallPolicy
from bridge.domain.deliveries import EndErrand, Kind
from bridge.domain.errors import StoreUnavailable
from bridge.domain.outcomes import Reply
from bridge.domain.rules import RuleBook
from bridge.services import upkeep
from bridge.services.upkeep import Retention
from bridge.storage import queries, stories

DAY_S = 86_400.0
DAY_US = 86_400_000_000


async def test_a_call_that_nobody_answered_counts_as_abandoned_after_settling(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.queued"), document("call.ended"))
        await on.upkeep.close_calls()
        assert ("call", "abandoned") not in on.meter.counted
        on.clock.advance(10)
        for _ in range(2):
            await on.upkeep.close_calls()
        assert on.meter.counted.count(("call", "abandoned")) == 1


async def test_however_many_there_are_all_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_TIMERS_MAX", 2)
    async with bench(tmp_path) as on:
        await on.take(*(document("call.answered", f"r{number}") for number in range(5)))
        on.clock.advance(12 * 3600)
        await on.upkeep.close_calls()
        assert on.meter.counted.count(("call", "stale")) == 5


async def test_a_silent_call_is_closed_and_counted(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.answered"))
        on.clock.advance(12 * 3600)
        await on.upkeep.close_calls()
        assert ("call", "stale") in on.meter.counted
        with on.engine.connect() as connection:
            assert queries.figures(connection).calls_active == 0


async def test_payloads_go_after_their_time_and_duplicates_are_still_known(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.queued", callerNumber="anonymous"))
        on.clock.advance(73 * 3600)
        await on.upkeep.purge()
        with on.engine.connect() as connection:
            (event,) = stories.story(connection, "r1")["events"]
        assert event["payload"] is None
        (receipt,) = await on.take(document("call.queued", callerNumber="anonymous"))
        assert getattr(receipt, "taken", None) == "duplicate"


async def test_the_journal_and_finished_calls_go_after_their_time(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.queued"), document("call.ended"))
        on.clock.advance(31 * DAY_S)
        await on.upkeep.close_calls()
        await on.upkeep.purge()
        with on.engine.connect() as connection:
            assert stories.story(connection, "r1")["events"] == []


async def test_a_call_stays_for_as_long_as_an_event_can_still_reach_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.ingest.policy = replace(
            on.ingest.policy, calls=CallPolicy(journal_us=DAY_US), journal_days=1
        )
        on.upkeep.retention = Retention(journal_days=1)
        await on.take(document("call.answered"), document("call.abandoned"))
        on.clock.advance(DAY_S + 600)
        await on.upkeep.close_calls()
        await on.upkeep.purge()
        late = {"occurredAt": "2026-09-21T15:00:00Z"}
        await on.take(
            document("call.answered", eventId="again") | late, document("call.ended") | late
        )
        with on.engine.connect() as connection:
            pending = queries.figures(connection).pending
        assert (pending["new_errand"], pending["end_errand"]) == (1, 1)


class TestRun:
    async def test_each_second_calls_are_closed_and_the_clock_is_followed(
        self, tmp_path: Path
    ) -> None:
        async with running(tmp_path) as on:
            await on.take(document("call.queued"), document("call.ended"))
            on.clock.drifted_us = 1_000_000
            await on.turn(12)
            assert ("call", "abandoned") in on.meter.counted
            assert on.clock.drifted_us == 0

    async def test_what_was_delivered_moves_aside_after_ten_minutes(self, tmp_path: Path) -> None:
        async with running(tmp_path) as on:
            on.start()
            await on.take(document("call.answered"))
            await on.turn(600, step_s=60)
            assert rows(on, "delivered") == 0
            await on.turn(120, step_s=60)
            assert (rows(on, "delivered"), rows(on, "outbox")) == (2, 0)

    async def test_it_goes_on_when_the_store_takes_nothing_for_a_while(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with running(tmp_path) as on:
            await on.take(document("call.queued"), document("call.ended"))
            with monkeypatch.context() as patched:
                patched.setattr(on.upkeep, "_writer", Unwilling())
                await on.turn(11)
            assert ("upkeep has to wait", {"error": "full"}) in on.log.said
            await on.turn(1)
            assert ("call", "abandoned") in on.meter.counted


class TestArchived:
    async def test_an_end_that_was_sent_is_not_sent_again_for_another_agent(
        self, tmp_path: Path
    ) -> None:
        async with bench(tmp_path) as on:
            on.start()
            await on.take(document("call.answered"), document("call.ended"))
            await on.turn(660, step_s=60)
            await on.upkeep.archive()
            again = {"eventId": "again", "deviceId": 2000, "extensionId": 2000}
            await on.take(document("call.ended", occurredAt=at(0.001)) | again)
            await on.turn(5)
            assert sorted(on.sender.kinds()) == ["contact_card", "end_errand", "new_errand"]
            assert rows(on, "outbox") == 0

    async def test_an_end_that_comes_after_its_errand_has_moved_is_sent(
        self, tmp_path: Path
    ) -> None:
        async with bench(tmp_path) as on:
            on.start()
            await on.take(document("call.answered", callerNumber=None))
            await on.turn(660, step_s=60)
            await on.upkeep.archive()
            await on.take(document("call.ended"))
            await on.turn(5)
            assert on.sender.kinds() == ["new_errand", "end_errand"]

    async def test_an_end_that_waits_is_sent_after_its_errand_has_moved(
        self, tmp_path: Path
    ) -> None:
        async with bench(tmp_path) as on:
            on.start()
            on.sender.answer = lambda parcel: Reply(
                status=201 if parcel.kind is Kind.NEW_ERRAND else 503
            )
            await on.take(document("call.answered", callerNumber=None), document("call.ended"))
            await on.turn(660, step_s=60)
            await on.upkeep.archive()
            assert (rows(on, "delivered"), rows(on, "outbox")) == (1, 1)
            on.sender.answer = None
            await on.turn(3600, step_s=60)
            await on.turn(600, step_s=60)
            assert [one["state"] for one in story(on)["deliveries"]] == ["delivered"] * 2

    async def test_a_person_who_calls_again_gets_what_is_new_on_the_card(
        self, tmp_path: Path
    ) -> None:
        async with bench(tmp_path) as on:
            on.start()
            await on.take(document("call.queued"))
            await on.turn(660, step_s=60)
            await on.upkeep.archive()
            await on.take(document("call.queued", "r2", cuid="77-01"))
            await on.turn(5)
            assert on.sender.kinds() == ["contact_card", "contact_card"]


class TestCallbacks:
    async def test_what_was_said_in_one_that_nobody_rang_back_goes_with_the_journal(
        self, tmp_path: Path
    ) -> None:
        async with bench(tmp_path) as on:
            on.start()
            await on.take(document("callback.requested"))
            await on.turn(5)
            await pass_days(on, 32)
            assert b"Ada" not in states(on)
            assert b"60123456789" not in states(on)

    async def test_one_is_still_ended_by_an_outbound_call_months_later(
        self, tmp_path: Path
    ) -> None:
        async with bench(tmp_path) as on:
            on.start()
            await on.take(document("callback.requested"))
            await on.turn(5)
            await pass_days(on, 200)
            rung = {"relatedReferenceId": "r1", "dialedNumber": "+60123456789"}
            await on.take(document("outbound.ended", "o1", occurredAt=at(200)) | rung)
            await on.turn(5)
            payload = on.sender.sent[-1].payload
            assert isinstance(payload, EndErrand)
            assert (payload.reference_id, payload.dialed_number) == ("r1", "60123456789")

    async def test_one_that_made_no_errand_goes_with_the_journal(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as on:
            guide = replace(on.ingest.policy.guide, rules=RuleBook(()))
            on.ingest.policy = replace(on.ingest.policy, guide=guide)
            await on.take(document("callback.requested", callerNumber=None))
            await pass_days(on, 32)
            assert rows(on, "calls") == 0

    async def test_one_is_given_up_after_a_year(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as on:
            await on.take(document("callback.requested"))
            await pass_days(on, 364)
            assert rows(on, "calls") == 1
            await pass_days(on, 2)
            assert rows(on, "calls") == 0


class TestPeople:
    async def test_who_did_not_call_for_long_is_known_no_more(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as on:
            on.start()
            await on.take(document("call.queued"))
            await on.turn(5)
            await pass_days(on, 59)
            assert rows(on, "people") == 1
            await pass_days(on, 2)
            assert (rows(on, "people"), rows(on, "person_keys")) == (0, 0)

    async def test_who_called_since_stays(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as on:
            on.start()
            await on.take(document("call.queued", callerName=None))
            await on.turn(5)
            await pass_days(on, 31)
            await on.take(document("call.queued", "r2", callerName=None, occurredAt=at(31)))
            await on.turn(5)
            await pass_days(on, 40)
            assert rows(on, "people") == 1

    async def test_whose_card_waits_stays(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as on:
            await on.take(document("call.queued"))
            await pass_days(on, 400)
            assert rows(on, "people") == 1

    def test_they_are_known_no_shorter_than_the_journal(self) -> None:
        horizons = Retention(journal_days=90, refresh_days=1).horizons(0)
        assert horizons["people"] == horizons["journal"]


async def test_what_is_dead_stays_until_somebody_decides(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.start()
        on.sender.answer = lambda _parcel: Reply(status=422, detail="not wanted")
        await on.take(document("call.answered"), document("call.ended"))
        await on.turn(5)
        await pass_days(on, 400)
        dead, parked = story(on)["deliveries"]
        assert (dead["state"], parked["state"]) == ("dead", "parked")
        assert dead["payload"]["name"] == "Ada"
        with on.engine.connect() as connection:
            assert queries.figures(connection).dead_letters == 2


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Bench]:
    """Open a bench with upkeep at work."""
    async with bench(folder) as on:
        task = asyncio.create_task(on.upkeep.run())
        await on.turn()
        yield on
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Unwilling:
    """A writer whose disk is full."""

    async def submit(self, *_: object) -> None:
        raise StoreUnavailable("full")


async def pass_days(on: Bench, days: float) -> None:
    """Let days pass, and what is past its time go."""
    on.clock.advance(days * DAY_S)
    await on.upkeep.close_calls()
    await on.upkeep.archive()
    await on.upkeep.purge()


def at(days: float) -> str:
    """Return the time so many days after the bench's beginning."""
    return (datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC) + timedelta(days=days)).isoformat()


def rows(on: Bench, table: str) -> int:
    with on.engine.connect() as connection:
        query = f"SELECT count(*) FROM {table}"  # noqa: S608 - a name of this test
        return int(connection.exec_driver_sql(query).scalar_one())


def states(on: Bench) -> bytes:
    """Return all that is kept of calls."""
    with on.engine.connect() as connection:
        return b"".join(connection.exec_driver_sql("SELECT state FROM calls").scalars())


def story(on: Bench) -> dict[str, list[dict[str, Any]]]:
    with on.engine.connect() as connection:
        return stories.story(connection, "r1")


async def test_a_call_that_cannot_be_read_any_more_holds_up_no_other(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.ended", "r1"), document("call.ended", "r2"))
        with on.engine.begin() as connection:
            broken = "UPDATE calls SET state = x'7b22' WHERE reference_id = 'r1'"
            connection.execute(text(broken))
        on.clock.advance(60)
        await on.upkeep.close_calls()
        assert on.meter.counted.count(("call", "abandoned")) == 1
