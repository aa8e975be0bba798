"""How long a call's errand takes from the phone system to Cention, at a steady load."""

import math
from collections.abc import Sequence
from typing import Final

from bench_bare import Bare
from bench_calls import KEEPS_NOTHING, SETTINGS, expected
from bench_events import POOL, Call, calls, pool_batch
from bench_figures import Figure, at_most
from bench_load import run_batches, run_paced
from bench_process import BenchError
from bench_site import Bench, median, percentile
from bench_upstream import CARD, NEW, Upstream

PER_SECOND: Final = 50
UPSTREAM_MS: Final = 5.0
# The first calls find connections yet to be opened.
_WARM_UP: Final = 50


def latency(bench: Bench) -> list[Figure]:
    """Measure 50 calls a second, begun by the clock, at an upstream that takes 5 ms to answer."""
    rounds, count = bench.choose(3, 1), _WARM_UP + bench.choose(1000, 250)
    load = calls("l", count)
    found: dict[str, list[dict[str, float]]] = {"bridge": [], "ceiling": [], "least": []}
    for number in range(1, rounds + 1):
        bench.say(f"latency: the bridge, round {number} of {rounds}")
        with bench.site("latency", SETTINGS, delay_ms=UPSTREAM_MS) as site:
            site.daemon.wait_ready()
            run_batches(site.daemon.url, [pool_batch("pool")], POOL, 1)
            site.upstream.wait_counts({CARD: POOL})
            site.upstream.reset()
            found["bridge"].append(_measure(site.daemon.url, site.upstream, load))
        bench.say(f"latency: ceiling, round {number} of {rounds}")
        found["ceiling"].append(_bare(bench, load, "forward"))
        bench.say(f"latency: the least, round {number} of {rounds}")
        found["least"].append(_bare(bench, load, "least"))
    bench.raw["latency"] = {"calls": count - _WARM_UP, "per_second": PER_SECOND, **found}
    bounds = {"p50": 4.0, "p99": 20.0}
    return [
        Figure(
            name=f"latency_{name}",
            title=f"Event in to errand out, {PER_SECOND} calls/s, {name}",
            unit="ms",
            value=median([one[name] for one in found["bridge"]]),
            baseline=median([one[name] for one in found["ceiling"]]),
            against=KEEPS_NOTHING,
            targets=[at_most(bound)],
        )
        for name, bound in bounds.items()
    ]


def _bare(bench: Bench, load: Sequence[Call], kind: str) -> dict[str, float]:
    with (
        bench.store("latency-bare") as folder,
        Upstream(folder, UPSTREAM_MS) as upstream,
        Bare(folder, kind, upstream.url, str(folder)) as bare,
    ):
        return _measure(bare.url, upstream, load)


def _measure(url: str, upstream: Upstream, load: Sequence[Call]) -> dict[str, float]:
    sent_s = run_paced(url, load, PER_SECOND)
    upstream.wait_counts(expected(load))
    came_s = {key: at_s for kind, key, at_s in upstream.seen() if kind == NEW}
    taken = [
        (came_s.get(one.reference, math.inf) - sent_s[one.reference]) * 1000
        for one in load[_WARM_UP:]
    ]
    if math.inf in taken:
        raise BenchError("not every call's errand came")
    return {"p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99), "max": max(taken)}
