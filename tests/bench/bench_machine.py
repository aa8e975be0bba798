"""What was measured on: the machine, the interpreter, and the versions of all that took part."""

import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sysconfig
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from bridge import __version__

_LIBRARIES: Final = ("aiohttp", "orjson", "msgspec", "pydantic", "SQLAlchemy", "uvloop")
_SYNCS: Final = 50
_PAGE: Final = bytes(4096)


def machine(folder: Path, node_red: Path) -> dict[str, Any]:
    """Return what figures of this machine are to be read with; stores are in the folder."""
    return {
        "cpus": os.cpu_count(),
        "cpu": _cpu(),
        "kernel": platform.release(),
        "file_system": _file_system(folder),
        "sync_ms": round(sync_ms(folder), 3),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "optimised": is_optimised(),
        "versions": versions(node_red),
    }


def is_optimised() -> bool:
    """Say whether the interpreter was built with profile-guided optimisation.

    It matters: one without is a tenth to a third slower, and so is all that is measured with it.
    """
    return "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")


def sync_ms(folder: Path) -> float:
    """Return how long it takes until a page is on disk, which no durable answer can be under."""
    path = folder / "sync"
    taken: list[float] = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(_PAGE)
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - started)
    path.unlink()
    return statistics.median(taken) * 1000


def versions(node_red: Path) -> dict[str, str]:
    """Return the versions of what takes part, as far as it is there."""
    found = {"aventa-bridge": __version__, "sqlite": sqlite3.sqlite_version}
    for name in _LIBRARIES:
        try:
            found[name.lower()] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if shutil.which("wrk"):
        found["wrk"] = _said("wrk", "-v").split()[1]
    if shutil.which("node"):
        found["node"] = _said("node", "--version").removeprefix("v").strip()
    about = node_red / "node_modules" / "node-red" / "package.json"
    if about.exists():
        found["node-red"] = json.loads(about.read_text())["version"]
    return found


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - named above
    return done.stdout


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """Return the type of what is mounted nearest above the folder."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    at = folder.resolve()
    found = [
        (len(place), kind)
        for place, kind in mounts
        if at == Path(place) or Path(place) in at.parents
    ]
    return max(found, default=(0, "unknown"))[1]
