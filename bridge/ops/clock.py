"""The real clock and the real dice."""

import asyncio
import random
import time
from contextlib import AbstractAsyncContextManager


class SystemClock:
    """A `ports.Clock` on this machine's time."""

    def now_us(self) -> int:
        """Return the wall clock's time in microseconds since 1970."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Return a context that raises TimeoutError when it lasts longer."""
        return asyncio.timeout(seconds)


class SystemEntropy:
    """A `ports.Entropy` for spreading retries: no secret depends on it."""

    def random(self) -> float:
        """Return a number, 0 <= number < 1."""
        return random.random()  # noqa: S311 - jitter, not cryptography
