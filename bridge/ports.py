"""What the bridge's insides ask of the outside: small protocols, owned by those who call them.

Time, randomness, the store, the network, metrics and logs come in through these, so that a whole
day of calls can run on a virtual clock, and a test can put a real or a broken one in.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bridge.domain.calls import Thread
from bridge.domain.contacts import Card, Key, Person
from bridge.domain.deliveries import Draft, EndErrand, Kind, NewErrand, State
from bridge.domain.outcomes import Reply

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
EventKey = tuple[str, str]
CallKey = tuple[str, str]


class Clock(Protocol):
    """Time. Every wait and every time-out of the bridge goes through it."""

    def now_us(self) -> int:
        """Return the wall clock's time in microseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for measuring and waiting."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Return a context that raises TimeoutError when it lasts longer."""
        ...


class Entropy(Protocol):
    """Randomness."""

    def random(self) -> float:
        """Return a number, 0 <= number < 1."""
        ...


class Log(Protocol):
    """Structured logging. Fields never hold personal data or secrets."""

    def debug(self, event: str, **fields: object) -> None:
        """Say something of use while looking for a fault."""
        ...

    def info(self, event: str, **fields: object) -> None:
        """Say what happened."""
        ...

    def warning(self, event: str, **fields: object) -> None:
        """Say that something is odd, and the bridge copes."""
        ...

    def error(self, event: str, **fields: object) -> None:
        """Say that a person should look."""
        ...


