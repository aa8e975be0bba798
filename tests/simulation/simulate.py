"""The command of the simulation: many seeds, what happened in them, and what went wrong.

python tests/simulation/simulate.py --seeds 2000 --jobs 2
python tests/simulation/simulate.py --seed 1234 --trace
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Self

from rich.console import Console
from rich.progress import Progress
from sim_scenario import KINDS
from sim_weather import FAULTS, OUTAGES
from sim_world import Outcome, simulate

CHUNK: Final = 8
# Where a process may die, beside any time at all.
STEPS: Final = (
    "submit",
    "commit",
    "committed",
    "submitted",
    "request",
    "asked",
    "answered",
    "sleep",
)
SAY_EVERY_S: Final = 5.0
SHOWN_MAX: Final = 5
# A trouble that never strikes tests nothing.
TROUBLES: Final = (
    *FAULTS,
    *OUTAGES,
    "revoked",
    "suspended",
    "forbidden",
    "wrong_workspace",
    "disk_full",
    "disk_slow",
)
HAPPENINGS: Final = (
    "crash at any time",
    "crash at the end",
    *(f"crash at {where}" for where in STEPS),
    "stopped",
    "clock set",
    "tokens renewed",
    "late effects",
    "others' errands",
    "errands put back",
    "looked up: found",
    "looked up: absent",
    "looked up: held",
    "dead letters",
    "held",
    "doubled by resend",
    "posts hung up",
    "answers to posts lost",
    "events duplicate",
    "probes of a refused token",
    "new calls beside a backlog",
    "calls beside a clock that is set",
    "archived",
)


@dataclass(slots=True)
class Summary:
    """What came of all seeds so far."""

    seeds: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    failed: list[Outcome] = field(default_factory=list)
    virtual_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count a seed."""
        self.seeds += 1
        self.kinds[outcome.kind] += 1
        self.counts += outcome.counts
        self.struck += outcome.struck
        self.virtual_s += outcome.virtual_s
        if outcome.violation is not None:
            self.failed.append(outcome)

    @property
    def crashes(self) -> int:
        """How often a process died."""
        return sum(count for name, count in self.counts.items() if name.startswith("crash "))

    @property
    def never(self) -> list[str]:
        """What never happened, and so was not tested."""
        silent = [name for name in TROUBLES if not self.struck[name]]
        return silent + [name for name in HAPPENINGS if not self.counts[name]]


def outcomes(seeds: Iterable[int], jobs: int) -> Iterator[Outcome]:
    """Yield what comes of each seed, as soon as it is known."""
    if jobs == 1:
        yield from map(simulate, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(simulate, seeds, chunksize=CHUNK)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code: 1 where a promise was broken."""
    chosen = _parser().parse_args(arguments)
    if chosen.seed is not None:
        return _one(chosen.seed, is_traced=chosen.trace)
    started_s = time.monotonic()
    summary = Summary()
    seeds = range(chosen.start, chosen.start + chosen.seeds)
    with Teller(len(seeds), is_quiet=chosen.quiet) as say:
        for outcome in outcomes(seeds, chosen.jobs):
            summary.add(outcome)
            say(summary, time.monotonic() - started_s)
            if chosen.first and summary.failed:
                break
    _report(summary, time.monotonic() - started_s)
    return 1 if summary.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many to run")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=2, help="how many processes share the work")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: print every step")
    parser.add_argument("--first", action="store_true", help="stop at the first failure")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def _one(seed: int, *, is_traced: bool) -> int:
    outcome = simulate(seed, _print if is_traced else None)
    _print(f"seed {seed} ({outcome.kind}): {outcome.steps} steps, trace {outcome.digest}")
    for name, count in sorted(outcome.counts.items()):
        _print(f"  {count:>8,}  {name}")
    if outcome.violation is None:
        return 0
    _print(_failure(outcome))
    return 1


class Teller:
    """Says how far it has come: a bar on a terminal, else a line now and then."""

    def __init__(self, total: int, *, is_quiet: bool) -> None:
        self._total = total
        self._is_quiet = is_quiet
        self._said_s = 0.0
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._is_quiet:
            self._bar = Progress(console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("seeds", total=self._total)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, summary: Summary, passed_s: float) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=summary.seeds,
                description=f"{summary.counts['calls']:,} calls, {len(summary.failed)} failed",
            )
        elif not self._is_quiet and passed_s - self._said_s >= SAY_EVERY_S:
            self._said_s = passed_s
            _print(
                f"{summary.seeds:,} of {self._total:,} seeds, {summary.counts['calls']:,} calls,"
                f" {summary.crashes:,} crashes, {len(summary.failed)} failed,"
                f" {passed_s:.0f} s"
            )


def _report(summary: Summary, passed_s: float) -> None:
    _print(
        f"{summary.seeds:,} seeds in {passed_s:.1f} s, {summary.virtual_s / 3600:,.1f} hours of"
        f" virtual time"
    )
    for title, counts in (
        ("scenarios", summary.kinds),
        ("what happened", summary.counts),
        ("what struck", summary.struck),
    ):
        _print(f"{title}:")
        for name, count in sorted(counts.items()):
            _print(f"  {count:>10,}  {name}")
    if summary.never and summary.seeds >= len(KINDS) * 4:
        _print(f"WARNING: never happened, and so not tested: {', '.join(summary.never)}")
    for outcome in sorted(summary.failed, key=lambda one: one.seed)[:SHOWN_MAX]:
        _print(_failure(outcome))
    if len(summary.failed) > SHOWN_MAX:
        _print(f"... and {len(summary.failed) - SHOWN_MAX} more")
    _print(f"{len(summary.failed)} of {summary.seeds} seeds failed")


def _failure(outcome: Outcome) -> str:
    violation = outcome.violation
    assert violation is not None
    path = Path(__file__)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return (
        f"FAILED seed {outcome.seed} ({outcome.kind}) at {violation.at_s:.3f} s:"
        f" {violation.invariant}\n"
        f"  {violation.detail}\n"
        f"  step by step: {sys.executable} {shown} --seed {outcome.seed} --trace"
    )


_print = partial(print, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        # Whoever read along has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
