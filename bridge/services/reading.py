"""Reading at one workspace, such that Cention's list of changed errands stays as others need it.

Reading an errand takes it off that list, on which others may depend. So it is noted before it is
read, and put back afterwards unless it is the bridge's to clear; what was not put back, also by the
process before this one, is put back before the next reading. Where a reading request was lost it
may still take effect a while later; so such an errand is put back once more when that can be no
longer.

Source: the vendor's page "Cention Errand Report".
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

from bridge.domain.outcomes import Reply, is_failing
from bridge.ports import Clock, Log, Reader, Report, Transaction, Writer
from bridge.services.channels import UpstreamGone

READERS: Final = 5
TRIES: Final = 4
WAIT_S: Final = 0.25
WAIT_MAX_S: Final = 2.0
TIDY_EVERY_S: Final = 60.0
_MARKED_AT_ONCE: Final = 500
_ABOUT_WHAT_WAS_SENT: Final = frozenset({400, 404, 409, 410, 413, 422})
LIST: Final = "c3_dirty_errand_list"
REPORT: Final = "c3_errand_reports"


class BrokenOff(Exception):  # noqa: N818 - it is no fault, and says so
    """Reading can't be brought to its end now; it may later."""


class _Passing(BrokenOff):
    """The same may well succeed in a moment."""


class HasReply(Protocol):
    """What came of a reading request."""

    @property
    def reply(self) -> Reply:
        """The answer itself."""
        ...


ReadT = TypeVar("ReadT", bound=HasReply)


@dataclass(slots=True)
class Readings(Generic[ReadT]):
    """What reading several things has brought, by id: answers, and why others could not be read.

    `broken_by` is what ended it before its end, if anything has.
    """

    answers: dict[int, ReadT] = field(default_factory=dict)
    missed: dict[int, str] = field(default_factory=dict)
    broken_by: BrokenOff | UpstreamGone | None = None


class Turns(Protocol):
    """Who says when a reading request may leave: all requests share the pace."""

    async def leave_to_read(self, scope: str) -> None:
        """Wait until one may leave."""
        ...

    def was_read(self, scope: str, what: str, reply: Reply) -> None:
        """Say what came of it."""
        ...


