"""One look at a workspace: which errands are new there, and which markers they carry.

Source: the vendor's page "Cention Errand Report". *Assumed*: ids grow, and a new errand is listed
as changed.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bridge.domain.markers import find_marker
from bridge.ports import Clock, Parcel, Reader, Report, Sighting, Transaction, Writer
from bridge.services.reading import LIST, REPORT, WorkspaceReader, refused

BATCH: Final = 20


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

    @property
    def own(self) -> list[int]:
        return [one.errand_id for one in self.sightings if one.marker]


class Looker:
    """Looks at one workspace, whose errands it reads `at`."""

    def __init__(
        self, *, at: WorkspaceReader, writer: Writer, reader: Reader, clock: Clock
    ) -> None:
        """Stand on these ports."""
        self._at = at
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self.highest_id = 0

    async def look(
        self,
        parcels: Sequence[Parcel],
        *,
        keeps_own: bool,
        on_sight: Callable[[], Awaitable[None]],
    ) -> Look:
        """Read what may be one of these and isn't known yet.

        `keeps_own` says that the bridge's own errands are its to take off the list. `on_sight` is
        awaited whenever some of these were seen.

        Raises:
            BrokenOff: the look could not be brought to its end.
            UpstreamGone: the workspace is not in the settings any more.
        """
        # What was read and not noted may be the very errand that is looked for.
        await self._at.tidy()
        listed = await self._at.listed()
        if listed.ids is None:
            return Look(hidden={parcel.id: refused(LIST, listed.reply) for parcel in parcels})
        floor = min((parcel.floor_id for parcel in parcels), default=0)
        candidates = [one for one in sorted(set(listed.ids)) if one > floor]
        seen = await self._writer.submit(_seen, (self._at.scope, candidates))
        unknown = [one for one in candidates if one not in seen]
        look = Look()
        for start in range(0, len(unknown), BATCH):
            batch = await self._read_batch(unknown[start : start + BATCH], keeps_own=keeps_own)
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

    async def _read_batch(self, errand_ids: Sequence[int], *, keeps_own: bool) -> _Batch:
        """Read some errands, and put back what is not the bridge's to clear.

        Raises:
            BrokenOff: nothing can be read now.
        """
        scope, now_us = self._at.scope, self._clock.now_us()
        await self._writer.submit(_intend, (scope, errand_ids, now_us))
        readings = await self._at.read_errands(errand_ids, self._read)
        batch = _Batch(missed=readings.missed)
        for errand_id, report in readings.answers.items():
            if report.body is None:
                batch.unreadable[errand_id] = refused(f"{REPORT}/{errand_id}", report.reply)
            else:
                marker = find_marker(report.body)
                batch.sightings.append(Sighting(errand_id=errand_id, marker=marker))
        own = batch.own if keeps_own else []
        await self._writer.submit(_note, (scope, batch.sightings, own, now_us))
        self._at.has_closed(own)
        if readings.broken_by is not None:
            raise readings.broken_by
        await self._at.put_back([one for one in errand_ids if one not in own])
        return batch

    async def _read(self, errand_id: int) -> Report:
        return await self._reader.errand(self._at.scope, errand_id)


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
