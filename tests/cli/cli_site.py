"""A site whose bridge is at work: a store filled by the real handlers, and the shell beside it."""

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection
from typer.testing import CliRunner, Result

from bridge.app import wiring
from bridge.cention.client import CentionSender
from bridge.cli.shell import app
from bridge.domain.deliveries import Kind, Tier
from bridge.domain.outcomes import Failure, Reply, judge
from bridge.ops.clock import SystemClock, SystemEntropy
from bridge.ops.metrics import BridgeMetrics
from bridge.ports import Claim, Gate, Parcel, Refusal, Transaction
from bridge.services import recording
from bridge.services.ingest import Ingest, Receipt
from bridge.settings import Settings, load_settings
from bridge.storage.engine import open_engine
from bridge.storage.schema import digest_key, prepare
from bridge.storage.transaction import SqlTransaction
from bridge.storage.writer import SharedCommit

if TYPE_CHECKING:
    from bridge.wire.exchange import Exchange

OURS = ("BRIDGE_", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY")
NUMBER = "+60123456789"
NAME = "Ada Lovelace"
CUID = "5462-13-6485"
REFUSED = Reply(status=422, detail="from: +60123456789 of Ada Lovelace is not wanted", seconds=0.01)
LOST = Reply(failure=Failure.LOST, seconds=30)
AWAY = Reply(status=503)
DELIVERED = Reply(status=201, remote_id="77", seconds=0.02)
TOML = """\
[store]
url = "sqlite:///{store}"
[cention]
base_url = "https://api.cention.example"
workspace = "demo"
token = "cention-token"
[msisdn]
default_region = "MY"
[[routes]]
name = "sales"
queue_names = ["Sales"]
workspace = "sales"
"""


def prepared(folder: Path) -> Path:
    """Make an empty store, to be copied: making one takes a while."""
    path = folder / "empty.db"
    engine = open_engine(f"sqlite:///{path}")
    prepare(engine)
    engine.dispose()
    return path


def event(event_type: str, **given: Any) -> dict[str, Any]:
    """Return an event of call `r1` that happened a minute ago; None leaves a field out."""
    minutes = given.pop("minutes", 1.0)
    said = {
        "eventId": f"{given.get('referenceId', 'r1')}-{event_type}",
        "eventType": event_type,
        "occurredAt": (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(),
        "referenceId": "r1",
        "callerNumber": "012-345 6789",
        "callerName": NAME,
        "destNumber": "+60374571234",
        "queueName": "EHS",
        "queueNumber": "123",
        "deviceId": 1000,
        "extensionId": 1000,
        **given,
    }
    return {key: value for key, value in said.items() if value is not None}


@dataclass
class Site:
    folder: Path
    config: Path
    store: Path

    @classmethod
    def make(cls, folder: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> "Site":
        for name in [name for name in os.environ if name.upper().startswith(OURS)]:
            monkeypatch.delenv(name)
        site = cls(folder, folder / "bridge.toml", folder / "bridge.db")
        shutil.copy(empty, site.store)
        site.write(TOML)
        return site

    def write(self, toml: str) -> None:
        self.config.write_text(toml.format(store=self.store))

    def settings(self) -> Settings:
        return load_settings(config=self.config, secrets_dir=None, environ={})

    def run(self, *args: object, answer: str | None = None) -> Result:
        """Run a command on this site's store, in this process."""
        arguments = [*(str(arg) for arg in args), "--config", str(self.config)]
        return CliRunner().invoke(app, arguments, input=answer, catch_exceptions=False)

    def read(self, *args: object) -> Any:
        """Run a command that is to succeed, and return what its --json says."""
        result = self.run(*args, "--json")
        assert (result.exit_code, result.stderr) == (0, "")
        return json.loads(result.stdout)

    def do(self, work: Callable[[Connection], Any]) -> Any:
        """Do something in a commit of its own."""
        engine = open_engine(f"sqlite:///{self.store}")
        try:
            with engine.begin() as connection:
                return work(connection)
        finally:
            engine.dispose()

    def take(self, *documents: dict[str, Any]) -> list[Receipt | Exception]:
        """Take events in, as the daemon does."""
        return asyncio.run(self._take(documents))

    async def _take(self, documents: Sequence[dict[str, Any]]) -> list[Receipt | Exception]:
        engine = open_engine(f"sqlite:///{self.store}")
        writer = SharedCommit(engine)
        writer.start()
        try:
            ingest = Ingest(
                writer=writer,
                clock=SystemClock(),
                meter=BridgeMetrics(),
                policy=wiring.ingest_policy(self.settings()),
                digest_key=digest_key(engine),
                on_work=lambda _gates: None,
            )
            arrivals = [ingest.admit(one, source="aventa") for one in documents]
            return [receipt for one in arrivals for receipt in await ingest.take([one])]
        finally:
            await writer.close()
            engine.dispose()

    def claim(self, kind: Kind, route: str = "default") -> list[Parcel]:
        """Take what is due on its way, as the daemon does before it sends."""
        gate = Gate(route=route, kind=kind)
        now_us = SystemClock().now_us()

        def take(tx: Transaction) -> list[Parcel]:
            parcels = [
                parcel
                for tier in Tier
                for parcel in tx.claim(
                    Claim(gate=gate, tier=tier, limit=1000, now_us=now_us, live_us=now_us)
                )
            ]
            people = tx.people({one.person for one in parcels if one.person})
            return [
                replace(one, payload=people[one.person].missing(now_us, 1))
                if one.person in people
                else one
                for one in parcels
            ]

        claimed = self.do(lambda connection: take(SqlTransaction(connection)))
        assert isinstance(claimed, list)
        return claimed

    def settle(self, parcels: Sequence[Parcel], reply: Reply) -> None:
        """Record what came of sending, as the daemon does; what is in doubt is held."""
        clock = SystemClock()
        # Nothing is sent: it only tells tokens apart.
        exchange = cast("Exchange", None)
        sender = CentionSender(exchange, wiring.cention_options(self.settings()))
        recorder = recording.Recorder(
            clock=clock,
            entropy=SystemEntropy(),
            sender=sender,
            policy=recording.DispatchPolicy(in_doubt="hold"),
        )
        results = [
            recording.Result(
                parcel=one,
                reply=reply,
                ruling=judge(one.kind, reply),
                token_mark=sender.token_mark(one.route),
            )
            for one in parcels
        ]
        self.do(lambda connection: recorder.record(SqlTransaction(connection), results))

    def send(self, kind: Kind, reply: Reply, route: str = "default") -> list[Parcel]:
        """Send what is due, with this as the answer to all of it."""
        parcels = self.claim(kind, route)
        self.settle(parcels, reply)
        return parcels

    def refuse(self, body: bytes, **given: Any) -> str:
        """Put a body into quarantine, as the door does."""
        refusal = Refusal(
            **{
                "id": f"{given.get('id', 'a'):0<32}",
                "source": "aventa",
                "received_us": SystemClock().now_us(),
                "status": 422,
                "content_type": "application/json",
                "event_id": "e1",
                "event_type": "call.answered",
                "issues": (("/destNumber", "is no MSISDN"),),
                "body": body,
                "is_cut": False,
                **{key: value for key, value in given.items() if key != "id"},
            }
        )

        def keep(tx: Transaction) -> None:
            tx.add_refusals([refusal])

        self.do(lambda connection: keep(SqlTransaction(connection)))
        return refusal.id

    def states(self) -> dict[str, str]:
        """Return the state of each delivery of a call, by kind."""
        outbox = self.read("trace", "r1")["deliveries"]
        return {one["kind"]: one["state"] for one in outbox}

    def raw(self) -> bytes:
        """Return every byte of the store's files."""
        files = sorted(self.folder.glob("bridge.db*"))
        return b"".join(file.read_bytes() for file in files)


def filled(folder: Path, fill: Callable[[Site], None]) -> Path:
    """Make a store with something in it, to be copied: filling one takes longer than copying."""
    with pytest.MonkeyPatch.context() as patch:
        site = Site.make(folder, prepared(folder), patch)
        fill(site)
    return site.store
