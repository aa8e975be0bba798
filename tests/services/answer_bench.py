"""Answers on a real store, with a Cention by hand that has files, and time by hand."""

import hashlib
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench import HandClock, QuietLog, put_store
from report_bench import FeedbackCounts, FreeTurns
from sqlalchemy import Connection, Engine, text

from bridge.domain.answers import Answer, FileName, FileType
from bridge.domain.deliveries import Draft, Kind, NewErrand, State
from bridge.domain.outcomes import Reply
from bridge.ports import FileReading, Gate, Order, Settlement
from bridge.services.answer_intake import AnswerIntake
from bridge.services.answers import AnswerPolicy, Answers
from bridge.services.fetching import FileFetcher
from bridge.services.ingest import Taken
from bridge.storage.engine import open_engine
from bridge.storage.schema import digest_key
from bridge.storage.transaction import SqlTransaction
from bridge.storage.writer import SharedCommit

BASE = "https://cention.example/s"
DEMO, OTHER = f"{BASE}/demo", f"{BASE}/other"
OK = Reply(status=200)
MARKER = "aventa-" + "0" * 32


def attachment(number: int) -> FileName:
    return FileName(FileType.ATTACHMENT, number)


def answer(errand_id: int = 33, *files: int, **given: Any) -> Answer:
    """Return an answer to an errand, with these attachments."""
    return Answer(
        **{
            "callback_id": "76",
            "errand_id": errand_id,
            "answer_id": "1",
            "response_id": "1",
            "body": "It is in the post.",
            "files": tuple(attachment(one) for one in files),
            **given,
        }
    )


class HandFiles:
    """A `FileReader` and a `FileStore`. `script` is answered first; then each file is its name."""

    def __init__(self) -> None:
        self.script: list[FileReading] = []
        self.asked: list[tuple[str, int]] = []
        self.kept: dict[str, bytes] = {}
        self.on_file: Callable[[int], None] = lambda _file_id: None

    async def file(self, scope: str, name: FileName) -> FileReading:
        self.asked.append((scope, name.id))
        self.on_file(name.id)
        if self.script:
            return self.script.pop(0)
        content = f"{scope} {name.id}".encode()
        return FileReading(reply=OK, title=f"{name.id}.txt", content=content)

    async def keep(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        self.kept[digest] = content
        return digest

    async def drop(self, digests: Collection[str]) -> list[str]:
        for one in digests:
            self.kept.pop(one, None)
        return list(digests)

    async def strays(self, _older_than_s: float) -> list[str]:
        return list(self.kept)


class AnswerBench:
    """The services that deal with answers. `turn` does all that is due."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock, self.log, self.meter = HandClock(), QuietLog(), FeedbackCounts()
        self.files = HandFiles()
        self.writer = SharedCommit(engine)
        self.woken: list[Gate] = []
        meter: Any = self.meter
        self.fetcher = FileFetcher(
            writer=self.writer,
            clock=self.clock,
            log=self.log,
            meter=meter,
            reader=self.files,
            files=self.files,
            turns=FreeTurns(),
        )
        self.answers = Answers(
            writer=self.writer,
            clock=self.clock,
            log=self.log,
            meter=meter,
            fetcher=self.fetcher,
            policy=AnswerPolicy(default_scope=DEMO, scopes={"demo": DEMO}, is_sent_on=True),
            on_work=self.woken.extend,
        )
        self.intake = AnswerIntake(
            writer=self.writer, clock=self.clock, digest_key=digest_key(engine)
        )

    async def take(self, *answers: Answer) -> list[Taken]:
        return [await self.intake.take(one) for one in answers]

    def do(self, work: Callable[[Connection], Any]) -> Any:
        with self.engine.begin() as connection:
            return work(connection)

    def tx(self, work: Callable[[SqlTransaction], Any]) -> Any:
        return self.do(lambda connection: work(SqlTransaction(connection)))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [
            tuple(one) for one in self.do(lambda connection: connection.execute(text(sql)).all())
        ]

    def made(
        self, errand_id: int | None, *, reference: str = "r1", scope: str = DEMO, marker: str = ""
    ) -> str:
        """Have an errand made; None: Cention hasn't answered yet. Return its message id."""
        name = marker or f"aventa-{hashlib.sha256(reference.encode()).hexdigest()[:32]}"
        errand = NewErrand(message_id=name, name="A", sender="+6012", subject="Call", body="…")
        draft = Draft(
            key=f"{name}:new",
            lane=name,
            position=0,
            kind=Kind.NEW_ERRAND,
            route="default",
            payload=errand,
        )
        order = Order(
            draft=draft, source="aventa", reference_id=reference, event_id="e", accepted_us=1
        )
        self.tx(lambda tx: tx.put_orders([order]))
        [(row_id,)] = self.rows(f"SELECT id FROM outbox WHERE key = '{name}:new'")  # noqa: S608 - a name of this bench
        self.do(
            lambda connection: connection.execute(
                text("UPDATE outbox SET scope = :scope, first_us = 1 WHERE id = :of"),
                {"scope": scope, "of": row_id},
            )
        )
        settlement = Settlement(
            id=row_id,
            state=State.SENDING if errand_id is None else State.DELIVERED,
            due_us=1,
            attempts=1,
            remote_id="" if errand_id is None else str(errand_id),
            done_us=None if errand_id is None else self.clock.now_us(),
        )
        self.tx(lambda tx: tx.settle([settlement]))
        return name

    async def turn(self, seconds: float = 0.0, step_s: float = 1.0) -> None:
        """Let time pass in steps, with everything that is due done at each."""
        while True:
            for _ in range(3):
                await self.answers._round()  # noqa: SLF001 - what `run` does at each turn
                while self.answers._tasks:  # noqa: SLF001 - as above
                    await self.writer.submit(_nothing, None)
            if seconds <= 0:
                return
            self.clock.advance(min(step_s, seconds))
            seconds -= step_s

    def sent_on(self) -> list[tuple[Any, ...]]:
        """Return the answers that are to leave, in their order."""
        return self.rows(
            "SELECT reference_id, state, lane FROM outbox WHERE kind = 'answer' ORDER BY position"
        )


def _nothing(_tx: object, items: Any) -> list[None]:
    return [None] * len(items)


@asynccontextmanager
async def answer_bench(folder: Path) -> AsyncIterator[AnswerBench]:
    """Open a store in this folder, with who deals with answers on it."""
    put_store(folder)
    engine = open_engine(f"sqlite:///{folder / 'bridge.db'}")
    made = AnswerBench(engine)
    made.writer.start()
    made.clock.advance(1.0)
    try:
        yield made
    finally:
        await made.writer.close()
        engine.dispose()
