"""Who is connected, and who has to go: what is slow is cut, and a full house makes room.

A connection waits (it has no request in hand, perhaps a part of a head), brings a body, or is being
answered. Only who is being answered is safe: past the limit, a newcomer takes the place of somebody
who keeps one without need, so that connections that drip can't lock an honest caller out.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final, Protocol

from bridge.ports import Clock

# From a head's first byte to its last.
HEAD_S_MAX: Final = 10.0
# From a head's end to its body's last byte.
BODY_S_MAX: Final = 10.0
# How long an answer may lie without the caller taking any of it.
ANSWER_S_MAX: Final = 30.0
SWEEP_EVERY_S: Final = 1.0
# Heads come in one piece, or in two that follow each other at once.
HONEST_HEAD_S: Final = 1.0
CONNECTIONS_MAX: Final = 1000


class CrowdMeter(Protocol):
    """What is counted of connections."""

    def cut(self, reason: str) -> None:
        """Count a connection that was cut: `head`, `body`, `answer`, `room` or `full`."""
        ...


class NoCrowdMeter:
    """Counts nothing."""

    def cut(self, reason: str) -> None:
        """Count nothing."""


class Guest(Protocol):
    """A connection, as far as it can be asked to leave."""

    @property
    def peer(self) -> str:
        """Whom it comes from; the same for all on a socket of this machine."""
        ...

    def dismiss(self, status: int) -> None:
        """Say why, and close; 0 closes without a word."""
        ...


class Crowd:
    """Those who are connected to one door. `connections_max` can be changed while running."""

    def __init__(
        self,
        clock: Clock,
        meter: CrowdMeter | None = None,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        """Begin with nobody."""
        self.connections_max = connections_max
        self.clock = clock
        self._meter = meter or NoCrowdMeter()
        self._connected: set[Guest] = set()
        self._of_peer: Counter[str] = Counter()
        # Each in the order in which they came to be so: who is first has been so for longest.
        self._waiting: dict[Guest, None] = {}
        self._heads: dict[Guest, float] = {}
        self._bodies: dict[Guest, None] = {}
        self._deaf: dict[Guest, float] = {}
        self._sweeper: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many are connected."""
        return len(self._connected)

    def came(self, guest: Guest) -> bool:
        """Let somebody in, if there is room or room can be made; say whether."""
        if len(self._connected) >= self.connections_max:
            leaving = self._dispensable(guest.peer)
            if leaving is None:
                self._meter.cut("full")
                return False
            self._meter.cut("room")
            self.went(leaving)
            leaving.dismiss(0)
        self._connected.add(guest)
        self._of_peer[guest.peer] += 1
        self._waiting[guest] = None
        return True

    def went(self, guest: Guest) -> None:
        """Forget who is connected no longer; asked twice, it is the same."""
        if guest not in self._connected:
            return
        self._connected.remove(guest)
        self._of_peer[guest.peer] -= 1
        if not self._of_peer[guest.peer]:
            del self._of_peer[guest.peer]
        for places in (self._waiting, self._heads, self._bodies, self._deaf):
            places.pop(guest, None)

    def asks(self, guest: Guest) -> None:
        """Note that a request is in hand."""
        self._waiting.pop(guest, None)

    def answered(self, guest: Guest) -> None:
        """Note that none is any more."""
        if guest in self._connected:
            self._waiting[guest] = None

    def begins_head(self, guest: Guest) -> None:
        """Note that a head has begun to come."""
        if guest in self._connected and guest not in self._heads:
            self._heads[guest] = self.clock.monotonic()
            self._watch()

    def ends_head(self, guest: Guest) -> None:
        """Note that it has come."""
        self._heads.pop(guest, None)

    def begins_body(self, guest: Guest) -> None:
        """Note that somebody is bringing a body that didn't come with its head."""
        if guest in self._connected:
            self._bodies[guest] = None

    def ends_body(self, guest: Guest) -> None:
        """Note that it has come, or is given up."""
        self._bodies.pop(guest, None)

    def is_deaf(self, guest: Guest) -> None:
        """Note that somebody takes no more of an answer."""
        if guest in self._connected:
            self._deaf[guest] = self.clock.monotonic()
            self._watch()

    def hears(self, guest: Guest) -> None:
        """Note that it goes on."""
        self._deaf.pop(guest, None)

    def sweep(self) -> None:
        """Cut who has taken too long."""
        now_s = self.clock.monotonic()
        for guest in _overdue(self._heads, now_s - HEAD_S_MAX):
            self._heads.pop(guest)
            self._meter.cut("head")
            guest.dismiss(408)
        for guest in _overdue(self._deaf, now_s - ANSWER_S_MAX):
            self._deaf.pop(guest)
            self._meter.cut("answer")
            guest.dismiss(0)

    def close(self) -> None:
        """Look after nobody any more."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def was_cut(self, reason: str) -> None:
        """Count what somebody else has cut."""
        self._meter.cut(reason)

    def _dispensable(self, newcomer: str) -> Guest | None:
        """Return who goes first, to make room for one of this peer; None: all are being answered.

        Whose head stays unfinished; then who waits, of the newcomer's own peer where it has more
        than half of the places; then who brings a body.
        """
        head = next(iter(self._heads), None)
        if head and self._heads[head] <= self.clock.monotonic() - HONEST_HEAD_S:
            return head
        if self._of_peer[newcomer] * 2 > self.connections_max:
            own = next((one for one in self._waiting if one.peer == newcomer), None)
            if own is not None:
                return own
        return next(iter(self._waiting), None) or next(iter(self._bodies), None)

    def _watch(self) -> None:
        """Look for who is late for as long as there is anybody to look at."""
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep_while_needed())

    async def _sweep_while_needed(self) -> None:
        while self._heads or self._deaf:
            await self.clock.sleep(SWEEP_EVERY_S)
            self.sweep()
        self._sweeper = None


def _overdue(since: Mapping[Guest, float], before_s: float) -> list[Guest]:
    found = []
    for guest, begun_s in since.items():
        if begun_s > before_s:
            break
        found.append(guest)
    return found
