"""A large backlog against a small one: how fast it leaves, and what memory it takes."""

from pathlib import Path
from typing import Final

from bench_figures import Figure, Measure, at_least, at_most
from bench_site import STORE, UNPACED, Bench, Daemon, median
from bench_stores import fill_backlog
from bench_upstream import Upstream

# The first deliveries find connections yet to be opened, and are not counted.
SKIPPED: Final = 100
SMALL: Final = 1000


def backlog(bench: Bench) -> list[Figure]:
    """Measure by turns a thousand deliveries that wait, and a million of them."""
    rounds = bench.choose(5, 1)
    large, counted = bench.choose(1_000_000, 100_000), bench.choose(5000, 2000)
    found: dict[str, list[dict[str, float]]] = {"small": [], "large": []}
    with bench.store("backlog-large") as folder:
        bench.say(f"backlog: filling a store with {large:,} deliveries")
        fill_backlog(folder / STORE, large)
        for number in range(1, rounds + 1):
            bench.say(f"backlog: {SMALL:,} deliveries, round {number} of {rounds}")
            with bench.store("backlog-small") as other:
                fill_backlog(other / STORE, SMALL)
                found["small"].append(_measure(other, SMALL))
            bench.say(f"backlog: {large:,} deliveries, round {number} of {rounds}")
            found["large"].append(_measure(folder, counted))
    bench.raw["backlog"] = {"deliveries": large, "counted": counted, **found}
    medians = {
        (which, what): median([one[what] for one in some])
        for which, some in found.items()
        for what in ("rate", "memory_mb")
    }
    return [
        Figure(
            name="backlog",
            title=f"Deliveries of a backlog of {large:,}",
            unit="/s",
            value=medians["large", "rate"],
            baseline=medians["small", "rate"],
            against=f"of {SMALL:,}",
            targets=[at_least(0.9, Measure.RATIO)],
        ),
        Figure(
            name="backlog_memory",
            title=f"Peak memory with a backlog of {large:,}",
            unit="MB",
            value=medians["large", "memory_mb"],
            baseline=medians["small", "memory_mb"],
            against=f"of {SMALL:,}",
            targets=[at_most(50, Measure.DIFFERENCE)],
        ),
    ]


def _measure(folder: Path, counted: int) -> dict[str, float]:
    """Return the deliveries a second after the first hundred, and the highest memory till then."""
    with Upstream(folder) as upstream, Daemon(folder, upstream.url, UNPACED) as daemon:
        upstream.wait_total(counted)
        memory_mb = daemon.memory_peak_mb
        came_s = [at_s for _, _, at_s in upstream.seen()]
    seconds = came_s[counted - 1] - came_s[SKIPPED - 1]
    return {"rate": (counted - SKIPPED) / seconds, "memory_mb": memory_mb}
