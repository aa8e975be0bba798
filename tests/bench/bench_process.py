"""Processes that are measured: started with an environment of their own, and ended for certain."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

ROOT: Final = Path(__file__).resolve().parents[2]
DEADLINE_S: Final = 120.0
LOOPBACK: Final = "127.0.0.1"
_STOP_S: Final = 30.0
_TAIL_CHARS: Final = 1500
_TICKS: Final = os.sysconf("SC_CLK_TCK")
# What a process needs to be found; of settings it inherits none.
_INHERITED: Final = ("PATH", "HOME", "LANG", "TMPDIR")
T = TypeVar("T")


class BenchError(Exception):
    """Something broke, so that a figure can't be had."""


class MissingProgramError(Exception):
    """A figure needs a program that isn't there; the text says what to install."""


def until(condition: Callable[[], T | None], what: str, *, every_s: float = 0.02) -> T:
    """Return a condition's first answer that is true.

    Raises:
        BenchError: there was none for a long time.
    """
    end_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < end_s:
        if found := condition():
            return found
        time.sleep(every_s)
    raise BenchError(f"{what}: not within {DEADLINE_S:.0f} s")


def fetch(url: str) -> tuple[int, bytes]:
    """Ask once, over a connection of its own; return the status and the body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_STOP_S)
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Child:
    """A process from its start to its end.

    What it writes goes to a file: reading it would cost time while something is measured.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        settings: Mapping[str, str] | None = None,
        *,
        folder: Path | None = None,
    ) -> None:
        """Start it."""
        self._log = log
        kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment = {**kept, "PYTHONPATH": str(ROOT), **(settings or {})}
        self.started_s = time.monotonic()
        with log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs
                [str(one) for one in command],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """Ask it to end; where it doesn't, end it."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def wait(self, condition: Callable[[], T | None], what: str, *, every_s: float = 0.02) -> T:
        """Return a condition's first answer that is true, as long as the process is there.

        Raises:
            BenchError: the process has ended, or there was none for a long time.
        """

        def look() -> T | None:
            found = condition()
            if not found and self._process.poll() is not None:
                raise BenchError(f"{what}: the process has ended; it wrote:\n{self.tail()}")
            return found

        return until(look, what, every_s=every_s)

    def line(self, event: str, *, every_s: float = 0.005) -> dict[str, Any]:
        """Return the JSON line with this `event`, once it has been written."""
        return self.wait(lambda: _line(self._log, event), event, every_s=every_s)

    def tail(self) -> str:
        """Return the end of what it wrote."""
        return self._log.read_text(errors="replace")[-_TAIL_CHARS:]

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time so far, in user and system mode."""
        after_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / _TICKS

    @property
    def memory_mb(self) -> float:
        """Resident memory now."""
        return self._status_mb("VmRSS")

    @property
    def memory_peak_mb(self) -> float:
        """Resident memory at its highest."""
        return self._status_mb("VmHWM")

    def _status_mb(self, name: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        raise BenchError(f"the kernel says no {name}")


def _line(log: Path, event: str) -> dict[str, Any] | None:
    for line in log.read_text(errors="replace").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            document = json.loads(line)
            if isinstance(document, dict) and document.get("event") == event:
                return document
    return None


def python(*arguments: str | Path) -> list[str | Path]:
    """Return the command for a module of this folder, by the interpreter that runs this."""
    return [sys.executable, *arguments]