class Meter(Protocol):
    """What the services count and measure; `ops.metrics` says what each becomes."""

    def event(self, event_type: str, outcome: str) -> None:
        """Count an event by type and outcome: accepted, duplicate or rejected."""
        ...

    def number(self, field: str, result: str) -> None:
        """Count a phone number that was read."""
        ...

    def unknown_keys(self, count: int) -> None:
        """Count top-level keys that nobody knows."""
        ...

    def contact(self, outcome: str) -> None:
        """Count what became of a contact: created, updated, unchanged or conflict."""
        ...

    def call(self, outcome: str) -> None:
        """Count how a call ended that no errand tells of: abandoned or stale."""
        ...

    def end_skipped(self, count: int) -> None:
        """Count ends that Cention could not understand, for want of an agent."""
        ...

    def delivery(self, kind: Kind, outcome: str) -> None:
        """Count an attempt by what came of it."""
        ...

    def upstream(self, kind: Kind, reply: Reply) -> None:
        """Measure a request by its status and time."""
        ...

    def delivered(self, kind: Kind, seconds: float) -> None:
        """Measure the time from an event's acceptance to its delivery."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event as the journal keeps it. `digest` is a keyed hash of its canonical content."""

    source: str
    event_id: str
    event_type: str
    reference_id: str
    route: str
    occurred_us: int
    received_us: int
    digest: bytes
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadRow:
    """A thread to be kept, and when to look at it again."""

    key: CallKey
    thread: Thread
    timer_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A draft to be kept for delivery, with the event that it came of."""

    draft: Draft
    source: str
    reference_id: str
    event_id: str
    accepted_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a claim may take: one kind of delivery of one route."""

    route: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A claimed delivery. `attempts` counts the one now under way.

    `payload` is a `Card` for a contact card. `person` is its contact's id, else empty.
    """

    id: int
    key: str
    lane: str
    kind: Kind
    route: str
    source: str
    reference_id: str
    accepted_us: int
    first_us: int
    attempts: int
    payload: NewErrand | EndErrand | Card
    person: str = ""
    is_probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How a delivery stands after an attempt."""

    id: int
    state: State
    due_us: int
    attempts: int
    remote_id: str = ""
    error: str = ""
    done_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try, as `dead-letters show` tells it."""

    delivery_id: int
    at_us: int
    seconds: float
    outcome: str
    status: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A gate that is shut. `kind` None: all of the route.

    `token_mark` tells which token was refused, so that a new one opens the gate by itself; empty
    for a pause by hand, which only a hand ends and which has no probes.
    """

    route: str
    kind: Kind | None
    reason: str
    since_us: int
    probe_us: int
    token_mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What was refused at the door, kept for a person. `body` may be cut to size."""

    id: str
    source: str
    received_us: int
    status: int
    content_type: str
    event_id: str
    event_type: str
    issues: tuple[tuple[str, str], ...]
    body: bytes
    is_cut: bool


class Transaction(Protocol):
    """What can be done within one commit. Every method takes many at once."""

    def digests(self, keys: Collection[EventKey]) -> dict[EventKey, bytes]:
        """Return the digests of the events that are known already."""
        ...

    def threads(self, keys: Collection[CallKey]) -> dict[CallKey, Thread]:
        """Return the threads that exist."""
        ...

    def owners(self, keys: Collection[Key]) -> dict[Key, str]:
        """Return whose each key is, as far as it is anybody's."""
        ...

    def people(self, ids: Collection[str]) -> dict[str, Person]:
        """Return the people that exist."""
        ...

    def add_events(self, entries: Sequence[Entry]) -> None:
        """Keep events."""
        ...

    def save_threads(self, rows: Sequence[ThreadRow]) -> None:
        """Keep threads in their new form."""
        ...

    def due_threads(self, now_us: int, limit: int) -> dict[CallKey, Thread]:
        """Return threads whose timer has run out."""
        ...

    def put_orders(self, orders: Sequence[Order]) -> None:
        """Keep drafts: a new one takes its place in its lane, a known one takes the new payload.

        A known one that was tried already stays as it is.
        """
        ...

    def save_people(self, people: Sequence[Person], keys: Sequence[tuple[Key, str]]) -> None:
        """Keep people in their new form, and note the keys that are theirs."""
        ...

    def want_cards(self, people: Sequence[Person], accepted_us: int) -> None:
        """See to it that a contact card leaves for each of these people."""
        ...

    def pauses(self) -> Sequence[Pause]:
        """Return all gates that are shut."""
        ...

    def save_pauses(self, pauses: Sequence[Pause]) -> None:
        """Shut gates, or change what is known of the shut ones."""
        ...

    def clear_pauses(self, pauses: Sequence[Pause]) -> None:
        """Open gates."""
        ...

    def claim(self, gate: Gate, limit: int, now_us: int) -> list[Parcel]:
        """Mark up to `limit` lane heads that are due as on their way, and return them."""
        ...

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Keep how deliveries stand now."""
        ...

    def add_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Keep what was tried."""
        ...

    def promote(self, lanes: Sequence[str], now_us: int) -> set[Gate]:
        """Let the next of each lane go, now that the one before it is delivered."""
        ...

    def park(self, lanes: Sequence[str]) -> None:
        """Set aside what waits in these lanes, since the one before it has stopped."""
        ...

    def adopt(self, routes: Collection[str], default: str) -> int:
        """Give what waits at a route that is none of these to the default; return how many."""
        ...

    def sending(self) -> list[Parcel]:
        """Return what was on its way when the store was last closed or lost."""
        ...

    def add_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Keep what was refused at the door."""
        ...

    def touch(self, now_us: int) -> None:
        """Write something of no other use, to see that writing works."""
        ...

    def purge(self, horizons: Mapping[str, int], limit: int) -> int:
        """Remove up to `limit` rows that are past their time, and say how many went.

        `horizons` holds, in microseconds since 1970, before when `payload`, `journal`,
        `calls` and `quarantine` rows go.
        """
        ...


Handler = Callable[[Transaction, Sequence[ItemT]], Sequence[ResultT]]


class Writer(Protocol):
    """The one who writes: what arrives while a commit runs shares the next one."""

    async def submit(self, handler: Handler[ItemT, ResultT], item: ItemT) -> ResultT:
        """Have an item handled in the next commit, and return its result once that is on disk.

        Whoever waits may be cancelled; the item is handled all the same.

        Raises:
            StoreUnavailable: it can't be kept now.
        """
        ...

    async def submit_all(
        self, handler: Handler[ItemT, ResultT], items: Sequence[ItemT]
    ) -> list[ResultT | Exception]:
        """Have many items handled in the same commit; as `submit`.

        An item that can't be handled gets its exception as result, and fails no other.
        """
        ...


class Sender(Protocol):
    """Who sends a parcel to where its route leads."""

    async def send(self, parcel: Parcel) -> Reply:
        """Send it once and say what came back. Raises nothing."""
        ...

    def sharing(self, route: str) -> Sequence[str]:
        """Return the routes that use the same token as this one, itself included."""
        ...

    def token_mark(self, route: str) -> str:
        """Return what tells the route's token from any other without giving it away."""
        ...
