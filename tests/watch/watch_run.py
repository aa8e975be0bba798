"""Watch the bridge as its people do: a real Prometheus, a busy site, and every fault that alerts.

    python tests/watch/watch_run.py --pictures docs/images

It exits with 0 if every expression of every dashboard and rule has data, and every alert has fired
because of the fault that it is about; else with 1. It takes some three minutes.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console
from rich.table import Table
from watch_expressions import BOARDS, Asked, expressions
from watch_faults import Faults, missing_annotations
from watch_picture import draw
from watch_prometheus import Prometheus, Series, WatchError
from watch_site import site

_TABLE_WIDTH: Final = 100
Say = Callable[[str], None]


@dataclass
class Watched:
    """What came of it: the answers to what panels ask, and by rule whether it had data."""

    answers: dict[Asked, list[Series]] = field(default_factory=dict)
    recorded: dict[str, bool] = field(default_factory=dict)
    alerts: dict[str, bool] = field(default_factory=dict)
    fired: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    untried: dict[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return how many expressions were asked and have data, by where they stand."""
        found = {
            f"dashboard {board}": [
                bool(some) for asked, some in self.answers.items() if asked.board == board
            ]
            for board in BOARDS
        }
        found["recording rules"] = list(self.recorded.values())
        found["alerts' expressions"] = list(self.alerts.values())
        found["alerts that fired"] = [name in self.fired for name in self.alerts]
        return {name: (len(some), sum(some)) for name, some in found.items()}

    def empty(self) -> list[str]:
        """Return what has no data, or has not fired."""
        without = [
            f"{one.board}: {one.panel}: {one.expression}"
            for one, some in self.answers.items()
            if not some
        ]
        without += [
            f"rule {name}" for name, has in {**self.recorded, **self.alerts}.items() if not has
        ]
        return without + [
            f"alert {name} did not fire" for name in self.alerts if name not in self.fired
        ]


async def watch(folder: Path, say: Say) -> Watched:
    """Run everything, and ask Prometheus for all that anybody would."""
    watched = Watched()
    async with aiohttp.ClientSession() as session, site(folder, session) as one:
        prometheus = Prometheus(folder, session)
        try:
            await one.start()
            await prometheus.start()
            prometheus.watch(one.admin_url)
            faults = Faults(one, prometheus, folder, say, watched.fired)
            await faults.all()
            watched.untried = faults.untried
            watched.problems += [*faults.problems, *missing_annotations(faults.fired)]
            say("asking for all that panels and rules ask for")
            await _ask(prometheus, watched)
        finally:
            await prometheus.stop()
    return watched


async def _ask(prometheus: Prometheus, watched: Watched) -> None:
    for board in BOARDS:
        for asked in expressions(board):
            watched.answers[asked] = await prometheus.ask(asked.expression)
    for rule in await prometheus.rules():
        if rule["name"] in watched.untried:
            continue
        kind = watched.alerts if rule["type"] == "alerting" else watched.recorded
        kind[rule["name"]] = bool(await prometheus.ask(rule["query"]))
        if rule.get("lastError"):
            watched.problems.append(f"{rule['name']}: {rule['lastError']}")


def _show(watched: Watched, *, is_json: bool) -> None:
    if is_json:
        document = {
            "expressions": {
                name: {"asked": asked, "with_data": has}
                for name, (asked, has) in watched.counts().items()
            },
            "without_data": watched.empty(),
            "untried": watched.untried,
            "problems": watched.problems,
        }
        sys.stdout.write(f"{json.dumps(document, indent=2)}\n")
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_TABLE_WIDTH)
    table = Table("Expressions of", "Asked", "With data")
    counts = watched.counts()
    for name, (asked, has) in counts.items():
        color = "green" if asked == has else "red"
        table.add_row(name, str(asked), f"[{color}]{has}[/]")
    console.print(table)
    for name, why in watched.untried.items():
        console.print(f"not tried: {name}: {why}", markup=False, highlight=False)
    for line in (*watched.empty(), *watched.problems):
        console.print(f"without data: {line}", markup=False, highlight=False)


def _saying() -> Say:
    started_s = time.monotonic()

    def say(what: str) -> None:
        sys.stderr.write(f"{time.monotonic() - started_s:5.0f} s  {what}\n")
        sys.stderr.flush()

    return say


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, do it, and return the exit code."""
    parser = argparse.ArgumentParser(description="Watch a busy bridge with a real Prometheus.")
    parser.add_argument("--json", action="store_true", help="print what came of it as JSON")
    parser.add_argument("--pictures", type=Path, help="a folder for a picture of each dashboard")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="watch-") as folder:
        try:
            watched = asyncio.run(watch(Path(folder), _saying()))
        except WatchError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    if options.pictures is not None:
        for board in BOARDS:
            draw(board, watched.answers, options.pictures / f"{board}.png")
    _show(watched, is_json=options.json)
    return 1 if watched.empty() or watched.problems else 0


if __name__ == "__main__":
    sys.exit(main())
