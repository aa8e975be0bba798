"""Build the wheel twice, as two different machines would, and keep it if both are the same bytes.

python tools/wheel.py [FOLDER]     puts it into FOLDER (default: dist), and prints its SHA-256

The times within it are `SOURCE_DATE_EPOCH`'s, where that is set, else Hatch's own fixed day.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
# All that the wheel is made of.
PARTS: Final = ("pyproject.toml", "README.md", "LICENSE", "bridge", "config/mappings")
# What machines differ in, and a wheel must not.
MACHINES: Final = (
    {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1", "mask": "022", "mtime": "86400"},
    {
        "TZ": "Asia/Kuala_Lumpur",
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "2",
        "mask": "077",
        "mtime": "1700000000",
    },
)


def build(folder: Path, machine: dict[str, str]) -> Path:
    """Build the wheel in a folder of its own, from a copy whose files are as on that machine."""
    source = folder / "source"
    source.mkdir(parents=True)
    for part in PARTS:
        origin = ROOT / part
        if origin.is_dir():
            shutil.copytree(origin, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, source)
    mask, mtime = int(machine["mask"], 8), int(machine["mtime"])
    for path in source.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
        os.utime(path, (mtime, mtime))
    environ = os.environ | {key: text for key, text in machine.items() if key.isupper()}
    subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "made")],
        cwd=source,
        env=environ,
        check=True,
        # Of a build that fails, the error says enough.
        capture_output=True,
    )
    (wheel,) = (folder / "made").iterdir()
    return wheel


def main(arguments: Sequence[str]) -> int:
    """Build, compare and keep; return 1 where the bytes differ."""
    place = Path(arguments[0]) if arguments else ROOT / "dist"
    with tempfile.TemporaryDirectory() as work:
        first, second = (
            build(Path(work) / str(number), machine) for number, machine in enumerate(MACHINES)
        )
        if first.read_bytes() != second.read_bytes():
            sys.stderr.write(f"{first.name} is not the same bytes when it is built again\n")
            return 1
        place.mkdir(parents=True, exist_ok=True)
        kept = Path(shutil.copy(first, place))
    sys.stdout.write(f"{hashlib.sha256(kept.read_bytes()).hexdigest()}  {kept.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
