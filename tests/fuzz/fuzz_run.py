"""Fuzzes the parsers with atheris, which is guided by the code that its inputs reach.

Where atheris can't be had, what is well formed is changed by chance alone. Each target
runs in a process of its own, for its share of the time; exit 1 if one raised anything.
"""

import argparse
import csv
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
BYTES_MAX: Final = 4096
# An input that takes longer than this is a fault too.
INPUT_S_MAX: Final = 10
JOBS: Final = 2
_RUNS: Final = re.compile(r"Done (\d+) runs in (\d+) second")
_SHOWN: Final = 3000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a target."""

    target: str
    runs: int
    is_sound: bool
    said: str


def fuzz_here(target: str, folder: str, seconds: int) -> None:
    """Fuzz one target in this process, which ends with it."""
    try:
        import atheris  # noqa: PLC0415 - only where it fuzzes
    except ImportError:
        fuzz_by_chance(target, folder, seconds)
        return
    with atheris.instrument_imports(include=["bridge"]):
        from fuzz_targets import TARGETS  # noqa: PLC0415 - it is instrumented as it is loaded
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={BYTES_MAX}",
        f"-timeout={INPUT_S_MAX}",
        f"-artifact_prefix={folder}/",
        folder,
    ]
    atheris.Setup(arguments, TARGETS[target])
    atheris.Fuzz()


def fuzz_by_chance(target: str, folder: str, seconds: int) -> None:
    """Cut, repeat and alter what is well formed."""
    from fuzz_targets import TARGETS  # noqa: PLC0415 - after the path is set

    chance = random.Random(time.time_ns())  # noqa: S311 - no secret depends on it
    known = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    runs, end_s = 0, time.monotonic() + seconds
    while time.monotonic() < end_s:
        data = chance.choice(known)
        for _ in range(chance.randint(1, 6)):
            begin, end = sorted(chance.randint(0, len(data)) for _ in range(2))
            piece = chance.choice((b"", data[begin:end] * 2, chance.randbytes(1), b'"', b"\\"))
            data = (data[:begin] + piece + data[min(end, begin + 8) :])[:BYTES_MAX]
        try:
            TARGETS[target](data)
        except BaseException:
            (Path(folder) / f"crash-{runs}").write_bytes(data)
            raise
        runs += 1
    sys.stderr.write(f"Done {runs} runs in {seconds} second(s)\n")


def seeds(target: str) -> Iterator[bytes]:
    """Yield what is well formed, to begin with."""
    from bridge.inbound.event_schema import EXAMPLES  # noqa: PLC0415 - after the path is set

    if target == "msisdn":
        with (ROOT / "tests" / "data" / "msisdn_cases.csv").open(encoding="utf-8") as cases:
            for number, row in enumerate(csv.DictReader(cases)):
                yield bytes([number % 8]) + row["input"].encode()
        return
    if target == "mappings":
        for path in sorted((ROOT / "tests" / "data" / "mappings").glob("*/*")):
            kind = {".json": 0, ".form": 1}.get(path.suffix)
            if kind is not None:
                yield bytes([kind]) + path.read_bytes()
        return
    if target == "auth":
        yield b"Bearer a-token\nm-1\n1790000000\nv1,AAAA v1,BBBB\n{}"
        return
    for path in sorted((ROOT / "tests" / "data" / "samples").glob("*.json")):
        yield path.read_bytes()
    yield b'{"data": 1, "meta": {"api_secret": "x"}'
    for example in EXAMPLES:
        event = json.dumps(example).encode()
        cloud = json.dumps({"specversion": "1.0", "id": "1", "data": example}).encode()
        yield from (event, b"[" + event + b"]", event + b"\n" + event, cloud, b"[" + cloud + b"]")


def fuzz(target: str, seconds: int) -> Outcome:
    """Fuzz one target in a process of its own."""
    with TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds(target)):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        ended = subprocess.run(  # noqa: S603 - this program
            [sys.executable, __file__, "--here", target, "--in", folder, "--seconds", str(seconds)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=ROOT,
        )
        crashes = [
            f"{path.name}: {path.read_bytes()[:500]!r}"
            for path in Path(folder).iterdir()
            if path.name.startswith(("crash-", "timeout-", "oom-", "slow-unit-"))
            and not path.name.startswith("slow-unit-")
        ]
    done = _RUNS.search(ended.stderr)
    is_sound = ended.returncode == 0 and done is not None and not crashes
    said = "" if is_sound else ended.stdout[-_SHOWN:] + ended.stderr[-_SHOWN:] + "\n".join(crashes)
    return Outcome(target, int(done[1]) if done else 0, is_sound, said)


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


def main() -> int:
    """Fuzz what was asked for, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", default="", help="targets, by commas")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    parser.add_argument("--in", dest="folder", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        fuzz_here(given.here, given.folder, given.seconds)
        return 0
    from fuzz_targets import TARGETS  # noqa: PLC0415 - after the path is set

    targets = given.only.split(",") if given.only else list(TARGETS)
    seconds = max(1, round(given.minutes * 60 * JOBS / len(targets)))
    begun_s = time.monotonic()
    with ThreadPoolExecutor(JOBS) as pool:
        outcomes = list(pool.map(lambda target: fuzz(target, seconds), targets))
    took_s = time.monotonic() - begun_s
    say(f"{sum(one.runs for one in outcomes):,} inputs in {took_s:.0f} s on {JOBS} processes")
    for one in outcomes:
        say(f"  {one.target:12} {one.runs:10,} {'' if one.is_sound else 'FAILED'}")
        if one.said:
            say(one.said)
    return int(not all(one.is_sound for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
