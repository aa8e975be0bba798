"""Upkeep: calls that went silent are closed, and what is past its time is removed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bridge.domain.calls import CallPolicy, Lapsed, lapse
from bridge.domain.errors import StoreUnavailable
from bridge.ports import CallKey, Clock, Log, Meter, ThreadRow, Transaction, Writer

HOUR_US: Final = 3_600_000_000
EVERY_S: Final = 1.0
PURGE_EVERY_S: Final = 60.0
_TIMERS_MAX: Final = 500
_ROWS_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long personal data stays."""

    payload_hours: int = 72
    journal_days: int = 30
    quarantine_days: int = 30
    calls: CallPolicy = field(default_factory=CallPolicy)

    def horizons(self, now_us: int) -> dict[str, int]:
        """Return, in microseconds since 1970, before when each kind of row goes."""
        return {
            "payload": now_us - self.payload_hours * HOUR_US,
            "journal": now_us - self.journal_days * 24 * HOUR_US,
            "calls": now_us - self.journal_days * 24 * HOUR_US - self.calls.reuse_after_us,
            "quarantine": now_us - self.quarantine_days * 24 * HOUR_US,
        }


class Upkeep:
    """Looks after what no event looks after."""

    def __init__(
        self, *, writer: Writer, clock: Clock, meter: Meter, log: Log, retention: Retention
    ) -> None:
        """Stand on these ports. `retention` can be replaced while running."""
        self._writer = writer
        self._clock = clock
        self._meter = meter
        self._log = log
        self.retention = retention

    async def run(self) -> None:
        """Work until cancelled."""
        purged_s = self._clock.monotonic()
        while True:
            await self._clock.sleep(EVERY_S)
            try:
                await self.close_calls()
                if self._clock.monotonic() - purged_s >= PURGE_EVERY_S:
                    purged_s = self._clock.monotonic()
                    await self.purge()
            except StoreUnavailable as error:
                self._log.warning("upkeep has to wait", error=str(error))

    async def close_calls(self) -> None:
        """Close the calls whose timer has run out."""
        while True:
            lapsed = await self._writer.submit(self._lapse, None)
            for name, count in (
                ("abandoned", sum(one.abandoned for one in lapsed)),
                ("stale", sum(one.stale for one in lapsed)),
            ):
                for _ in range(count):
                    self._meter.call(name)
            if len(lapsed) < _TIMERS_MAX:
                return

    async def purge(self) -> None:
        """Remove what is past its time, a little at a time, so that no event has to wait."""
        while await self._writer.submit(self._purge, None):
            await self._clock.sleep(0)

    def _lapse(self, tx: Transaction, items: Sequence[None]) -> list[list[Lapsed]]:
        threads = tx.due_threads(self._clock.now_us(), _TIMERS_MAX)
        now_us, policy = self._clock.now_us(), self.retention.calls
        lapsed: dict[CallKey, Lapsed] = {
            key: lapse(thread, policy, now_us) for key, thread in threads.items()
        }
        tx.save_threads(
            [
                ThreadRow(key=key, thread=one.thread, timer_us=one.timer_us)
                for key, one in lapsed.items()
            ]
        )
        return [list(lapsed.values()), *([] for _ in items[1:])]

    def _purge(self, tx: Transaction, items: Sequence[None]) -> list[int]:
        gone = tx.purge(self.retention.horizons(self._clock.now_us()), _ROWS_MAX)
        return [gone, *(0 for _ in items[1:])]
