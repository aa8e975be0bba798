"""One look at a workspace: which errands are new there, and which markers they carry.

Reading an errand takes it off Cention's list of changed ones, on which others may depend. So it is
noted before it is read, and put back afterwards; what was not put back, also by the process before
this one, is put back before the next look. Where a reading request was lost it may still take
effect a while later; so such an errand is put back once more when that can be no longer.

Source: the vendor's page "Cention Errand Report". *Assumed*: ids grow, and a new errand is listed
as changed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

from bridge.domain.markers import find_marker
from bridge.domain.outcomes import Reply, is_failing
from bridge.ports import Clock, Log, Parcel, Reader, Report, Sighting, Transaction, Writer
from bridge.services.channels import UpstreamGone

BATCH: Final = 20
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
    """A look can't be brought to its end now; a later one may."""


class _Passing(BrokenOff):
    """The same may well succeed in a moment."""


@dataclass(slots=True)
class Look:
    """What a look has brought, by parcel's id: for whom something hides the truth, and what.

    `hidden` is hidden for good; `missed` could not be read this time.
    """

    hidden: dict[int, str] = field(default_factory=dict)
    missed: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Batch:
    """Errands that were read, or could not be, and why."""

    sightings: list[Sighting] = field(default_factory=list)
    unreadable: dict[int, str] = field(default_factory=dict)
    missed: dict[int, str] = field(default_factory=dict)
    broken_by: BrokenOff | UpstreamGone | None = None

    @property
    def own(self) -> list[int]:
        return [one.errand_id for one in self.sightings if one.marker]


class Turns(Protocol):
    """Who says when a reading request may leave: all requests share the pace."""

    async def leave_to_read(self, scope: str) -> None:
        """Wait until one may leave."""
        ...

    def was_read(self, scope: str, what: str, reply: Reply) -> None:
        """Say what came of it."""
        ...


