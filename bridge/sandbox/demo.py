"""The whole bridge on one machine: the daemon, the sandbox and simulated calls."""

import asyncio
import contextlib
import dataclasses
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol

import aiohttp

from bridge.sandbox.aventa import CallScript, Posted, RunOptions, RunStatistics, run_calls
from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.daemon import DaemonSettings
from bridge.sandbox.figures import Latency, Snapshot
from bridge.sandbox.kills import plan_kills
from bridge.sandbox.others import Others
from bridge.sandbox.pages import SandboxPages
from bridge.sandbox.patience import STILL_SECONDS, Patience, Stage
from bridge.sandbox.scenario import DemoOptions, Faults
from bridge.sandbox.serve import BackgroundServer, lasting_port, listen_near
from bridge.sandbox.supervisor import Supervisor
from bridge.sandbox.tokens import make_token
from bridge.sandbox.verdict import Verdict, judge

__all__ = ["DemoOptions", "DemoResult", "Faults", "View", "run_demo"]

EVENTS_PORT: Final = 8080
ADMIN_PORT: Final = 9108
SANDBOX_PORT: Final = 8085
WORKSPACE: Final = "demo"
TOKEN_SECONDS: Final = 30 * 24 * 3600
CALLS_AT_ONCE_MIN: Final = 64
GAP_SECONDS: Final = 0.5
OBSERVE_SECONDS: Final = 0.5
KILL_POLL_SECONDS: Final = 0.02
# A phone system goes on until it has its 2xx; a daemon that stays away ends the run before.
ATTEMPTS_MAX: Final = 1000
LATE_SECONDS_MAX: Final = 30.0
CREATIONS_KEPT_MAX: Final = 10_000


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
        DaemonError: the daemon did not start, or went away by itself.
    """
    app = create_app(
        SandboxOptions(
            workspaces=(WORKSPACE,),
            random=_chance(options),
            requests_per_minute=options.requests_per_minute,
        )
    )
    with _folder(options) as folder, BackgroundServer(app, listen_near(SANDBOX_PORT)) as sandbox:
        # Whoever looks on must not have to wait until a call has been posted.
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            settings = DaemonSettings(
                base_url=sandbox.url,
                workspace=WORKSPACE,
                token=make_token(b"sandbox", area="Demo", expires_at=time.time() + TOKEN_SECONDS),
                folder=folder,
                # Somebody else may take a well-known port while a killed daemon is away from it.
                events_port=lasting_port(0 if options.kills else EVENTS_PORT),
                admin_port=lasting_port(0 if options.kills else ADMIN_PORT),
                more=options.daemon_settings(),
            )
            daemon = await Supervisor.start(settings, os.environ, session)
            demo = _Demo(options, daemon, SandboxPages(session, sandbox.url), session, view)
            try:
                await daemon.wait_ready()
                await demo.run(stop)
            finally:
                exit_code = await daemon.stop()
            # Only now nothing can arrive any more that nobody would have looked at.
            return await demo.result(exit_code, is_stopped=stop.is_set())


def _chance(options: DemoOptions) -> Random:
    return Random(options.seed)  # noqa: S311 - made-up calls, faults and kills, no secrets


@contextlib.contextmanager
def _folder(options: DemoOptions) -> Iterator[Path]:
    """Give the folder that was asked for, or one that is gone afterwards."""
    if options.folder is None:
        with TemporaryDirectory(prefix="aventa-bridge-demo-") as folder:
            yield Path(folder)
    else:
        options.folder.mkdir(parents=True, exist_ok=True)
        yield options.folder


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
    daemon: Supervisor
    pages: SandboxPages
    session: aiohttp.ClientSession
    view: View
    snapshot: Snapshot = field(default_factory=Snapshot)
    statistics: RunStatistics = field(default_factory=RunStatistics)
    references: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    creations: deque[float] = field(default_factory=lambda: deque(maxlen=CREATIONS_KEPT_MAX))
    answered_at: dict[str, float] = field(default_factory=dict)
    created_at: dict[str, float] = field(default_factory=dict)
    newest_errand: int = 0
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.others = Others(self.pages)

    async def run(self, stop: asyncio.Event) -> None:
        """Post the calls, with all that is to go wrong, and wait until they have arrived."""
        self.view.open(
            {
                **self.daemon.addresses,
                "errands at the sandbox": f"{self.pages.url}/errands",
                "contacts at the sandbox": f"{self.pages.url}/contacts",
            }
        )
        async with contextlib.AsyncExitStack() as stack:
            if self.options.is_hard:
                await self.others.begin()
                await stack.enter_async_context(_background(self.others.go_on()))
            if self.options.faults is not None:
                await self.pages.set_faults(self.options.faults.document())
            self.started = time.monotonic()
            posting = await stack.enter_async_context(_background(self._post_calls()))
            killing = await stack.enter_async_context(_background(self._kill()))
            while not (stop.is_set() or (posting.done() and killing.done())):
                if killing.done():
                    killing.result()
                await self._pause(stop, posting, killing)
        if self.options.calls:
            await self._drain(stop)
        if self.options.faults is not None:
            await self.pages.set_faults([])
        await self._observe()

    async def result(self, exit_code: int, *, is_stopped: bool) -> DemoResult:
        """Judge the run, once the daemon has stopped with this exit code."""
        verdict = None
        if self.options.calls and is_stopped:
            self.problems.append("Stopped before the end")
        elif self.options.calls:
            verdict = await self._judge()
            self.problems.extend(verdict.mistakes())
        if self.statistics.calls_failed:
            self.problems.append(f"{self.statistics.calls_failed} calls could not be posted")
            self.problems.extend(self.statistics.failures)
        if exit_code != 0:
            self.problems.append(f"The daemon stopped with exit code {exit_code}, not 0")
            self.problems.extend(self.daemon.last_lines())
        return DemoResult(snapshot=self.snapshot, verdict=verdict, problems=tuple(self.problems))

    async def _judge(self) -> Verdict:
        deadline = time.monotonic() + LATE_SECONDS_MAX
        summary = await self.pages.summary(with_references=True)
        while summary["late_effects"] and time.monotonic() < deadline:
            await asyncio.sleep(OBSERVE_SECONDS)
            summary = await self.pages.summary(with_references=True)
        if summary["late_effects"]:
            self.problems.append("The sandbox still does late what it was asked for")
        return judge(
            summary,
            self.references,
            others_cleared=await self.others.cleared(),
            stopped=self.snapshot.stopped,
            ends_may_repeat=self.options.leaves_doubt,
        )

    async def _post_calls(self) -> None:
        script = CallScript(_chance(self.options), started_at=datetime.now(UTC), answered_only=True)
        run_options = RunOptions(
            url=self.daemon.events_url,
            calls=self.options.calls,
            rate=self.options.rate,
            concurrency=max(CALLS_AT_ONCE_MIN, int(4 * self.options.rate)),
            gap_seconds=GAP_SECONDS,
        )
        if self.options.kills:
            run_options = dataclasses.replace(run_options, attempts=ATTEMPTS_MAX)
        await run_calls(self.session, script, run_options, on_posted=self._note_posted)

    async def _kill(self) -> None:
        """Kill the daemon so often as asked for, and see that the last one gets to work."""
        if not self.options.kills:
            return
        plan = plan_kills(_chance(self.options), kills=self.options.kills, calls=self.options.calls)
        for kill in plan:
            if kill.in_start_seconds is None:
                await self.daemon.wait_ready()
                # Not told by an answer, so that a kill comes at any moment of the daemon's work.
                while self.statistics.calls_started < kill.after_calls:  # noqa: ASYNC110 - as said
                    await asyncio.sleep(KILL_POLL_SECONDS)
            else:
                await asyncio.sleep(kill.in_start_seconds)
            await self.daemon.kill()
        await self.daemon.wait_ready()

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

    async def _pause(self, stop: asyncio.Event, *others: asyncio.Task[None]) -> None:
        stopping = asyncio.create_task(stop.wait())
        tasks = {stopping, *(task for task in others if not task.done())}
        try:
            await asyncio.wait(tasks, timeout=OBSERVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        await self._observe()

    async def _drain(self, stop: asyncio.Event) -> None:
        """Wait until all that was posted has arrived, nothing more moves, or stopped."""
        still_seconds = STILL_SECONDS if self.options.is_hard else 0.0
        patience = Patience(len(self.references), still_seconds=still_seconds)
        while not stop.is_set():
            stage = patience.look(self.snapshot, time.monotonic())
            if stage in {Stage.ARRIVED, Stage.QUIET}:
                return
            if stage is Stage.STALLED:
                self.problems.append("Timed out before everything had been delivered")
                return
            await self._pause(stop)

    async def _observe(self) -> None:
        self.daemon.check()
        figures = await self.daemon.figures()
        summary = await self.pages.summary()
        for errand in await self.pages.errands(self.newest_errand):
            self.newest_errand = int(errand["id"])
            reference = errand["attributes"].get("integrationData", {}).get("referenceId")
            if reference is not None:
                self._match(reference, self.created_at, errand["created_at"])
        statistics, is_hard = self.statistics, self.options.is_hard
        self.snapshot = Snapshot(
            elapsed_seconds=time.monotonic() - self.started,
            calls_wanted=self.options.calls,
            calls_posted=statistics.calls_posted,
            events_posted=statistics.events_posted,
            events_repeated=statistics.retries,
            events_duplicate=statistics.events_duplicate,
            errands_created=summary["errands"]["created"],
            errands_ended=summary["errands"]["ended"],
            contacts=summary["contacts"],
            faults=None if self.options.faults is None else summary["faults"]["by_fault"],
            kills=self.daemon.kills if self.options.kills else None,
            others=len(self.others.ids) if is_hard else None,
            others_cleared=len(await self.others.cleared()),
            lookups=self.daemon.lookups,
            pending=None if figures is None else sum(figures.pending.values()),
            stopped=self.snapshot.stopped if figures is None else figures.stopped,
            late_effects=summary["late_effects"],
            answer=Latency.of(statistics.latencies),
            creation=Latency.of(self.creations),
        )
        self.view.update(self.snapshot)
