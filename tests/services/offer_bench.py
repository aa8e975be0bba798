"""A workbench whose intake offers to take what events cause with the commit that keeps them."""

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import Any

from bench import GUIDE, ROUTE, Bench, document, put_store
from msgspec.structs import replace
from sqlalchemy import Engine, event, text

from bridge.domain.routes import RouteTable
from bridge.ports import Gate
from bridge.services.channels import Channel, Upstream
from bridge.services.ingest import Ingest
from bridge.services.recording import DispatchPolicy
from bridge.storage.engine import open_engine
from bridge.storage.schema import digest_key, prepare


class OfferBench(Bench):
    """All services on one store, with offers; the disk has `room` for so many commits.

    `commits` counts those that were made, `told` are the gates of which the dispatcher was told.
    """

    def __init__(self, engine: Engine, per_minute: int, policy: DispatchPolicy) -> None:
        super().__init__(engine, per_minute, policy)
        self.dispatch_policy = policy
        self.commits = 0
        self.room = inf
        self.told: list[Gate] = []
        self.at_commit: Callable[[], object] = lambda: None
        event.listen(engine, "commit", self._commit)
        self.ingest = Ingest(
            writer=self.writer,
            clock=self.clock,
            meter=self.meter,
            policy=self.ingest.policy,
            digest_key=digest_key(engine),
            on_work=self._tell,
            outlet=self.dispatcher,
        )

    def _commit(self, _connection: object) -> None:
        self.at_commit()
        if self.room <= 0:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        self.room -= 1
        self.commits += 1

    def _tell(self, gates: Iterable[Gate]) -> None:
        gates = list(gates)
        self.told += gates
        self.dispatcher.wake(gates)

    @property
    def channel(self) -> Channel:
        """The one upstream at work."""
        (found,) = self.dispatcher.channels
        return found

    def states(self) -> dict[str, str]:
        """Return the state of each errand and its end, by kind and reference."""
        return {name: state for name, state in self._rows() if not name.startswith("contact_card")}

    def cards(self) -> Counter[str]:
        """Return how many cards are in which state."""
        return Counter(state for name, state in self._rows() if name.startswith("contact_card"))

    def _rows(self) -> list[tuple[str, str]]:
        query = text("SELECT kind || ' ' || reference_id, state FROM outbox ORDER BY id")
        with self.engine.connect() as connection:
            return [(name, state) for name, state in connection.execute(query)]

    def sent(self) -> list[str]:
        """Return what has left, by kind and reference, in this order."""
        return [f"{one.kind.value} {one.reference_id}".strip() for one in self.sender.sent]

    def split(self, *names: str) -> None:
        """Give each queue of these names a route of its own, all to the one upstream."""
        routes = [replace(ROUTE, name=name, queue_names=frozenset({name})) for name in names]
        guide = replace(GUIDE, routes=RouteTable(tuple(routes), ROUTE))
        self.ingest.policy = replace(self.ingest.policy, guide=guide)
        self.lead(Upstream(ROUTE.scope, frozenset({"default", *names}), 1_000_000))

    def lead(self, *upstreams: Upstream) -> None:
        """Lead to these upstreams."""
        self.dispatcher.reconfigure(self.dispatch_policy, upstreams)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the writer, so that what is submitted meanwhile shares the next commit."""
        going, free = threading.Event(), threading.Event()

        def hold(_tx: object, items: Sequence[None]) -> list[None]:
            going.set()
            free.wait(10)
            return list(items)

        holding = asyncio.create_task(self.writer.submit(hold, None))
        await asyncio.to_thread(going.wait, 10)
        try:
            yield
            await some_steps()
        finally:
            free.set()
            await holding

    @asynccontextmanager
    async def committing(self, *documents: dict[str, Any]) -> AsyncIterator[None]:
        """Take events in, and hold the writer with all that they cause done but the commit."""
        reached, free = threading.Event(), threading.Event()

        def wait() -> None:
            reached.set()
            free.wait(10)

        self.at_commit = wait
        taking = asyncio.create_task(self.take(*documents))
        await asyncio.to_thread(reached.wait, 10)
        try:
            yield
            await some_steps()
        finally:
            free.set()
            await taking


def hang(on: OfferBench) -> asyncio.Event:
    """Have the upstream answer nothing until this is set."""
    on.sender.gate = asyncio.Event()
    return on.sender.gate


async def some_steps() -> None:
    """Let everybody come as far as they can without the writer."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def offering(
    folder: Path, *, per_minute: int = 1_000_000, policy: DispatchPolicy | None = None
) -> AsyncIterator[OfferBench]:
    """Open a store in this folder, with all services on it, and intake that makes offers."""
    put_store(folder)
    engine = open_engine(f"sqlite:///{folder / 'bridge.db'}")
    prepare(engine)
    made = OfferBench(engine, per_minute, policy or DispatchPolicy())
    made.writer.start()
    made.clock.advance(1.0)
    try:
        yield made
    finally:
        if made.sender.gate is not None:
            made.sender.gate.set()
        await made.stop()
        engine.dispose()


def answered(reference: str = "r1", **given: Any) -> dict[str, Any]:
    """Return an event that causes an errand and nothing else."""
    return document("call.answered", reference, **{"callerNumber": "anonymous", **given})


def ended(reference: str = "r1", **given: Any) -> dict[str, Any]:
    """Return an event that ends such an errand."""
    return document("call.ended", reference, **{"callerNumber": "anonymous", **given})


def queued(number: int, **given: Any) -> dict[str, Any]:
    """Return an event that causes a card and nothing else."""
    caller = f"+467012345{number:02}"
    return document("call.queued", f"q{number}", **{"callerNumber": caller, **given})
