"""Where the processor's time goes within the bridge, stage by stage, without the network.

The parts are the product's own, put together as the daemon does it, but with a writer that commits
at once and on this thread, so that every stage can be read off the processor's clock by itself.
"""

import asyncio
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench_events import calls
from bench_figures import Figure
from bench_site import STORE, Bench
from sqlalchemy import Engine, event

from bridge.app import wiring
from bridge.domain.deliveries import Kind, Tier
from bridge.domain.outcomes import Reply, Ruling, Verdict
from bridge.inbound.shapes import Shape, read
from bridge.ops.clock import SystemClock, SystemEntropy
from bridge.ops.metrics import BridgeMetrics
from bridge.ports import Gate, Handler, ItemT, ResultT
from bridge.services.claims import Claims, Wanted
from bridge.services.ingest import Arrival, Ingest
from bridge.services.recording import Recorder, Result
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
    "record": "recording a delivery",
    "record_sql": "statements of recording",
    "record_commit": "commit of recording",
}


class _Spent:
    """Processor time by stage, in seconds."""

    def __init__(self) -> None:
        self.by_stage: dict[str, float] = dict.fromkeys(_STAGES, 0.0)
        self.sql_s = 0.0

    @contextmanager
    def on(self, stage: str) -> Iterator[None]:
        """Count what is spent within; what its statements take counts as theirs."""
        started_s, before_s = time.process_time(), self.sql_s
        yield
        sql_s = self.sql_s - before_s
        self.by_stage[stage] += time.process_time() - started_s - sql_s
        self.by_stage[f"{stage}_sql"] = self.by_stage.get(f"{stage}_sql", 0.0) + sql_s


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

    def close(self) -> None:
        self._connection.close()


class _Nobody:
    """A `ports.Sender` whose tokens are all one."""

    async def send(self, parcel: Any) -> Reply:
        raise AssertionError(f"nothing is sent where stages are measured, nor {parcel.key}")

    def sharing(self, route: str, _status: int) -> Sequence[str]:
        return [route]

    def token_mark(self, route: str) -> str:
        return route


def stages(bench: Bench) -> list[Figure]:
    """Measure each stage of an answered call's event, in groups and alone in its commit."""
    count = bench.choose(6400, 1600)
    bench.say("stages: in groups, then one by one")
    grouped = _measure(bench, count, GROUP)
    alone = _measure(bench, count // 4, 1)
    bench.raw["stages"] = {
        "events": count,
        "group": GROUP,
        "grouped_us": grouped,
        "alone_us": alone,
    }
    return [
        Figure(
            name=f"stage_{name}",
            title=f"Processor time: {title}",
            unit="µs",
            value=grouped[name],
            baseline=alone[name],
            against="alone in its commit",
        )
        for name, title in _STAGES.items()
    ]


def _measure(bench: Bench, count: int, group: int) -> dict[str, float]:
    """Return microseconds an event, or a delivery, by stage."""
    spent = _Spent()
    with bench.store(f"stages-{group}") as folder, _opened(folder / STORE, spent) as engine:
        asyncio.run(_work(engine, spent, count, group))
    return {name: spent.by_stage[name] / count * 1e6 for name in _STAGES}


async def _work(engine: Engine, spent: _Spent, count: int, group: int) -> None:
    settings = load_settings(config=None, secrets_dir=None, environ=_SETTINGS)
    clock, writer = SystemClock(), _Inline(engine, spent)
    ingest = Ingest(
        writer=writer,
        clock=clock,
        meter=BridgeMetrics(),
        policy=wiring.ingest_policy(settings),
        digest_key=digest_key(engine),
        on_work=lambda _: None,
    )
    bodies = [one.answered for one in calls("stage", count)]
    arrivals: list[Arrival] = []
    for body in bodies:
        with spent.on("read"):
            (candidate,) = read(Shape.JSON, body, {}).candidates
        with spent.on("admit"):
            arrivals.append(ingest.admit(candidate.document, source="aventa"))
    for start in range(0, count, group):
        await ingest.take(arrivals[start : start + group])
    await _deliver(settings, clock, writer, count, group)
    writer.close()


async def _deliver(
    settings: Any, clock: SystemClock, writer: _Inline, count: int, group: int
) -> None:
    """Claim the errands, and record that they were delivered."""
    policy = wiring.dispatch_policy(settings)
    claims = Claims(clock, policy)
    recorder = Recorder(clock=clock, entropy=SystemEntropy(), sender=_Nobody(), policy=policy)
    gate = Gate(route="default", kind=Kind.NEW_ERRAND)
    wanted = Wanted(scope="bench", hot=frozenset([(gate, Tier.LIVE)]), limit=group, cards=0, turn=1)
    for number in range(0, count, group):
        writer.stage = "claim"
        claimed = await writer.submit(claims.take, wanted)
        results = [
            Result(
                parcel=one,
                reply=Reply(status=201, remote_id=str(number + place + 1)),
                ruling=Ruling(Verdict.DELIVERED),
                token_mark=one.route,
            )
            for place, one in enumerate(claimed.parcels)
        ]
        writer.stage = "record"
        await writer.submit_all(recorder.record, results)


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
