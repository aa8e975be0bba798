"""Upkeep: calls that went silent are closed, what is done moves aside, what is old goes.

And where somebody sets the machine's clock, what waits moves along with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct, field

from bridge.domain.calls import CallPolicy, Lapsed, lapse
from bridge.domain.considering import abandonment
from bridge.domain.deliveries import Unsent
from bridge.domain.errors import StoreUnavailable
from bridge.domain.events import CallEvent
from bridge.domain.rules import NOT_WITHIN_DAYS_MAX
from bridge.domain.units import HOUR_US
from bridge.ports import (
    NO_TRACER,
    CallKey,
    Clock,
    Gate,
    Log,
    Meter,
    ThreadRow,
    Tracer,
    Transaction,
    Writer,
)
from bridge.services.folding import Effect, Folder, Happening
from bridge.services.ingest import count_effect

EVERY_S: Final = 1.0
PURGE_EVERY_S: Final = 60.0
# Whoever looks at a call while it goes on finds its deliveries where they were.
ARCHIVE_AFTER_US: Final = 600_000_000
# After a longer step forward nothing is purged for so long, since the clock may well be set back:
# what was delivered would be forgotten, and be made again.
LEAP_US: Final = HOUR_US
HOLD_PURGE_S: Final = 86_400.0
# A smaller step is taken as it comes: that is how NTP slews a clock.
STEP_US: Final = 2_000_000
# A callback that nobody rang back is given up after so long.
CALLBACK_DAYS: Final = 365
_TIMERS_MAX: Final = 500
_ROWS_MAX: Final = 500
# Moving a row writes it, and its place in every index, twice.
_MOVED_MAX: Final = 200


class Retention(Struct, frozen=True, kw_only=True):
    """How long personal data stays. `refresh_days` is how long a contact card is believed."""

    payload_hours: int = 72
    journal_days: int = 30
    quarantine_days: int = 30
    refresh_days: int = 30
    calls: CallPolicy = field(default_factory=CallPolicy)

    def horizons(self, now_us: int) -> dict[str, int]:
        """Return, in microseconds since 1970, before when each kind of row goes.

        See `ports.Transaction.purge`; and `people`, see `purge_people`: whom an event named within
        `refresh_days` may have no later mark, since a card that is believed is not sent again.
        """
        journal_us = self.journal_days * 24 * HOUR_US
        calls_us = journal_us + self.calls.reuse_after_us
        people_days = max(2 * self.refresh_days, self.journal_days)
        return {
            "payload": now_us - self.payload_hours * HOUR_US,
            "journal": now_us - journal_us,
            "calls": now_us - calls_us,
            "callbacks": now_us - max(calls_us, CALLBACK_DAYS * 24 * HOUR_US),
            "quarantine": now_us - self.quarantine_days * 24 * HOUR_US,
            "people": now_us - people_days * 24 * HOUR_US,
            "told": now_us - (NOT_WITHIN_DAYS_MAX + 1) * 24 * HOUR_US,
        }


class _Closed(Struct, frozen=True):
    """What became of a call whose timer had run out, and what that has set going."""

    key: CallKey
    lapsed: Lapsed
    effects: Sequence[Effect] = ()


@dataclass(slots=True)
class _Step:
    """By how much the machine's clock was set."""

    drift_us: int
    is_followed: bool = False


