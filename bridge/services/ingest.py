"""Intake: an event is let in, and kept with all that it will cause."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Any, Final, Protocol

import orjson
from msgspec import Struct

from bridge.domain.admission import Admission, admit
from bridge.domain.events import CallEvent, parse_event
from bridge.domain.plain_events import PlainEvent, canonical
from bridge.ports import Clock, Entry, EventKey, Gate, Meter, Transaction, Writer
from bridge.services.claims import Claimed, Offer
from bridge.services.folding import NO_EFFECT, Effect, Folder, Happening, IngestPolicy, digest

COMMIT_MAX: Final = 250
_NESTED: Final = ("contact", "extraData")


class Taken(StrEnum):
    """What became of an event at the door."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class Arrival(Struct, frozen=True, gc=False, kw_only=True):
    """An admitted event on its way into the store; `trace` is its span, where it is traced."""

    admission: Admission
    digest: bytes
    payload: bytes
    received_us: int
    trace: str | None = None

    @property
    def event(self) -> CallEvent:
        """The event itself."""
        return self.admission.event

    @property
    def key(self) -> EventKey:
        """What tells it from every other event."""
        return self.event.source, self.event.event_id


class Receipt(Struct, frozen=True, gc=False):
    """What became of an arrival, and what it set going.

    At gates that are `emptied` nothing waits any more: it left with the commit.
    """

    taken: Taken
    effect: Effect = NO_EFFECT
    emptied: frozenset[Gate] = frozenset()


class Outlet(Protocol):
    """Who takes what events cause in the commit that keeps them."""

    def offer(self, routes: AbstractSet[str]) -> Offer | None:
        """Return an offer for events of these routes, if one can be made now."""
        ...

    def taken_up(self, offer: Offer, taken: Claimed | None) -> None:
        """Say what an offer took; None: nothing, since the commit failed."""
        ...


class Watcher(Protocol):
    """Who follows which agent is on which call, in the commits that keep events."""

    def note(self, tx: Transaction, happenings: Sequence[Happening], now_us: int) -> None:
        """Note what a commit's events say; it may be done again, if the commit fails."""
        ...

    def noted(self) -> None:
        """Say that what was noted is on disk."""
        ...


