"""Polling a workspace's reports: what became of the bridge's own errands, and how pages are rated.

An errand is read when Cention lists it as changed, or when something is still missing of it. It is
noted before, so that a crash at any point loses no report: what was being read is put back on the
list, and is read again whatever the list says. Errands of others are left alone: that they are
listed tells enough.

Ratings can't be put back; so what was being read is read again. Where others read the same lists,
ratings are left to them.

Source: the vendor's page "Cention Errand Report".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from bridge.domain.reports import Followed, News, Rating
from bridge.ports import (
    Clock,
    FeedbackMeter,
    Log,
    Parcel,
    RatingReading,
    ReportReader,
    ReportReading,
    Transaction,
    Writer,
)
from bridge.services.looking import Looker
from bridge.services.reading import LIST, REPORT, BrokenOff, WorkspaceReader, refused

BATCH: Final = 20
RATED: Final = "c3_dirty_facebook_ratings"
RATING: Final = "c3_facebook_ratings"
# Ids that one commit looks for: a list may hold a hundred thousand, and events are not to wait.
_CHOSEN_AT_ONCE: Final = 1000
_DUE_AT_ONCE: Final = 500
_GONE: Final = frozenset({404, 410})
# How often what can't be read is asked for before it is taken for gone.
MISSES_MAX: Final = 3
# Statuses that say that a workspace has no ratings, or that the token may not read them.
_NO_RATINGS: Final = frozenset({403, 404, 405, 410, 501})
NO_RATINGS_WAIT_S: Final = 3600.0


@dataclass(slots=True)
class _Batch:
    """Errands as they are after a reading, what that tells, and which are done with."""

    after: list[Followed] = field(default_factory=list)
    news: list[tuple[Followed, News]] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)


class _Listed(Struct, frozen=True):
    """Errands that are listed as changed, of which some may be the bridge's."""

    scope: str
    ids: Sequence[int]
    now_us: int
    is_exclusive: bool


