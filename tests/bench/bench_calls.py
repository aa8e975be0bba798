"""Whole calls, from two events in to two or three requests out, and what they cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import bench_bare
from bench_bare import IN_FLIGHT_MAX, Bare
from bench_events import POOL, Call, calls, cards, pool_batch
from bench_figures import Figure, Measure, at_least
from bench_load import CONNECTIONS, run_batches, run_calls
from bench_node_red import NodeRed, install
from bench_process import BenchError, Child, MissingProgramError, python
from bench_site import UNPACED, Bench, median
from bench_upstream import CARD, END, NEW, Upstream

KEEPS_NOTHING: Final = "bare aiohttp that keeps nothing"
_WARM_UP: Final = 200
_WARM_UP_FROM: Final = 9_000_000
SETTINGS: Final = {**UNPACED, "DELIVERY__IN_FLIGHT_MAX": str(IN_FLIGHT_MAX)}


def whole_calls(bench: Bench) -> list[Figure]:
    """Measure whole calls, by turns: the bridge, the ceiling, the least, Node-RED, a client."""
    rounds, count = bench.choose(3, 1), bench.choose(4000, 800)
    node_red = _node_red(bench)
    load = calls("c", count)
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(1, rounds + 1):
        for who in ("bridge", "ceiling", "least", "node-red", "client"):
            if who == "node-red" and node_red is None:
                continue
            bench.say(f"calls: {who}, round {number} of {rounds}")
            found.setdefault(who, []).append(_measure(bench, who, load, node_red))
    bench.raw["calls"] = {"calls": count, "connections": CONNECTIONS, **found}
    rates = {who: median([one["rate"] for one in some]) for who, some in found.items()}
    costs = {who: median([one["cpu_ms"] for one in found[who]]) for who in ("bridge", "ceiling")}
    return _figures(rates, costs)


def _figures(rates: Mapping[str, float], costs: Mapping[str, float]) -> list[Figure]:
    whole = Figure(
        name="calls",
        title="Whole calls",
        unit="/s",
        value=rates["bridge"],
        baseline=rates["ceiling"],
        against=KEEPS_NOTHING,
        targets=[at_least(400), at_least(0.5, Measure.RATIO, wish=0.7)],
    )
    node_red = replace(
        whole,
        name="calls_node_red",
        baseline=rates.get("node-red"),
        against="Node-RED that keeps nothing",
        targets=[at_least(1, Measure.RATIO)],
    )
    least = replace(
        whole,
        name="calls_least",
        title="Whole calls, the least that keeps anything",
        value=rates["least"],
        targets=[],
    )
    client = replace(
        whole,
        name="calls_client",
        baseline=rates["client"],
        against="aiohttp's client alone",
        targets=[],
    )
    cost = Figure(
        name="cpu",
        title="Processor time a whole call",
        unit="ms",
        value=costs["bridge"],
        baseline=costs["ceiling"],
        against=KEEPS_NOTHING,
    )
    return [whole, *([node_red] if node_red.baseline else []), least, client, cost]


def _node_red(bench: Bench) -> Path | None:
    try:
        return install(bench.node_red, bench.say)
    except MissingProgramError as error:
        bench.skipped.append(str(error))
        return None


def _measure(
    bench: Bench, who: str, load: Sequence[Call], node_red: Path | None
) -> dict[str, float]:
    if who == "bridge":
        return _bridge(bench, load)
    with bench.store("calls") as folder, Upstream(folder) as upstream:
        if who == "client":
            return _client(folder, upstream, len(load))
        if who == "ceiling":
            with Bare(folder, "forward", upstream.url) as bare:
                return _through(bare, bare.url, upstream, load)
        if who == "least":
            with Bare(folder, "least", upstream.url, str(folder)) as bare:
                return _through(bare, bare.url, upstream, load)
        if node_red is None:
            raise BenchError("Node-RED is not there")
        with NodeRed(node_red, folder, upstream.url) as flow:
            return _through(flow, flow.url, upstream, load)


def _bridge(bench: Bench, load: Sequence[Call]) -> dict[str, float]:
    """Measure the bridge; each call must have led to its requests, each once."""
    with bench.site("calls", SETTINGS) as site:
        site.daemon.wait_ready()
        run_batches(site.daemon.url, [pool_batch("pool")], POOL, 1)
        site.upstream.wait_counts({CARD: POOL})
        site.upstream.reset()
        found = _through(site.daemon, site.daemon.url, site.upstream, load)
        check_once(load, [(kind, key) for kind, key, _ in site.upstream.seen()])
        return {**found, "memory_peak_mb": round(site.daemon.memory_peak_mb, 1)}


def _through(child: Child, url: str, upstream: Upstream, load: Sequence[Call]) -> dict[str, float]:
    """Send calls through what is measured; return how fast they left it, and what it cost."""
    warm_up = calls("warm", _WARM_UP, newcomers_from=_WARM_UP_FROM)
    run_calls(url, warm_up)
    upstream.wait_counts(expected(warm_up))
    upstream.reset()
    before_s = child.cpu_s
    started_s = run_calls(url, load)
    stats = upstream.wait_counts(expected(load))
    return {
        "rate": len(load) / (stats.last_s - started_s),
        "cpu_ms": (child.cpu_s - before_s) / len(load) * 1000,
    }


def _client(folder: Path, upstream: Upstream, count: int) -> dict[str, float]:
    command = python(Path(bench_bare.__file__), "client", upstream.url, "--calls", str(count))
    with Child(command, folder / "client.log") as child:
        return {"rate": count / child.line("done")["seconds"]}


def expected(load: Sequence[Call]) -> dict[str, int]:
    """Return how many requests of each kind these calls lead to."""
    return {NEW: len(load), END: len(load), CARD: cards(load)}


def check_once(load: Sequence[Call], seen: Sequence[tuple[str, str]]) -> None:
    """Check that each call has led to its own requests, each once.

    Raises:
        BenchError: to others.
    """
    wanted: list[tuple[str, str]] = []
    for one in load:
        wanted += [(NEW, one.reference), (END, one.reference)]
        wanted += [(CARD, one.number)] * cards([one])
    counts = Counter(seen)
    counts.subtract(wanted)
    wrong = {what: by for what, by in counts.items() if by}
    if wrong:
        some = dict(list(wrong.items())[:5])
        raise BenchError(f"{len(wrong)} requests too many or too few at the upstream: {some}")
