"""A circuit breaker: an upstream that does not answer is asked only now and then, one at a time.

Source: M. Nygard, "Release It!", 2nd ed., "Circuit Breaker".
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

# So many in a row are no accident, even where a fifth of all requests fails.
OPEN_AFTER: Final = 8
WAIT_S: Final = 1.0
# Short, since whoever calls just after the upstream is back should not wait for it.
WAIT_MAX_S: Final = 5.0


class BreakerState(IntEnum):
    """The states, by the values that the metric shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(slots=True)
class Breaker:
    """Watches one upstream. Times are monotonic seconds."""

    state: BreakerState = field(default=BreakerState.CLOSED, init=False)
    _failures: int = field(default=0, init=False)
    _probes: int = field(default=0, init=False)
    _openings: int = field(default=0, init=False)
    _until_s: float = field(default=0.0, init=False)

    def room(self, now_s: float) -> int | None:
        """Return how many requests may leave now; None: any number."""
        if self.state is BreakerState.OPEN and now_s >= self._until_s:
            self.state = BreakerState.HALF_OPEN
            self._probes = 0
        if self.state is BreakerState.CLOSED:
            return None
        return 1 - self._probes if self.state is BreakerState.HALF_OPEN else 0

    def wait_s(self, now_s: float) -> float:
        """Return how long nothing may leave, for all that is known now."""
        return max(0.0, self._until_s - now_s) if self.state is BreakerState.OPEN else 0.0

    def sent(self) -> None:
        """Note that a request left; where only one may, it is the probe."""
        if self.state is BreakerState.HALF_OPEN:
            self._probes = 1

    def succeeded(self) -> None:
        """Note that the upstream answered as one that is well."""
        self.state = BreakerState.CLOSED
        self._failures = self._openings = 0

    def failed(self, now_s: float, chance: float) -> None:
        """Note that it did not. `chance`, 0 <= chance < 1, spreads the probes of many bridges."""
        self._failures += 1
        is_due = self.state is BreakerState.CLOSED and self._failures >= OPEN_AFTER
        if is_due or self.state is BreakerState.HALF_OPEN:
            wait_s = min(WAIT_MAX_S, WAIT_S * 2.0 ** min(self._openings, 8))
            self._openings += 1
            self._until_s = now_s + wait_s * (0.5 + chance / 2)
            self.state = BreakerState.OPEN
