"""Intake: an event is let in, folded into its call, and kept with all that it will cause."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import orjson

from bridge.domain.admission import Admission, admit
from bridge.domain.calls import CallPolicy, Thread, fold
from bridge.domain.contacts import Claim, ConflictPolicy, Key, Person, identify
from bridge.domain.deliveries import Kind
from bridge.domain.errands import Guide, claim, consider
from bridge.domain.events import CallEvent, parse_event
from bridge.ports import (
    CallKey,
    Clock,
    Entry,
    EventKey,
    Gate,
    Meter,
    Order,
    ThreadRow,
    Transaction,
    Writer,
)

DIGEST_BYTES: Final = 16
COMMIT_MAX: Final = 250
_NESTED: Final = ("contact", "extraData")


class Taken(StrEnum):
    """What became of an event at the door."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestPolicy:
    """What a site has decided about intake; `journal_days` is how far back an event may lie."""

    calls: CallPolicy
    guide: Guide
    conflict: ConflictPolicy = "prefer_cuid"
    refresh_us: int = 30 * 86_400_000_000
    journal_days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An admitted event on its way into the store."""

    admission: Admission
    digest: bytes
    payload: bytes
    received_us: int

    @property
    def event(self) -> CallEvent:
        """The event itself."""
        return self.admission.event

    @property
    def key(self) -> EventKey:
        """What tells it from every other event."""
        return self.event.source, self.event.event_id


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an arrival, and what it set going."""

    taken: Taken
    gates: frozenset[Gate] = frozenset()
    contact: str = ""
    ends_skipped: int = 0


@dataclass(slots=True)
class _Group:
    """What one commit's arrivals have changed so far."""

    threads: dict[CallKey, Thread]
    owners: dict[Key, str]
    people: dict[str, Person]
    digests: dict[EventKey, bytes]
    rows: dict[CallKey, ThreadRow] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    changed: dict[str, Person] = field(default_factory=dict)
    keys: list[tuple[Key, str]] = field(default_factory=list)
    wanted: dict[str, Person] = field(default_factory=dict)


