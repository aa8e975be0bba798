"""When to try again. A policy that decides and never waits: the wait is `due_at` in the store."""

from msgspec import Struct

from bridge.domain.units import SECOND_US


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """Full jitter on `base_s` doubled at each attempt, up to `cap_s`, for `give_up_after_s`.

    So a delivery is tried about eight times in the first two minutes, then ever more rarely, at
    least once every hour, and is given up only after more than 75 hours and `attempts_min` tries:
    a time during which nothing was tried (a pause, the machine off) doesn't count against it. The
    jitter spreads over the whole interval (AWS Architecture Blog, "Exponential Backoff And
    Jitter").
    """

    base_s: float = 0.5
    cap_s: float = 3600.0
    give_up_after_s: float = 76 * 3600.0
    attempts_min: int = 60
    retry_after_max_s: float = 3600.0

    def next_delay_us(
        self, *, attempts: int, first_us: int, now_us: int, chance: float, after_s: float | None
    ) -> int | None:
        """Return how long to wait before the next attempt, in microseconds; None: give up.

        Args:
            attempts: how often it has been tried, this one included.
            first_us: when it was tried first.
            now_us: the time now.
            chance: a random number, 0 <= chance < 1.
            after_s: the upstream's Retry-After in seconds, if it gave one.
        """
        is_old = now_us - first_us >= self.give_up_after_s * SECOND_US
        if is_old and attempts >= self.attempts_min:
            return None
        ceiling_s = min(self.cap_s, self.base_s * 2.0 ** min(attempts - 1, 32))
        delay_s = ceiling_s * chance
        if after_s is not None:
            delay_s = max(delay_s, min(max(after_s, 0.0), self.retry_after_max_s))
        return round(delay_s * SECOND_US)
