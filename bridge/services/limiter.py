"""Pacing: never more requests to an upstream in any 60 seconds than it allows."""

from dataclasses import dataclass, field
from typing import Final

BURST_MAX: Final = 8.0
WINDOW_S: Final = 60.0
_SLACK: Final = 0.04
# Sums of floating-point numbers may come out a little too large.
_ROUNDING: Final = 1 - 1e-9


@dataclass(slots=True)
class Pace:
    """A token bucket that starts empty.

    In any half-open window of 60 seconds fewer leave than it holds and what flows in together. So
    what flows in is what the limit leaves beside all but one of those it holds, and that is at
    least 95 % of the limit. Starting empty keeps it true over a restart: what the process before
    this one sent has had its share of the window already.
    """

    per_minute: int
    now_s: float
    _tokens: float = field(default=0.0, init=False)
    _paused_until_s: float = field(default=0.0, init=False)

    @property
    def burst(self) -> float:
        """How many it holds. A part of one beyond the first makes up for waking a little late.

        A limit so high that it means "off" is not to be kept from that by small bursts.
        """
        return max(min(BURST_MAX, 1 + _SLACK * self.per_minute), self.per_minute / 1000)

    @property
    def per_second(self) -> float:
        """How many flow in."""
        return (self.per_minute + 1 - self.burst) / WINDOW_S * _ROUNDING

    def _flow(self, now_s: float) -> None:
        passed_s = max(0.0, now_s - self.now_s)
        self.now_s = max(self.now_s, now_s)
        self._tokens = min(self.burst, self._tokens + passed_s * self.per_second)

    def available(self, now_s: float) -> int:
        """Return how many requests may leave now."""
        self._flow(now_s)
        return 0 if now_s < self._paused_until_s else int(self._tokens)

    def take(self, count: int, now_s: float) -> None:
        """Spend what was `available` when it was asked for, and leaves now.

        A claim is committed in between, which may take seconds on a slow disk. What flowed in
        meanwhile counts as far as the bucket holds it, as if all had been asked for now.
        """
        self._flow(now_s)
        self._tokens -= count

    def wait_s(self, now_s: float) -> float:
        """Return how long until the next request may leave."""
        self._flow(now_s)
        needed_s = max(0.0, 1.0 - self._tokens) / self.per_second
        return max(needed_s, self._paused_until_s - now_s, 0.0)

    def pause(self, now_s: float, seconds: float) -> None:
        """Let nothing leave for a while: the upstream asked for it (429)."""
        self._paused_until_s = max(self._paused_until_s, now_s + seconds)
