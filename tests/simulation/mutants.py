"""Faults put into copies of the bridge on purpose: the simulation must find each of them.

    python tests/simulation/mutants.py [--only NAME] [--seeds 500]

A patch whose text isn't found any more is an error, not a pass: it has to follow the code.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from mutant_list import MUTANTS, Mutant
from rich.console import Console
from rich.table import Table
from sim_world import simulate

say = partial(print, flush=True)
ROOT: Final = Path(__file__).resolve().parents[2]
COMMAND: Final = "tests/simulation/simulate.py"
PARTS: Final = ("bridge", "tests/simulation")
_LEAVE_OUT: Final = shutil.ignore_patterns("*.pyc", "__pycache__")
_FAILED: Final = re.compile(r"FAILED seed (\d+) \((\w+)\) at [\d.]+ s: (.*)")


class Stale(Exception):  # noqa: N818 - says what is wrong with the mutant, not with the code
    """A mutant's patch doesn't fit the code any more."""


@dataclass(frozen=True, slots=True)
class Found:
    """By which seed a mutant was found, after how long; seed None: it was not."""

    mutant: Mutant
    seed: int | None
    seconds: float
    invariant: str


def snapshot(folder: Path) -> Path:
    """Copy what mutants are made of, and return where to."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=_LEAVE_OUT)
    return folder


def patched(mutant: Mutant, source: Path, target: Path) -> None:
    """Make a copy of the package with the mutant's fault in it.

    Raises:
        Stale: its text is not there, or not only once.
    """
    shutil.copytree(source, target, ignore=_LEAVE_OUT, dirs_exist_ok=True)
    for patch in mutant.patches:
        path = target / patch.path
        text = path.read_text()
        if text.count(patch.old) != 1:
            raise Stale(f"{mutant.name}: {patch.path} has {text.count(patch.old)} of {patch.old!r}")
        path.write_text(text.replace(patch.old, patch.new))


def hunt(mutant: Mutant, source: Path, seeds: int, jobs: int) -> Found:
    """Run the simulation against a mutant until it is found.

    Raises:
        Stale: as `patched`.
    """
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        patched(mutant, source, Path(folder))
        ran = subprocess.run(  # noqa: S603 - the command beside this file
            [
                sys.executable,
                str(Path(folder) / COMMAND),
                *("--seeds", str(seeds), "--jobs", str(jobs), "--first", "--quiet"),
            ],
            env={**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    seconds = time.monotonic() - started_s
    match = _FAILED.search(ran.stdout)
    if match is not None and simulate(int(match[1])).violation is not None:
        raise Stale(f"{mutant.name}: seed {match[1]} fails without the mutant as well")
    if match is None and ran.returncode != 0:
        raise Stale(f"{mutant.name}: the simulation itself fails\n{ran.stderr[-2000:]}")
    if match is None:
        return Found(mutant, None, seconds, "")
    return Found(mutant, int(match[1]), seconds, match[3])


def main() -> int:
    """Run the command; return its exit code: 1 where a mutant was not found."""
    parser = argparse.ArgumentParser(description="Put faults in, and see that they are found.")
    parser.add_argument("--only", action="append", help="this mutant alone; may be given often")
    parser.add_argument("--seeds", type=int, default=500, help="how many to try for each")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="only see that the patches fit")
    chosen = parser.parse_args()
    mutants = [one for one in MUTANTS if not chosen.only or one.name in chosen.only]
    if chosen.check:
        return _check(mutants)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        # Somebody may go on working meanwhile.
        source = snapshot(Path(folder))
        found = [one for mutant in mutants if (one := _tried(mutant, source, chosen)) is not None]
    _show(found)
    is_well = mutants and len(found) == len(mutants) and all(one.seed is not None for one in found)
    return 0 if is_well else 1


def _tried(mutant: Mutant, source: Path, chosen: argparse.Namespace) -> Found | None:
    try:
        found = hunt(mutant, source, chosen.seeds, chosen.jobs)
    except Stale as error:
        say(f"ERROR {error}")
        return None
    say(f"{mutant.name}: {found.seed}, {found.seconds:.1f} s, {found.invariant}")
    return found


def _check(mutants: Iterable[Mutant]) -> int:
    misfits = [
        f"{mutant.name}: {patch.path}"
        for mutant in mutants
        for patch in mutant.patches
        if (ROOT / patch.path).read_text().count(patch.old) != 1
    ]
    for misfit in misfits:
        say(f"ERROR {misfit}")
    return 1 if misfits else 0


def _show(found: Iterable[Found]) -> None:
    table = Table("mutant", "seed", "seconds", "invariant")
    for one in found:
        seed = "NOT FOUND" if one.seed is None else str(one.seed)
        table.add_row(one.mutant.name, seed, f"{one.seconds:.1f}", one.invariant)
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
