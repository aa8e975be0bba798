"""Shows that no acknowledged event is missing after a power cut at any moment.

The writer is recorded twice, with `synchronous=FULL` as the product has it and with `NORMAL`, which
promises less. Then the power is cut many times at many moments of each recording. It exits with 0
if nothing was lost or damaged with FULL and something was lost with NORMAL (else the cuts would
prove nothing), with 1 if not, and with 2 where nothing can be recorded.

    python tests/powercut/powercut_run.py --cuts 1000
"""

import argparse
import json
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from powercut_log import TraceError
from powercut_record import Recording, RecordingError, load_recording, record, why_not
from powercut_survey import Cut, Survey, inspect, plan, survey

_SHOWN_MAX: Final = 10
_FULL: Final = "FULL"
_NORMAL: Final = "NORMAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One recording and what came of its cuts."""

    level: str
    recording: Recording
    result: Survey
    recording_s: float
    cutting_s: float

    @property
    def is_as_promised(self) -> bool:
        """Whether FULL kept everything, or NORMAL lost something."""
        if self.level == _NORMAL:
            return bool(self.result.losses)
        return not self.result.findings

    def summary(self) -> dict[str, Any]:
        """Return the figures for a script."""
        losses = self.result.losses
        return {
            "synchronous": self.level,
            "operations": len(self.recording.operations),
            "checkpoints": self.recording.checkpoints,
            "acknowledged": self.recording.acknowledged,
            "cuts": self.result.cuts,
            "reopened": self.result.reopened,
            "cuts_with_loss": len(losses),
            "lost": sum(losses),
            "lost_max": max(losses, default=0),
            "damaged": self.result.damaged,
            "recording_s": round(self.recording_s, 2),
            "cutting_s": round(self.cutting_s, 2),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, do it, and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.recording is None) != (options.only is None):
        parser.error("--recording and --only go together, as a failure prints them")
    problem = why_not() if options.recording is None else None
    if problem is not None:
        sys.stderr.write(f"{problem}\n")
        return 2
    try:
        if options.recording is not None:
            return _again(options.recording, options.only, options.seed)
        return _all(options)
    except (RecordingError, TraceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Cut the power of the bridge's store at many moments, and see what is kept.",
        epilog="Example: python tests/powercut/powercut_run.py --cuts 1000",
    )
    parser.add_argument("--cuts", type=_positive, default=1000, help="how many, of each recording")
    parser.add_argument("--events", type=_positive, default=300, help="how many events come in")
    parser.add_argument("--seed", type=int, default=1, help="makes the same load and chances again")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--recording", type=Path, help="a recording that was kept; with --only")
    parser.add_argument("--only", type=_cut, help="one cut of it: POSITION:CHOICE:VARIANT")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return int(text)


def _cut(text: str) -> Cut:
    try:
        return Cut.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not POSITION:CHOICE:VARIANT") from None


def _again(folder: Path, cut: Cut, seed: int) -> int:
    """Do one cut of a kept recording again, and leave its files to be looked at."""
    recording = load_recording(folder)
    if cut.position > len(recording.operations):
        sys.stderr.write(f"the recording has only {len(recording.operations)} operations\n")
        return 2
    left = folder / f"cut-{cut}".replace(":", "-")
    verdict = inspect(recording, cut, seed=seed, folder=left)
    for event_id in sorted(verdict.missing):
        sys.stdout.write(f"missing: {event_id}\n")
    for fault in verdict.faults:
        sys.stdout.write(f"wrong: {fault}\n")
    sys.stdout.write(f"{'good' if verdict.is_good else 'bad'}; the files are in {left}\n")
    return 0 if verdict.is_good else 1


def _all(options: argparse.Namespace) -> int:
    folder = Path(tempfile.mkdtemp(prefix="powercut-"))
    runs: list[Run] = []
    try:
        runs.extend(_run(folder, level, options) for level in (_FULL, _NORMAL))
    finally:
        is_passed = len(runs) == 2 and all(run.is_as_promised for run in runs)
        if is_passed or not any(run.result.findings for run in runs):
            shutil.rmtree(folder)
    failures = [line for run in runs for line in _failures(run, options.seed)]
    if options.json:
        report = {"passed": is_passed, "seed": options.seed, "failures": failures}
        sys.stdout.write(f"{json.dumps(report | {'runs': [run.summary() for run in runs]})}\n")
    else:
        sys.stdout.writelines(f"{_line(run)}\n" for run in runs)
        sys.stdout.writelines(f"{line}\n" for line in failures)
    return 0 if is_passed else 1


def _run(folder: Path, level: str, options: argparse.Namespace) -> Run:
    started = time.perf_counter()
    recording = record(
        folder / level.lower(),
        events=options.events,
        seed=options.seed,
        is_normal=level == _NORMAL,
    )
    recorded = time.perf_counter()
    cuts = plan(recording.operations, options.cuts)
    result = survey(recording, cuts, seed=options.seed, on_cut=_progress(level, len(cuts)))
    return Run(
        level=level,
        recording=recording,
        result=result,
        recording_s=recorded - started,
        cutting_s=time.perf_counter() - recorded,
    )


def _progress(level: str, cuts: int) -> Callable[[int], None] | None:
    """Return what shows a line on a terminal; no thread, since opening a store may fork."""
    if not sys.stderr.isatty():
        return None

    def show(done: int) -> None:
        end = "\r\x1b[K" if done == cuts else ""
        sys.stderr.write(f"\r{level}: {done} of {cuts} cuts{end}")
        sys.stderr.flush()

    return show


def _line(run: Run) -> str:
    told = run.summary()
    return (
        f"{run.level:<7} {told['cuts']} cuts in {told['operations']} operations,"
        f" {told['checkpoints']} checkpoints, {told['acknowledged']} events acknowledged:"
        f" {told['lost']} lost in {told['cuts_with_loss']} cuts"
        f" (at most {told['lost_max']} in one), {told['damaged']} stores damaged;"
        f" {told['reopened']} went on with the product;"
        f" {told['recording_s'] + told['cutting_s']:.1f} s"
    )


def _failures(run: Run, seed: int) -> list[str]:
    """Return what to say of a run that was not as promised, with how to see it again."""
    if run.is_as_promised:
        return []
    if run.level == _NORMAL:
        return ["NORMAL lost nothing, so these cuts show nothing: raise --cuts or --events"]
    lines = [
        f"FULL failed at {finding.cut}: {len(finding.verdict.missing)} missing,"
        f" {len(finding.verdict.faults)} wrong; see it again with\n"
        f"  {_command(run.recording.folder, finding.cut, seed)}"
        for finding in run.result.findings[:_SHOWN_MAX]
    ]
    more = len(run.result.findings) - len(lines)
    return [*lines, f"and {more} more"] if more else lines


def _command(folder: Path, cut: Cut, seed: int) -> str:
    given = ("--recording", folder, "--only", cut, "--seed", seed)
    return shlex.join([sys.executable, *map(str, (Path(__file__), *given))])


if __name__ == "__main__":
    sys.exit(main())
