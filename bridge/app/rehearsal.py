"""A rehearsal: what events would do, played on a store in memory, with nothing sent.

It is the daemon's own intake and claiming, so what is shown is what would leave. Nobody is known
yet: of a caller who has a card already, less would leave.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, select
from sqlalchemy.pool import StaticPool

from bridge.app import wiring
from bridge.cention.documents import TYPES, render
from bridge.domain.deliveries import Kind, State, Tier
from bridge.domain.errors import InvalidEvent, Issue
from bridge.domain.events import EVENTS_SOURCE
from bridge.domain.outcomes import Reply, judge
from bridge.domain.units import SECOND_US
from bridge.inbound.shapes import Candidate
from bridge.ops.clock import SystemClock
from bridge.ops.metrics import BridgeMetrics
from bridge.ports import Gate, Handler, ItemT, Parcel, ResultT
from bridge.services.claims import Claims, Wanted
from bridge.services.folding import Effect
from bridge.services.ingest import Ingest
from bridge.services.recording import Recorder, Result
from bridge.services.upkeep import Upkeep
from bridge.settings import Settings
from bridge.storage import tables
from bridge.storage.transaction import SqlTransaction

_AT_ONCE_MAX: Final = 1000
_SECRET: Final = b"a rehearsal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that would leave: where to, with whose token, and what it would say.

    `due_us` is when, in microseconds since 1970; after `expires_us` it is given up.
    """

    kind: Kind
    route: str
    url: str
    document: dict[str, Any]
    due_us: int
    expires_us: int | None = None


@dataclass(slots=True, kw_only=True)
class Scene:
    """What came of one event; `issues`: it is refused. Without an event: what time brings."""

    event_id: str = ""
    event_type: str = ""
    route: str = ""
    status: str = "rejected"
    issues: Sequence[Issue] = ()
    effect: Effect | None = None
    requests: list[Request] = field(default_factory=list)


class _HandClock(SystemClock):
    """A clock that is set by hand."""

    def __init__(self, now_us: int) -> None:
        super().__init__()
        self.us = now_us

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / SECOND_US


class _NoDice:
    def random(self) -> float:
        return 0.0


class _NoSender:
    """Nothing is sent, so no token is refused."""

    def token_mark(self, _route: str) -> str:
        return ""


class _NoLog:
    def debug(self, event: str, **fields: object) -> None:
        """Say nothing."""

    info = warning = error = debug


