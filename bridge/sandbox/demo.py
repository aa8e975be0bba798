"""The whole bridge on one machine: the daemon, the sandbox and simulated calls."""

import asyncio
import contextlib
import dataclasses
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol

import aiohttp
import orjson

from bridge.sandbox.aventa import CallScript, Posted, RunOptions, RunStatistics, run_calls
from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.daemon import Daemon, DaemonSettings
from bridge.sandbox.kinds import CARDS, END_ERRANDS, NEW_ERRANDS
from bridge.sandbox.presets import NO_DOUBT
from bridge.sandbox.serve import BackgroundServer, free_port, listen_near
from bridge.sandbox.tokens import make_token
from bridge.sandbox.verdict import Latency, Snapshot, Verdict, judge, outbox_pending

EVENTS_PORT: Final = 8080
ADMIN_PORT: Final = 9108
SANDBOX_PORT: Final = 8085
WORKSPACE: Final = "demo"
TOKEN_SECONDS: Final = 30 * 24 * 3600
CALLS_AT_ONCE_MIN: Final = 64
GAP_SECONDS: Final = 0.5
OBSERVE_SECONDS: Final = 0.5
DRAIN_SECONDS_BASE: Final = 60.0
# A call is at most three requests, of which the bridge sends some 15 a second; three times that.
DRAIN_SECONDS_PER_CALL: Final = 0.6
CREATIONS_KEPT_MAX: Final = 10_000
FAULT_RATE: Final = 0.2
# Until the daemon looks up what became of an errand in doubt, a lost answer would double it.
FAULTS: Final = {"preset": NO_DOUBT, "rate": FAULT_RATE, "kinds": [NEW_ERRANDS, END_ERRANDS, CARDS]}
REQUEST_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What to run.

    Attributes:
        calls: how many; 0 to go on until stopped.
        rate: calls a second.
        seed: makes the same callers, and the same chances of faults.
        faults: whether requests fail while calls are posted.
    """

    calls: int
    rate: float
    seed: int
    faults: bool = False


class View(Protocol):
    """Shows a demo while it runs."""

    def open(self, addresses: dict[str, str]) -> None:
        """Show what can be looked at where."""

    def update(self, snapshot: Snapshot) -> None:
        """Show how far it is."""


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """How a demo went: `verdict` is None where it was endless, or stopped before its end."""

    snapshot: Snapshot
    verdict: Verdict | None
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything went as it should."""
        return not self.problems


async def run_demo(options: DemoOptions, view: View, stop: asyncio.Event) -> DemoResult:
    """Run the whole bridge until the calls have arrived, or until stopped.

    Raises:
        DaemonError: the daemon did not start, or went away.
    """
    chance = Random(options.seed)  # noqa: S311 - made-up faults, no secrets
    app = create_app(SandboxOptions(workspaces=(WORKSPACE,), random=chance))
    with (
        TemporaryDirectory(prefix="aventa-bridge-demo-") as folder,
        BackgroundServer(app, listen_near(SANDBOX_PORT)) as sandbox,
    ):
        token = make_token(b"sandbox", area="Demo", expires_at=time.time() + TOKEN_SECONDS)
        settings = DaemonSettings(
            base_url=sandbox.url,
            workspace=WORKSPACE,
            token=token,
            folder=Path(folder),
            events_port=free_port(EVENTS_PORT),
            admin_port=free_port(ADMIN_PORT),
        )
        daemon = await Daemon.start(settings, os.environ)
        try:
            async with aiohttp.ClientSession() as session:
                await daemon.wait_ready(session)
                demo = _Demo(options, daemon, sandbox.url, session, view)
                view.open(demo.addresses())
                result = await demo.run(stop)
        finally:
            exit_code = await daemon.stop()
        if exit_code != 0:
            problem = f"The daemon stopped with exit code {exit_code}, not 0"
            problems = (*result.problems, problem, *daemon.last_lines())
            result = dataclasses.replace(result, problems=problems)
    return result


async def set_faults(session: aiohttp.ClientSession, sandbox_url: str, faults: Any) -> None:
    """Put rules or a preset in force at a sandbox; no rules end those in force.

    Raises:
        aiohttp.ClientResponseError: they are wrong.
    """
    url = f"{sandbox_url}/_sandbox/faults"
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
    body = orjson.dumps(faults)
    async with session.post(url, data=body, timeout=timeout, raise_for_status=True):
        pass


@contextlib.asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run something meanwhile: cancelled at the end, and whatever went wrong in it is raised."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


