"""How late the event loop wakes up: what blocks it, blocks everything."""

from collections.abc import Callable
from typing import Final

from bridge.ports import Clock

EVERY_S: Final = 0.5


async def watch_lag(clock: Clock, observe: Callable[[float], None]) -> None:
    """Sleep again and again, and tell by how many seconds each sleep was too long."""
    while True:
        started_s = clock.monotonic()
        await clock.sleep(EVERY_S)
        observe(max(0.0, clock.monotonic() - started_s - EVERY_S))