class ReportPoller:
    """Polls one workspace, which it reads `at`."""

    def __init__(
        self,
        *,
        at: WorkspaceReader,
        looker: Looker,
        writer: Writer,
        reader: ReportReader,
        clock: Clock,
        log: Log,
        meter: FeedbackMeter,
    ) -> None:
        """Stand on these ports."""
        self._at = at
        self._looker = looker
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._log = log
        self._meter = meter
        # By the monotonic clock, when ratings may be asked for again.
        self._ratings_from_s = float("-inf")
        self._rating_misses: dict[int, int] = {}

    async def poll(
        self, *, every_s: float, is_exclusive: bool, is_in_the_way: Callable[[], bool]
    ) -> bool:
        """Read what has changed; False: something else was waiting, and more is to be read.

        Raises:
            BrokenOff: it can't be done now.
            UpstreamGone: the workspace is not in the settings any more.
            StoreUnavailable: what comes can't be kept now.
        """
        await self._at.tidy()
        await self._name_errands()
        chosen = await self._choose(is_exclusive=is_exclusive)
        ids = list(chosen)
        for start in range(0, len(ids), BATCH):
            if start and is_in_the_way():
                return False
            some = {of: chosen[of] for of in ids[start : start + BATCH]}
            await self._read_batch(some, round(every_s * 1e6), is_exclusive=is_exclusive)
        if is_exclusive and self._clock.monotonic() >= self._ratings_from_s:
            return await self._poll_ratings(is_in_the_way)
        return True

    async def _name_errands(self) -> None:
        """Find out the ids of errands that were made by answers without one."""
        # The process before this one may have read one and ended before it said so.
        unnamed = await self._name()
        if unnamed:

            async def name() -> None:
                await self._name()

            await self._looker.look(unnamed, keeps_own=False, on_sight=name)

    async def _name(self) -> list[Parcel]:
        """Name those that were read by now; return those that were not."""
        return await self._writer.submit(_name, self._at.scope)

    async def _choose(self, *, is_exclusive: bool) -> dict[int, bool]:
        """Return the errands to be read, and whether whole."""
        listed = await self._at.listed()
        if listed.ids is None:
            raise BrokenOff(refused(LIST, listed.reply))
        scope, now_us = self._at.scope, self._clock.now_us()
        chosen: dict[int, bool] = {}
        ids = sorted(set(listed.ids))
        for start in range(0, len(ids), _CHOSEN_AT_ONCE):
            some = ids[start : start + _CHOSEN_AT_ONCE]
            asked = _Listed(scope, some, now_us, is_exclusive)
            chosen.update(dict.fromkeys(await self._writer.submit(_changed, asked), True))
        for of, is_whole in await self._writer.submit(_due, (scope, now_us)):
            chosen.setdefault(of, is_whole)
        return chosen

    async def _read_batch(
        self, chosen: Mapping[int, bool], every_us: int, *, is_exclusive: bool
    ) -> None:
        """Read some errands and keep what came.

        Raises:
            BrokenOff: nothing more can be read now.
        """
        scope, now_us = self._at.scope, self._clock.now_us()
        errands = await self._writer.submit(_intend, (scope, list(chosen), now_us))
        by_id = {one.origin.errand_id: one for one in errands}
        whole = dict(chosen)

        async def read(errand_id: int) -> ReportReading:
            return await self._reader.report(scope, errand_id, is_whole=whole[errand_id])

        readings = await self._at.read_errands(list(by_id), read)
        # More than the SLA has changed since it was listed, and that mark is gone now.
        changed = [of for of, one in readings.answers.items() if one.has_changed and not whole[of]]
        for of in changed:
            del readings.answers[of]
        if changed and readings.broken_by is None:
            whole.update(dict.fromkeys(changed, True))
            again = await self._at.read_errands(changed, read)
            readings.answers.update(again.answers)
            readings.missed.update(again.missed)
            readings.broken_by = again.broken_by
        batch = _Batch()
        for of, reading in readings.answers.items():
            self._take(by_id[of], reading, batch, every_us, is_whole=whole[of])
        # Their intents stay open: it isn't known what became of the request.
        batch.after += [by_id[of].missed(now_us, every_us) for of in readings.missed]
        await self._keep(batch, is_exclusive=is_exclusive)
        if readings.broken_by is not None:
            raise readings.broken_by
        if not is_exclusive:
            await self._at.put_back(list(by_id))

    def _take(
        self,
        errand: Followed,
        reading: ReportReading,
        batch: _Batch,
        every_us: int,
        *,
        is_whole: bool,
    ) -> None:
        """Say what a reading makes of an errand."""
        now_us, of = self._clock.now_us(), errand.origin.errand_id
        if reading.report is not None:
            if is_whole:
                after, news = errand.with_report(reading.report, now_us, every_us)
            else:
                after, news = errand.with_sla(reading.report.sla, now_us, every_us)
            batch.news.append((after, news))
            batch.outcomes.append("whole" if is_whole else "sla")
        elif reading.reply.status in _GONE and errand.misses + 1 >= MISSES_MAX:
            after = errand.given_up(now_us)
            batch.outcomes.append("gone")
        else:
            # It may not be there yet, or the token may not read this one: a token is for an area.
            what = refused(f"{REPORT}/{of}", reading.reply)
            self._log.warning("a report can't be read", scope=self._at.scope, reason=what)
            after = errand.missed(now_us, every_us)
            batch.outcomes.append("unreadable")
        batch.after.append(after)
        batch.closed.append(of)

    async def _keep(self, batch: _Batch, *, is_exclusive: bool) -> None:
        closed = [one for one in batch.closed if not self._at.is_late(one)] if is_exclusive else []
        await self._writer.submit(_note, (self._at.scope, batch.after, closed))
        self._at.has_closed(closed)
        for outcome in batch.outcomes:
            self._meter.report(outcome)
        for errand, news in batch.news:
            route, queue = errand.origin.route, errand.origin.queue
            if news.answer_s is not None:
                self._meter.answered(route, queue, news.answer_s)
            if news.sla is not None:
                self._meter.sla(route, queue, news.sla)
            for tag in news.tags:
                self._meter.tag(tag)

    async def _poll_ratings(self, is_in_the_way: Callable[[], bool]) -> bool:
        """Read ratings; False: something else was waiting, and more are to be read."""
        listed = await self._at.ask(RATED, lambda: self._reader.rated(self._at.scope))
        if listed.ids is None and listed.reply.status in _NO_RATINGS:
            self._ratings_from_s = self._clock.monotonic() + NO_RATINGS_WAIT_S
            self._log.info(
                "no ratings can be read here", scope=self._at.scope, status=listed.reply.status
            )
            return True
        if listed.ids is None:
            raise BrokenOff(refused(RATED, listed.reply))
        before = await self._writer.submit(_open_ratings, self._at.scope)
        ids = sorted({*listed.ids, *before})
        for start in range(0, len(ids), BATCH):
            if start and is_in_the_way():
                return False
            await self._read_ratings(ids[start : start + BATCH])
        return True

    async def _read_ratings(self, ids: Sequence[int]) -> None:
        scope, now_us = self._at.scope, self._clock.now_us()
        await self._writer.submit(_intend_ratings, (scope, ids, now_us))

        async def read(rating_id: int) -> RatingReading:
            return await self._reader.rating(scope, rating_id)

        readings = await self._at.read_each(RATING, ids, read)
        read_now: dict[int, Rating | None] = {}
        for of, one in readings.answers.items():
            if one.rating is None and one.reply.status not in _GONE and self._may_come(of):
                what = refused(f"{RATING}/{of}", one.reply)
                self._log.warning("a rating can't be read", scope=scope, reason=what)
            else:
                self._rating_misses.pop(of, None)
                read_now[of] = one.rating
        known = await self._writer.submit(_note_ratings, (scope, read_now, now_us))
        for of, rating in read_now.items():
            if rating is not None and rating.stars and of not in known:
                self._meter.rating(rating.stars)
        if readings.broken_by is not None:
            raise readings.broken_by

    def _may_come(self, rating_id: int) -> bool:
        """Count a reading of a rating in vain; say whether there will be another."""
        self._rating_misses[rating_id] = self._rating_misses.get(rating_id, 0) + 1
        return self._rating_misses[rating_id] < MISSES_MAX


