"""Where the processor's time goes within the bridge, stage by stage, without the network.

The parts are the product's own, put together as the daemon does it, but with a writer that commits
at once and on this thread, so that every stage can be read off the processor's clock by itself.
"""

import asyncio
import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from bench_events import NEW_FROM, batch, calls
from bench_figures import Figure
from bench_site import STORE, Bench
from sqlalchemy import Engine, event

from bridge.app import wiring
from bridge.domain.deliveries import Kind, Tier
from bridge.domain.outcomes import Reply, Ruling, Verdict
from bridge.inbound.shapes import Shape, read
from bridge.ops import logs
from bridge.ops.clock import SystemClock, SystemEntropy
from bridge.ops.metrics import BridgeMetrics
from bridge.ports import Gate, Handler, ItemT, Parcel, ResultT
from bridge.services.channels import Channel, Upstream
from bridge.services.claims import Claims, Wanted
from bridge.services.courier import Courier
from bridge.services.ingest import COMMIT_MAX, Arrival, Ingest
from bridge.services.limiter import Pace
from bridge.services.recording import Recorded, Recorder, Result
from bridge.settings import load_settings
from bridge.storage.engine import open_engine
from bridge.storage.schema import digest_key
from bridge.storage.transaction import SqlTransaction

GROUP: Final = 32
_SETTINGS: Final = {
    "BRIDGE_CENTION__BASE_URL": "http://127.0.0.1:9",
    "BRIDGE_CENTION__WORKSPACE": "bench",
    "BRIDGE_CENTION__TOKEN": "none",
}
_STAGES: Final = {
    "read": "reading the body",
    "admit": "route, numbers, hash",
    "keep": "folding and encoding",
    "keep_sql": "statements of folding",
    "keep_commit": "commit of folding",
    "claim": "claiming a delivery",
    "claim_sql": "statements of claiming",
    "claim_commit": "commit of claiming",
    "carry": "judging, counting and logging a delivery",
    "record": "recording a delivery",
    "record_sql": "statements of recording",
    "record_commit": "commit of recording",
}


class _Spent:
    """Processor time by load and stage, in seconds. `of` is the load that is at work."""

    def __init__(self) -> None:
        self.of = ""
        self.sql_s = 0.0
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    @contextmanager
    def on(self, stage: str) -> Iterator[None]:
        """Count what is spent within; what its statements take counts as theirs."""
        started_s, before_s = time.process_time(), self.sql_s
        yield
        sql_s = self.sql_s - before_s
        self._seconds[self.of, stage] += time.process_time() - started_s - sql_s
        self._seconds[self.of, f"{stage}_sql"] += sql_s

    def per_item(self, of: str, count: int) -> dict[str, float]:
        """Return microseconds an item, by stage."""
        return {name: self._seconds[of, name] / count * 1e6 for name in _STAGES}


class _Inline:
    """A `ports.Writer` that commits at once, each stage under its name."""

    def __init__(self, engine: Engine, spent: _Spent) -> None:
        self._connection = engine.connect()
        self._spent = spent
        self.stage = "keep"

    async def submit(self, handler: Handler[ItemT, ResultT], item: ItemT) -> ResultT:
        (result,) = await self.submit_all(handler, [item])
        if isinstance(result, Exception):
            raise result
        return result

    async def submit_all(
        self, handler: Handler[ItemT, ResultT], items: Sequence[ItemT]
    ) -> list[ResultT | Exception]:
        with self._spent.on(self.stage):
            transaction = self._connection.begin()
            results = handler(SqlTransaction(self._connection), items)
        with self._spent.on(f"{self.stage}_commit"):
            transaction.commit()
        return list(results)


class _Nobody:
    """A `ports.Sender` whose tokens are all one, and that has its answer already."""

    async def send(self, parcel: Any) -> Reply:
        return Reply(status=201, remote_id=str(parcel.id), seconds=0.001)

    def sharing(self, route: str, _status: int) -> Sequence[str]:
        return [route]

    def token_mark(self, route: str) -> str:
        return route


class _Recorded:
    """A `ports.Writer` that has recorded already what came of a delivery."""

    async def submit(self, _handler: Any, _item: Any) -> Any:
        return Recorded(outcome="delivered")

    async def submit_all(self, _handler: Any, _items: Sequence[Any]) -> Any:
        raise AssertionError("a courier records one by one")


