import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from bridge.ops.lag import EVERY_S, watch_lag


class _Slow:
    """A clock on which each sleep takes so much longer than asked for."""

    def __init__(self, *late_s: float) -> None:
        self._late_s = list(late_s)
        self._now_s = 100.0

    def monotonic(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        if not self._late_s:
            raise asyncio.CancelledError
        self._now_s += seconds + self._late_s.pop(0)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(seconds)


def _clock(*late_s: float) -> Any:
    return _Slow(*late_s)


async def _lags(*late_s: float) -> list[float]:
    found: list[float] = []
    with pytest.raises(asyncio.CancelledError):
        await watch_lag(_clock(*late_s), found.append)
    return found


async def test_each_sleep_is_measured_by_how_much_too_long_it_was() -> None:
    assert await _lags(0.0, 0.25) == pytest.approx([0.0, 0.25])


async def test_a_sleep_that_is_a_little_short_is_no_lag() -> None:
    assert await _lags(-EVERY_S / 100) == [0.0]
