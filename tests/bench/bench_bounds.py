"""What bounds a figure that misses its target: the best that it could be, from the same run.

Each is put together from what was measured by itself, and leaves out what was not, so that it errs
on the side of the better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any, Final

from bench_events import NEW_EVERY
from bench_figures import Bound, Figure

# A call makes an errand and its end, and every so many a card.
_DELIVERIES: Final = 2 + 1 / NEW_EVERY
_FOLDING: Final = ("keep", "keep_sql")
_CLAIMING: Final = ("claim", "claim_sql")
_RECORDING: Final = ("carry", "record", "record_sql")


def bounded(figures: Sequence[Figure], raw: Mapping[str, Any]) -> list[Figure]:
    """Return the figures, with their bounds where all was measured that these are made of."""
    return [replace(one, bound=_bound(one, raw)) for one in figures]


def _bound(figure: Figure, raw: Mapping[str, Any]) -> Bound | None:
    make = {
        "ingest": _ingest,
        "batches": _batches,
        "calls": _calls,
        "latency_p50": _latency,
    }.get(figure.name)
    try:
        return None if make is None else make(figure, raw)
    except KeyError:
        # A group was left out of the run, or has broken.
        return None


def _ingest(_: Figure, raw: Mapping[str, Any]) -> Bound:
    rate = _middle(raw["ingest"]["checking"], "rate")
    return Bound(value=rate, by="the daemon itself where it checks events and keeps nothing")


def _batches(_: Figure, raw: Mapping[str, Any]) -> Bound:
    stages = raw["stages"]["batch_us"]
    spent_us = _sum(stages, (*_FOLDING, "keep_commit"))
    return Bound(
        value=1e6 / spent_us,
        by=f"folding, statements and commit take {spent_us:.0f} µs an event in groups of"
        f" {raw['stages']['batch_group']}, one after the other, were all else free",
    )


def _calls(figure: Figure, raw: Mapping[str, Any]) -> Bound:
    """Return how many calls there could be, were all free that has no stage of its own.

    That is: tasks, and one thread waiting for the other.
    """
    ingest, calls, stages = raw["ingest"], raw["calls"], raw["stages"]
    checking_ms = _middle(ingest["checking"], "cpu_ms") - _middle(ingest["app"], "cpu_ms")
    parts = {
        "HTTP, both ways, and the least that keeps anything": _middle(calls["least"], "cpu_ms"),
        "checking": 2 * checking_ms,
        "folding": (_sum(stages["grouped_us"], _FOLDING) + _sum(stages["grouped_end_us"], _FOLDING))
        / 1000,
        "claiming, judging and recording": (
            _sum(stages["grouped_us"], (*_CLAIMING, *_RECORDING)) * _DELIVERIES / 1000
        ),
    }
    spent_ms = sum(parts.values())
    baseline = figure.baseline or 0.0
    said = ", ".join(f"{name} {ms:.2f} ms" for name, ms in parts.items())
    return Bound(
        value=baseline * _middle(calls["ceiling"], "cpu_ms") / spent_ms,
        by=f"a call needs {spent_ms:.2f} ms of processor time without tasks and threads: {said}",
    )


def _latency(_: Figure, raw: Mapping[str, Any]) -> Bound:
    least_ms = _middle(raw["latency"]["least"], "p50")
    alone = raw["stages"]["alone_us"]
    spent_ms = _sum(alone, ("read", "admit", *_FOLDING, *_CLAIMING)) / 1000
    return Bound(
        value=least_ms + spent_ms,
        by=f"the least that keeps anything takes {least_ms:.2f} ms, and reading, folding and"
        f" claiming an event alone {spent_ms:.2f} ms",
    )


def _sum(stages: Mapping[str, float], names: Sequence[str]) -> float:
    return sum(stages[name] for name in names)


def _middle(found: Sequence[Mapping[str, float]], name: str) -> float:
    return median([one[name] for one in found])
