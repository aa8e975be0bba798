"""What the sandbox remembers: errands, contact cards, requests, and the rate of each workspace.

Everything is bounded: the newest `KEPT_MAX` of each are kept, and of requests and of errands no
more than have `BODY_BYTES_KEPT_MAX` of bodies.
"""

import math
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from bridge.sandbox.contacts import CardFile

KEPT_MAX: Final = 200_000
BODY_BYTES_KEPT_MAX: Final = 256 * 1024 * 1024
STEPS_PER_REFERENCE_MAX: Final = 100
RATE_WINDOW_SECONDS: Final = 60.0
FIRST_ERRAND_ID: Final = 511_055

CREATE: Final = "create"
END: Final = "end"
END_REFUSED: Final = "end_refused"


@dataclass(frozen=True, kw_only=True)
class SandboxOptions:
    """How the sandbox behaves.

    Attributes:
        requests_per_minute: what a workspace takes in any 60 seconds (Cention documents 1,000).
        workspaces: the ones that exist.
        clock: monotonic seconds, for the rate.
        wall_clock: Unix seconds, for what is shown and for the expiry of tokens.
        token_key: signs tokens with HS256; fixed, so that a token outlives a restart.
    """

    requests_per_minute: int = 1000
    workspaces: tuple[str, ...] = ("demo",)
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    token_key: bytes = b"sandbox"


@dataclass(slots=True)
class Errand:
    """One errand; `body` is the request that made it, as received. Times are Unix seconds."""

    id: int
    workspace: str
    area: str
    created_at: float
    reference: str
    closed: bool
    body: bytes
    ended_at: float | None = None
    end_count: int = 0
    end_body: bytes = b""

    @property
    def is_open(self) -> bool:
        """Whether an end would close it."""
        return self.ended_at is None and not self.closed

    def read_back(self) -> dict[str, Any]:
        """Return the errand as the sandbox's own pages show it; attributes as received."""
        return {
            "id": str(self.id),
            "workspace": self.workspace,
            "area": self.area,
            "created_at": self.created_at,
            "ended_at": self.ended_at,
            "end_count": self.end_count,
            "closed": self.closed,
            "attributes": _attributes(self.body),
            "end_attributes": _attributes(self.end_body) if self.end_body else None,
        }


@dataclass(slots=True)
class Exchange:
    """One request under /s/ and the status it got, None while it is being answered."""

    sequence: int
    wall_time: float
    monotonic: float
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int | None = None

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
            "headers": dict(self.headers),
            "body": body,
        }


def _attributes(body: bytes) -> Any:
    return orjson.loads(body)["data"]["attributes"]


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


@dataclass(slots=True)
class ErrandBook:
    """The errands of all workspaces, and what was done for each reference in which order."""

    _errands: OrderedDict[int, Errand] = field(default_factory=OrderedDict)
    _by_reference: dict[tuple[str, str], list[Errand]] = field(default_factory=dict)
    _next_id: int = FIRST_ERRAND_ID
    _body_bytes: int = 0
    steps: OrderedDict[str, list[str]] = field(default_factory=OrderedDict)
    created: int = 0
    ended: int = 0

    def __iter__(self) -> Iterator[Errand]:
        """Iterate over what is kept, the oldest first."""
        return iter(self._errands.values())

    def __reversed__(self) -> Iterator[Errand]:
        """Iterate over what is kept, the newest first."""
        return reversed(self._errands.values())

    def create(
        self, attributes: dict[str, Any], *, workspace: str, area: str, body: bytes, now: float
    ) -> Errand:
        """Make an errand of a valid request; the same request makes another one.

        Args:
            attributes: the request's, valid.
            workspace: where it was sent.
            area: the token's.
            body: the request, as received.
            now: Unix seconds.
        """
        reference = attributes.get("integrationData", {}).get("referenceId", "")
        errand = Errand(
            id=self._next_id,
            workspace=workspace,
            area=area,
            created_at=now,
            reference=reference,
            closed="answer" in attributes,
            body=body,
        )
        self._next_id += 1
        self.created += 1
        self._errands[errand.id] = errand
        self._body_bytes += len(body)
        if reference:
            self._by_reference.setdefault((workspace, reference), []).append(errand)
            self._note(reference, CREATE)
        while len(self._errands) > KEPT_MAX or self._body_bytes > BODY_BYTES_KEPT_MAX:
            self._evict()
        return errand

    def end(self, *, workspace: str, reference: str, body: bytes, now: float) -> Errand | None:
        """End the newest open errand of a reference.

        Where none is open the newest that there is answers for it, since to repeat an end is
        harmless; where there is none at all the end is refused with None.
        """
        errands = self._by_reference.get((workspace, reference))
        if not errands:
            self._note(reference, END_REFUSED)
            return None
        errand = next((item for item in reversed(errands) if item.is_open), errands[-1])
        if errand.is_open:
            errand.ended_at = now
            errand.end_body = body
            self.ended += 1
        errand.end_count += 1
        self._note(reference, END)
        return errand

    def clear(self) -> None:
        """Forget every errand; ids go on growing."""
        self._errands.clear()
        self._by_reference.clear()
        self.steps.clear()
        self.created = self.ended = self._body_bytes = 0

    def _note(self, reference: str, step: str) -> None:
        steps = self.steps.setdefault(reference, [])
        if len(steps) < STEPS_PER_REFERENCE_MAX:
            steps.append(step)
        if len(self.steps) > KEPT_MAX:
            self.steps.popitem(last=False)

    def _evict(self) -> None:
        _, errand = self._errands.popitem(last=False)
        self._body_bytes -= len(errand.body)
        if errand.reference:
            # Errands of one reference are in order of age, so the oldest of all is its first.
            errands = self._by_reference[errand.workspace, errand.reference]
            errands.pop(0)
            if not errands:
                del self._by_reference[errand.workspace, errand.reference]


class SandboxState:
    """All that the sandbox remembers."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.errands = ErrandBook()
        self.cards = CardFile(KEPT_MAX)
        self.requests = RequestLog()
        self.rates: dict[str, RateWindow] = {}
        self.reset()

    def reset(self) -> None:
        """Forget everything; ids go on growing, as Cention never gives one twice."""
        self.errands.clear()
        self.cards.clear()
        self.requests.clear()
        self.rates = {
            workspace: RateWindow(self.options.requests_per_minute)
            for workspace in self.options.workspaces
        }

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
        }
        if with_references:
            summary["references"] = self.errands.steps
        return summary
