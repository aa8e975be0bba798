"""Pacing: never more requests to an upstream in any 60 seconds than it allows."""

from dataclasses import dataclass, field
from typing import Final

BURST_MAX: Final = 8
WINDOW_S: Final = 60.0


@dataclass(slots=True)
class Pace:
    """A token bucket that starts empty.

    In any window of 60 seconds at most the burst and what flows in leave, so the inflow is what
    the limit leaves beside the burst. Starting empty keeps that true over a restart: what the
    process before this one sent has had its share of the window already.
    """

    per_minute: int
    now_s: float
    _tokens: float = field(default=0.0, init=False)
    _paused_until_s: float = field(default=0.0, init=False)

    @property
    def burst(self) -> int:
        """How many may leave at once after a quiet time.

        A limit so high that it means "off" is not to be kept from that by small bursts.
        """
        return max(1, min(BURST_MAX, self.per_minute // 10), self.per_minute // 1000)

    @property
    def per_second(self) -> float:
        """How many flow in."""
        return max(self.per_minute - self.burst, 0.95) / WINDOW_S

    def _flow(self, now_s: float) -> None:
        passed_s = max(0.0, now_s - self.now_s)
        self.now_s = max(self.now_s, now_s)
        self._tokens = min(float(self.burst), self._tokens + passed_s * self.per_second)

    def available(self, now_s: float) -> int:
        """Return how many requests may leave now."""
        self._flow(now_s)
        return 0 if now_s < self._paused_until_s else int(self._tokens)

    def take(self, count: int) -> None:
        """Spend what was `available`."""
        self._tokens -= count

    def wait_s(self, now_s: float) -> float:
        """Return how long until the next request may leave."""
        self._flow(now_s)
        needed_s = max(0.0, 1.0 - self._tokens) / self.per_second
        return max(needed_s, self._paused_until_s - now_s, 0.0)

    def pause(self, now_s: float, seconds: float) -> None:
        """Let nothing leave for a while: the upstream asked for it (429)."""
        self._paused_until_s = max(self._paused_until_s, now_s + seconds)
