"""One process of the bridge: the real services on simulated ports, until it dies."""

import asyncio
import contextvars
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any, Final, Protocol

from sim_loop import OWNER, SimClock, Trace, VirtualLoop
from sim_rows import Rows
from sim_rules import RULES
from sim_scenario import Scenario
from sim_upstream import Ask, Upstream, Watch
from sim_weather import Weather
from sim_writer import SimWriter

from bridge.domain.calls import CallPolicy
from bridge.domain.deliveries import Kind
from bridge.domain.errands import Guide
from bridge.domain.errors import InvalidEvent, StoreUnavailable
from bridge.domain.outcomes import Reply
from bridge.ports import Parcel, Report
from bridge.services.channels import upstreams_of
from bridge.services.dispatch import Dispatcher
from bridge.services.folding import IngestPolicy
from bridge.services.ingest import Ingest, Receipt
from bridge.services.reconcile import LookupPolicy, Reconciler
from bridge.services.recording import DispatchPolicy
from bridge.services.upkeep import Retention, Upkeep
from bridge.services.verdicts import Verdicts

STOP_WITHIN_S: Final = 5.0
DIGEST_KEY: Final = bytes(range(16))


class World(Protocol):
    """What outlives a process."""

    loop: VirtualLoop
    rows: Rows
    upstream: Upstream
    weather: Weather
    trace: Trace
    scenario: Scenario
    tokens: dict[str, str]
    chances: dict[str, Random]
    set_us: int

    @property
    def watch(self) -> "ProcessWatch":
        """Who checks that all is as it should be."""
        ...

    def died(self, process: "Process", why: str) -> None:
        """Hear that a process is no more."""
        ...


class ProcessWatch(Watch, Protocol):
    """Who checks what a process does."""

    def committed(self, now_s: float) -> None:
        """See the store after a commit."""
        ...

    def looked_up(self, outcome: str) -> None:
        """Hear of a verdict on what was in doubt."""
        ...


class SimDisk:
    """The disk, as the weather lets it be."""

    def __init__(self, world: World) -> None:
        self._world = world

    def is_full(self) -> bool:
        """Say whether nothing can be written."""
        return self._world.weather.during("disk_full", self._world.loop.time())

    def commit_s(self) -> float:
        """Return how long a commit takes."""
        roll = self._world.chances["disk"].random()
        if self._world.weather.during("disk_slow", self._world.loop.time()):
            return 0.05 + roll**4 * 4.0
        return 0.0005 + roll * 0.002


class SimLog:
    """Traces what is logged; an error that nobody expected is a violation."""

    def __init__(self, world: World) -> None:
        self._world = world

    def debug(self, event: str, **fields: object) -> None:
        """Say nothing."""

    info = debug

    def warning(self, event: str, **fields: object) -> None:
        """Note it."""
        self._world.trace("log", event, fields.get("outcome", ""), fields.get("reason", ""))

    def error(self, event: str, **fields: object) -> None:
        """Note it; a fault of the code is never in order."""
        self._world.trace("log", event, fields.get("error", ""))
        if fault := fields.get("exc_info"):
            self._world.watch.violated("no part of the bridge fails", f"{event}: {fault!r}")


class SimMeter:
    """Measures nothing but look-ups."""

    def __init__(self, world: World) -> None:
        self._world = world

    def lookup(self, outcome: str) -> None:
        """Count what came of looking a delivery up."""
        self._world.watch.looked_up(outcome)

    def _ignore(self, *_said: object) -> None:
        """Count nothing."""

    event = number = unknown_keys = contact = call = unsent = _ignore
    end_skipped = delivery = upstream = delivered = read = breaker = _ignore

    def __getattr__(self, _name: str) -> Any:
        """Ignore whatever else is counted."""
        return self._ignore


