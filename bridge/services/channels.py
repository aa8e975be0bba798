"""A channel is one upstream at work: its pace, its breaker, and where something may be waiting."""

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from bridge.domain.deliveries import Kind, Tier
from bridge.domain.outcomes import MISSES_MAX, PROMPT_S, Promptness, Reply, is_failing, is_in_order
from bridge.ports import Gate
from bridge.services.breaker import Breaker, BreakerState
from bridge.services.limiter import Pace

COMMON: Final = tuple(kind for kind in Kind if not kind.is_of_ticket)
ALL_TIERS: Final = frozenset(Tier)
RATE_PAUSE_S: Final = 5.0
RATE_PAUSE_MAX_S: Final = 300.0
# One request in ten is a reading one, while others wait.
TURNS: Final = 10

Stock = tuple[Gate, Tier]


class UpstreamGone(Exception):  # noqa: N818 - it says what it is
    """The settings have no such upstream any more."""


class Upstream(Struct, frozen=True):
    """One base URL and workspace: its routes, how many requests a minute it takes, its name.

    Of the `sparse` kinds little waits at a time, and at many routes: these kinds alone come here,
    and they are looked for where something is, instead of at every route.
    """

    scope: str
    routes: frozenset[str]
    per_minute: int
    label: str = "cention"
    sparse: frozenset[Kind] = frozenset()