def _name(tx: Transaction, scopes: Sequence[str]) -> list[list[Parcel]]:
    """Name the errands whose markers were seen; return those whose were not."""
    left = []
    for scope in scopes:
        unnamed = tx.unnamed(scope)
        found = tx.marked(scope, {one.message_id for one in unnamed})
        tx.name_errands(
            {one.id: found[one.message_id] for one in unnamed if one.message_id in found}
        )
        left.append([one for one in unnamed if one.message_id not in found])
    return left


def _changed(tx: Transaction, asked: Sequence[_Listed]) -> list[list[int]]:
    """Return which of these errands are the bridge's own, and to be read now.

    What is listed and not read yet is due when it may be: by then it may not be listed any more.
    """
    found = []
    for one in asked:
        followed = tx.followed(one.scope, one.ids)
        chosen: list[int] = []
        later: dict[int, int] = {}
        for of, errand in followed.items():
            from_us = errand.read_from_us(is_exclusive=one.is_exclusive)
            if from_us <= one.now_us:
                chosen.append(of)
            else:
                later[of] = from_us
        tx.put_off(one.scope, later)
        fresh = {origin.errand_id for origin in tx.origins(one.ids, one.scope)}
        found.append(sorted({*chosen, *(fresh - followed.keys())}))
    return found


def _due(tx: Transaction, asked: Sequence[tuple[str, int]]) -> list[list[tuple[int, bool]]]:
    """Return errands that are due; one that is put off is to be read whole, as it has changed."""
    return [
        [
            (one.origin.errand_id, one.is_whole or one.is_refused or one.sla is not None)
            for one in tx.due_followed(scope, now_us, _DUE_AT_ONCE)
        ]
        for scope, now_us in asked
    ]


def _intend(
    tx: Transaction, asked: Sequence[tuple[str, Sequence[int], int]]
) -> list[list[Followed]]:
    """Note that errands are about to be read; return what is known of them."""
    found = []
    for scope, ids, now_us in asked:
        errands = tx.followed(scope, ids)
        for origin in tx.origins([one for one in ids if one not in errands], scope):
            errands[origin.errand_id] = Followed(origin=origin, first_us=now_us)
        tx.intend(scope, list(errands), now_us)
        tx.save_followed([one.intended(now_us) for one in errands.values()])
        found.append(list(errands.values()))
    return found


def _note(
    tx: Transaction, said: Sequence[tuple[str, Sequence[Followed], Sequence[int]]]
) -> list[None]:
    for scope, errands, closed in said:
        tx.save_followed(errands)
        tx.close_intents(scope, closed)
    return [None] * len(said)


def _open_ratings(tx: Transaction, scopes: Sequence[str]) -> list[list[int]]:
    return [tx.open_ratings(scope) for scope in scopes]


def _intend_ratings(tx: Transaction, asked: Sequence[tuple[str, Sequence[int], int]]) -> list[None]:
    for scope, ids, now_us in asked:
        tx.intend_ratings(scope, ids, now_us)
    return [None] * len(asked)


def _note_ratings(
    tx: Transaction, said: Sequence[tuple[str, Mapping[int, Rating | None], int]]
) -> list[set[int]]:
    """Keep ratings; return which of them were known before."""
    known = []
    for scope, read, now_us in said:
        known.append(tx.kept_ratings(scope, read))
        tx.note_ratings(scope, read, now_us)
    return known