class SimSender:
    """A `ports.Sender` to the simulated upstream."""

    def __init__(self, world: World, host: "Process") -> None:
        self._world = world
        self._host = host
        self.tokens = dict(world.tokens)

    async def send(self, parcel: Parcel) -> Reply:
        """Send it once and say what came back."""
        upstream = self._world.upstream
        workspace = upstream.workspace(self._scope(parcel.route))
        key = parcel.key
        share = 0.0 if parcel.kind is Kind.CONTACT_CARD else self._world.scenario.refused
        ask = Ask(
            host=self._host,
            workspace=workspace,
            token=self.token(parcel.route),
            name=f"{key} #{parcel.attempts} {parcel.reference_id}",
            effect=lambda: upstream.take(workspace, parcel),
            parcel=parcel,
            refusal=upstream.refusal(key, share),
        )
        reply, _ = await upstream.request(ask)
        return reply

    def token(self, route: str) -> str:
        """Return the route's token."""
        return self.tokens.get(route, self.tokens["default"])

    def _scope(self, route: str) -> str:
        return self._world.scenario.routes.named(route).scope

    def sharing(self, route: str, status: int) -> Sequence[str]:
        """Return the routes that a refusal of this one is about too."""
        names = {one.name for one in self._world.scenario.routes.all()} | {route}
        if status == 404:
            return sorted(one for one in names if self._scope(one) == self._scope(route))
        return sorted(one for one in names if self.token(one) == self.token(route))

    def token_mark(self, route: str) -> str:
        """Return what tells the route's token and place from any other."""
        return f"{self._scope(route)}|{self.token(route)}"


class SimReader:
    """A `ports.Reader` of the simulated upstream."""

    def __init__(self, world: World, host: "Process", sender: SimSender) -> None:
        self._world = world
        self._host = host
        self._sender = sender

    async def changed(self, scope: str) -> Report:
        """Return the ids of the errands that have changed."""
        upstream = self._world.upstream
        reply, ids = await self._ask(scope, "list", lambda: upstream.listed(self._at(scope)))
        return Report(reply=reply, ids=ids)

    async def errand(self, scope: str, errand_id: int) -> Report:
        """Return an errand's body."""
        upstream = self._world.upstream
        reply, body = await self._ask(
            scope, f"read {errand_id}", lambda: upstream.read(self._at(scope), errand_id)
        )
        return Report(reply=reply, body=body)

    async def mark(self, scope: str, errand_ids: Sequence[int]) -> Report:
        """Put errands on the list of those that have changed."""
        upstream, ids = self._world.upstream, list(errand_ids)
        reply, _ = await self._ask(
            scope, f"mark {ids}", lambda: upstream.mark(self._at(scope), ids)
        )
        return Report(reply=reply)

    def _at(self, scope: str) -> Any:
        return self._world.upstream.workspace(scope)

    async def _ask(self, scope: str, name: str, effect: Any) -> tuple[Reply, Any]:
        route = min(self._world.scenario.scopes[scope])
        ask = Ask(
            host=self._host,
            workspace=self._at(scope),
            token=self._sender.token(route),
            name=name,
            effect=effect,
        )
        return await self._world.upstream.request(ask)