class WorkspaceReader:
    """Reads at one workspace, and keeps the list of changed errands as it was."""

    def __init__(
        self,
        *,
        scope: str,
        writer: Writer,
        reader: Reader,
        clock: Clock,
        log: Log,
        turns: Turns,
        settle_s: float,
    ) -> None:
        """Stand on these ports. `settle_s`: how long a lost request may still take effect."""
        self.scope = scope
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._log = log
        self._turns = turns
        self.settle_s = settle_s
        # What was noted as about to be read, and was neither put back nor closed since.
        self._open: set[int] = set()
        # By id, until when a reading request that was lost may take effect (monotonic seconds).
        self._late: dict[int, float] = {}
        self._knows_intents = False
        # Whether something was read that Cention wouldn't take back, and may later.
        self._owes = False
        # How much was read: what broke off after some was not in vain.
        self.progress = 0

    @property
    def is_tidy(self) -> bool:
        """Whether nothing that was read is known to be missing from the list, nor may be soon."""
        return self._knows_intents and not (self._open or self._owes)

    def tidy_in_s(self) -> float:
        """Return in how many seconds `tidy` may have something to do; infinite: not by itself."""
        if self.is_tidy:
            return float("inf")
        now_s = self._clock.monotonic()
        return max((until_s - now_s for until_s in self._late.values()), default=TIDY_EVERY_S)

    async def tidy(self) -> None:
        """Put back what was read and not put back.

        Raises:
            BrokenOff: it can't be done now.
        """
        if self.is_tidy:
            return
        intents = await self._writer.submit(_intents, self.scope)
        if not self._knows_intents:
            # The process before this one may have been reading them when it ended.
            for errand_id in intents:
                self._note_lost(errand_id)
            self._knows_intents = True
        self._late = {one: self._late[one] for one in intents if one in self._late}
        self._open = set(intents)
        self._owes = False
        await self.put_back(intents)

    def _note_lost(self, errand_id: int) -> None:
        self._late[errand_id] = self._clock.monotonic() + self.settle_s

    def is_late(self, errand_id: int) -> bool:
        """Say whether a request for this errand was lost and may still take effect."""
        now_s = self._clock.monotonic()
        return self._late.get(errand_id, now_s) > now_s

    async def listed(self) -> Report:
        """Return the errands that are listed as changed.

        Raises:
            BrokenOff: it can't be done now.
        """
        return await self.ask(LIST, lambda: self._reader.changed(self.scope))

    async def read_errands(
        self, errand_ids: Sequence[int], read: Callable[[int], Awaitable[ReadT]]
    ) -> Readings[ReadT]:
        """Read errands that are noted as about to be read, a few at a time."""
        self._open.update(errand_ids)

        async def read_one(errand_id: int) -> ReadT:
            answer = await read(errand_id)
            if is_failing(answer.reply):
                self._note_lost(errand_id)
            return answer

        return await self.read_each(REPORT, errand_ids, read_one)

    async def read_each(
        self, what: str, ids: Sequence[int], read: Callable[[int], Awaitable[ReadT]]
    ) -> Readings[ReadT]:
        """Read several things, a few at a time."""
        readings: Readings[ReadT] = Readings()
        waiting = iter(ids)
        readers = (
            self._read_some(what, waiting, read, readings) for _ in range(min(READERS, len(ids)))
        )
        await asyncio.gather(*readers)
        return readings

    async def _read_some(
        self,
        what: str,
        waiting: Iterator[int],
        read: Callable[[int], Awaitable[ReadT]],
        readings: Readings[ReadT],
    ) -> None:
        is_missing = False
        for one in waiting:
            if readings.broken_by is not None:
                return
            try:
                readings.answers[one] = await self.ask(what, _bound(read, one))
            except (BrokenOff, UpstreamGone) as error:
                if is_missing or not isinstance(error, _Passing):
                    readings.broken_by = error  # it is not about this one
                    return
                is_missing = True
                readings.missed[one] = str(error)
                continue
            is_missing = False
            self.progress += 200 <= readings.answers[one].reply.status < 300

    def has_closed(self, errand_ids: Sequence[int]) -> None:
        """Note that nothing is owed for these errands: their intents were closed."""
        self._open.difference_update(errand_ids)

    async def put_back(self, errand_ids: Sequence[int]) -> None:
        """Put errands on the list again, and close what was noted of them.

        Raises:
            BrokenOff: it can't be done now.
        """
        late = {one for one in errand_ids if self.is_late(one)}
        for start in range(0, len(errand_ids), _MARKED_AT_ONCE):
            await self._mark(errand_ids[start : start + _MARKED_AT_ONCE], late)

    async def _mark(self, errand_ids: Sequence[int], late: Collection[int]) -> None:
        """Put errands on the list again; where that is refused, find out because of which."""
        report = await self.ask(LIST, self._marking(errand_ids))
        is_done = 200 <= report.reply.status < 300
        if not is_done and report.reply.status in _ABOUT_WHAT_WAS_SENT and len(errand_ids) > 1:
            half = len(errand_ids) // 2
            await self._mark(errand_ids[:half], late)
            await self._mark(errand_ids[half:], late)
            return
        if not is_done:
            self._log.error(
                "errands that were read can't be put on the list of changed ones again",
                scope=self.scope,
                status=report.reply.status,
                count=len(errand_ids),
            )
        if is_done or report.reply.status in _ABOUT_WHAT_WAS_SENT:
            close = [one for one in errand_ids if one not in late]
            await self._writer.submit(_close, (self.scope, close))
            self.has_closed(close)
        else:
            self._owes = True

    def _marking(self, errand_ids: Sequence[int]) -> Callable[[], Awaitable[Report]]:
        return lambda: self._reader.mark(self.scope, errand_ids)

    async def ask(self, what: str, request: Callable[[], Awaitable[ReadT]]) -> ReadT:
        """Ask a few times: many answers are needed, of which one may fail in passing.

        Raises:
            BrokenOff: there is no answer now.
            UpstreamGone: the workspace is not in the settings any more.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Passing),
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential(multiplier=WAIT_S, max=WAIT_MAX_S),
            sleep=self._clock.sleep,
            reraise=True,
        )
        return await retrying(self._ask_once, what, request)

    async def _ask_once(self, what: str, request: Callable[[], Awaitable[ReadT]]) -> ReadT:
        await self._turns.leave_to_read(self.scope)
        answer = await request()
        self._turns.was_read(self.scope, what, answer.reply)
        if is_failing(answer.reply) or answer.reply.status in {425, 429}:
            raise _Passing(refused(what, answer.reply))
        if answer.reply.status == 401:
            raise BrokenOff(refused(what, answer.reply))
        return answer


def _bound(read: Callable[[int], Awaitable[ReadT]], one: int) -> Callable[[], Awaitable[ReadT]]:
    return lambda: read(one)


def refused(what: str, reply: Reply) -> str:
    """Say in words what was answered in place of what was asked for."""
    said = reply.failure.value if reply.failure else str(reply.status)
    about = ", and holds nothing readable" if 200 <= reply.status < 300 else ""
    return f"{what} was answered with {said}{about}"


def _intents(tx: Transaction, scopes: Sequence[str]) -> list[list[int]]:
    return [tx.intents(scope) for scope in scopes]


def _close(tx: Transaction, said: Sequence[tuple[str, Sequence[int]]]) -> list[None]:
    for scope, errand_ids in said:
        tx.close_intents(scope, errand_ids)
    return [None] * len(said)