@dataclass
class _Demo:
    options: DemoOptions
    daemon: Daemon
    sandbox_url: str
    session: aiohttp.ClientSession
    view: View
    snapshot: Snapshot = field(default_factory=Snapshot)
    statistics: RunStatistics = field(default_factory=RunStatistics)
    references: list[str] = field(default_factory=list)
    creations: deque[float] = field(default_factory=lambda: deque(maxlen=CREATIONS_KEPT_MAX))
    answered_at: dict[str, float] = field(default_factory=dict)
    created_at: dict[str, float] = field(default_factory=dict)
    newest_errand: int = 0
    started: float = field(default_factory=time.monotonic)

    def addresses(self) -> dict[str, str]:
        return {
            "events": self.daemon.events_url,
            "metrics": self.daemon.metrics_url,
            "readiness": self.daemon.ready_url,
            "errands at the sandbox": f"{self.sandbox_url}/_sandbox/errands",
            "contacts at the sandbox": f"{self.sandbox_url}/_sandbox/contacts",
        }

    async def run(self, stop: asyncio.Event) -> DemoResult:
        if self.options.faults:
            await set_faults(self.session, self.sandbox_url, FAULTS)
        async with _background(self._post_calls()) as posting:
            while not (posting.done() or stop.is_set()):
                await self._pause(stop, posting)
        if self.options.faults:
            await set_faults(self.session, self.sandbox_url, [])
        problems = []
        if self.options.calls and not await self._drain(stop):
            problems.append("Timed out before everything had been delivered")
        await self._observe()
        verdict = None
        if self.options.calls and stop.is_set():
            problems.append("Stopped before the end")
        elif self.options.calls:
            verdict = judge(await self._fetch("summary"), self.references)
            problems.extend(verdict.mistakes())
        if self.statistics.calls_failed:
            problems.append(f"{self.statistics.calls_failed} calls could not be posted")
            problems.extend(self.statistics.failures)
        return DemoResult(snapshot=self.snapshot, verdict=verdict, problems=tuple(problems))

    async def _post_calls(self) -> None:
        now = datetime.now(UTC)
        script = CallScript(
            Random(self.options.seed),  # noqa: S311 - made-up calls, no secrets
            started_at=now,
            answered_only=True,
        )
        await run_calls(
            self.session,
            script,
            RunOptions(
                url=self.daemon.events_url,
                calls=self.options.calls,
                rate=self.options.rate,
                concurrency=max(CALLS_AT_ONCE_MIN, int(4 * self.options.rate)),
                gap_seconds=GAP_SECONDS,
            ),
            on_posted=self._note_posted,
        )

    def _note_posted(self, posted: Posted) -> None:
        self.statistics = posted.statistics
        reference = posted.event["referenceId"]
        if posted.ends_call and self.options.calls:
            self.references.append(reference)
        if posted.event["eventType"] == "call.answered":
            self._match(reference, self.answered_at, time.time() - posted.latency_seconds)

    def _match(self, reference: str, noted: dict[str, float], at: float) -> None:
        """Note one end of the way from an event to its errand; with both it is measured."""
        noted[reference] = at
        if reference in self.answered_at and reference in self.created_at:
            created_at = self.created_at.pop(reference)
            self.creations.append(max(0.0, created_at - self.answered_at.pop(reference)))

    async def _pause(self, stop: asyncio.Event, posting: asyncio.Task[None] | None) -> None:
        stopping = asyncio.create_task(stop.wait())
        try:
            tasks = {stopping} if posting is None else {stopping, posting}
            await asyncio.wait(tasks, timeout=OBSERVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        await self._observe()

    async def _drain(self, stop: asyncio.Event) -> bool:
        """Wait until all that was posted has arrived, or stopped; False after too long."""
        seconds = DRAIN_SECONDS_BASE + DRAIN_SECONDS_PER_CALL * self.options.calls
        deadline = time.monotonic() + seconds
        while not (self._has_arrived() or stop.is_set()):
            if time.monotonic() > deadline:
                return False
            await self._pause(stop, None)
        return True

    def _has_arrived(self) -> bool:
        calls = len(self.references)
        return (
            self.snapshot.pending == 0
            and self.snapshot.errands_created >= calls
            and self.snapshot.errands_ended >= calls
        )

    async def _observe(self) -> None:
        self.daemon.check()
        metrics = await self.daemon.metrics(self.session)
        summary = await self._fetch("summary?references=0")
        for errand in await self._fetch(f"errands?after={self.newest_errand}"):
            self.newest_errand = int(errand["id"])
            reference = errand["attributes"].get("integrationData", {}).get("referenceId")
            if reference is not None:
                self._match(reference, self.created_at, errand["created_at"])
        self.snapshot = Snapshot(
            elapsed_seconds=time.monotonic() - self.started,
            calls_wanted=self.options.calls,
            calls_posted=self.statistics.calls_posted,
            events_posted=self.statistics.events_posted,
            errands_created=summary["errands"]["created"],
            errands_ended=summary["errands"]["ended"],
            contacts=summary["contacts"],
            faults=summary["faults"]["by_fault"] if self.options.faults else None,
            pending=None if metrics is None else sum(outbox_pending(metrics).values()),
            answer=Latency.of(self.statistics.latencies),
            creation=Latency.of(self.creations),
        )
        self.view.update(self.snapshot)

    async def _fetch(self, page: str) -> Any:
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
        url = f"{self.sandbox_url}/_sandbox/{page}"
        async with self.session.get(url, timeout=timeout) as response:
            return orjson.loads(await response.read())
