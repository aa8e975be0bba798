from dataclasses import replace
from pathlib import Path

from bench import bench, document

from bridge.domain.calls import CallPolicy
from bridge.services.upkeep import Retention
from bridge.storage import queries

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
            (event,) = queries.story(connection, "r1")["events"]
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
            assert queries.story(connection, "r1")["events"] == []


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
