"""What the store holds, read for whoever looks at the metrics, and not more often than is cheap."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec.structs import replace
from sqlalchemy import Engine

from bridge.ops.store_metrics import StoreCollector, StoreFigures
from bridge.ports import Clock
from bridge.storage import queries
from bridge.storage.failures import translated

EVERY_S: Final = 1.0
# Counting a large backlog takes time; it may take this part of it at most.
SHARE: Final = 0.05
_FILES: Final = {"database": "", "wal": "-wal"}


class StoreGauges:
    """The store's figures, for a registry that `collector` is registered with."""

    def __init__(self, reader: Engine, clock: Clock) -> None:
        """Read with this engine, which can't write."""
        self.collector = StoreCollector()
        self._reader = reader
        self._clock = clock
        self._next_s = 0.0
        # A slow reading is not to be joined by another of the same.
        self._reading = asyncio.Lock()

    @property
    def figures(self) -> StoreFigures:
        """The latest that are known."""
        return self.collector.figures or StoreFigures()

    async def refresh(self) -> None:
        """Read the figures again, unless they are fresh.

        Raises:
            StoreError: the store can't be read.
        """
        async with self._reading:
            started_s = self._clock.monotonic()
            if started_s >= self._next_s:
                self.collector.figures = await asyncio.to_thread(self._read)
                took_s = self._clock.monotonic() - started_s
                self._next_s = started_s + max(EVERY_S, took_s / SHARE)
        self.collector.now_us = self._clock.now_us()

    def _read(self) -> StoreFigures:
        with translated(), self._reader.connect() as connection:
            # One view of the store for all that is counted, which else would not add up.
            connection.exec_driver_sql("BEGIN")
            try:
                found = queries.figures(connection)
            finally:
                connection.exec_driver_sql("ROLLBACK")
        figures = StoreFigures(
            pending=found.pending,
            rows=found.rows,
            oldest_us=found.oldest_us,
            due_us=found.due_us,
            dead_letters=found.dead_letters,
            quarantined=found.quarantined,
            calls_active=found.calls_active,
            pauses=found.pauses,
            refusals=found.refusals,
            answers_waiting=found.answers_waiting,
            rating_mean=found.rating_mean,
        )
        return _on_disk(figures, self._reader.url.database or "")


def _on_disk(figures: StoreFigures, path: str) -> StoreFigures:
    sizes: dict[str, int] = {}
    for name, ending in _FILES.items():
        # There is no log beside a store that nobody has written since it was put in order.
        with suppress(OSError):
            sizes[name] = Path(f"{path}{ending}").stat().st_size
    with suppress(OSError):
        disk = os.statvfs(Path(path).parent)
        figures = replace(
            figures,
            disk_free=disk.f_bavail * disk.f_frsize,
            disk_size=disk.f_blocks * disk.f_frsize,
        )
    return replace(figures, sizes=sizes)
