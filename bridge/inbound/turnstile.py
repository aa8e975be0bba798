"""How many events a minute a source may post: more is asked to come back, and loses nothing."""

import math
from typing import Final, Protocol

from aiohttp import web

from bridge.inbound.problems import problem
from bridge.ports import Clock
from bridge.services.allowance import Allowance

# In an answer: it is about the sender's pace, not about what the bridge can't do.
THROTTLED: Final = web.ResponseKey("throttled", bool)
_WAIT_S_MAX: Final = 3600


class TurnstileMeter(Protocol):
    """What is counted of sources that post too fast."""

    def throttled(self, source: str) -> None:
        """Count a request that was asked to come back."""
        ...


class Turnstile:
    """Lets a source's events through at its pace; without a limit, all of them.

    It answers 503 and not 429: senders of webhooks come back after the one, and many give up after
    the other.
    """

    def __init__(self, source: str, clock: Clock, meter: TurnstileMeter) -> None:
        """Let everything through."""
        self._source = source
        self._clock = clock
        self._meter = meter
        self._allowance: Allowance | None = None

    def limit(self, per_minute: int | None) -> None:
        """Let so many events a minute through; None: any number. The same limit changes nothing."""
        before = self._allowance
        if per_minute is None:
            self._allowance = None
        elif before is None or before.per_minute != per_minute:
            self._allowance = Allowance(per_minute, self._clock.monotonic())

    def refuse(self) -> web.Response | None:
        """Return the answer to a request that comes too early; None: it may go on."""
        if self._allowance is None:
            return None
        wait_s = self._allowance.wait_s(self._clock.monotonic())
        if not wait_s:
            return None
        self._meter.throttled(self._source)
        after_s = min(math.ceil(wait_s), _WAIT_S_MAX)
        answer = problem(
            503,
            f"More events than {self._allowance.per_minute} a minute; send it again later.",
            headers={"Retry-After": str(after_s)},
        )
        answer[THROTTLED] = True
        return answer

    def passed(self, events: int) -> None:
        """Count events of a request that went on."""
        if self._allowance is not None:
            self._allowance.spend(events)


class Turnstiles:
    """One for each source, which stays with what it let through when settings are read again."""

    def __init__(self, clock: Clock, meter: TurnstileMeter) -> None:
        """Begin with none."""
        self._clock = clock
        self._meter = meter
        self._of: dict[str, Turnstile] = {}

    def limited(self, source: str, per_minute: int | None) -> Turnstile:
        """Return a source's, which lets so many events a minute through from now on."""
        if source not in self._of:
            self._of[source] = Turnstile(source, self._clock, self._meter)
        self._of[source].limit(per_minute)
        return self._of[source]
