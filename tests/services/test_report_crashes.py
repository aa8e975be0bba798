"""A process that is killed while it polls loses no report, wherever it is killed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from report_bench import (
    ANSWERED,
    OPEN,
    SCOPE,
    Killed,
    ReportBench,
    report_bench,
    without_sla,
)

from bridge.domain.outcomes import Reply
from bridge.domain.reports import ErrandReport, Rating

OWN = {33: ANSWERED, 34: OPEN, 35: ANSWERED}
OTHERS = {31, 36}
RATINGS = {3: Rating(stars=5), 4: Rating(stars=1)}


async def prepare(bench: ReportBench) -> None:
    """Have errands of the bridge's own and of others changed, and pages rated.

    Errand 35 was read before, and what is missing of it is its SLA; while that is asked for, it
    changes.
    """
    for errand_id in OWN:
        await bench.made(errand_id)
    nameless = await bench.made(None, reference="nameless")
    bench.cention.change(35, without_sla(OPEN))
    await bench.poll()
    for errand_id in (33, 34):
        bench.cention.change(errand_id, OWN[errand_id])
    bench.cention.bodies[37] = f"ref: {nameless}"
    bench.cention.change(37, ANSWERED)
    for errand_id in OTHERS:
        bench.cention.change(errand_id, OPEN)
    for rating_id, rating in RATINGS.items():
        bench.cention.rate(rating_id, rating)

    def change(errand_id: int) -> None:
        if errand_id == 35:
            bench.cention.on_read = lambda _: None
            bench.cention.change(35, OWN[35])

    bench.cention.on_read = change


async def points_of_a_poll(folder: Path) -> int:
    """Return how many points there are at which a poll can be killed."""
    async with report_bench(folder) as bench:
        await prepare(bench)
        before = bench.cention.fuse.passed
        await bench.poll()
        return bench.cention.fuse.passed - before


async def killed_at(folder: Path, point: int, again_at: Callable[[int], int | None]) -> None:
    """Kill a poll at a point, and the one after it too if that is wanted; then see to the end."""
    async with report_bench(folder) as bench:
        await prepare(bench)
        fuse = bench.cention.fuse
        for kill_at in (point, again_at(point)):
            if kill_at is None:
                continue
            fuse.at = fuse.passed + kill_at
            with pytest.raises((Killed, BaseExceptionGroup)):
                await bench.poll()
            bench.restart()
        await bench.poll(times=5)
        await check(bench)


async def check(bench: ReportBench) -> None:
    """See that everything is here, that nothing is owed, and others' marks are as they were."""
    expected: dict[int, ErrandReport] = {**OWN, 37: ANSWERED}
    followed = await bench.followed(*expected)
    assert {of: one.report for of, one in followed.items()} == expected
    assert bench.cention.dirty == OTHERS
    assert await bench.intents() == []
    assert await bench.tx(lambda tx: tx.kept_ratings(SCOPE, RATINGS)) == set(RATINGS)
    assert await bench.tx(lambda tx: tx.open_ratings(SCOPE)) == []


async def test_killed_at_every_point_no_report_is_lost(tmp_path: Path) -> None:
    points = await points_of_a_poll(tmp_path / "whole")
    assert points > 40
    for point in range(1, points + 1):
        await killed_at(tmp_path / f"{point}", point, lambda _: None)


async def test_killed_at_many_points_and_soon_after_again_no_report_is_lost(
    tmp_path: Path,
) -> None:
    points = await points_of_a_poll(tmp_path / "whole")
    for point in range(1, points + 1, 2):
        # The process after it comes a little less or a little further.
        await killed_at(tmp_path / f"{point}", point, lambda point: 1 + (point * 7) % 12)


async def killed_after_reading(bench: ReportBench) -> None:
    """Kill a poll when errand 33 was read and nobody has written down what it says."""
    await bench.made(33)
    bench.cention.change(33, ANSWERED)

    def light(_errand_id: int) -> None:
        # The next point is before it takes effect, the one after that is after it.
        bench.cention.fuse.at = bench.cention.fuse.passed + 2

    bench.cention.on_read = light
    with pytest.raises(Killed):
        await bench.poll()
    assert bench.cention.dirty == set()
    bench.cention.on_read = lambda _: None
    bench.cention.asked.clear()
    bench.restart()


async def test_what_was_being_read_is_put_back_before_it_is_read_again(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await killed_after_reading(bench)
        await bench.poll()
        assert bench.cention.asked[:3] == ["mark [33]", "list", "33"]
        assert (await bench.followed(33))[33].is_done


async def test_what_cention_does_not_take_back_is_read_again_all_the_same(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await killed_after_reading(bench)
        bench.cention.refusals["mark [33]"] = [Reply(status=422)] * 9
        await bench.poll()
        assert (await bench.followed(33))[33].is_done
