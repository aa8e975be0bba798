"""Keeps the daemon of a demo at work: what is killed is started again, as a supervisor would."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final, Self

import aiohttp

from bridge.sandbox.daemon import Daemon, DaemonSettings
from bridge.sandbox.figures import DaemonFigures

_NO_FIGURES: Final = DaemonFigures(pending={}, stopped=0, lookups={})


class Supervisor:
    """One daemon after the other, on the same store and ports.

    Attributes:
        kills: how many of them were killed.
    """

    def __init__(
        self,
        daemon: Daemon,
        settings: DaemonSettings,
        inherited: Mapping[str, str],
        session: aiohttp.ClientSession,
    ) -> None:
        self.kills = 0
        self._daemon = daemon
        self._settings = settings
        self._inherited = inherited
        self._session = session
        self._falling: asyncio.Task[None] | None = None
        # Counters begin at 0 with each daemon; what those before had counted is added.
        self._seen = _NO_FIGURES
        self._lookups_before: Counter[str] = Counter()

    @classmethod
    async def start(
        cls,
        settings: DaemonSettings,
        inherited: Mapping[str, str],
        session: aiohttp.ClientSession,
    ) -> Self:
        """Start the first daemon; whether it is ready is not waited for."""
        daemon = await Daemon.start(settings, inherited)
        return cls(daemon, settings, inherited, session)

    @property
    def events_url(self) -> str:
        """Where events are posted."""
        return self._daemon.events_url

    @property
    def addresses(self) -> dict[str, str]:
        """What can be looked at where."""
        daemon = self._daemon
        return {
            "events": daemon.events_url,
            "metrics": daemon.metrics_url,
            "readiness": daemon.ready_url,
        }

    def last_lines(self) -> list[str]:
        """Return the last lines that the daemons wrote."""
        return self._daemon.last_lines()

    def check(self) -> None:
        """Check that the daemon is there, unless it has just been killed.

        Raises:
            DaemonError: it is gone by itself.
        """
        if self._falling is None:
            self._daemon.check()

    async def wait_ready(self) -> None:
        """Wait until the daemon takes events.

        Raises:
            DaemonError: it ended, or was not ready in time.
        """
        await self._daemon.wait_ready(self._session)

    async def kill(self) -> None:
        """Send SIGKILL to the daemon, wherever it is, and start another one at once.

        Raises:
            DaemonError: it had gone by itself.
        """
        self.check()
        self._falling = asyncio.create_task(self._fall())
        try:
            # A daemon that is just being started must be known to `stop`.
            await asyncio.shield(self._falling)
        finally:
            if self._falling.done():
                self._falling = None

    async def _fall(self) -> None:
        await self._daemon.kill()
        self.kills += 1
        self._lookups_before.update(self._seen.lookups)
        self._seen = _NO_FIGURES
        self._daemon = await Daemon.start(self._settings, self._inherited)

    async def figures(self) -> DaemonFigures | None:
        """Return what the metrics say, look-ups since the first start; None: can't be had now."""
        daemon = self._daemon
        metrics = await daemon.metrics(self._session)
        if metrics is None or daemon is not self._daemon:
            return None
        self._seen = DaemonFigures.read(metrics)
        return DaemonFigures(
            pending=self._seen.pending, stopped=self._seen.stopped, lookups=self.lookups
        )

    @property
    def lookups(self) -> dict[str, int]:
        """Errands looked up by what came of it, as last seen; a kill may hide the very last."""
        return dict(sorted((self._lookups_before + Counter(self._seen.lookups)).items()))

    async def stop(self) -> int:
        """Send SIGTERM and return the exit code; what does not stop in time is killed."""
        if self._falling is not None:
            await asyncio.wait({self._falling})
        return await self._daemon.stop()
