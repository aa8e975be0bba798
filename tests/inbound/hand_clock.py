import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from bridge.ops.clock import SystemClock


class HandClock(SystemClock):
    """Time that only passes when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        self._sleeps: list[tuple[float, asyncio.Future[None]]] = []
        self._timeouts: list[tuple[float, asyncio.Timeout]] = []

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeps.append((self.now_s + seconds, future))
        await future

    @asynccontextmanager
    async def _timeout(self, seconds: float) -> AsyncIterator[object]:
        async with asyncio.timeout(None) as timeout:
            entry = (self.now_s + seconds, timeout)
            self._timeouts.append(entry)
            try:
                yield timeout
            finally:
                self._timeouts.remove(entry)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return self._timeout(seconds)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and all that is due by then happen."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(self.now_s + 1.0, end_s)
            for entry in [one for one in self._sleeps if one[0] <= self.now_s]:
                self._sleeps.remove(entry)
                if not entry[1].done():
                    entry[1].set_result(None)
            for due_s, timeout in list(self._timeouts):
                if due_s <= self.now_s:
                    timeout.reschedule(asyncio.get_running_loop().time())
            for _ in range(5):
                await asyncio.sleep(0)
