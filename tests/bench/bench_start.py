"""How soon the daemon is ready, and how much memory it takes when there is nothing to do."""

import time
from pathlib import Path
from typing import Final

from bench_bare import Bare
from bench_figures import Figure, at_most
from bench_process import fetch
from bench_site import STORE, Bench, Daemon, median
from bench_stores import fill_journal
from bench_upstream import Upstream

_IDLE_S: Final = 5.0
_ROUNDS: Final = 3


def start(bench: Bench) -> list[Figure]:
    """Measure from the start of the process to the answer that events can be kept."""
    count = bench.choose(1_000_000, 100_000)
    found: dict[str, list[float]] = {"full": [], "empty": []}
    with (
        bench.store("start-full") as full,
        bench.store("start-empty") as empty,
        Upstream(bench.folder) as upstream,
    ):
        bench.say(f"start: filling a store with {count:,} events")
        fill_journal(full / STORE, count)
        for number in range(1, _ROUNDS + 1):
            bench.say(f"start: round {number} of {_ROUNDS}")
            found["full"].append(_start_s(full, upstream.url))
            found["empty"].append(_start_s(empty, upstream.url))
    bench.raw["start"] = {"events": count, **found}
    return [
        Figure(
            name="start",
            title=f"Ready after a start with {count:,} events",
            unit="s",
            value=median(found["full"]),
            baseline=median(found["empty"]),
            against="with none",
            targets=[at_most(2)],
        )
    ]


def _start_s(folder: Path, upstream_url: str) -> float:
    with Daemon(folder, upstream_url) as daemon:
        daemon.wait_ready()
        return time.monotonic() - daemon.started_s


def memory(bench: Bench) -> list[Figure]:
    """Measure what a daemon holds that has been ready, and idle, for five seconds."""
    bench.say("memory: the bridge, idle")
    with bench.site("memory") as site:
        site.daemon.wait_ready()
        time.sleep(_IDLE_S)
        bridge_mb = site.daemon.memory_mb
    with Bare(bench.folder, "app") as bare:
        fetch(bare.url)
        bare_mb = bare.memory_mb
    bench.raw["memory"] = {"bridge": bridge_mb, "app": bare_mb}
    return [
        Figure(
            name="memory",
            title="Memory, idle",
            unit="MB",
            value=bridge_mb,
            baseline=bare_mb,
            against="bare aiohttp",
            targets=[at_most(85)],
        )
    ]
