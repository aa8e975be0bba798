"""One attempt at an agent's presence: One View is asked how they are, then told how they are to be.

What came of it is for `services.presence` to write down.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.outcomes import Failure, Reply
from bridge.domain.presence import Held, Presence, There, back_in_doubt, decide
from bridge.domain.retry import RetryPolicy
from bridge.domain.units import SECOND_US
from bridge.ports import Clock, Entropy, Log
from bridge.ports.presence import AgentDesk, InfoReading, PresenceMeter
from bridge.services.breaker import BreakerState
from bridge.services.channels import Channel, Upstream
from bridge.services.limiter import Pace

LABEL: Final = "oneview"
# For longer than this nobody waits for leave: there may be another wish by then. At a slow pace it
# is longer, or the question would take the leave of what is to be told, again and again.
LEAVE_S: Final = 1.0
# A refusal is about one agent, and a person has to change something: it is asked again slowly.
REFUSED_US: Final = 60 * SECOND_US
_REFUSALS: Final = frozenset({401, 403, 404})
# What One View takes for wrong is wrong the next time too, unless somebody mends it there.
WRONG_US: Final = 600 * SECOND_US
# Nobody gives up: an agent who is set away is put back, however long One View is not there.
# So long a request whose answer was lost may still come to pass, behind a gateway that gave it up.
DOUBT_US: Final = 60 * SECOND_US
RETRY: Final = RetryPolicy(cap_s=15.0, give_up_after_s=float("inf"))

# Keeps what an agent gets back, before they are set away; False: the wish has changed.
Intend = Callable[[Presence, Held | None], Awaitable[bool]]


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of an attempt: what to keep, how it is counted, and when to try again."""

    tried: Presence
    outcome: str
    held: Held | None = None
    reading: InfoReading | None = None
    error: str = ""
    refused: int = 0
    retry_us: int | None = None
    is_counted_as_attempt: bool = True
    is_undone: bool = False


