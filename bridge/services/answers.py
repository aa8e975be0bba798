"""Answers that are kept are matched to their calls, and sent on with their files.

All is done by what is kept, and so goes on after a crash where it was. What is sent on leaves by
the outbox as everything else does.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from bridge.domain.answers import Answer, FileName, KeptFile, OnwardAnswer
from bridge.domain.deliveries import Draft, Kind
from bridge.domain.errors import StoreUnavailable
from bridge.domain.events import outside_reference
from bridge.domain.reports import Origin
from bridge.domain.routes import ONWARD_ROUTE
from bridge.domain.units import SECOND_US
from bridge.ports import (
    AnswerRow,
    AnswerState,
    Clock,
    FeedbackMeter,
    FileReading,
    Gate,
    Log,
    Order,
    Transaction,
    Writer,
)
from bridge.services.fetching import UNAVAILABLE, FileFetcher

GATE: Final = Gate(route=ONWARD_ROUTE, kind=Kind.ANSWER)
BACK_OFF_MAX_S: Final = 60
MATCHED_AT_ONCE: Final = 100
# How often a file that isn't there is asked for: it may be there in a moment.
MISSES_MAX: Final = 3
# How long an answer waits for a poll to name its errand.
NAMING_US: Final = 120 * SECOND_US
# For so long a file waits for its turn before others are let through.
TURN_S: Final = 60.0
POLL_S: Final = 5.0
STORE_RETRY_S: Final = 1.0
DISK_RETRY_S: Final = 30.0
SWEEP_EVERY_S: Final = 60.0
STRAYS_EVERY_S: Final = 3600.0


class AnswerPolicy(Struct, frozen=True, kw_only=True):
    """What a site has decided about answers.

    `scopes` are the workspaces by name, of which the default's is `default_scope`; `is_sent_on`
    says whether answers go anywhere, `is_polled` whether reports are read.
    """

    default_scope: str
    scopes: Mapping[str, str] = field(default_factory=dict)
    is_sent_on: bool = False
    is_polled: bool = False


class Answers:
    """Does what there is to be done about answers. `policy` can be replaced while running."""

    def __init__(
        self,
        *,
        writer: Writer,
        clock: Clock,
        log: Log,
        meter: FeedbackMeter,
        fetcher: FileFetcher,
        policy: AnswerPolicy,
        on_work: Callable[[Iterable[Gate]], None],
    ) -> None:
        """Stand on these. `on_work` is told when an answer is to be sent on."""
        self._writer = writer
        self._clock = clock
        self._log = log
        self._meter = meter
        self._fetcher = fetcher
        self._on_work = on_work
        self._wake = asyncio.Event()
        # One a workspace: a slow one holds up its own, and files come one at a time.
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # By answer and file, how often it was not there.
        self._misses: dict[tuple[int, FileName], int] = {}
        self.policy = policy

    def wake(self) -> None:
        """Say that an answer has come."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        swept_s = strays_s = float("-inf")
        try:
            while True:
                self._wake.clear()
                try:
                    if self._clock.monotonic() - swept_s >= SWEEP_EVERY_S:
                        now_s = swept_s = self._clock.monotonic()
                        with_strays = now_s - strays_s >= STRAYS_EVERY_S
                        strays_s = now_s if with_strays else strays_s
                        await self._fetcher.sweep(with_strays=with_strays)
                    wait_s = await self._round()
                except StoreUnavailable as error:
                    self._log.warning("answers have to wait", error=str(error))
                    wait_s = STORE_RETRY_S
                except Exception as error:  # noqa: BLE001 - it may go by the next time
                    self._log.error("answers failed", exc_info=error)
                    wait_s = POLL_S
                await self._pause(wait_s)
        finally:
            for task in self._tasks.values():
                task.cancel()

    async def _pause(self, seconds: float) -> None:
        try:
            async with self._clock.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _round(self) -> float:
        """Do or begin what is due; return how long until more is."""
        now_us = self._clock.now_us()
        new = await self._writer.submit(_due, (now_us, AnswerState.NEW, MATCHED_AT_ONCE, ""))
        if new:
            await self._match_all(new)
            return 0.0
        for scope in await self._writer.submit(_scopes, None):
            if scope in self._tasks:
                continue
            for row in await self._writer.submit(_due, (now_us, AnswerState.MATCHED, 1, scope)):
                task = asyncio.create_task(self._fetch_or_wait(row))
                self._tasks[scope] = task
                task.add_done_callback(partial(self._done, scope))
        next_us = await self._writer.submit(_next, None)
        if next_us is None or self._tasks:
            return POLL_S
        return min(POLL_S, max(0.0, (next_us - self._clock.now_us()) / 1e6))

    def _done(self, scope: str, task: asyncio.Task[None]) -> None:
        del self._tasks[scope]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("an answer can't be dealt with now", exc_info=error)

    async def _match_all(self, rows: Sequence[AnswerRow]) -> None:
        """Find the calls of answers; one that can't be dealt with stops no other."""
        for row, after in zip(rows, await self._writer.submit_all(self._match, rows), strict=True):
            if isinstance(after, StoreUnavailable):
                raise after
            if isinstance(after, Exception):
                self._log.error("an answer can't be matched", exc_info=after)
                await self._set_aside(row)
            elif after.state is not AnswerState.NEW:
                self._meter.matched(is_ours=bool(after.reference_id))
                self._tell(after)

    def _tell(self, row: AnswerRow) -> None:
        if row.state is not AnswerState.DONE:
            return
        self._log.info(
            "answered",
            reference=row.reference_id,
            errand=row.answer.errand_id,
            files=len(row.files),
            given_up=sum(bool(one.error) for one in row.files),
            is_sent_on=self.policy.is_sent_on,
        )
        if self.policy.is_sent_on:
            self._on_work([GATE])

    def _match(self, tx: Transaction, rows: Sequence[AnswerRow]) -> list[AnswerRow]:
        """Find the calls of answers; what can't be found yet is looked for again in a while."""
        after = []
        for row in rows:
            origin = self._origin(tx, row.answer)
            if origin is None and self._may_be_known_later(tx, row):
                after.append(self._later(row))
                continue
            matched = replace(
                row, state=AnswerState.MATCHED, tries=0, scope=self._scope(row.answer)
            )
            if origin is not None:
                matched = replace(
                    matched,
                    scope=origin.scope or self.policy.default_scope,
                    source=origin.source,
                    reference_id=origin.reference_id,
                    route=origin.route,
                )
            after.append(matched)
        return self._keep_on(tx, after)

    def _may_be_known_later(self, tx: Transaction, row: AnswerRow) -> bool:
        if self._is_over(row):
            return False
        is_fresh = self._clock.now_us() < row.received_us + NAMING_US
        return tx.is_unclear(row.received_us, with_unnamed=self.policy.is_polled and is_fresh)

    def _scope(self, answer: Answer) -> str:
        """Return the workspace of an answer that is of no known call; empty where it isn't sure.

        The same id is somebody else's file in another workspace.
        """
        scopes = self.policy.scopes
        if answer.workspace in scopes:
            return scopes[answer.workspace]
        return self.policy.default_scope if len(scopes) <= 1 else ""

    def _origin(self, tx: Transaction, answer: Answer) -> Origin | None:
        """Return the call that an answer is of; None: none that is known.

        The errand's id tells, and the marker that its text quotes: of an errand whose id isn't
        known yet, and where other workspaces have errands with the same ids.
        """
        quoted = tx.origins_of([answer.marker]) if answer.marker else []
        # An answer may quote another errand than its own.
        fitting = [one for one in quoted if one.errand_id in {0, answer.errand_id}]
        if fitting:
            return fitting[0]
        found = tx.origins([answer.errand_id])
        if len(self.policy.scopes) > 1:
            named = self.policy.scopes.get(answer.workspace)
            found = [one for one in found if one.scope == named]
        return found[0] if len(found) == 1 else None

    def _is_over(self, row: AnswerRow) -> bool:
        return self._clock.now_us() >= row.give_up_us

    async def _set_aside(self, row: AnswerRow) -> None:
        """Deal with an answer that can't be dealt with: later, or else with what there is of it."""
        if not self._is_over(row):
            await self._writer.submit(_save, self._later(row))
            return
        files = tuple(
            one if one.is_settled else replace(one, error=UNAVAILABLE) for one in row.files
        )
        bare = replace(row, state=AnswerState.MATCHED, files=files)
        self._tell(await self._writer.submit(self._keep_on, bare))

    def _later(self, row: AnswerRow) -> AnswerRow:
        wait_s = min(BACK_OFF_MAX_S, 2 ** min(row.tries, 10))
        due_us = self._clock.now_us() + wait_s * SECOND_US
        return replace(row, due_us=due_us, tries=row.tries + 1)

    def _keep_on(self, tx: Transaction, rows: Sequence[AnswerRow]) -> list[AnswerRow]:
        """Keep how answers stand; those that nothing is missing of are sent on, and done.

        What was forgotten meanwhile is done too, and goes nowhere.
        """
        now_us = self._clock.now_us()
        silent = tx.silent_answers([row.id for row in rows])
        after = [
            replace(row, state=AnswerState.DONE, due_us=None, done_us=now_us)
            if row.id in silent or _is_whole(row)
            else row
            for row in rows
        ]
        tx.save_answers(after)
        done = [row for row in after if row.state is AnswerState.DONE and row.id not in silent]
        if self.policy.is_sent_on:
            tx.put_orders([_order(row) for row in done])
        return after

    async def _fetch_or_wait(self, row: AnswerRow) -> None:
        try:
            await self._fetch(row)
        except StoreUnavailable as error:
            self._log.warning("an answer's files have to wait", error=str(error))
            # What was fetched can't be kept: to fetch it again at once would be for nothing.
            await self._clock.sleep(DISK_RETRY_S)
        except Exception as error:  # noqa: BLE001 - the others are not to wait for it
            self._log.error("an answer's files can't be dealt with now", exc_info=error)
            await self._set_aside(row)

    def _may_come(self, row: AnswerRow, file: KeptFile, reading: FileReading | None) -> bool:
        """Say whether a file may be had later: it can't be now, or isn't there, a few times."""
        if reading is None:
            return True
        key = row.id, file.name
        misses = self._misses.pop(key, 0) + 1
        if reading.reply.status != 404 or misses >= MISSES_MAX:
            return False
        self._misses[key] = misses
        return True

    async def _fetch(self, row: AnswerRow) -> None:
        """Fetch an answer's files, one after the other; each is noted once it is on disk."""
        for place, file in enumerate(row.files):
            if file.is_settled:
                continue
            reading = None
            if row.scope:
                reading = await self._fetcher.fetch(row.scope, file, TURN_S)
                if self._may_come(row, file, reading) and not self._is_over(row):
                    await self._writer.submit(_save, self._later(row))
                    return
            async with self._fetcher.lock:
                kept = await self._fetcher.settle(file, reading)
                files = (*row.files[:place], kept, *row.files[place + 1 :])
                after = replace(row, files=files, tries=0)
                row = await self._writer.submit(self._keep_on, after)
            if row.state is AnswerState.DONE:
                break
        self._tell(row)