class Ingest:
    """Takes events in. `on_work` is told which gates have something waiting after a commit.

    The `outlet` may take what events cause with the same commit; the `watcher`, where there is one,
    follows who is on which call.
    """

    def __init__(  # noqa: PLR0913 - the ports it stands on, each by name
        self,
        *,
        writer: Writer,
        clock: Clock,
        meter: Meter,
        policy: IngestPolicy,
        digest_key: bytes,
        on_work: Callable[[Iterable[Gate]], None],
        outlet: Outlet | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        """Stand on these ports. `policy` can be replaced while running."""
        self._writer = writer
        self._clock = clock
        self._meter = meter
        self._digest_key = digest_key
        self._on_work = on_work
        self._outlet = outlet
        self._watcher = watcher
        self._folder = Folder(policy, digest_key)

    def folder(self) -> Folder:
        """Return who folds by the policy of now."""
        return self._folder

    @property
    def policy(self) -> IngestPolicy:
        """What the site has decided."""
        return self._folder.policy

    @policy.setter
    def policy(self, policy: IngestPolicy) -> None:
        self._folder = Folder(policy, self._digest_key)

    def admit(
        self, document: object, *, source: str, trace: str | None = None, is_timed: bool = True
    ) -> Arrival:
        """Check one event; what it causes becomes a part of its trace.

        Without `is_timed`, its time is that of its receipt, and another one when it comes again:
        then it is the same event by all the rest.

        Raises:
            InvalidEvent: it is not a valid one.
        """
        now_us, policy = self._clock.now_us(), self.policy
        admission = admit(
            document if isinstance(document, PlainEvent) else parse_event(document),
            source=source,
            routes=policy.guide.routes,
            now_us=now_us,
            age_days_max=policy.journal_days,
        )
        payload = _canonical(document)
        content = payload if is_timed else _canonical(document, leaving_out="occurredAt")
        return Arrival(
            admission=admission,
            digest=digest(self._digest_key, content),
            payload=payload,
            received_us=now_us,
            trace=trace,
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
            kept = await self._kept(some)
            done = [
                (arrival, receipt)
                for arrival, receipt in zip(some, kept, strict=True)
                if isinstance(receipt, Receipt)
            ]
            self._count(done)
            gates = frozenset[Gate]().union(
                *[receipt.effect.gates - receipt.emptied for _, receipt in done]
            )
            if gates:
                self._on_work(gates)
            if self._watcher is not None:
                self._watcher.noted()
            receipts += kept
        return receipts

    async def _kept(self, arrivals: Sequence[Arrival]) -> list[Receipt | Exception]:
        offer = None
        if self._outlet is not None:
            offer = self._outlet.offer({arrival.event.route for arrival in arrivals})
        if self._outlet is None or offer is None:
            return _receipts(await self._writer.submit_all(self._keep, arrivals))
        # Whoever waits may be cancelled, and what was claimed must leave all the same.
        keeping = asyncio.ensure_future(self._kept_with(arrivals, offer, self._outlet))
        # Then what came of it is asked for by nobody, which is no fault to be reported.
        keeping.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(keeping)

    async def _kept_with(
        self, arrivals: Sequence[Arrival], offer: Offer, outlet: Outlet
    ) -> list[Receipt | Exception]:
        taken: Claimed | Receipt | Exception | None = None
        try:
            items: list[Arrival | Offer] = [*arrivals, offer]
            *kept, taken = await self._writer.submit_all(self._keep, items)
        finally:
            outlet.taken_up(offer, taken if isinstance(taken, Claimed) else None)
        return _receipts(kept)

    def _count(self, done: Sequence[tuple[Arrival, Receipt]]) -> None:
        outcomes: dict[tuple[str, Taken], int] = {}
        numbers: dict[tuple[str, str], int] = {}
        for arrival, receipt in done:
            outcome = arrival.event.type, receipt.taken
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            if receipt.taken is not Taken.ACCEPTED:
                continue
            for number in arrival.admission.numbers:
                numbers[number] = numbers.get(number, 0) + 1
            if arrival.admission.unknown_keys:
                self._meter.unknown_keys(arrival.admission.unknown_keys)
            count_effect(self._meter, receipt.effect)
        for (event_type, taken), count in outcomes.items():
            word = "rejected" if taken is Taken.CONFLICT else taken.value
            self._meter.event(event_type, word, count)
        for (name, result), count in numbers.items():
            self._meter.number(name, result, count)

    def _keep(self, tx: Transaction, items: Sequence[Arrival | Offer]) -> list[Receipt | Claimed]:
        """Keep a commit's arrivals, and let offers take what they cause."""
        arrivals = [one for one in items if isinstance(one, Arrival)]
        receipts = self._keep_arrivals(tx, arrivals)
        if len(arrivals) == len(items):
            return list(receipts)
        taken = {one: one.claim(tx) for one in items if isinstance(one, Offer)}
        emptied = frozenset[Gate]().union(*(offer.emptied(one) for offer, one in taken.items()))
        rest = (_with_emptied(receipt, emptied) for receipt in receipts)
        return [taken[one] if isinstance(one, Offer) else next(rest) for one in items]

    def _keep_arrivals(self, tx: Transaction, arrivals: Sequence[Arrival]) -> list[Receipt]:
        """Keep those that are new: the same may have come twice within a commit."""
        if not arrivals:
            return []
        digests = tx.digests({arrival.key for arrival in arrivals})
        receipts: list[Receipt | None] = []
        fresh: list[Arrival] = []
        for arrival in arrivals:
            known = digests.get(arrival.key)
            if known is None:
                digests[arrival.key] = arrival.digest
                fresh.append(arrival)
                receipts.append(None)
                continue
            is_same = known == arrival.digest
            receipts.append(Receipt(Taken.DUPLICATE if is_same else Taken.CONFLICT))
        happenings = [Happening(one.event, one.received_us, one.trace) for one in fresh]
        of_calls = [one for one in happenings if not one.event.type.is_of_agent]
        folded = iter(self._folder.fold(tx, of_calls, self._clock.now_us()) if of_calls else ())
        effects = [NO_EFFECT if one.event.type.is_of_agent else next(folded) for one in happenings]
        if self._watcher is not None and happenings:
            self._watcher.note(tx, happenings, self._clock.now_us())
        tx.add_events(
            [_entry(one, effect.rule) for one, effect in zip(fresh, effects, strict=True)]
        )
        accepted = iter(effects)
        return [receipt or Receipt(Taken.ACCEPTED, next(accepted)) for receipt in receipts]


def _receipts(
    results: Sequence[Receipt | Claimed | Exception],
) -> list[Receipt | Exception]:
    return [one for one in results if not isinstance(one, Claimed)]


def _with_emptied(receipt: Receipt, gates: frozenset[Gate]) -> Receipt:
    """Return a receipt that knows at which gates nothing waits any more."""
    if receipt.effect.gates.isdisjoint(gates):
        return receipt
    return Receipt(receipt.taken, receipt.effect, gates)


def count_effect(meter: Meter, effect: Effect) -> None:
    """Count what an event has set going."""
    if effect.contact:
        meter.contact(effect.contact)
    if effect.ends_skipped:
        meter.end_skipped(effect.ends_skipped)
    for reason in effect.unsent:
        meter.unsent(reason)


def _entry(arrival: Arrival, rule: str) -> Entry:
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
        rule=rule,
    )


def _canonical(document: Any, leaving_out: str = "") -> bytes:
    """Return the content that tells two events apart: `null` and `""` are the same as absent."""
    if isinstance(document, PlainEvent):
        return canonical(document)
    content = _present(document)
    content.pop(leaving_out, None)
    for name in _NESTED:
        if isinstance(content.get(name), dict):
            content[name] = _present(content[name])
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def _present(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None and value != ""}
