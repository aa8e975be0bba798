"""How many events a source may bring: a bucket that holds a minute's worth."""

from dataclasses import dataclass, field
from typing import Final

_MINUTE_S: Final = 60.0


@dataclass(slots=True)
class Allowance:
    """A token bucket that may be overdrawn once.

    A batch comes in as long as anything is left, and what it takes beyond that is paid off before
    anything else comes in: else one of more events than a minute's worth could never come.
    """

    per_minute: int
    now_s: float
    _left: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin full."""
        self._left = float(self.per_minute)

    def wait_s(self, now_s: float) -> float:
        """Return how many seconds it is until something may come; 0: it may come now."""
        passed_s = max(0.0, now_s - self.now_s)
        self.now_s = max(self.now_s, now_s)
        self._left = min(self.per_minute, self._left + passed_s * self.per_minute / _MINUTE_S)
        return max(0.0, 1.0 - self._left) * _MINUTE_S / self.per_minute

    def spend(self, count: int) -> None:
        """Count what came in."""
        self._left -= count