class Process:
    """The services, wired as the daemon wires them. `tasks` are all that it runs."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self.number = number
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.is_alive = True
        self.is_ready = False
        self._context = contextvars.copy_context()
        self._context.run(OWNER.set, self)
        scenario, meter, log = world.scenario, SimMeter(world), SimLog(world)
        self.clock = SimClock(world.loop, lambda: world.set_us, self.step)
        disk = SimDisk(world)
        self.writer = SimWriter(world.rows, world.loop, self, disk)
        self.sender = SimSender(world, self)
        self.policy = DispatchPolicy(
            in_doubt=scenario.in_doubt, in_flight_max=scenario.in_flight_max
        )
        self.upstreams = upstreams_of(scenario.scopes, scenario.per_minute)
        self.dispatcher = Dispatcher(
            writer=self.writer,
            sender=self.sender,
            clock=self.clock,
            entropy=world.chances["entropy"],
            meter=meter,
            log=log,
            policy=self.policy,
            upstreams=self.upstreams,
        )
        self.reconciler = Reconciler(
            writer=self.writer,
            reader=SimReader(world, self, self.sender),
            clock=self.clock,
            log=log,
            dispatch=self.dispatcher,
            verdicts=Verdicts(self.clock, self.dispatcher.recorder),
            policy=LookupPolicy(
                settle_s=scenario.settle_s,
                is_exclusive=scenario.is_exclusive,
                routes=scenario.scopes,
            ),
        )
        self.dispatcher.on_doubt = self.reconciler.wake
        self.ingest = Ingest(
            writer=self.writer,
            clock=self.clock,
            meter=meter,
            policy=IngestPolicy(
                calls=CallPolicy(), guide=Guide(rules=RULES, routes=scenario.routes)
            ),
            digest_key=DIGEST_KEY,
            on_work=self.dispatcher.wake,
            outlet=self.dispatcher,
        )
        self.upkeep = Upkeep(
            writer=self.writer,
            clock=self.clock,
            meter=meter,
            log=log,
            retention=Retention(),
            folder=self.ingest.folder,
            on_work=self.dispatcher.wake,
        )

    def now_us(self) -> int:
        """Return the time as it is known here."""
        return self.clock.now_us()

    def start(self) -> None:
        """Begin to run."""
        self._world.trace("start of process", self.number)
        self._main = self.spawn(self._run())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something within this process."""
        return self._world.loop.create_task(work, context=self._context.copy())

    async def _run(self) -> None:
        try:
            await self.dispatcher.recover()
        except StoreUnavailable:
            self.die("the store can't be written at the start")
            return
        self.is_ready = True
        self.parts = [
            self.spawn(self.upkeep.run()),
            self.spawn(self.reconciler.run()),
            self.spawn(self.dispatcher.run()),
        ]
        for part in self.parts:
            part.add_done_callback(self._ended)

    def _ended(self, part: asyncio.Task[None]) -> None:
        if self.is_alive and not part.cancelled() and (fault := part.exception()) is not None:
            self._world.watch.violated("no part of the bridge fails", repr(fault))

    async def take(self, documents: Sequence[dict[str, Any]]) -> list[str]:
        """Take events in; return how each is answered."""
        if not self.is_ready:
            return ["away"] * len(documents)
        answers = ["refused"] * len(documents)
        places, arrivals = [], []
        for place, one in enumerate(documents):
            try:
                arrivals.append(self.ingest.admit(one, source="aventa"))
            except InvalidEvent:
                continue
            places.append(place)
        try:
            receipts = await self.ingest.take(arrivals)
        except StoreUnavailable:
            return ["away"] * len(documents)
        for place, receipt in zip(places, receipts, strict=True):
            if isinstance(receipt, Receipt):
                answers[place] = receipt.taken.value
        return answers

    async def reload(self) -> None:
        """Read the settings again: another token, say."""
        self._world.trace("reload")
        self.sender.tokens = dict(self._world.tokens)
        self.dispatcher.reconfigure(self.policy, self.upstreams)

    async def stop(self) -> None:
        """End in order, as after SIGTERM."""
        self._world.trace("stop")
        if not self.is_ready:
            self.die("stopped while it started")
            return
        self.is_ready = False
        for part in self.parts[:2]:
            part.cancel()
        self.dispatcher.refuse_work()
        await self.dispatcher.stop(STOP_WITHIN_S)
        await asyncio.wait(self.parts)
        self.die("stopped")

    def step(self, what: str) -> None:
        """Say where the process is; by chance it dies here, and whoever was dead stays so.

        Raises:
            asyncio.CancelledError: it is dead.
        """
        share = self._world.scenario.crash_step
        may_die = self.is_alive and share > 0 and not self._world.weather.is_over
        if may_die and self._world.chances["crash"].random() < share:
            self.die(f"crash at {what}")
        if not self.is_alive:
            raise asyncio.CancelledError

    def committed(self, items: int) -> None:
        """Say that a commit is on disk."""
        self._world.trace("commit of", items)
        self._world.watch.committed(self._world.loop.time())

    def refused(self) -> None:
        """Say that a commit failed."""
        self._world.trace("the disk is full")

    def die(self, why: str) -> None:
        """Drop all tasks where they are; what was not committed is gone."""
        if not self.is_alive:
            return
        self.is_alive = self.is_ready = False
        self._world.trace("gone:", why)
        self._world.rows.roll_back()
        for task in list(self.tasks):
            task.cancel()
        self._world.died(self, why)