@dataclass(slots=True)
class Channel:
    """One upstream at work. Times are monotonic seconds.

    `hot` is where something may be waiting; one claim is made at a time. `turns` counts what has
    left; `misses` counts the 404 of each route, `own_misses` those of each delivery. Until
    `troubled_s` the upstream was not well, or wanted nothing sent.
    """

    upstream: Upstream
    pace: Pace
    breaker: Breaker = field(default_factory=Breaker)
    hot: set[Stock] = field(default_factory=set)
    is_claiming: bool = False
    turns: int = 0
    in_flight: int = 0
    cards_in_flight: int = 0
    since_s: float = -math.inf
    troubled_s: float = -math.inf
    misses: dict[str, int] = field(default_factory=dict)
    own_misses: dict[int, int] = field(default_factory=dict)
    _reminders: list[tuple[float, int, Gate]] = field(default_factory=list)
    _reminded: int = 0
    _read_turn: int = 0
    _readers: deque[asyncio.Future[None]] = field(default_factory=deque)

    def take_settings(self, upstream: Upstream, now_s: float) -> None:
        """Go on with other routes or another limit; another limit begins as after a start."""
        if upstream.per_minute != self.upstream.per_minute:
            self.pace = Pace(upstream.per_minute, now_s)
        self.upstream = upstream

    def gates(self) -> list[Gate]:
        """Return every gate that leads here and is to be looked at by itself."""
        routes = () if self.upstream.sparse else self.upstream.routes
        return [Gate(route=route, kind=kind) for route in routes for kind in COMMON]

    def heat(self, gates: Iterable[Gate], tiers: Iterable[Tier] = ALL_TIERS) -> None:
        """Note that something may be waiting at these gates."""
        self.hot.update((gate, tier) for gate in gates for tier in tiers)

    def remind(self, at_s: float, gate: Gate) -> None:
        """Note that something at this gate is due at a time."""
        self._reminded += 1
        heapq.heappush(self._reminders, (at_s, self._reminded, gate))

    def recall(self, now_s: float) -> float:
        """Heat the gates at which something is due by now; return how long until the next is."""
        while self._reminders and self._reminders[0][0] <= now_s:
            self.heat([heapq.heappop(self._reminders)[2]], [Tier.LATER])
        return self._reminders[0][0] - now_s if self._reminders else float("inf")

    def room(self, now_s: float, in_flight_max: int) -> int:
        """Return how many requests may leave now."""
        room = min(in_flight_max - self.in_flight, self.pace.available(now_s))
        probes = self.breaker.room(now_s)
        return max(0, room if probes is None else min(room, probes))

    def wait_s(self, now_s: float, in_flight_max: int) -> float:
        """Return how long until more may leave; for ever where only an answer can make room."""
        if self.in_flight >= in_flight_max or self.breaker.room(now_s) == 0:
            return self.breaker.wait_s(now_s) or float("inf")
        return self.pace.wait_s(now_s)

    def spend(self, count: int, now_s: float) -> None:
        """Note that so many requests leave now."""
        self.pace.take(count, now_s)
        self.turns += count
        if count:
            self.breaker.sent()

    def answered(self, reply: Reply, now_s: float, chance: float, *, is_read: bool = False) -> None:
        """Learn from an answer, or from the want of one, how the upstream is.

        One that fails to be read holds no delivery up, unless the breaker opens for it.
        """
        if (is_failing(reply) and not is_read) or self.breaker.state is not BreakerState.CLOSED:
            self.troubled_s = max(self.troubled_s, now_s)
        if is_failing(reply):
            self.breaker.failed(now_s, chance)
        else:
            self.breaker.succeeded()
        if reply.status == 429:
            asked_s = RATE_PAUSE_S if reply.retry_after_s is None else reply.retry_after_s
            pause_s = min(asked_s, RATE_PAUSE_MAX_S)
            self.pace.pause(now_s, pause_s)
            self.troubled_s = max(self.troubled_s, now_s + pause_s)

    def promptness(self, age_s: float, now_s: float, *, was_tried: bool = False) -> Promptness:
        """Say whether something is delivered in time that was asked for so many seconds ago.

        What was tried before this channel was made has failed then, and nobody remembers why.
        """
        if age_s <= PROMPT_S:
            return Promptness.PROMPT
        asked_s = now_s - age_s
        is_excused = self.troubled_s >= asked_s or (was_tried and self.since_s >= asked_s)
        return Promptness.EXCUSED if is_excused else Promptness.LATE

    def count_misses(self, route: str, delivery_id: int, reply: Reply) -> tuple[int, int]:
        """Return how many 404 a route, and the delivery itself, have had with this answer.

        A route's are counted anew once an answer shows that its workspace is right. A failure in
        between shows nothing, and what was tried for another reason, or before a restart, counts
        for neither: a wrong workspace must not cost a delivery.
        """
        own = self.own_misses.pop(delivery_id, 0)
        if reply.status == 404:
            self.misses[route] = self.misses.get(route, 0) + 1
            own += 1
            if own < MISSES_MAX:
                self.own_misses[delivery_id] = own
        elif is_in_order(reply):
            self.misses.pop(route, None)
        elif own:
            self.own_misses[delivery_id] = own
        return self.misses.get(route, 0), own

    @property
    def has_readers(self) -> bool:
        """Whether somebody waits for leave to read."""
        while self._readers and self._readers[0].done():
            self._readers.popleft()
        return bool(self._readers)

    @property
    def is_readers_turn(self) -> bool:
        """Whether the next request is a reader's, though others wait."""
        is_due = self.turns - self._read_turn >= TURNS
        return self.has_readers and (is_due or not self.hot)

    def queue_reader(self) -> asyncio.Future[None]:
        """Return what is done as soon as one reading request may leave."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._readers.append(future)
        return future

    def admit_reader(self, now_s: float) -> None:
        """Let the reader that has waited longest go, where it `has_readers`."""
        self._readers.popleft().set_result(None)
        self.spend(1, now_s)
        self._read_turn = self.turns

    def close(self) -> None:
        """Send whoever waits for leave to read away: the upstream is gone from the settings."""
        for future in self._readers:
            if not future.done():
                future.set_exception(UpstreamGone(self.upstream.label))
        self._readers.clear()


def upstreams_of(
    scopes: Mapping[str, Iterable[str]], per_minute: int, labels: Mapping[str, str] | None = None
) -> list[Upstream]:
    """Return the upstreams of routes by scope, with the names that metrics give them."""
    names = labels or {}
    return [
        Upstream(scope, frozenset(routes), per_minute, names.get(scope, "cention"))
        for scope, routes in scopes.items()
    ]
