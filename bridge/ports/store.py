"""The store, as the services ask for it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from bridge.domain.calls import CallKey, Thread
from bridge.domain.contacts import Key, Person
from bridge.domain.deliveries import Kind
from bridge.ports.feedback import FeedbackTransaction
from bridge.ports.records import (
    Attempt,
    Claim,
    Entry,
    EventKey,
    Gate,
    Order,
    Parcel,
    Pause,
    Quarrel,
    Refusal,
    Settlement,
    Sighting,
    Telling,
    ThreadRow,
)

if TYPE_CHECKING:
    from bridge.ports.presence import PresenceTransaction

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Transaction(FeedbackTransaction, Protocol):
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

        With the payload it takes the trace, where there is one.

        A known one that was tried already stays as it is.
        """
        ...

    def save_people(self, people: Sequence[Person], keys: Sequence[tuple[Key, str]]) -> None:
        """Keep people in their new form, and note the keys that are theirs."""
        ...

    def note_quarrels(self, quarrels: Sequence[Quarrel]) -> None:
        """Note what two people are said to have; again is counted, and told with the last time."""
        ...

    def told(self, whom: Collection[str]) -> dict[tuple[str, str], int]:
        """Return when each of these was last sent which message, by mark and template."""
        ...

    def tell(self, tellings: Sequence[Telling]) -> None:
        """Note who is sent which message."""
        ...

    def call_off(self, keys: Collection[str], why: str, now_us: int) -> int:
        """Give up messages that wait; return how many.

        Whom one was for that was never tried has not been told. What is on its way, in doubt or
        with a person is over as of now: it isn't tried again.
        """
        ...

    def expire(self, now_us: int, limit: int) -> int:
        """Give up messages whose time is over, `limit` at most, as `call_off`; return how many."""
        ...

    def want_cards(
        self,
        people: Sequence[Person],
        accepted_us: int,
        traces: Mapping[str, str] | None = None,
    ) -> None:
        """See to it that a contact card leaves for each of these people.

        `traces` holds, by person's id, the span of the event that wants it, where it is traced: a
        card that waits already becomes a part of that one's trace, since it tells the latest.
        """
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

    def stocked(self, gates: Collection[Gate]) -> set[Gate]:
        """Return the gates at which something is ready, due or not."""
        ...

    def stocked_of(self, kinds: Collection[Kind]) -> set[Gate]:
        """Return the gates of these kinds at which something is ready, due or not."""
        ...

    def claim(self, claim: Claim) -> list[Parcel]:
        """Mark lane heads that are due as on their way, and return them.

        What can't be read is set aside as dead, and its lane parked.
        """
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
        """Give what waits at a route that is none of these to the default; return how many.

        A message stays where it is, since nobody else has the token of its channel. An answer that
        is to be sent on, and has no address any more, is held for a person; so is what is about a
        ticket of an agent who is gone.
        """
        ...

    def sending(self) -> list[Parcel]:
        """Return what was on its way when the store was last closed or lost."""
        ...

    def doubtful(self) -> list[Parcel]:
        """Return what is being looked up, without payloads; `attempts` counts those made."""
        ...

    def highest_ids(self) -> dict[str, int]:
        """Return the highest id that an errand is known to have, by workspace's scope."""
        ...

    def save_highest_ids(self, highest: Mapping[str, int]) -> None:
        """Keep the highest ids."""
        ...

    def seen(self, scope: str, errand_ids: Collection[int]) -> set[int]:
        """Return those errands that need not be read: whose they are is known already."""
        ...

    def marked(self, scope: str, markers: Collection[str]) -> dict[str, int]:
        """Return which errands carry these markers; of several, the one with the lowest id."""
        ...

    def intend(self, scope: str, errand_ids: Collection[int], now_us: int) -> None:
        """Note that these errands are about to be read, which takes them off Cention's list."""
        ...

    def note(self, scope: str, sightings: Sequence[Sighting], now_us: int) -> None:
        """Note what was read; the intent stays open until it is closed."""
        ...

    def intents(self, scope: str) -> list[int]:
        """Return the open intents: errands that may be off the list, and have to be put back."""
        ...

    def close_intents(self, scope: str, errand_ids: Collection[int]) -> None:
        """Note that these errands are on the list again, or don't belong there.

        One that was never noted is known no more: it is to be read again.
        """
        ...

    def shift(self, drift_us: int) -> int:
        """Move every time at which something is due along with the clock; return how many."""
        ...

    def presence(self) -> "PresenceTransaction":
        """Return the part that is about agents' presence; few sites use it."""
        ...

    def add_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Keep what was refused at the door."""
        ...

    def touch(self, now_us: int) -> None:
        """Write something of no other use, to see that writing works."""
        ...

    def archive(self, before_us: int, limit: int) -> int:
        """Move up to `limit` deliveries that were delivered before then out of the outbox.

        They are known by their keys, and told of, for as long as the journal is. Returns how many
        were moved; fewer than `limit`, and one at least, where they are large.
        """
        ...

    def purge(self, horizons: Mapping[str, int], limit: int) -> int:
        """Remove up to `limit` rows of each kind that are past their time; return how many went.

        `horizons` holds, in microseconds since 1970, before when these go: `payload`, the content
        of events, of what was delivered and of what came back; `journal`, all of these themselves,
        with what was tried and read; `calls`, those without an open errand, and what was said in
        the others; `callbacks`, the others; `told`, who was sent which message; `people`, who
        quarrelled over what;
        `quarantine`, what was refused. What waits, for Cention or for a person, stays.
        """
        ...

    def purge_people(self, after: str, before_us: int, limit: int) -> str:
        """Look at `limit` people, by id after this one, and erase who is past their time.

        That is whom no event has named and no card of whom was confirmed since `before_us`, if
        nothing of theirs waits. Returns the id to go on after; empty: all were looked at.
        """
        ...


Handler = Callable[[Transaction, Sequence[ItemT]], Sequence[ResultT]]


class Writer(Protocol):
    """The one who writes: what arrives while a commit runs shares the next one."""

    async def submit(self, handler: Handler[ItemT, ResultT], item: ItemT) -> ResultT:
        """Have an item handled in the next commit, and return its result once that is on disk.

        Whoever waits may be cancelled; the item is handled all the same.

        Raises:
            StoreUnavailable: it can't be kept now; or, as `StoreBroken`, by this process no more.
        """
        ...

    async def submit_all(
        self, handler: Handler[ItemT, ResultT], items: Sequence[ItemT]
    ) -> list[ResultT | Exception]:
        """Have many items handled in the same commit; as `submit`.

        An item that can't be handled gets its exception as result, and fails no other.
        """
        ...