class Looker:
    """Looks at one workspace."""

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
        self._scope = scope
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._log = log
        self._turns = turns
        self.settle_s = settle_s
        # Whether nothing that was read is known to be missing from the list, nor may be soon.
        self.is_tidy = False
        self.highest_id = 0
        # By id, until when a reading request that was lost may take effect (monotonic seconds).
        self._late: dict[int, float] = {}
        self._knows_intents = False
        # Whether something was read that Cention wouldn't take back, and may later.
        self._owes = False
        # How many errands were read: a look that broke off after some was not in vain.
        self.progress = 0

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
        intents = await self._writer.submit(_intents, self._scope)
        if not self._knows_intents:
            # The process before this one may have been reading them when it ended.
            for errand_id in intents:
                self._note_lost(errand_id)
            self._knows_intents = True
        self._late = {one: self._late[one] for one in intents if one in self._late}
        self._owes = False
        await self._put_back(intents)

    def _note_lost(self, errand_id: int) -> None:
        self._late[errand_id] = self._clock.monotonic() + self.settle_s

    async def look(
        self,
        parcels: Sequence[Parcel],
        *,
        is_exclusive: bool,
        on_sight: Callable[[], Awaitable[None]],
    ) -> Look:
        """Read what may be one of these and isn't known yet.

        `on_sight` is awaited whenever errands of the bridge's own were seen.

        Raises:
            BrokenOff: the look could not be brought to its end.
        """
        # What was read and not noted may be the very errand that is looked for.
        await self.tidy()
        listed = await self._ask(LIST, lambda: self._reader.changed(self._scope))
        if listed.ids is None:
            return Look(hidden={parcel.id: _refused(LIST, listed.reply) for parcel in parcels})
        floor = min((parcel.floor_id for parcel in parcels), default=0)
        candidates = [one for one in sorted(set(listed.ids)) if one > floor]
        seen = await self._writer.submit(_seen, (self._scope, candidates))
        unknown = [one for one in candidates if one not in seen]
        look = Look()
        for start in range(0, len(unknown), BATCH):
            batch = await self._read_batch(
                unknown[start : start + BATCH], is_exclusive=is_exclusive
            )
            if batch.own:
                await on_sight()
            for told, by_errand in (
                (look.hidden, batch.unreadable),
                (look.missed, batch.missed),
            ):
                for errand_id, why in by_errand.items():
                    told.update((one.id, why) for one in parcels if one.floor_id < errand_id)
        self.highest_id = max([self.highest_id, *listed.ids])
        return look

    async def _read_batch(self, errand_ids: Sequence[int], *, is_exclusive: bool) -> _Batch:
        """Read some errands, a few at a time, and put back what is not the bridge's to clear.

        Raises:
            BrokenOff: nothing can be read now.
        """
        batch = _Batch()
        now_us = self._clock.now_us()
        self.is_tidy = False
        await self._writer.submit(_intend, (self._scope, errand_ids, now_us))
        waiting = iter(errand_ids)
        readers = (self._read_some(waiting, batch) for _ in range(min(READERS, len(errand_ids))))
        try:
            await asyncio.gather(*readers)
        finally:
            own = batch.own if is_exclusive else []
            await self._writer.submit(_note, (self._scope, batch.sightings, own, now_us))
        if batch.broken_by is not None:
            raise batch.broken_by
        await self._put_back([one for one in errand_ids if one not in own])
        return batch

    async def _read_some(self, waiting: Iterator[int], batch: _Batch) -> None:
        is_missing = False
        for errand_id in waiting:
            if batch.broken_by is not None:
                return
            try:
                report = await self._ask(REPORT, self._reading(errand_id))
            except (BrokenOff, UpstreamGone) as error:
                if is_missing or not isinstance(error, _Passing):
                    batch.broken_by = error  # it is not about this errand
                    return
                is_missing = True
                batch.missed[errand_id] = str(error)
                continue
            is_missing = False
            if report.body is None:
                batch.unreadable[errand_id] = _refused(f"{REPORT}/{errand_id}", report.reply)
            else:
                self.progress += 1
                marker = find_marker(report.body)
                batch.sightings.append(Sighting(errand_id=errand_id, marker=marker))

    def _reading(self, errand_id: int) -> Callable[[], Awaitable[Report]]:
        async def read() -> Report:
            report = await self._reader.errand(self._scope, errand_id)
            if is_failing(report.reply):
                self._note_lost(errand_id)
            return report

        return read

    async def _put_back(self, errand_ids: Sequence[int]) -> None:
        now_s = self._clock.monotonic()
        late = {one for one in errand_ids if self._late.get(one, now_s) > now_s}
        for start in range(0, len(errand_ids), _MARKED_AT_ONCE):
            await self._mark(errand_ids[start : start + _MARKED_AT_ONCE], late)
        self.is_tidy = not (late or self._owes or self._late.keys() - set(errand_ids))

    async def _mark(self, errand_ids: Sequence[int], late: Collection[int]) -> None:
        """Put errands on the list again; where that is refused, find out because of which."""
        report = await self._ask(LIST, self._marking(errand_ids))
        is_done = 200 <= report.reply.status < 300
        if not is_done and report.reply.status in _ABOUT_WHAT_WAS_SENT and len(errand_ids) > 1:
            half = len(errand_ids) // 2
            await self._mark(errand_ids[:half], late)
            await self._mark(errand_ids[half:], late)
            return
        if not is_done:
            self._log.error(
                "errands that were read can't be put on the list of changed ones again",
                scope=self._scope,
                status=report.reply.status,
                count=len(errand_ids),
            )
        if is_done or report.reply.status in _ABOUT_WHAT_WAS_SENT:
            close = [one for one in errand_ids if one not in late]
            await self._writer.submit(_close, (self._scope, close))
        else:
            self._owes = True

    def _marking(self, errand_ids: Sequence[int]) -> Callable[[], Awaitable[Report]]:
        return lambda: self._reader.mark(self._scope, errand_ids)

    async def _ask(self, what: str, request: Callable[[], Awaitable[Report]]) -> Report:
        """Ask a few times: a look needs many answers, of which one may fail in passing."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Passing),
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential(multiplier=WAIT_S, max=WAIT_MAX_S),
            sleep=self._clock.sleep,
            reraise=True,
        )
        return await retrying(self._ask_once, what, request)

    async def _ask_once(self, what: str, request: Callable[[], Awaitable[Report]]) -> Report:
        await self._turns.leave_to_read(self._scope)
        report = await request()
        self._turns.was_read(self._scope, what, report.reply)
        if is_failing(report.reply) or report.reply.status in {425, 429}:
            raise _Passing(_refused(what, report.reply))
        if report.reply.status == 401:
            raise BrokenOff(_refused(what, report.reply))
        return report


def _refused(what: str, reply: Reply) -> str:
    said = reply.failure.value if reply.failure else str(reply.status)
    about = ", and holds nothing readable" if 200 <= reply.status < 300 else ""
    return f"{what} was answered with {said}{about}"


def _intents(tx: Transaction, scopes: Sequence[str]) -> list[list[int]]:
    return [tx.intents(scope) for scope in scopes]


def _seen(tx: Transaction, asked: Sequence[tuple[str, Sequence[int]]]) -> list[set[int]]:
    return [tx.seen(scope, errand_ids) for scope, errand_ids in asked]


def _intend(tx: Transaction, asked: Sequence[tuple[str, Sequence[int], int]]) -> list[None]:
    for scope, errand_ids, now_us in asked:
        tx.intend(scope, errand_ids, now_us)
    return [None] * len(asked)


def _note(
    tx: Transaction, said: Sequence[tuple[str, Sequence[Sighting], Sequence[int], int]]
) -> list[None]:
    for scope, sightings, own, now_us in said:
        tx.note(scope, sightings, now_us)
        tx.close_intents(scope, own)
    return [None] * len(said)


def _close(tx: Transaction, said: Sequence[tuple[str, Sequence[int]]]) -> list[None]:
    for scope, errand_ids in said:
        tx.close_intents(scope, errand_ids)
    return [None] * len(said)
