import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from bridge.domain.calls import CallPolicy
from bridge.domain.errands import Guide
from bridge.domain.routes import Route, RouteTable
from bridge.domain.rules import RuleBook
from bridge.inbound import bodies
from bridge.inbound.auth import Doorkeeper
from bridge.inbound.events import DoorPorts, EventsEndpoint
from bridge.inbound.server import Door, Listener, Place, door_runner
from bridge.inbound.strangers import Strangers
from bridge.ops.clock import SystemClock
from bridge.ops.logs import configure, stderr
from bridge.ops.metrics import BridgeMetrics
from bridge.services.folding import IngestPolicy
from bridge.services.ingest import Ingest
from bridge.storage.engine import open_engine
from bridge.storage.schema import digest_key, prepare
from bridge.storage.writer import SharedCommit

ROUTE = Route(name="default", base_url="https://cention.example", workspace="demo")


async def test_bodies_beyond_the_budget_are_asked_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BYTES_IN_HAND_MAX", 1000)
    engine = open_engine(f"sqlite:///{tmp_path / 'bridge.db'}")
    prepare(engine)
    writer, clock, meter = SharedCommit(engine), SystemClock(), BridgeMetrics()
    writer.start()
    log = configure("error", "json", stderr())
    guide = Guide(rules=RuleBook(), routes=RouteTable((), ROUTE))
    ingest = Ingest(
        writer=writer,
        clock=clock,
        meter=meter,
        policy=IngestPolicy(calls=CallPolicy(), guide=guide),
        digest_key=digest_key(engine),
        on_work=lambda _gates: None,
    )
    strangers = Strangers(log, clock)
    ports = DoorPorts(
        ingest=ingest, writer=writer, clock=clock, meter=meter, log=log, strangers=strangers
    )
    endpoint = EventsEndpoint(ports, doorkeeper=Doorkeeper())
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def post(request: web.BaseRequest) -> web.StreamResponse:
        begun.set()
        return await endpoint.post(request)

    async def drip() -> AsyncIterator[bytes]:
        yield b"x" * 10
        await go_on.wait()
        yield b"x" * 890

    listener = Listener(door_runner(Door({"/v1/events": post}, log)))
    (address,) = await listener.open(Place(host="127.0.0.1"))
    url, headers = f"{address}/v1/events", {"Content-Type": "application/json"}

    async def slow() -> int:
        given = {**headers, "Content-Length": "900"}
        async with ClientSession() as session, session.post(url, data=drip(), headers=given) as it:
            return it.status

    first = asyncio.create_task(slow())
    await begun.wait()
    async with ClientSession() as session:
        async with session.post(url, data=b"y" * 900, headers=headers) as second:
            assert second.status == 503
            assert second.headers["Retry-After"]
        go_on.set()
        assert await first == 400
        async with session.post(url, data=b"y" * 900, headers=headers) as third:
            assert third.status == 400
    await listener.close()
    await writer.close()
    engine.dispose()
