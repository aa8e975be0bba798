"""How few requests a day of calls takes."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from random import Random

from bench import START_US, bench

from bridge.sandbox.calls import CallScript

CALLS = 200
KNOWN_SHARE = 0.8
# An errand and its end, and a card for the fifth who has never called.
REQUESTS_PER_CALL_MAX = 2.25


async def test_a_day_of_calls_takes_little_more_than_an_errand_and_its_end_each(
    tmp_path: Path,
) -> None:
    chance = Random(7)  # noqa: S311 - made-up calls
    morning = datetime.fromtimestamp(START_US // 1_000_000, tz=UTC)
    script = CallScript(chance, started_at=morning, answered_only=True, returning_share=KNOWN_SHARE)
    async with bench(tmp_path) as on:
        on.start()
        # They overlap, as calls do: ten at a time, each event of theirs after the other's.
        for hour in range(CALLS // 10):
            ends_at = morning + timedelta(minutes=12 * hour)
            calls = [script.make(ends_at).events for _ in range(10)]
            for events in zip_longest(*calls):
                await on.take(*(event for event in events if event is not None))
                await on.turn(30, step_s=15)
            await on.turn(630, step_s=315)
        sent = Counter(on.sender.kinds())
    assert (sent["new_errand"], sent["end_errand"]) == (CALLS, CALLS)
    assert sent["contact_card"] > 0
    assert sent.total() / CALLS <= REQUESTS_PER_CALL_MAX
