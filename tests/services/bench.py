"""A workbench: the real services on a real SQLite store, with a clock and an upstream by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hand_cention import HandCention
from sqlalchemy import Engine

from bridge.domain.calls import CallPolicy
from bridge.domain.deliveries import Kind, Unsent
from bridge.domain.errands import Guide
from bridge.domain.outcomes import Promptness, Reply
from bridge.domain.routes import Route, RouteTable
from bridge.domain.rules import RuleBook
from bridge.ports import Exemplar, Gate, Parcel, Sender
from bridge.services.channels import Upstream
from bridge.services.dispatch import Dispatcher
from bridge.services.folding import IngestPolicy
from bridge.services.ingest import Ingest, Receipt
from bridge.services.reconcile import LookupPolicy, Reconciler
from bridge.services.recording import DispatchPolicy
from bridge.services.upkeep import Retention, Upkeep
from bridge.services.verdicts import Verdicts
from bridge.storage.engine import open_engine
from bridge.storage.schema import digest_key, prepare
from bridge.storage.writer import SharedCommit

START_US = 1_790_000_000_000_000
ROUTE = Route(name="default", base_url="https://cention.example", workspace="demo")
GUIDE = Guide(rules=RuleBook(), routes=RouteTable((), ROUTE))


class HandClock:
    """Time that moves only when a test says so."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.drifted_us = self.followed_us = 0
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []

    def now_us(self) -> int:
        return START_US + round(self.passed_s * 1e6) + self.followed_us

    def drift_us(self) -> int:
        return self.drifted_us

    def follow(self, drift_us: int) -> None:
        self.drifted_us -= drift_us
        self.followed_us += drift_us

    def monotonic(self) -> float:
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((self.passed_s + seconds, future))
        await future

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncIterator[None]:
        task = asyncio.current_task()
        assert task is not None
        ran_out = False

        async def ring() -> None:
            nonlocal ran_out
            await self.sleep(seconds)
            ran_out = True
            task.cancel()

        bell = asyncio.ensure_future(ring())
        try:
            yield
        except asyncio.CancelledError:
            if ran_out:
                task.uncancel()
                raise TimeoutError from None
            raise
        finally:
            bell.cancel()

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake whoever waited for it."""
        self.passed_s += seconds
        due = [one for one in self._waiting if one[0] <= self.passed_s]
        self._waiting = [one for one in self._waiting if one[0] > self.passed_s]
        for _, future in due:
            if not future.done():
                future.set_result(None)


class HandMeter:
    """Keeps what is counted, as (name, labels...)."""

    def __init__(self) -> None:
        self.counted: list[tuple[Any, ...]] = []

    def event(self, event_type: str, outcome: str, count: int = 1) -> None:
        self.counted += [("event", event_type, outcome)] * count

    def number(self, field: str, result: str, count: int = 1) -> None:
        self.counted += [("number", field, result)] * count

    def unknown_keys(self, count: int) -> None:
        self.counted.append(("unknown_keys", count))

    def contact(self, outcome: str) -> None:
        self.counted.append(("contact", outcome))

    def call(self, outcome: str) -> None:
        self.counted.append(("call", outcome))

    def end_skipped(self, count: int) -> None:
        self.counted.append(("end_skipped", count))

    def unsent(self, reason: Unsent) -> None:
        self.counted.append(("unsent", reason.value))

    def delivery(self, kind: Kind, outcome: str) -> None:
        self.counted.append(("delivery", kind.value, outcome))

    def upstream(self, kind: Kind, reply: Reply, exemplar: Exemplar | None = None) -> None:
        del exemplar
        self.counted.append(("upstream", kind.value, reply.status))

    def delivered(self, kind: Kind, seconds: float, exemplar: Exemplar | None = None) -> None:
        del exemplar
        self.counted.append(("delivered", kind.value, seconds))

    def prompt(self, result: Promptness) -> None:
        self.counted.append(("prompt", result.value))

    def read(self, what: str, reply: Reply) -> None:
        self.counted.append(("read", what, reply.status))

    def lookup(self, outcome: str) -> None:
        self.counted.append(("lookup", outcome))

    def breaker(self, upstream: str, state: int) -> None:
        self.counted.append(("breaker", upstream, state))


class QuietLog:
    """Keeps the events that were logged."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, object]]] = []

    def debug(self, event: str, **fields: object) -> None:
        self.said.append((event, fields))

    info = warning = error = debug


class Dice:
    """A random source that always shows the same."""

    chance = 0.5

    def random(self) -> float:
        return self.chance


@dataclass
class HandSender:
    """An upstream by hand: answers what a test scripts, else 201 with a new id."""

    sent: list[Parcel] = field(default_factory=list)
    script: list[Reply] = field(default_factory=list)
    answer: Callable[[Parcel], Reply] | None = None
    token: str = "t1"
    gate: asyncio.Event | None = None

    async def send(self, parcel: Parcel) -> Reply:
        self.sent.append(parcel)
        if self.gate is not None:
            await self.gate.wait()
        if self.script:
            return self.script.pop(0)
        if self.answer is not None:
            return self.answer(parcel)
        return Reply(status=201, remote_id=str(511055 + len(self.sent)))

    def sharing(self, route: str, _status: int) -> list[str]:
        return [route]

    def token_mark(self, route: str) -> str:
        return f"{route}-{self.token}"

    def kinds(self) -> list[str]:
        return [parcel.kind.value for parcel in self.sent]


