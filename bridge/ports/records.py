"""What goes between the services and the store."""

from msgspec import Struct

from bridge.domain.calls import CallKey, Thread
from bridge.domain.contacts import Card, Key
from bridge.domain.deliveries import Draft, Kind, Payload, State, Tier

EventKey = tuple[str, str]


class Entry(Struct, frozen=True, gc=False, kw_only=True):
    """An event as the journal keeps it. `digest` is a keyed hash of its canonical content.

    `rule` decided what it does; empty: none did.
    """

    source: str
    event_id: str
    event_type: str
    reference_id: str
    route: str
    occurred_us: int
    received_us: int
    digest: bytes
    payload: bytes
    rule: str = ""


class ThreadRow(Struct, frozen=True, gc=False, kw_only=True):
    """A thread to be kept, and when to look at it again."""

    key: CallKey
    thread: Thread
    timer_us: int | None


class Order(Struct, frozen=True, gc=False, kw_only=True):
    """A draft to be kept for delivery, with the event that it came of.

    `trace` is that event's span, as W3C's `traceparent`; None where nothing is traced.
    """

    draft: Draft
    source: str
    reference_id: str
    event_id: str
    accepted_us: int
    trace: str | None = None


class Gate(Struct, frozen=True, gc=False, kw_only=True):
    """What a claim may take: one kind of delivery of one route."""

    route: str
    kind: Kind


class Claim(Struct, frozen=True, gc=False, kw_only=True):
    """What to claim at a gate: how many of which tier.

    `live_us` is since when what was accepted counts as live. It is for the workspace of `scope`;
    `floor_id` is the highest id that an errand is known to have there, and what is made from now on
    has a higher one *(assumed)*.
    """

    gate: Gate
    tier: Tier
    limit: int
    now_us: int
    live_us: int
    scope: str = ""
    floor_id: int = 0


class Parcel(Struct, frozen=True, gc=False, kw_only=True):
    """A claimed delivery. `attempts` counts the one now under way.

    `payload` is a `Card` for a contact card. `person` is its contact's id, else empty. `scope` is
    the workspace that it goes to or was tried at last, empty where it was never tried; `floor_id`
    is the highest id that an errand was known to have there before. `trace` is the span that it is
    a part of: of the event that caused it, or of the attempt once that has begun. `is_later`: it
    was to wait for its time, as what is tried again is, or a person has sent it again.
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
    payload: Payload | Card
    person: str = ""
    scope: str = ""
    floor_id: int = 0
    is_probe: bool = False
    is_later: bool = False
    trace: str | None = None

    @property
    def message_id(self) -> str:
        """What an errand is known by at both ends; it begins the key, whatever the payload."""
        return self.key.rpartition(":")[0]


class Settlement(Struct, frozen=True, gc=False, kw_only=True):
    """How a delivery stands after an attempt. `tier` is 1 where `due_us` is to be waited for."""

    id: int
    state: State
    due_us: int
    attempts: int
    tier: int = 0
    remote_id: str = ""
    error: str = ""
    done_us: int | None = None


class Attempt(Struct, frozen=True, gc=False, kw_only=True):
    """One try, as `dead-letters show` tells it."""

    delivery_id: int
    at_us: int
    seconds: float
    outcome: str
    status: int
    detail: str


class Pause(Struct, frozen=True, gc=False, kw_only=True):
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


class Sighting(Struct, frozen=True, gc=False, kw_only=True):
    """An errand that was read at Cention, and the marker it carries; empty where it is others'."""

    errand_id: int
    marker: str


class Quarrel(Struct, frozen=True, gc=False, kw_only=True):
    """Something that is said to be one person's, and is another's; see `domain.contacts.Dispute`.

    `decided` is the policy that it was decided by.
    """

    key: Key
    owner: str
    claimant: str
    decided: str
    at_us: int


class Telling(Struct, frozen=True, gc=False, kw_only=True):
    """Somebody is sent a message: `whom` is a mark that tells nobody who, `key` the delivery's."""

    whom: str
    template: str
    key: str
    at_us: int


class Refusal(Struct, frozen=True, gc=False, kw_only=True):
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