def _is_whole(row: AnswerRow) -> bool:
    return row.state is AnswerState.MATCHED and all(one.is_settled for one in row.files)


def _order(row: AnswerRow) -> Order:
    # Of the ids alone, so that it is the same if the callback comes again after the journal's time.
    name = hashlib.sha256(row.answer.key.encode()).hexdigest()[:32]
    return Order(
        draft=Draft(
            key=f"answer:{row.id}",
            lane=f"answer:{row.answer.errand_id}",
            position=row.id,
            kind=Kind.ANSWER,
            route=ONWARD_ROUTE,
            payload=OnwardAnswer(
                webhook_id=f"answer-{name}",
                received_us=row.received_us,
                reference_id=outside_reference(row.source, row.reference_id),
                answer=row.answer,
                files=row.files,
            ),
        ),
        source=row.source,
        reference_id=row.reference_id,
        event_id="",
        accepted_us=row.received_us,
    )


def _due(
    tx: Transaction, asked: Sequence[tuple[int, AnswerState, int, str]]
) -> list[list[AnswerRow]]:
    return [tx.due_answers(*one) for one in asked]


def _scopes(tx: Transaction, asked: Sequence[None]) -> list[list[str]]:
    return [tx.answer_scopes() for _ in asked]


def _next(tx: Transaction, asked: Sequence[None]) -> list[int | None]:
    return [tx.next_answer_us() for _ in asked]


def _save(tx: Transaction, rows: Sequence[AnswerRow]) -> list[AnswerRow]:
    tx.save_answers(rows)
    return list(rows)