class PresenceCourier:
    """Asks and tells One View, within its pace; learns by the answers how it is."""

    def __init__(
        self,
        *,
        desk: AgentDesk,
        clock: Clock,
        entropy: Entropy,
        meter: PresenceMeter,
        log: Log,
        per_minute: int,
    ) -> None:
        """Stand on these ports. `status` is what who is on a call is to be."""
        self._desk = desk
        self._clock = clock
        self._entropy = entropy
        self._meter = meter
        self._log = log
        self.status = "offline"
        now_s = clock.monotonic()
        upstream = Upstream(LABEL, frozenset(), per_minute, LABEL)
        self.channel = Channel(upstream, Pace(per_minute, now_s), since_s=now_s)
        # Whoever has waited longest leaves first.
        self._line = asyncio.Lock()

    def take_settings(self, status: str, per_minute: int) -> None:
        """Go by other settings."""
        self.status = status
        upstream = Upstream(LABEL, frozenset(), per_minute, LABEL)
        self.channel.take_settings(upstream, self._clock.monotonic())

    async def attempt(self, presence: Presence, intend: Intend) -> Outcome:
        """Do what is due about an agent. What they get back is kept by `intend` first."""
        if not self._desk.knows(presence.agent):
            return Outcome(tried=presence, outcome="gone", held=presence.held, error="gone")
        if not await self._leave():
            return self._put_off(presence)
        reading = await self._desk.info(presence.agent)
        self._learn("info", reading.reply)
        if reading.there is None:
            return self._failed(presence, reading.reply, presence.held, None)
        step = decide(presence, reading.there, self.status)
        if not step.put:
            return self._settled(presence, step.outcome, step.held, reading)
        if step.held != presence.held and not await intend(presence, step.held):
            # There is another wish by now, and nothing has left for this one.
            return Outcome(tried=presence, outcome="outdated", held=presence.held, reading=reading)
        outcome = await self._set(presence, step.held, step.put, reading)
        if outcome.held is not step.held or not outcome.is_undone:
            return outcome
        # Nothing has come of it for certain, so what was noted for the case is noted no more: else
        # whoever goes offline themselves before the next try would be put back.
        return replace(outcome, held=presence.held)

    async def _set(
        self, presence: Presence, held: Held | None, status: str, reading: InfoReading
    ) -> Outcome:
        if not await self._leave():
            return self._put_off(replace(presence, held=held))
        reply = await self._desk.put(presence.agent, status)
        self._learn("status", reply)
        if not 200 <= reply.status < 300:
            outcome = self._failed(presence, reply, held, reading)
            if outcome.is_undone or held is None:
                return outcome
            doubt_us = self._clock.now_us() + DOUBT_US
            return replace(outcome, held=replace(held, doubt=status, doubt_us=doubt_us))
        seconds = (self._clock.now_us() - presence.asked_us) / 1e6
        self._meter.took(way_of(presence), max(0.0, seconds))
        if not presence.is_wanted_away or held is None:
            is_doubtful = held is not None and held.doubt == held.wanted
            left = back_in_doubt(held, There(status)) if held and is_doubtful else None
            return self._settled(presence, "set", left, reading)
        return await self._left_as(presence, held, reading)

    async def _left_as(self, presence: Presence, held: Held, before: InfoReading) -> Outcome:
        """Ask how an agent is after their status was set: `updatedAt` is what tells it is ours."""
        held = replace(held, is_acknowledged=True)
        reading = before
        if await self._leave():
            reading = await self._desk.info(presence.agent)
            self._learn("info", reading.reply)
            if reading.there is not None and reading.there.status == held.wanted:
                held = replace(held, ours=reading.there)
        if held.ours is None:
            # It is asked again; that it was set is known.
            now_us = self._clock.now_us()
            return Outcome(
                tried=presence,
                outcome="set",
                held=held,
                reading=before if reading.there is None else reading,
                retry_us=now_us + self._delay_us(presence, reading.reply),
            )
        return self._settled(presence, "set", held, reading)

    def _settled(
        self, presence: Presence, outcome: str, held: Held | None, reading: InfoReading
    ) -> Outcome:
        """Nothing is left to be done, but to look once more when a doubt is over."""
        held = None if held is None else held.until(self._clock.now_us())
        return Outcome(
            tried=presence,
            outcome=outcome,
            held=held,
            reading=reading,
            retry_us=held.doubt_us if held and held.doubt else None,
            is_counted_as_attempt=False,
        )

    async def _leave(self) -> bool:
        """Wait for leave by the pace; False: One View is not well, and this one has to wait."""
        async with self._line:
            return await self._first_in_line()

    async def _first_in_line(self) -> bool:
        limit_s = max(LEAVE_S, 2.0 / self.channel.pace.per_second)
        while True:
            now_s = self._clock.monotonic()
            if self.channel.breaker.room(now_s) == 0 and self.channel.breaker.state is (
                BreakerState.OPEN
            ):
                return False
            if self.channel.pace.available(now_s):
                self.channel.spend(1, now_s)
                return True
            wait_s = self.channel.pace.wait_s(now_s)
            if wait_s > limit_s:
                return False
            await self._clock.sleep(max(wait_s, 0.001))

    def _learn(self, what: str, reply: Reply) -> None:
        before = self.channel.breaker.state
        self._meter.asked(what, reply)
        self.channel.answered(reply, self._clock.monotonic(), self._entropy.random())
        after = self.channel.breaker.state
        if after is not before:
            self._meter.breaker(after)
            if BreakerState.CLOSED in {before, after}:
                self._log.warning("circuit breaker", upstream=LABEL, state=after.name.lower())

    def _put_off(self, presence: Presence) -> Outcome:
        """Try later, since nothing may leave now; it counts as no attempt."""
        now_s = self._clock.monotonic()
        wait_s = max(self.channel.breaker.wait_s(now_s), self.channel.pace.wait_s(now_s), 0.1)
        return Outcome(
            tried=presence,
            outcome="put_off",
            held=presence.held,
            retry_us=self._clock.now_us() + round(wait_s * SECOND_US),
            is_counted_as_attempt=False,
            is_undone=True,
            error=presence.error,
        )

    def _failed(
        self, presence: Presence, reply: Reply, held: Held | None, reading: InfoReading | None
    ) -> Outcome:
        now_us, status = self._clock.now_us(), reply.status
        refused = 0
        if status in _REFUSALS:
            refused, retry_us = status, now_us + REFUSED_US
        elif 300 <= status < 500 and status not in {408, 425, 429}:
            refused, retry_us = status, now_us + WRONG_US
        else:
            retry_us = now_us + self._delay_us(presence, reply)
        said = str(status) if reply.failure is None else reply.failure.value
        return Outcome(
            tried=presence,
            outcome="refused" if refused else "failed",
            held=held,
            reading=reading,
            error=said,
            refused=refused,
            retry_us=retry_us,
            is_undone=bool(refused) or status == 429 or reply.failure is Failure.NOT_CONNECTED,
        )

    def _delay_us(self, presence: Presence, reply: Reply) -> int:
        now_us = self._clock.now_us()
        delay_us = RETRY.next_delay_us(
            attempts=presence.attempts + 1,
            first_us=now_us,
            now_us=now_us,
            chance=self._entropy.random(),
            after_s=reply.retry_after_s,
        )
        return delay_us or 0


def way_of(presence: Presence) -> str:
    """Return which way an agent is wanted: away or back."""
    return "away" if presence.is_wanted_away else "back"