class Upkeep:
    """Looks after what no event looks after."""

    def __init__(  # noqa: PLR0913 - the ports it stands on, each by name
        self,
        *,
        writer: Writer,
        clock: Clock,
        meter: Meter,
        log: Log,
        retention: Retention,
        folder: Callable[[], Folder],
        on_work: Callable[[Iterable[Gate]], None],
        tracer: Tracer = NO_TRACER,
    ) -> None:
        """Stand on these ports. `retention` can be replaced while running.

        `folder` returns who folds what nobody told into its call, by the policy of now; `on_work`
        is told what that sets going.
        """
        self._folder = folder
        self._on_work = on_work
        self._writer = writer
        self._clock = clock
        self._meter = meter
        self._log = log
        self._tracer = tracer
        self._last_person = ""
        # By the monotonic clock, when old things may be removed again.
        self._purge_from_s = 0.0
        self.retention = retention

    async def run(self) -> None:
        """Work until cancelled; however much there is to remove, timers and clock are kept."""
        async with asyncio.TaskGroup() as group:
            group.create_task(
                self._repeat(EVERY_S, self.follow_clock, self.close_calls, self.expire)
            )
            group.create_task(self._repeat(PURGE_EVERY_S, self.archive, self.purge))

    async def _repeat(self, every_s: float, *works: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._clock.sleep(every_s)
            try:
                for work in works:
                    await work()
            except StoreUnavailable as error:
                self._log.warning("upkeep has to wait", error=str(error))
            except Exception as error:  # noqa: BLE001 - one fault here is not to end everything
                self._log.error("upkeep failed", exc_info=error)

    async def follow_clock(self) -> None:
        """Go by the machine's clock again where somebody has set it.

        Raises:
            StoreUnavailable: what waits can't be moved along now, so the clock is not followed.
        """
        drift_us = self._clock.drift_us()
        if abs(drift_us) < STEP_US:
            self._clock.follow(drift_us)
            return
        step = _Step(drift_us)
        if drift_us > LEAP_US:
            # Before the step: a purge may share its commit.
            self._purge_from_s = self._clock.monotonic() + HOLD_PURGE_S
        try:
            moved = await self._writer.submit(self._take_step, step)
        except Exception:
            if step.is_followed:
                self._clock.follow(-drift_us)
            raise
        self._log.warning("the machine's clock was set", seconds=drift_us / 1e6, moved=moved)
        if drift_us > LEAP_US:
            self._log.warning("nothing old is removed for a while", hours=HOLD_PURGE_S / 3600)

    def _take_step(self, tx: Transaction, steps: Sequence[_Step]) -> list[int]:
        """Move what waits, and the clock, as one.

        What is written before goes by the old time and is moved, what is written after by the new
        one: nothing is due before its time in between.
        """
        moved = []
        for step in steps:
            moved.append(tx.shift(step.drift_us))
            # A commit may be done again; the clock is not.
            if not step.is_followed:
                step.is_followed = True
                self._clock.follow(step.drift_us)
        return moved

    async def close_calls(self) -> None:
        """Close the calls whose timer has run out.

        One that ended without an answer counts as abandoned: where no event says so, it does what
        the rules want of one that does.
        """
        while True:
            due = await self._writer.submit(self._due, None)
            closed = await self._writer.submit_all(self._close, due)
            for key, one in zip(due, closed, strict=True):
                if isinstance(one, StoreUnavailable):
                    raise one
                if isinstance(one, Exception):
                    # Whatever it stumbles over is still there the next time.
                    self._log.error("a call can't be closed", reference=key[1], exc_info=one)
                    await self._writer.submit(self._give_up, key)
                elif one is not None:
                    self._tell(one)
            if len(due) < _TIMERS_MAX:
                return

    def _tell(self, closed: _Closed) -> None:
        for name, count in (("abandoned", closed.lapsed.abandoned), ("stale", closed.lapsed.stale)):
            for _ in range(count):
                self._meter.call(name)
        for effect in closed.effects:
            count_effect(self._meter, effect)
            if effect.gates:
                self._on_work(effect.gates)
            self._log.info(
                "abandoned, as no event said",
                reference=closed.key[1],
                rule=effect.rule,
                leads_to=sorted(f"{gate.route}/{gate.kind}" for gate in effect.gates),
                unsent=[reason.value for reason in effect.unsent],
            )

    async def expire(self) -> None:
        """Give up the messages whose time is over."""
        while count := await self._writer.submit(self._expire, None):
            for _ in range(count):
                self._meter.unsent(Unsent.EXPIRED)

    async def archive(self) -> None:
        """Move what was delivered a while ago out of the way, a little at a time."""
        while await self._writer.submit(self._archive, None):
            await self._clock.sleep(0)

    async def purge(self) -> None:
        """Remove what is past its time, a little at a time, so that no event has to wait.

        Of the people, whose times no index tells, a few are looked at, the next few next time.
        Nothing goes for a day after the clock has leapt forward.
        """
        while await self._writer.submit(self._purge, None):
            await self._clock.sleep(0)
        self._last_person = await self._writer.submit(self._purge_people, self._last_person)

    def _due(self, tx: Transaction, items: Sequence[None]) -> list[list[CallKey]]:
        return [list(tx.due_threads(self._clock.now_us(), _TIMERS_MAX)) for _ in items]

    def _close(self, tx: Transaction, keys: Sequence[CallKey]) -> list[_Closed | None]:
        """Close calls; None: an event has come meanwhile, and it is not due any more."""
        now_us, folder = self._clock.now_us(), self._folder()
        lapsed = self._lapse(tx, keys, now_us)
        untold = [
            self._untold(abandonment(key, span, folder.policy.guide.routes), now_us)
            for key, one in lapsed.items()
            for span in one.untold
        ]
        effects = folder.fold(tx, untold, now_us) if untold else []
        told: dict[CallKey, list[Effect]] = {}
        for happening, effect in zip(untold, effects, strict=True):
            told.setdefault(happening.key, []).append(effect)
        return [
            _Closed(key, lapsed[key], told.get(key, ())) if key in lapsed else None for key in keys
        ]

    def _untold(self, event: CallEvent, now_us: int) -> Happening:
        """Return an event that nobody sent, and so is the first of its trace."""
        with self._tracer.event(None) as span:
            span.say("event.type", event.type.value)
            span.say("reference", event.call_reference)
            span.say("route", event.route)
            span.say("outcome", "inferred")
            return Happening(event, now_us, span.traceparent)

    def _give_up(self, tx: Transaction, keys: Sequence[CallKey]) -> list[None]:
        """Close calls without what the rules want of them, which can't be worked out."""
        self._lapse(tx, keys, self._clock.now_us())
        return [None for _ in keys]

    def _lapse(
        self, tx: Transaction, keys: Sequence[CallKey], now_us: int
    ) -> dict[CallKey, Lapsed]:
        policy = self._folder().policy.calls
        lapsed = {
            key: lapse(thread, policy, now_us)
            for key, thread in tx.due_threads(now_us, _TIMERS_MAX).items()
            if key in keys
        }
        tx.save_threads(
            [
                ThreadRow(key=key, thread=one.thread, timer_us=one.timer_us)
                for key, one in lapsed.items()
            ]
        )
        return lapsed

    def _expire(self, tx: Transaction, items: Sequence[None]) -> list[int]:
        return [tx.expire(self._clock.now_us(), _ROWS_MAX) for _ in items]

    def _archive(self, tx: Transaction, items: Sequence[None]) -> list[int]:
        before_us = self._clock.now_us() - ARCHIVE_AFTER_US
        return [tx.archive(before_us, _MOVED_MAX) for _ in items]

    def _may_purge(self) -> bool:
        return self._clock.monotonic() >= self._purge_from_s

    def _purge(self, tx: Transaction, items: Sequence[None]) -> list[int]:
        if not self._may_purge():
            return [0 for _ in items]
        horizons = self.retention.horizons(self._clock.now_us())
        return [tx.purge(horizons, _ROWS_MAX) for _ in items]

    def _purge_people(self, tx: Transaction, last: Sequence[str]) -> list[str]:
        if not self._may_purge():
            return list(last)
        before_us = self.retention.horizons(self._clock.now_us())["people"]
        return [tx.purge_people(one, before_us, _ROWS_MAX) for one in last]