class _Inline:
    """A writer that writes at once, into a store that is gone afterwards."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def submit(self, handler: Handler[ItemT, ResultT], item: ItemT) -> ResultT:
        with self._engine.begin() as connection:
            return handler(SqlTransaction(connection), [item])[0]

    async def submit_all(
        self, handler: Handler[ItemT, ResultT], items: Sequence[ItemT]
    ) -> list[ResultT | Exception]:
        with self._engine.begin() as connection:
            return list(handler(SqlTransaction(connection), items))


class Rehearsal:
    """Plays events through the bridge's own parts."""

    def __init__(self, settings: Settings, now_us: int) -> None:
        """Begin at a moment, with nothing known."""
        self._settings = settings
        self._clock = _HandClock(now_us)
        engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
        tables.metadata.create_all(engine)
        self._engine = engine
        writer: Any = _Inline(engine)
        self._writer = writer
        self._policy = wiring.dispatch_policy(settings)
        sender: Any = _NoSender()
        self._recorder = Recorder(
            clock=self._clock, entropy=_NoDice(), sender=sender, policy=self._policy
        )
        self._claims = Claims(self._clock, self._policy)
        meter = BridgeMetrics()
        self._ingest = Ingest(
            writer=writer,
            clock=self._clock,
            meter=meter,
            policy=wiring.ingest_policy(settings),
            digest_key=_SECRET,
            on_work=_nobody,
        )
        self._upkeep = Upkeep(
            writer=writer,
            clock=self._clock,
            meter=meter,
            log=_NoLog(),
            retention=wiring.retention(settings),
            folder=self._ingest.folder,
            on_work=_nobody,
        )

    async def play(self, candidates: Iterable[Candidate]) -> list[Scene]:
        """Play events one after the other, and then let pass what time they have to wait."""
        scenes = [await self._play(one) for one in candidates]
        later = Scene(status="later")
        self._clock.us += round(self._settings.calls.settle_seconds * SECOND_US) + 1
        await self._upkeep.close_calls()
        while True:
            later.requests += self._leave()
            due_us = self._next_due_us()
            if due_us is None:
                break
            self._clock.us = max(due_us, self._clock.us)
        return [*scenes, later] if later.requests else scenes

    async def _play(self, candidate: Candidate) -> Scene:
        try:
            if candidate.error is not None:
                raise candidate.error
            arrival = self._ingest.admit(candidate.document, source=EVENTS_SOURCE)
        except InvalidEvent as error:
            return Scene(event_id=error.event_id, event_type=error.event_type, issues=error.issues)
        (receipt,) = await self._ingest.take([arrival])
        if isinstance(receipt, Exception):
            raise receipt
        event = arrival.event
        return Scene(
            event_id=event.event_id,
            event_type=event.type.value,
            route=event.route,
            status=receipt.taken.value,
            effect=receipt.effect,
            requests=self._leave(),
        )

    def _leave(self) -> list[Request]:
        """Return what would leave now, as if all of it arrived."""
        requests: list[Request] = []
        with self._engine.begin() as connection:
            tx = SqlTransaction(connection)
            while parcels := self._claimed(tx):
                requests += [self._request(connection, parcel) for parcel in parcels]
                done = Reply(status=201, remote_id="1")
                self._recorder.record(
                    tx,
                    [
                        Result(parcel=one, reply=done, ruling=judge(one.kind, done), token_mark="")
                        for one in parcels
                    ],
                )
        return requests

    def _claimed(self, tx: SqlTransaction) -> list[Parcel]:
        wanted = [
            Wanted(
                scope=upstream.scope,
                hot=frozenset(
                    (Gate(route=route, kind=kind), tier)
                    for route in upstream.routes
                    for kind in Kind
                    for tier in Tier
                ),
                limit=_AT_ONCE_MAX,
                cards=_AT_ONCE_MAX,
                turn=0,
            )
            for upstream in wiring.upstreams(self._settings)
        ]
        parcels = [one for taken in self._claims.take(tx, wanted) for one in taken.parcels]
        # As they would leave where nothing waits: cards never delay an errand.
        return sorted(parcels, key=lambda one: one.kind is Kind.CONTACT_CARD)

    def _request(self, connection: Connection, parcel: Parcel) -> Request:
        outbox = tables.outbox.c
        query = select(outbox.expires_us).where(outbox.id == parcel.id)
        return Request(
            kind=parcel.kind,
            route=parcel.route,
            url=f"{parcel.scope}/capi/json/{TYPES[parcel.kind]}",
            document=render(parcel.payload, self._settings.contacts.cuid_label),
            due_us=self._clock.us,
            expires_us=connection.execute(query).scalar(),
        )

    def _next_due_us(self) -> int | None:
        """Return when the next of what waits is due; None: nothing waits."""
        outbox = tables.outbox.c
        query = select(outbox.due_us).where(outbox.state == State.READY).order_by(outbox.due_us)
        with self._engine.connect() as connection:
            return connection.execute(query.limit(1)).scalar()


async def rehearse(settings: Settings, candidates: Iterable[Candidate], now_us: int) -> list[Scene]:
    """Return what would come of events, if they came now to a bridge that knows nobody yet."""
    return await Rehearsal(settings, now_us).play(candidates)


def _nobody(_gates: Iterable[Gate]) -> None:
    """Wake nobody: what waits is asked for."""