def stages(bench: Bench) -> list[Figure]:
    """Measure each stage of an answered call's event, in groups and alone in its commit.

    Those of its end, and of a batch's events, are among the readings.
    """
    count = bench.choose(6400, 1600)
    bench.say("stages: in groups, then one by one")
    grouped = _measure(bench, count, GROUP)
    alone = _measure(bench, count // 4, 1)
    bench.raw["stages"] = {
        "events": count,
        "group": GROUP,
        "batch_group": COMMIT_MAX,
        "grouped_us": grouped["answered"],
        "grouped_end_us": grouped["ended"],
        "alone_us": alone["answered"],
        "batch_us": _measure_batches(bench, count),
    }
    return [
        Figure(
            name=f"stage_{name}",
            title=f"Processor time: {title}",
            unit="µs",
            value=grouped["answered"][name],
            baseline=alone["answered"][name],
            against="alone in its commit",
        )
        for name, title in _STAGES.items()
    ]


def _measure(bench: Bench, count: int, group: int) -> dict[str, dict[str, float]]:
    """Measure whole calls: each event, and each delivery of its errand."""
    spent = _Spent()
    load = calls("stage", count)

    async def work(house: _House) -> None:
        await house.take("answered", [one.answered for one in load], group)
        await house.deliver("answered", count, group)
        await house.take("ended", [one.ended for one in load], group)

    _run(bench, spent, work)
    return {of: spent.per_item(of, count) for of in ("answered", "ended")}


def _measure_batches(bench: Bench, count: int) -> dict[str, float]:
    """Measure waiting callers, each of them new, as many in a commit as a batch has there."""
    spent = _Spent()
    bodies = batch([(f"b-{one:07d}", NEW_FROM + one) for one in range(count)]).splitlines()

    async def work(house: _House) -> None:
        await house.take("batch", bodies, COMMIT_MAX)

    _run(bench, spent, work)
    return spent.per_item("batch", count)


def _run(
    bench: Bench, spent: _Spent, work: Callable[["_House"], Coroutine[Any, Any, None]]
) -> None:
    with (
        bench.store("stages") as folder,
        _opened(folder / STORE, spent) as engine,
        Path(os.devnull).open("w", encoding="utf-8") as out,
    ):
        asyncio.run(work(_House(engine, spent, out)))


class _House:
    """The parts of the bridge, with a writer that commits at once."""

    def __init__(self, engine: Engine, spent: _Spent, out: TextIO) -> None:
        self._spent = spent
        self._log = logs.configure("info", "json", out)
        self._settings = load_settings(config=None, secrets_dir=None, environ=_SETTINGS)
        self._clock = SystemClock()
        self._meter = BridgeMetrics()
        self._writer = _Inline(engine, spent)
        self._ingest = Ingest(
            writer=self._writer,
            clock=self._clock,
            meter=self._meter,
            policy=wiring.ingest_policy(self._settings),
            digest_key=digest_key(engine),
            on_work=lambda _: None,
        )

    async def take(self, of: str, bodies: Sequence[bytes], group: int) -> None:
        """Read events, and keep so many in a commit."""
        self._spent.of, self._writer.stage = of, "keep"
        arrivals: list[Arrival] = []
        for body in bodies:
            with self._spent.on("read"):
                (candidate,) = read(Shape.JSON, body, {}).candidates
            with self._spent.on("admit"):
                arrivals.append(self._ingest.admit(candidate.document, source="aventa"))
        for start in range(0, len(arrivals), group):
            await self._ingest.take(arrivals[start : start + group])

    async def deliver(self, of: str, count: int, group: int) -> None:
        """Claim errands, carry them, and record that they were delivered."""
        self._spent.of = of
        policy = wiring.dispatch_policy(self._settings)
        claims = Claims(self._clock, policy)
        entropy, sender = SystemEntropy(), _Nobody()
        recorder = Recorder(clock=self._clock, entropy=entropy, sender=sender, policy=policy)
        channel = Channel(Upstream("bench", frozenset(["default"]), 60), Pace(60, 0.0))
        courier = Courier(
            writer=_Recorded(),
            sender=sender,
            clock=self._clock,
            entropy=entropy,
            meter=self._meter,
            log=self._log,
            recorder=recorder,
        )
        gate = Gate(route="default", kind=Kind.NEW_ERRAND)
        hot = frozenset([(gate, Tier.LIVE)])
        wanted = Wanted(scope="bench", hot=hot, limit=group, cards=0, turn=1)
        for _ in range(0, count, group):
            self._writer.stage = "claim"
            claimed = await self._writer.submit(claims.take, wanted)
            with self._spent.on("carry"):
                for one in claimed.parcels:
                    await courier.carry(channel, one)
            self._writer.stage = "record"
            results = [_delivered(one) for one in claimed.parcels]
            await self._writer.submit_all(recorder.record, results)


def _delivered(parcel: Parcel) -> Result:
    return Result(
        parcel=parcel,
        reply=Reply(status=201, remote_id=str(parcel.id)),
        ruling=Ruling(Verdict.DELIVERED),
        token_mark=parcel.route,
    )


@contextmanager
def _opened(path: Path, spent: _Spent) -> Iterator[Engine]:
    """Open a store whose statements are counted."""

    class Counting(sqlite3.Connection):
        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            started_s = time.process_time()
            cursor = super().execute(*arguments)
            spent.sql_s += time.process_time() - started_s
            return cursor

    engine = open_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "do_connect")
    def _connect(
        _dialect: object, _record: object, _arguments: object, given: dict[str, Any]
    ) -> None:
        given["factory"] = Counting

    try:
        yield engine
    finally:
        engine.dispose()
