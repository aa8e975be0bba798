"""Events in: one a request by wrk, and batches."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from bench_bare import Bare
from bench_events import batch
from bench_figures import Figure, Measure, at_least
from bench_load import CONNECTIONS, run_batches
from bench_process import BenchError, Child, MissingProgramError
from bench_site import Bench, Daemon, median

BATCH: Final = 500
BATCHES_AT_ONCE: Final = 4
NOWHERE: Final = "http://127.0.0.1:9"
CHECKING: Final = Path(__file__).with_name("bench_checking.py")
_SCRIPT: Final = Path(__file__).with_name("bench_events.lua")
_WARM_UP_S: Final = 1
_SETTLING_S: Final = 0.2
# Callers of the warm-up, whom nobody measured shares.
_WARM_UP_FROM: Final = 9_000_000


def ingest(bench: Bench) -> list[Figure]:
    """Measure single events, one a request over 64 connections.

    The mix: `call.queued`, `call.answered` and `call.ended` in turn, so every third event starts a
    new call, of a new caller. Each event has an id of its own.
    """
    wrk = _wrk()
    rounds, seconds = bench.choose(3, 1), bench.choose(5, 3)
    found: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("bridge", "checking", "app", "server")
    }
    for number in range(1, rounds + 1):
        bench.say(f"ingest: the bridge, round {number} of {rounds}")
        found["bridge"].append(_bridge(bench, wrk, seconds))
        bench.say(f"ingest: the bridge, keeping nothing, round {number} of {rounds}")
        found["checking"].append(_checking(bench, wrk, seconds))
        for kind in ("app", "server"):
            bench.say(f"ingest: bare aiohttp ({kind}), round {number} of {rounds}")
            with Bare(bench.folder, kind) as bare:
                found[kind].append(_load(wrk, bare.url, seconds, bare))
    bench.raw["ingest"] = found
    rates = {kind: median([one["rate"] for one in some]) for kind, some in found.items()}
    bench.known["ingest"] = rates["bridge"]
    return [
        Figure(
            name="ingest",
            title="Events in, one a request",
            unit="/s",
            value=rates["bridge"],
            baseline=rates["app"],
            against="bare aiohttp",
            targets=[at_least(0.5, Measure.RATIO, wish=0.6)],
        ),
        Figure(
            name="ingest_server",
            title="Events in, one a request",
            unit="/s",
            value=rates["bridge"],
            baseline=rates["server"],
            against="aiohttp's low-level server",
        ),
    ]


def _wrk() -> str:
    wrk = shutil.which("wrk")
    if wrk is None:
        raise MissingProgramError("ingest needs wrk; on Debian: apt-get install wrk")
    return wrk


def _bridge(bench: Bench, wrk: str, seconds: int) -> dict[str, Any]:
    """Measure the bridge; what wrk counted must have been accepted, as the bridge counts."""
    with bench.site("ingest") as site:
        site.daemon.wait_ready()
        found = _load(wrk, site.daemon.url, seconds, site.daemon)
        memory_mb = site.daemon.memory_peak_mb
    return {**found, "memory_peak_mb": round(memory_mb, 1)}


def _checking(bench: Bench, wrk: str, seconds: int) -> dict[str, Any]:
    """Measure the bridge where it checks events, and keeps nothing of them."""
    with (
        bench.store("checking") as folder,
        Daemon(folder, NOWHERE, program=CHECKING) as daemon,
    ):
        daemon.wait_ready()
        return _load(wrk, daemon.url, seconds, daemon)


def _load(wrk: str, url: str, seconds: int, child: Child) -> dict[str, Any]:
    """Load what is measured, and return what wrk and the kernel say of it."""
    _run(wrk, url, _WARM_UP_S, "warm", _WARM_UP_FROM)
    before = _settled(child) if isinstance(child, Daemon) else 0
    before_s = child.cpu_s
    told = _run(wrk, url, seconds, "load", 0)
    cpu_ms = (child.cpu_s - before_s) / told["requests"] * 1000
    if isinstance(child, Daemon):
        # What was on its way when wrk stopped was accepted too, and nobody waited for the answer.
        more = _settled(child) - before - told["requests"]
        if not 0 <= more <= CONNECTIONS:
            raise BenchError(f"the bridge accepted {more} more events than wrk counted")
    if told["refused"] or told["broken"]:
        raise BenchError(f"not every event was accepted: {told}")
    return {**told, "rate": told["requests"] / told["seconds"], "cpu_ms": cpu_ms}


def _settled(daemon: Daemon) -> int:
    """Return how many events were accepted, once wrk's last ones have been too."""
    count, before = daemon.accepted(), -1
    while count != before:
        time.sleep(_SETTLING_S)
        count, before = daemon.accepted(), count
    return count


def _run(wrk: str, url: str, seconds: int, run: str, callers_from: int) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 - wrk, on loopback
        [
            *(wrk, "--threads", "1", "--connections", str(CONNECTIONS)),
            *("--duration", f"{seconds}s", "--timeout", "10s", "--script", str(_SCRIPT), url),
            *("--", run, str(callers_from)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise BenchError(f"wrk failed: {done.stderr or done.stdout}")
    told: dict[str, Any] = json.loads(lines[-1])
    return told


def batches(bench: Bench) -> list[Figure]:
    """Measure batches of 500, a new caller in every event; all bodies are made beforehand."""
    rounds, count = bench.choose(3, 1), bench.choose(80, 16)
    bodies = [
        batch([(f"b-{one:07d}", one) for one in range(start, start + BATCH)])
        for start in range(0, count * BATCH, BATCH)
    ]
    warm_up = [batch([(f"w-{one:07d}", _WARM_UP_FROM + one) for one in range(BATCH)])]
    rates: list[float] = []
    for number in range(1, rounds + 1):
        bench.say(f"batches: round {number} of {rounds}")
        with bench.site("batches") as site:
            site.daemon.wait_ready()
            run_batches(site.daemon.url, warm_up, BATCH, 1)
            seconds = run_batches(site.daemon.url, bodies, BATCH, BATCHES_AT_ONCE)
            if site.daemon.accepted() != (count + 1) * BATCH:
                raise BenchError("the bridge did not accept every event of the batches")
            rates.append(count * BATCH / seconds)
    bench.raw["batches"] = {"bridge": rates}
    return [
        Figure(
            name="batches",
            title=f"Events in, {BATCH} a request",
            unit="/s",
            value=median(rates),
            baseline=_single(bench),
            against="one a request",
            targets=[at_least(6000), at_least(1.7, Measure.RATIO)],
        )
    ]


def _single(bench: Bench) -> float | None:
    """Return the rate of single events; where it is not among what was asked for, measure once."""
    if "ingest" not in bench.known:
        wrk = shutil.which("wrk")
        if wrk is None:
            return None
        bench.say("batches: single events, to compare with")
        bench.known["ingest"] = _bridge(bench, wrk, bench.choose(5, 3))["rate"]
    return bench.known["ingest"]