class Bench:
    """All services on one store. `turn` lets everything run until nothing more happens."""

    def __init__(
        self,
        engine: Engine,
        per_minute: int,
        policy: DispatchPolicy,
        sender: "Callable[[Bench], Sender] | None" = None,
    ) -> None:
        self.engine = engine
        self.clock, self.meter, self.log = HandClock(), HandMeter(), QuietLog()
        self.sender, self.dice = HandSender(), Dice()
        self.cention = HandCention(self.clock.monotonic)
        self.written = 0
        self.writer = SharedCommit(engine, on_commit=self._count)
        self.upstreams = [Upstream(ROUTE.scope, frozenset({"default"}), per_minute)]
        self.dispatcher = Dispatcher(
            writer=self.writer,
            sender=self.sender if sender is None else sender(self),
            clock=self.clock,
            entropy=self.dice,
            meter=self.meter,
            log=self.log,
            policy=policy,
            upstreams=self.upstreams,
        )
        self.ingest = Ingest(
            writer=self.writer,
            clock=self.clock,
            meter=self.meter,
            policy=IngestPolicy(calls=CallPolicy(), guide=GUIDE),
            digest_key=digest_key(engine),
            on_work=self.dispatcher.wake,
        )
        self.upkeep = Upkeep(
            writer=self.writer,
            clock=self.clock,
            meter=self.meter,
            log=self.log,
            retention=Retention(),
            folder=self.ingest.folder,
            on_work=self.dispatcher.wake,
        )
        self.reconciler = Reconciler(
            writer=self.writer,
            reader=self.cention,
            clock=self.clock,
            log=self.log,
            dispatch=self.dispatcher,
            verdicts=Verdicts(self.clock, self.dispatcher.recorder),
            policy=LookupPolicy(routes={ROUTE.scope: frozenset({"default"})}),
        )
        self.dispatcher.on_doubt = self.reconciler.wake
        self.running: asyncio.Task[None] | None = None
        self.looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Set the dispatcher to work."""
        self.running = asyncio.create_task(self.dispatcher.run())

    def look_up(self) -> None:
        """Set look-ups to work."""
        self.looking = asyncio.create_task(self.reconciler.run())

    async def take(self, *documents: dict[str, Any]) -> list[Receipt | Exception]:
        """Take events in, in one commit."""
        arrivals = [self.ingest.admit(one, source="aventa") for one in documents]
        return await self.ingest.take(arrivals)

    async def turn(self, seconds: float = 0.0, step_s: float = 1.0) -> None:
        """Let time pass in steps, with everything that is due done at each."""
        await self._quiet()
        while seconds > 0:
            self.clock.advance(min(step_s, seconds))
            seconds -= step_s
            await self._quiet()

    async def _quiet(self) -> None:
        """Run until the writer has had nothing to do for a few rounds."""
        idle = 0
        while idle < 3:
            before = self._doings()
            await self.writer.submit(_nothing, None)
            self.written -= 1
            for _ in range(10):
                await asyncio.sleep(0)
            idle = idle + 1 if before == self._doings() else 0

    def _count(self, items: int, _seconds: float) -> None:
        self.written += items

    def _doings(self) -> tuple[int, ...]:
        cention = self.cention
        return (
            self.written,
            len(self.sender.sent),
            len(self.meter.counted),
            len(cention.sent),
            len(cention.asked),
        )

    async def stop(self) -> None:
        """End everything."""
        if self.looking is not None:
            self.looking.cancel()
            await asyncio.gather(self.looking, return_exceptions=True)
        stopping = asyncio.ensure_future(self.dispatcher.stop(1.0))
        for _ in range(5):
            await asyncio.sleep(0)
        self.clock.advance(2.0)
        await stopping
        if self.running is not None:
            self.clock.advance(10.0)
            await self.running
        await self.writer.close()


def _nothing(_tx: object, items: Any) -> list[None]:
    return [None] * len(items)


@cache
def _empty() -> bytes:
    """Return a store's file as a daemon makes it: making one takes longer than copying it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bridge.db"
        engine = open_engine(f"sqlite:///{path}")
        prepare(engine)
        engine.dispose()
        return path.read_bytes()


def put_store(folder: Path) -> None:
    """Put an empty store into a folder, unless there is one."""
    folder.mkdir(exist_ok=True)
    path = folder / "bridge.db"
    if not path.exists():
        path.write_bytes(_empty())


@asynccontextmanager
async def bench(
    folder: Path,
    *,
    per_minute: int = 1_000_000,
    policy: DispatchPolicy | None = None,
    sender: Callable[[Bench], Sender] | None = None,
) -> AsyncIterator[Bench]:
    """Open a store in this folder, with all services on it; the pace lets everything through."""
    put_store(folder)
    engine = open_engine(f"sqlite:///{folder / 'bridge.db'}")
    prepare(engine)
    made = Bench(engine, per_minute, policy or DispatchPolicy(), sender)
    made.writer.start()
    made.clock.advance(1.0)
    try:
        yield made
    finally:
        await made.stop()
        engine.dispose()


def document(kind: str, reference: str = "r1", **given: Any) -> dict[str, Any]:
    """Return an event as a phone system posts it."""
    made = {
        "eventId": f"{kind}-{reference}",
        "eventType": kind,
        "occurredAt": "2026-09-21T14:13:20Z",
        "referenceId": reference,
        "callerNumber": "+60123456789",
        "callerName": "Ada",
        "destNumber": "60374571234",
        "queueName": "EHS",
        "queueNumber": "123",
        "deviceId": 1000,
        "extensionId": 1000,
        **given,
    }
    return {key: value for key, value in made.items() if value is not None}


def gate(kind: Kind) -> Gate:
    """Return the default route's gate."""
    return Gate(route="default", kind=kind)