class Ingest:
    """Takes events in. `on_work` is told which gates have something waiting after a commit."""

    def __init__(
        self,
        *,
        writer: Writer,
        clock: Clock,
        meter: Meter,
        policy: IngestPolicy,
        digest_key: bytes,
        on_work: Callable[[Iterable[Gate]], None],
    ) -> None:
        """Stand on these ports. `policy` can be replaced while running."""
        self._writer = writer
        self._clock = clock
        self._meter = meter
        self._digest_key = digest_key
        self._on_work = on_work
        self.policy = policy

    def admit(self, document: object, *, source: str) -> Arrival:
        """Check one event.

        Raises:
            InvalidEvent: it is not a valid one.
        """
        now_us = self._clock.now_us()
        admission = admit(
            parse_event(document),
            source=source,
            routes=self.policy.guide.routes,
            now_us=now_us,
            age_days_max=self.policy.journal_days,
        )
        payload = orjson.dumps(_canonical(document), option=orjson.OPT_SORT_KEYS)
        return Arrival(
            admission=admission,
            digest=self._digest(payload),
            payload=payload,
            received_us=now_us,
        )

    async def take(self, arrivals: Sequence[Arrival]) -> list[Receipt | Exception]:
        """Keep events with all that they will cause; on disk when this returns.

        Many are kept in several commits, so that a large batch doesn't hold up everybody else.

        Raises:
            StoreUnavailable: they can't be kept now.
        """
        receipts: list[Receipt | Exception] = []
        for start in range(0, len(arrivals), COMMIT_MAX):
            some = arrivals[start : start + COMMIT_MAX]
            kept = await self._writer.submit_all(self._keep, some)
            gates: set[Gate] = set()
            for arrival, receipt in zip(some, kept, strict=True):
                if isinstance(receipt, Receipt):
                    self._count(arrival, receipt)
                    gates |= receipt.gates
            if gates:
                self._on_work(gates)
            receipts += kept
        return receipts

    def _count(self, arrival: Arrival, receipt: Receipt) -> None:
        outcome = "rejected" if receipt.taken is Taken.CONFLICT else receipt.taken.value
        self._meter.event(arrival.event.type, outcome)
        if receipt.taken is not Taken.ACCEPTED:
            return
        for name, result in arrival.admission.numbers:
            self._meter.number(name, result)
        if arrival.admission.unknown_keys:
            self._meter.unknown_keys(arrival.admission.unknown_keys)
        if receipt.contact:
            self._meter.contact(receipt.contact)
        if receipt.ends_skipped:
            self._meter.end_skipped(receipt.ends_skipped)

    def _digest(self, content: bytes) -> bytes:
        return hashlib.blake2b(content, key=self._digest_key, digest_size=DIGEST_BYTES).digest()

    def _keep(self, tx: Transaction, arrivals: Sequence[Arrival]) -> list[Receipt]:
        """Fold a commit's arrivals, reading and writing in sets."""
        claims = [claim(arrival.event, self.policy.guide) for arrival in arrivals]
        owners = tx.owners({key for one in claims if one is not None for key in one.identifiers()})
        group = _Group(
            digests=tx.digests({arrival.key for arrival in arrivals}),
            threads=tx.threads({key for one in arrivals if (key := _call_key(one.event))}),
            owners=owners,
            people=tx.people(set(owners.values())),
        )
        receipts = [
            self._keep_one(group, arrival, said)
            for arrival, said in zip(arrivals, claims, strict=True)
        ]
        tx.add_events(group.entries)
        tx.save_threads(list(group.rows.values()))
        tx.put_orders(group.orders)
        tx.save_people(list(group.changed.values()), group.keys)
        tx.want_cards(list(group.wanted.values()), self._clock.now_us())
        return receipts

    def _keep_one(self, group: _Group, arrival: Arrival, said: Claim | None) -> Receipt:
        known = group.digests.get(arrival.key)
        if known is not None:
            return Receipt(Taken.DUPLICATE if known == arrival.digest else Taken.CONFLICT)
        group.digests[arrival.key] = arrival.digest
        event = arrival.event
        group.entries.append(_entry(arrival))
        gates: set[Gate] = set()
        skipped = self._fold(group, arrival, gates)
        contact = ""
        if said is not None:
            contact = self._identify(group, said, gates)
        if event.type.is_of_agent:
            return Receipt(Taken.ACCEPTED)
        return Receipt(Taken.ACCEPTED, frozenset(gates), contact, skipped)

    def _fold(self, group: _Group, arrival: Arrival, gates: set[Gate]) -> int:
        event = arrival.event
        key = _call_key(event)
        if key is None:
            return 0
        guide = self.policy.guide
        folded = fold(
            group.threads.get(key, Thread()),
            event,
            lambda span: consider(event, span, guide),
            self.policy.calls,
            received_us=arrival.received_us,
        )
        group.threads[key] = folded.thread
        group.rows[key] = ThreadRow(key=key, thread=folded.thread, timer_us=folded.timer_us)
        for asked in folded.drafts:
            # A route may be gone since the errand was made; what is left of the call still leaves.
            draft = replace(asked, route=guide.routes.named(asked.route).name)
            group.orders.append(
                Order(
                    draft=draft,
                    source=event.source,
                    reference_id=event.call_reference,
                    event_id=event.event_id,
                    accepted_us=arrival.received_us,
                )
            )
            gates.add(Gate(route=draft.route, kind=draft.kind))
        return folded.ends_skipped

    def _identify(self, group: _Group, said: Claim, gates: set[Gate]) -> str:
        """Lay what an event says of its caller over what is known; return how it is counted."""
        identified = identify(
            said,
            group.owners,
            group.people,
            new_id=self._person_id(said.identifiers()),
            policy=self.policy.conflict,
        )
        person = identified.person
        if person is None:
            return "conflict"
        if person != group.people.get(person.id):
            group.changed[person.id] = person
        group.people[person.id] = person
        for key in identified.new_keys:
            group.owners[key] = person.id
            group.keys.append((key, person.id))
        if person.missing(self._clock.now_us(), self.policy.refresh_us):
            group.wanted[person.id] = person
            gates.add(Gate(route=person.route, kind=Kind.CONTACT_CARD))
            return "conflict" if identified.is_conflict else ""
        return "conflict" if identified.is_conflict else "unchanged"

    def _person_id(self, keys: Sequence[Key]) -> str:
        content = "\0".join(part for key in keys for part in key)
        return self._digest(content.encode()).hex()


def _call_key(event: CallEvent) -> CallKey | None:
    return (event.source, event.call_reference) if not event.type.is_of_agent else None


def _entry(arrival: Arrival) -> Entry:
    event = arrival.event
    return Entry(
        source=event.source,
        event_id=event.event_id,
        event_type=event.type,
        reference_id=event.call_reference,
        route=event.route,
        occurred_us=event.occurred_us,
        received_us=arrival.received_us,
        digest=arrival.digest,
        payload=arrival.payload,
    )


def _canonical(document: Any) -> Any:
    """Return the content that tells two events apart: `null` and `""` are the same as absent."""
    content = _present(document)
    for name in _NESTED:
        if isinstance(content.get(name), dict):
            content[name] = _present(content[name])
    return content


def _present(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None and value != ""}
