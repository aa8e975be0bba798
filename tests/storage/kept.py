"""A store with something in it: events taken in by the real handlers, one commit at a time."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, text

from bridge.domain.calls import CallPolicy
from bridge.domain.deliveries import Kind, State, Tier
from bridge.domain.errands import Guide
from bridge.domain.routes import Route, RouteTable
from bridge.domain.rules import RuleBook
from bridge.ops.metrics import BridgeMetrics
from bridge.ports import Attempt, Claim, Gate, Handler, ItemT, Parcel, Refusal, ResultT, Settlement
from bridge.services.folding import IngestPolicy
from bridge.services.ingest import Ingest
from bridge.storage.engine import open_engine
from bridge.storage.schema import digest_key, prepare
from bridge.storage.transaction import SqlTransaction

NOW_US = 1_790_000_000_000_000
NUMBER = "+60123456789"
ROUTE = Route(name="default", base_url="https://cention.example", workspace="demo")
T = TypeVar("T")


class _StillClock:
    """It is always now."""

    def now_us(self) -> int:
        return NOW_US


class _PlainWriter:
    """Commits what it is given, alone and at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def submit_all(
        self, handler: Handler[ItemT, ResultT], items: Sequence[ItemT]
    ) -> list[ResultT | Exception]:
        with self._engine.begin() as connection:
            return list(handler(SqlTransaction(connection), items))


@dataclass
class Kept:
    """A store, and what may happen to it."""

    engine: Engine

    def take(self, *documents: dict[str, Any]) -> None:
        """Take events in, as the daemon does."""
        ingest = Ingest(
            writer=_PlainWriter(self.engine),  # type: ignore[arg-type]  # all that it needs of one
            clock=_StillClock(),  # type: ignore[arg-type]  # all that it needs of one
            meter=BridgeMetrics(),
            policy=IngestPolicy(
                calls=CallPolicy(),
                guide=Guide(rules=RuleBook(), routes=RouteTable((), ROUTE)),
            ),
            digest_key=digest_key(self.engine),
            on_work=lambda _gates: None,
        )
        arrivals = [ingest.admit(one, source="aventa") for one in documents]
        asyncio.run(ingest.take(arrivals))

    def do(self, work: Callable[[Connection], T]) -> T:
        """Do something in a commit of its own."""
        with self.engine.begin() as connection:
            return work(connection)

    def tx(self, work: Callable[[SqlTransaction], T]) -> T:
        """Do something in a transaction of the services, in a commit of its own."""
        return self.do(lambda connection: work(SqlTransaction(connection)))

    def claim(self, kind: Kind) -> list[Parcel]:
        """Take everything of this kind on its way."""
        gate = Gate(route="default", kind=kind)
        return self.tx(
            lambda tx: [
                parcel
                for tier in Tier
                for parcel in tx.claim(
                    Claim(gate=gate, tier=tier, limit=100, now_us=NOW_US, live_us=NOW_US)
                )
            ]
        )

    def send(self, kind: Kind, state: State = State.DELIVERED, detail: str = "") -> list[Parcel]:
        """Send everything of this kind, with this as the end of it, and lanes moved on."""
        parcels = self.claim(kind)

        def settle(tx: SqlTransaction) -> None:
            is_done = state is State.DELIVERED
            tx.settle(
                [
                    Settlement(
                        id=one.id,
                        state=state,
                        due_us=NOW_US,
                        attempts=one.attempts,
                        remote_id=str(500 + one.id) if is_done else "",
                        error=detail,
                        done_us=NOW_US if is_done else None,
                    )
                    for one in parcels
                ]
            )
            tx.add_attempts(
                [
                    Attempt(
                        delivery_id=one.id,
                        at_us=NOW_US,
                        seconds=0.1,
                        outcome=state.value,
                        status=201 if is_done else 422,
                        detail=detail,
                    )
                    for one in parcels
                ]
            )
            lanes = [one.lane for one in parcels]
            if is_done:
                tx.promote(lanes, NOW_US)
            else:
                tx.park(lanes)

        self.tx(settle)
        return parcels

    def refuse(self, refusal_id: str, body: bytes, **given: Any) -> None:
        """Put a body into quarantine, as the door does."""
        refusal = Refusal(
            **{
                "id": refusal_id,
                "source": "aventa",
                "received_us": NOW_US,
                "status": 422,
                "content_type": "application/json",
                "event_id": "e1",
                "event_type": "call.answered",
                "issues": (("/destNumber", "is no MSISDN"),),
                "body": body,
                "is_cut": False,
                **given,
            }
        )
        self.tx(lambda tx: tx.add_refusals([refusal]))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        return self.do(lambda connection: [tuple(row) for row in connection.execute(text(sql))])

    def run(self, sql: str) -> None:
        """Change something beneath everything."""
        self.do(lambda connection: connection.execute(text(sql)))

    def states(self) -> dict[str, str]:
        """Return the state of each delivery in the outbox, by kind and reference."""
        found = self.rows("SELECT kind, reference_id, state FROM outbox ORDER BY id")
        return {f"{kind} {reference}".strip(): state for kind, reference, state in found}


@cache
def _empty() -> bytes:
    """Return a store's file as a daemon makes it: making one takes longer than copying it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bridge.db"
        engine = open_engine(f"sqlite:///{path}")
        prepare(engine)
        engine.dispose()
        return path.read_bytes()


@contextmanager
def kept(folder: Path) -> Iterator[Kept]:
    """Make an empty store in this folder."""
    path = folder / "bridge.db"
    path.write_bytes(_empty())
    engine = open_engine(f"sqlite:///{path}")
    try:
        yield Kept(engine)
    finally:
        engine.dispose()


def said(kind: str, reference: str = "r1", **given: Any) -> dict[str, Any]:
    """Return an event as a phone system posts it; None leaves a field out."""
    made = {
        "eventId": f"{kind}-{reference}",
        "eventType": kind,
        "occurredAt": "2026-09-21T14:13:20Z",
        "referenceId": reference,
        "callerNumber": NUMBER,
        "callerName": "Ada",
        "destNumber": "60374571234",
        "queueName": "EHS",
        "queueNumber": "123",
        "deviceId": 1000,
        "extensionId": 1000,
        **given,
    }
    return {key: value for key, value in made.items() if value is not None}
