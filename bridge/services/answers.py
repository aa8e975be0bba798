"""Answers that are kept are matched to their calls, and sent on with their files.

All is done by what is kept, and so goes on after a crash where it was. What is sent on leaves by
the outbox as everything else does.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bridge.domain.answers import Answer, OnwardAnswer
from bridge.domain.deliveries import Draft, Kind
from bridge.domain.errors import StoreUnavailable
from bridge.domain.markers import find_marker
from bridge.domain.reports import Origin
from bridge.domain.routes import ONWARD_ROUTE
from bridge.domain.units import SECOND_US
from bridge.ports import (
    AnswerRow,
    AnswerState,
    Clock,
    FeedbackMeter,
    Gate,
    Log,
    Order,
    Transaction,
    Writer,
)
from bridge.services.fetching import FileFetcher

GATE: Final = Gate(route=ONWARD_ROUTE, kind=Kind.ANSWER)
# How long an answer waits for its call to be known, and for files that can't be had now.
WAIT_MAX_US: Final = 3600 * SECOND_US
BACK_OFF_MAX_S: Final = 60
# Answers that are matched in one commit, and those whose files are fetched at a time.
MATCHED_AT_ONCE: Final = 100
FETCHED_AT_ONCE: Final = 4
POLL_S: Final = 5.0
STORE_RETRY_S: Final = 1.0
DISK_RETRY_S: Final = 30.0
SWEEP_EVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPolicy:
    """What a site has decided about answers.

    `default_scope` is the workspace of what is of no known call; `is_sent_on` says whether answers
    go anywhere.
    """

    default_scope: str
    is_sent_on: bool = False


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
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.policy = policy

    def wake(self) -> None:
        """Say that an answer has come."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        swept_s = float("-inf")
        try:
            while True:
                self._wake.clear()
                try:
                    if self._clock.monotonic() - swept_s >= SWEEP_EVERY_S:
                        await self._fetcher.sweep(with_strays=swept_s < 0)
                        swept_s = self._clock.monotonic()
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
        new = await self._writer.submit(_due, (now_us, AnswerState.NEW, MATCHED_AT_ONCE))
        if new:
            await self._match_all(new)
            return 0.0
        limit = FETCHED_AT_ONCE + len(self._tasks)
        for row in await self._writer.submit(_due, (now_us, AnswerState.MATCHED, limit)):
            if row.id not in self._tasks and len(self._tasks) < FETCHED_AT_ONCE:
                task = asyncio.create_task(self._fetch_or_wait(row))
                self._tasks[row.id] = task
                task.add_done_callback(partial(self._done, row.id))
        next_us = await self._writer.submit(_next, None)
        if next_us is None or self._tasks:
            return POLL_S
        return min(POLL_S, max(0.0, (next_us - self._clock.now_us()) / 1e6))

    def _done(self, answer_id: int, task: asyncio.Task[None]) -> None:
        del self._tasks[answer_id]
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
                await self._writer.submit(_save, self._later(row))
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
            origin = _origin_of(tx, row.answer)
            if origin is None and not self._is_over(row) and tx.is_unclear():
                after.append(self._later(row))
                continue
            default = self.policy.default_scope
            matched = replace(row, state=AnswerState.MATCHED, tries=0, scope=default)
            if origin is not None:
                matched = replace(
                    matched,
                    scope=origin.scope or default,
                    source=origin.source,
                    reference_id=origin.reference_id,
                    route=origin.route,
                )
            after.append(matched)
        return self._keep_on(tx, after)

    def _is_over(self, row: AnswerRow) -> bool:
        return self._clock.now_us() - row.received_us >= WAIT_MAX_US

    def _later(self, row: AnswerRow) -> AnswerRow:
        wait_s = min(BACK_OFF_MAX_S, 2 ** min(row.tries, 10))
        due_us = self._clock.now_us() + wait_s * SECOND_US
        return replace(row, due_us=due_us, tries=row.tries + 1)

    def _keep_on(self, tx: Transaction, rows: Sequence[AnswerRow]) -> list[AnswerRow]:
        """Keep how answers stand; those that nothing is missing of are sent on, and done."""
        now_us = self._clock.now_us()
        after = [
            replace(row, state=AnswerState.DONE, due_us=None, done_us=now_us)
            if row.state is AnswerState.MATCHED and all(one.is_settled for one in row.files)
            else row
            for row in rows
        ]
        tx.save_answers(after)
        if self.policy.is_sent_on:
            tx.put_orders([_order(row) for row in after if row.state is AnswerState.DONE])
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
            await self._writer.submit(_save, self._later(row))

    async def _fetch(self, row: AnswerRow) -> None:
        """Fetch an answer's files, one after the other; each is noted once it is on disk."""
        for place, file in enumerate(row.files):
            if file.is_settled:
                continue
            left_us = row.received_us + WAIT_MAX_US - self._clock.now_us()
            reading = await self._fetcher.fetch(row.scope, file, max(1.0, left_us / 1e6))
            if reading is None and not self._is_over(row):
                await self._writer.submit(_save, self._later(row))
                return
            async with self._fetcher.lock:
                kept = await self._fetcher.settle(file, reading)
                files = (*row.files[:place], kept, *row.files[place + 1 :])
                row = await self._writer.submit(self._keep_on, replace(row, files=files))
        self._tell(row)


def _origin_of(tx: Transaction, answer: Answer) -> Origin | None:
    """Return the call that an answer is of; None: none that is known.

    The errand's id tells, or the marker that its text quotes: of an errand whose id isn't known
    yet, or that has the same id as another workspace's.
    """
    found = tx.origins([answer.errand_id])
    if len(found) == 1:
        return found[0]
    marker = find_marker(answer.html_body) or find_marker(answer.body)
    quoted = tx.origins_of([marker]) if marker else []
    # An answer may quote another errand than its own.
    fitting = [one for one in quoted if one.errand_id in {0, answer.errand_id}]
    return fitting[0] if fitting else None


def _order(row: AnswerRow) -> Order:
    name = hashlib.sha256(f"{row.id}/{row.answer.key}".encode()).hexdigest()[:32]
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
                reference_id=row.reference_id,
                answer=row.answer,
                files=row.files,
            ),
        ),
        source=row.source,
        reference_id=row.reference_id,
        event_id="",
        accepted_us=row.received_us,
    )


def _due(tx: Transaction, asked: Sequence[tuple[int, AnswerState, int]]) -> list[list[AnswerRow]]:
    return [tx.due_answers(now_us, state, limit) for now_us, state, limit in asked]


def _next(tx: Transaction, asked: Sequence[None]) -> list[int | None]:
    return [tx.next_answer_us() for _ in asked]


def _save(tx: Transaction, rows: Sequence[AnswerRow]) -> list[AnswerRow]:
    tx.save_answers(rows)
    return list(rows)
