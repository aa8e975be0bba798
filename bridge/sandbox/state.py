"""What the sandbox remembers: all that it was sent, the faults set, and each workspace's rate.

Everything is bounded: the newest `KEPT_MAX` of each are kept or fewer, and of what has bodies no
more than have `BODY_BYTES_KEPT_MAX` of them.
"""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import orjson

from bridge.sandbox.administered import AdministeredBook
from bridge.sandbox.callbacks import AnswerIds, CallbackBook, answer_ids
from bridge.sandbox.chats import ChatDesk
from bridge.sandbox.contacts import CardFile
from bridge.sandbox.errands import BODY_BYTES_KEPT_MAX, KEPT_MAX, ErrandBook
from bridge.sandbox.faults import FaultBook
from bridge.sandbox.files import FileBook
from bridge.sandbox.ratings import RatingBook

RATE_WINDOW_SECONDS: Final = 60.0
# Fixed, as the key of tokens is.
ACCESS_KEY_ID: Final = "sandbox-key"
ACCESS_KEY_SECRET: Final = "sandbox-key-secret"  # noqa: S105 - opens nothing but the sandbox


@dataclass(frozen=True, kw_only=True)
class SandboxOptions:
    """How the sandbox behaves.

    Attributes:
        requests_per_minute: what a workspace takes in any 60 seconds (Cention documents 1,000).
        workspaces: the ones that exist.
        clock: monotonic seconds, for the rate.
        wall_clock: Unix seconds, for what is shown and for the expiry of tokens.
        token_key: signs tokens with HS256; fixed, so that a token outlives a restart.
        sleep: waits some seconds, for faults that delay.
        random: decides whom a fault strikes; seeded, it strikes the same again.
        sla_delay_seconds: for how long after an errand was made, ended or answered its report has
            no SLA.
        callback_url: where to tell of answered errands, http or https; empty: nowhere.
        callback_secret: sent along with that; empty: none is.
        access_keys: by id, the secrets that administration requests are signed with.
        struct_signing: how structs are signed, as `provision.struct_signing`; None: either way.
        watch: told of each administration request, `before` and `after` it takes effect, and its
            number from 1; where it says False, the client is hung up on there and then.
    """

    requests_per_minute: int = 1000
    workspaces: tuple[str, ...] = ("demo",)
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    token_key: bytes = b"sandbox"
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Random = field(default_factory=Random)
    sla_delay_seconds: float = 60.0
    callback_url: str = ""
    callback_secret: str = field(default="", repr=False)
    access_keys: Mapping[str, str] = field(
        default_factory=lambda: {ACCESS_KEY_ID: ACCESS_KEY_SECRET}, repr=False
    )
    struct_signing: str | None = None
    watch: Callable[[str, int], bool] = lambda _moment, _number: True


@dataclass(slots=True)
class Exchange:
    """One request under /s/ and what became of it.

    `status` is None while it is being answered, and for ever where it was hung up on; `fault` names
    what struck it.
    """

    sequence: int
    wall_time: float
    monotonic: float
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int | None = None
    fault: str | None = None

    def read_back(self) -> dict[str, Any]:
        """Return the request as the sandbox's own pages show it; a body that is no JSON: null."""
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            body = None
        return {
            "sequence": self.sequence,
            "wall_time": self.wall_time,
            "monotonic": self.monotonic,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "fault": self.fault,
            "headers": dict(self.headers),
            "body": body,
        }


class RateWindow:
    """Admits a number of requests in any 60 seconds; what it turns away does not count."""

    def __init__(self, requests_max: int) -> None:
        self._requests_max = requests_max
        self._times: deque[float] = deque()

    def admit(self, now: float) -> int:
        """Return 0 and count the request, or the whole seconds until there is room again."""
        while self._times and now - self._times[0] >= RATE_WINDOW_SECONDS:
            self._times.popleft()
        if len(self._times) < self._requests_max:
            self._times.append(now)
            return 0
        oldest = self._times[0] if self._times else now
        return max(1, math.ceil(oldest + RATE_WINDOW_SECONDS - now))


class RequestLog:
    """The newest requests, bounded in number and in bytes of their bodies."""

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque()
        self._body_bytes = 0
        self._next_sequence = 1
        self.statuses: Counter[int] = Counter()
        self.total = 0

    def __iter__(self) -> Iterator[Exchange]:
        """Iterate over what is kept, the oldest first."""
        return iter(self._exchanges)

    def __reversed__(self) -> Iterator[Exchange]:
        """Iterate over what is kept, the newest first."""
        return reversed(self._exchanges)

    def begin(self, exchange: Exchange) -> None:
        """Keep a request that has arrived, and number it."""
        exchange.sequence = self._next_sequence
        self._next_sequence += 1
        self.total += 1
        self._exchanges.append(exchange)
        self._body_bytes += len(exchange.body)
        while len(self._exchanges) > KEPT_MAX or self._body_bytes > BODY_BYTES_KEPT_MAX:
            self._body_bytes -= len(self._exchanges.popleft().body)

    def finish(self, exchange: Exchange, status: int) -> None:
        """Note the answer that a request got."""
        exchange.status = status
        self.statuses[status] += 1

    def clear(self) -> None:
        """Forget every request; numbers go on growing."""
        self._exchanges.clear()
        self._body_bytes = 0
        self.statuses.clear()
        self.total = 0


class SandboxState:
    """All that the sandbox remembers."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.errands = ErrandBook()
        self.ratings = RatingBook()
        self.cards = CardFile(KEPT_MAX)
        self.files = FileBook()
        self.callbacks = CallbackBook()
        self.administered = AdministeredBook()
        self.chats = ChatDesk()
        self.answer_ids: Iterator[AnswerIds] = answer_ids()
        self.requests = RequestLog()
        self.faults = FaultBook(options.random)
        self.late_effects: set[asyncio.Task[None]] = set()
        self.rates: dict[str, RateWindow] = {}
        self.reset()

    def reset(self) -> None:
        """Forget everything; ids go on growing, as Cention never gives one twice."""
        self.errands.clear()
        self.ratings.clear()
        self.cards.clear()
        self.files.clear()
        self.chats.clear()
        self.callbacks.clear()
        self.administered.clear()
        self.callbacks.set(self.options.callback_url, self.options.callback_secret)
        self.requests.clear()
        self.faults.reset()
        self.cancel_late_effects()
        self.rates = {
            workspace: RateWindow(self.options.requests_per_minute)
            for workspace in self.options.workspaces
        }

    def cancel_late_effects(self) -> None:
        """Let what was to be done later never be done."""
        for task in self.late_effects:
            task.cancel()

    def summary(self, *, with_references: bool) -> dict[str, Any]:
        """Return the counts, and what was done for each reference in which order."""
        statuses = sorted(self.requests.statuses.items())
        summary: dict[str, Any] = {
            "requests": {
                "total": self.requests.total,
                "by_status": {str(status): count for status, count in statuses},
            },
            "errands": {"created": self.errands.created, "ended": self.errands.ended},
            "contacts": len(self.cards),
            "faults": self.faults.summary(),
            "late_effects": len(self.late_effects),
        }
        if with_references:
            summary["references"] = self.errands.steps
        return summary
