"""The benchmarks: every figure beside a baseline that is taken in the same run.

    python tests/bench/bench_run.py --only ingest,batches

A whole run leaves figures.json and figures.svg in docs/benchmarks; a short one, or one of some
figures only, leaves nothing unless it is told where.

It exits with 0 if all was measured that could be (targets that are not met change nothing, nor does
a program that is missing), with 1 if something broke, and with 2 for wrong usage.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NoReturn

from bench_backlog import backlog
from bench_bounds import bounded
from bench_calls import whole_calls
from bench_chart import chart
from bench_figures import Figure, Report
from bench_ingest import batches, ingest
from bench_latency import latency
from bench_machine import machine
from bench_process import ROOT, BenchError, MissingProgramError
from bench_site import Bench
from bench_stages import stages
from bench_start import memory, start
from bench_table import bounds, table
from rich.console import Console

GROUPS: Final[dict[str, Callable[[Bench], list[Figure]]]] = {
    "ingest": ingest,
    "batches": batches,
    "calls": whole_calls,
    "latency": latency,
    "backlog": backlog,
    "start": start,
    "memory": memory,
    "stages": stages,
}
_DOCS: Final = ROOT / "docs" / "benchmarks"
_TABLE_WIDTH: Final = 132


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, do it, and return the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    with _folder() as folder:
        bench = Bench(folder, options.node_red, options.short, _saying())
        report = measure(bench, options.only)
    _show(report, is_json=options.json)
    # What is kept for all to see is whole: a part of it would take the place of the rest.
    is_whole = not (options.short or report.broken) and options.only == list(GROUPS)
    out = options.out or (_DOCS if is_whole else None)
    if out is not None:
        write(report, out)
    return 1 if report.broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Measure the bridge beside baselines, on loopback.",
        epilog="Example: python tests/bench/bench_run.py --short --only calls,latency",
    )
    names = ", ".join(GROUPS)
    parser.add_argument("--only", type=_names, default=list(GROUPS), help=f"some of: {names}")
    parser.add_argument("--short", action="store_true", help="a minute or so; shows ratios only")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--out", type=Path, help="a folder for figures.json and figures.svg")
    parser.add_argument(
        "--node-red",
        type=Path,
        default=ROOT / ".venv" / "node-red",
        help="where Node-RED is, or is installed to",
    )
    return parser


def _names(text: str) -> list[str]:
    # What a call costs is read while calls are measured.
    asked = {"calls" if name == "cpu" else name for name in text.split(",")}
    unknown = asked - GROUPS.keys()
    if unknown:
        raise argparse.ArgumentTypeError(
            f"there is no {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}, cpu"
        )
    return [name for name in GROUPS if name in asked]


def _end(_number: int, _frame: object) -> NoReturn:
    """End in order, so that no process is left."""
    sys.exit(1)


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder on the disk that the project is on: the usual place may be in memory."""
    parent = ROOT / "var"
    parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            parent.rmdir()  # unless it holds more


def _saying() -> Callable[[str], None]:
    started_s = time.monotonic()

    def say(what: str) -> None:
        sys.stderr.write(f"{time.monotonic() - started_s:5.0f} s  {what}\n")
        sys.stderr.flush()

    return say


def measure(bench: Bench, names: Sequence[str]) -> Report:
    """Measure these, one after the other; what breaks or can't be had doesn't stop the rest."""
    figures: list[Figure] = []
    broken: list[str] = []
    facts = machine(bench.folder, bench.node_red)
    for name in names:
        try:
            figures += GROUPS[name](bench)
        except MissingProgramError as error:
            bench.skipped.append(str(error))
        except Exception as error:  # noqa: BLE001 - whatever it was, the others go on
            broken.append(f"{name}: {reason(error)}")
            bench.say(broken[-1])
    return Report(
        is_short=bench.is_short,
        machine=facts,
        figures=bounded(figures, bench.raw),
        raw=bench.raw,
        skipped=bench.skipped,
        broken=broken,
    )


def reason(error: BaseException) -> str:
    """Return what happened; of several things at once, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"


def _show(report: Report, *, is_json: bool) -> None:
    if is_json:
        sys.stdout.write(f"{json.dumps(report.as_document(), indent=2)}\n")
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_TABLE_WIDTH)
    console.print(table(report))
    for line in bounds(report):
        console.print(f"bound: {line}", markup=False)
    for line in report.skipped:
        console.print(f"skipped: {line}", markup=False)
    for line in report.broken:
        console.print(f"broke: {line}", markup=False)


def write(report: Report, folder: Path) -> None:
    """Leave the figures and their picture in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(report.as_document(), indent=2, ensure_ascii=False)
    (folder / "figures.json").write_text(f"{document}\n", encoding="utf-8")
    (folder / "figures.svg").write_text(chart(report.figures), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
