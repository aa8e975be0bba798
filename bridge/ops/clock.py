"""The real clock and the real dice."""

import asyncio
import random
import time
from contextlib import AbstractAsyncContextManager


class SystemClock:
    """A `ports.Clock` on this machine's time.

    It is set by the machine's clock once, and then goes on by itself: somebody who sets that clock
    neither stops what waits nor lets it all go at once.
    """

    def __init__(self) -> None:
        self._offset_us = _wall_us() - _steady_us()

    def now_us(self) -> int:
        """Return the time in microseconds since 1970."""
        return self._offset_us + _steady_us()

    def drift_us(self) -> int:
        """Return by how many microseconds the machine's clock was set, since it was followed."""
        return _wall_us() - self.now_us()

    def follow(self, drift_us: int) -> None:
        """Move `now_us` on by so much."""
        self._offset_us += drift_us

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Return a context that raises TimeoutError when it lasts longer."""
        return asyncio.timeout(seconds)


def _wall_us() -> int:
    return time.time_ns() // 1000


def _steady_us() -> int:
    return time.monotonic_ns() // 1000


class SystemEntropy:
    """A `ports.Entropy` for spreading retries: no secret depends on it."""

    def random(self) -> float:
        """Return a number, 0 <= number < 1."""
        return random.random()  # noqa: S311 - jitter, not cryptography
