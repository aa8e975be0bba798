"""The daemon as a process of its own, configured by its environment alone: for the demo."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import aiohttp

from bridge.sandbox.serve import LOOPBACK

READY_SECONDS_MAX: Final = 30.0
READY_POLL_SECONDS: Final = 0.1
STOP_SECONDS_MAX: Final = 30.0
LINES_SHOWN_MAX: Final = 20
REQUEST_SECONDS_MAX: Final = 2.0

# What a supervisor gave to this process is not meant for the daemon that it starts.
_NOT_INHERITED: Final = frozenset(
    {
        "CREDENTIALS_DIRECTORY",
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
        "STATE_DIRECTORY",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    }
)


class DaemonError(Exception):
    """The daemon did not start, or went away; `lines` are the last that it wrote."""

    def __init__(self, reason: str, lines: list[str]) -> None:
        self.lines = lines
        super().__init__(reason)


@dataclass(frozen=True, kw_only=True)
class DaemonSettings:
    """What the daemon is told; both ports are on loopback.

    Attributes:
        base_url: of Cention.
        workspace: there.
        token: for it.
        folder: where its store and its log are.
        events_port: where events are posted.
        admin_port: where its metrics are.
        more: further settings by their names in the environment, as `DELIVERY__IN_DOUBT`.
    """

    base_url: str
    workspace: str
    token: str
    folder: Path
    events_port: int
    admin_port: int
    more: Mapping[str, str] = field(default_factory=dict)

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the daemon's environment: the inherited one with these settings and no others."""
        kept = {
            name: value
            for name, value in inherited.items()
            if not name.startswith("BRIDGE_") and name not in _NOT_INHERITED
        }
        return {
            **kept,
            "BRIDGE_CENTION__BASE_URL": self.base_url,
            "BRIDGE_CENTION__WORKSPACE": self.workspace,
            "BRIDGE_CENTION__TOKEN": self.token,
            "BRIDGE_STORE__URL": f"sqlite:///{self.folder.absolute() / 'bridge.db'}",
            "BRIDGE_HTTP__LISTEN": f"{LOOPBACK}:{self.events_port}",
            "BRIDGE_ADMIN__LISTEN": f"{LOOPBACK}:{self.admin_port}",
            **{f"BRIDGE_{name}": value for name, value in self.more.items()},
        }


class Daemon:
    """A running daemon; what it writes is added to a file in its folder."""

    def __init__(
        self, process: asyncio.subprocess.Process, settings: DaemonSettings, output: Path
    ) -> None:
        self.events_url = f"http://{LOOPBACK}:{settings.events_port}/v1/events"
        self.ready_url = f"http://{LOOPBACK}:{settings.admin_port}/readyz"
        self.metrics_url = f"http://{LOOPBACK}:{settings.admin_port}/metrics"
        self._process = process
        self._output = output
        self._timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)

    @classmethod
    async def start(cls, settings: DaemonSettings, inherited: Mapping[str, str]) -> Self:
        """Start `python -m bridge run`."""
        output = settings.folder / "daemon.log"
        with output.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bridge",
                "run",
                env=settings.environment(inherited),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to the demo, which stops the daemon when it is done with it.
                start_new_session=True,
            )
        return cls(process, settings, output)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.returncode is not None

    def last_lines(self) -> list[str]:
        """Return the last lines that the daemon wrote."""
        with self._output.open(errors="replace") as file:
            return [line.rstrip() for line in deque(file, LINES_SHOWN_MAX)]

    def check(self) -> None:
        """Check that the process is there.

        Raises:
            DaemonError: it is gone.
        """
        if self.has_ended:
            code = self._process.returncode
            raise DaemonError(f"The daemon ended with exit code {code}", self.last_lines())

    async def wait_ready(self, session: aiohttp.ClientSession) -> None:
        """Wait until `/readyz` is 200.

        Raises:
            DaemonError: it ended, or was not ready in time.
        """
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(self.ready_url, timeout=self._timeout) as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(READY_POLL_SECONDS)
        reason = f"The daemon was not ready after {READY_SECONDS_MAX:.0f} seconds"
        raise DaemonError(reason, self.last_lines())

    async def metrics(self, session: aiohttp.ClientSession) -> str | None:
        """Return its metrics in Prometheus' text, None where they can't be had now."""
        try:
            async with session.get(self.metrics_url, timeout=self._timeout) as response:
                return await response.text() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def kill(self) -> None:
        """Send SIGKILL, and wait until the process is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        """Send SIGTERM and return the exit code; what does not stop in time is killed."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                return await self._process.wait()
        except TimeoutError:
            await self.kill()
            return await self._process.wait()
