"""A Cention that reports, by hand, and pollers on a real store that can be killed at any point."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import START_US, HandClock, QuietLog, put_store
from msgspec.structs import replace
from sqlalchemy import Engine, text

from bridge.domain.deliveries import Draft, Kind, NewErrand, State
from bridge.domain.outcomes import Failure, Reply
from bridge.domain.reports import Action, ErrandReport, Followed, Rating, Sla
from bridge.ports import (
    Handler,
    Order,
    RatingReading,
    Report,
    ReportReading,
    Settlement,
    Transaction,
    Writer,
)
from bridge.services.looking import Looker
from bridge.services.reading import WorkspaceReader
from bridge.services.reports import ReportPoller
from bridge.storage.engine import open_engine
from bridge.storage.transaction import SqlTransaction
from bridge.storage.writer import SharedCommit

SCOPE = "https://cention.example/s/demo"
OK = Reply(status=200)
LOST = Reply(failure=Failure.LOST)
EVERY_S = 60.0
CALLED_US = START_US - 600_000_000
WITHIN = Sla(is_within=True, handling_s=40, response_s=70)
ANSWERED = ErrandReport(
    actions=(Action(at_s=START_US // 10**6, note="Errand 1 was answered and closed"),),
    is_answered=True,
    is_closed=True,
    answered_minute="2026/09/21 14:13",
    tags=("Billing",),
    sla=WITHIN,
)
OPEN = ErrandReport(subject="Call", sla=Sla(is_within=True, handling_s=0, response_s=0))


class Killed(BaseException):
    """The process ends here."""


class Fuse:
    """Counts the points at which a process may be killed, and kills it at one of them."""

    def __init__(self) -> None:
        self.passed = 0
        self.at: int | None = None

    def point(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            raise Killed


@dataclass
class HandReports:
    """A `ReportReader`. `refusals` are answered first, by what is asked for: `list`, `33`, `r3`."""

    fuse: Fuse = field(default_factory=Fuse)
    reports: dict[int, ErrandReport] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)
    ratings: dict[int, Rating] = field(default_factory=dict)
    rated_dirty: set[int] = field(default_factory=set)
    refusals: dict[str, list[Reply]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    bodies: dict[int, str] = field(default_factory=dict)
    on_read: Callable[[int], None] = lambda _errand_id: None

    def change(self, errand_id: int, report: ErrandReport) -> None:
        """Change an errand, which lists it."""
        self.reports[errand_id] = report
        self.dirty.add(errand_id)

    def rate(self, rating_id: int, rating: Rating) -> None:
        self.ratings[rating_id] = rating
        self.rated_dirty.add(rating_id)

    def _refusal(self, what: str) -> Reply | None:
        self.asked.append(what)
        self.fuse.point()
        waiting = self.refusals.get(what)
        return waiting.pop(0) if waiting else None

    def _answered(self, answer: Any) -> Any:
        """Answer: what was asked for has taken effect by now."""
        self.fuse.point()
        return answer

    async def changed(self, scope: str) -> Report:
        assert scope == SCOPE
        refusal = self._refusal("list")
        if refusal is not None:
            return Report(reply=refusal)
        answer: Report = self._answered(Report(reply=OK, ids=tuple(sorted(self.dirty))))
        return answer

    async def errand(self, _scope: str, errand_id: int) -> Report:
        refusal = self._refusal(f"body {errand_id}")
        if refusal is not None:
            return Report(reply=refusal)
        self.dirty.discard(errand_id)
        answer: Report = self._answered(Report(reply=OK, body=self.bodies.get(errand_id, "")))
        return answer

    async def report(self, _scope: str, errand_id: int, *, is_whole: bool) -> ReportReading:
        self.on_read(errand_id)
        refusal = self._refusal(f"{errand_id}" if is_whole else f"{errand_id} sla")
        if refusal is not None:
            if refusal is LOST:
                self.dirty.discard(errand_id)
            return ReportReading(reply=refusal)
        has_changed = errand_id in self.dirty
        self.dirty.discard(errand_id)
        report = self.reports[errand_id]
        told = report if is_whole else ErrandReport(sla=report.sla)
        answer: ReportReading = self._answered(
            ReportReading(reply=OK, report=told, has_changed=has_changed)
        )
        return answer

    async def mark(self, _scope: str, errand_ids: Sequence[int]) -> Report:
        refusal = self._refusal(f"mark {sorted(errand_ids)}")
        if refusal is not None:
            return Report(reply=refusal)
        self.dirty.update(one for one in errand_ids if one in self.reports or one in self.bodies)
        answer: Report = self._answered(Report(reply=OK))
        return answer

    async def rated(self, _scope: str) -> Report:
        refusal = self._refusal("ratings")
        if refusal is not None:
            return Report(reply=refusal)
        answer: Report = self._answered(Report(reply=OK, ids=tuple(sorted(self.rated_dirty))))
        return answer

    async def rating(self, _scope: str, rating_id: int) -> RatingReading:
        refusal = self._refusal(f"r{rating_id}")
        if refusal is not None:
            return RatingReading(reply=refusal)
        self.rated_dirty.discard(rating_id)
        rating = self.ratings.get(rating_id)
        reply = OK if rating else Reply(status=404)
        answer: RatingReading = self._answered(RatingReading(reply=reply, rating=rating))
        return answer


class DeadlyWriter:
    """A `Writer` at which a process may be killed before each commit, and after it."""

    def __init__(self, writer: Writer, fuse: Fuse) -> None:
        self._writer = writer
        self._fuse = fuse

    async def submit(self, handler: Handler[Any, Any], item: Any) -> Any:
        self._fuse.point()
        result = await self._writer.submit(handler, item)
        self._fuse.point()
        return result

    async def submit_all(self, handler: Handler[Any, Any], items: Sequence[Any]) -> list[Any]:
        return await self._writer.submit_all(handler, items)


class FreeTurns:
    """Turns for everybody at once."""

    async def leave_to_read(self, scope: str) -> None:
        """Leave."""

    def was_read(self, scope: str, what: str, reply: Reply) -> None:
        """Take no notice."""


class FeedbackCounts:
    """A `FeedbackMeter` that keeps what is counted, as (name, …)."""

    def __init__(self) -> None:
        self.counted: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        def count(*given: Any, **named: Any) -> None:
            self.counted.append((name, *given, *named.values()))

        return count

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [one[1:] for one in self.counted if one[0] == name]


class ReportBench:
    """A store with errands in it, a Cention that reports on them, and who polls."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock, self.log, self.meter = HandClock(), QuietLog(), FeedbackCounts()
        self.cention = HandReports()
        self.writer = SharedCommit(engine)
        self.is_exclusive = True
        self.restart()

    def restart(self) -> None:
        """Begin as a new process does: with nothing but what is kept."""
        self.cention.fuse.at = None
        writer: Any = DeadlyWriter(self.writer, self.cention.fuse)
        self.at = WorkspaceReader(
            scope=SCOPE,
            writer=writer,
            reader=self.cention,
            clock=self.clock,
            log=self.log,
            turns=FreeTurns(),
            settle_s=90.0,
        )
        looker = Looker(at=self.at, writer=writer, reader=self.cention, clock=self.clock)
        meter: Any = self.meter
        self.poller = ReportPoller(
            at=self.at,
            looker=looker,
            writer=writer,
            reader=self.cention,
            clock=self.clock,
            log=self.log,
            meter=meter,
        )

    async def tx(self, work: Callable[[Transaction], Any]) -> Any:
        def handle(tx: Transaction, items: Sequence[None]) -> list[Any]:
            return [work(tx) for _ in items]

        return await self.writer.submit(handle, None)

    async def made(self, errand_id: int | None, *, reference: str = "", **given: Any) -> str:
        """Have an errand made, for which Cention gave this id; return its message id."""
        call = reference or f"r{errand_id}"
        name = f"aventa-{hashlib.sha256(call.encode()).hexdigest()[:32]}"
        errand = NewErrand(
            message_id=name,
            name="Ada",
            sender="+60123456789",
            subject="Call",
            body="…",
            extradata={"queueName": "EHS"},
            **given,
        )
        key = f"{name}:new"
        order = Order(
            draft=Draft(
                key=key,
                lane=name,
                position=0,
                kind=Kind.NEW_ERRAND,
                route="default",
                payload=errand,
            ),
            source="aventa",
            reference_id=call,
            event_id="e1",
            accepted_us=CALLED_US,
        )

        def make(tx: Transaction) -> None:
            tx.put_orders([order])

        await self.tx(make)
        with self.engine.begin() as connection:
            where = {"key": key}
            [row] = connection.execute(text("SELECT id FROM outbox WHERE key = :key"), where)
            connection.execute(text("UPDATE outbox SET scope = :scope"), {"scope": SCOPE})
            settlement = Settlement(
                id=row.id,
                state=State.DELIVERED,
                due_us=START_US,
                attempts=1,
                remote_id="" if errand_id is None else str(errand_id),
                done_us=START_US,
            )
            SqlTransaction(connection).settle([settlement])
        return name

    async def poll(self, *, times: int = 1, step_s: float = EVERY_S) -> None:
        """Poll, and let time pass."""
        for _ in range(times):
            await self.poller.poll(
                every_s=EVERY_S, is_exclusive=self.is_exclusive, is_in_the_way=lambda: False
            )
            self.clock.advance(step_s)

    async def followed(self, *errand_ids: int) -> dict[int, Followed]:
        found: dict[int, Followed] = await self.tx(lambda tx: tx.followed(SCOPE, errand_ids))
        return found

    async def intents(self) -> list[int]:
        found: list[int] = await self.tx(lambda tx: tx.intents(SCOPE))
        return found


Work = Callable[[ReportBench], Awaitable[None]]


@asynccontextmanager
async def report_bench(folder: Path) -> AsyncIterator[ReportBench]:
    """Open a store in this folder, and a Cention beside it."""
    put_store(folder)
    engine = open_engine(f"sqlite:///{folder / 'bridge.db'}")
    made = ReportBench(engine)
    made.writer.start()
    made.clock.advance(1.0)
    try:
        yield made
    finally:
        await made.writer.close()
        engine.dispose()


def without_sla(report: ErrandReport) -> ErrandReport:
    """Return a report of which Cention is still working out the SLA."""
    return replace(report, sla=None)
