"""Folding: what a commit's events change is worked out here, and written down in sets.

Each event goes into its call; what the rules ask for then becomes deliveries, people, messages.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.calls import CallPolicy, Folded, Thread, fold
from bridge.domain.considering import consider
from bridge.domain.contacts import Claim, ConflictPolicy, Identified, Key, Person, identify
from bridge.domain.deliveries import Draft, Kind, Notice, TicketWish, TicketWork, Unsent
from bridge.domain.errands import Guide
from bridge.domain.events import CallEvent
from bridge.domain.routes import is_outlet
from bridge.ports import CallKey, Gate, Order, Quarrel, Telling, ThreadRow, Transaction

DIGEST_BYTES: Final = 16


def digest(key: bytes, content: bytes) -> bytes:
    """Return what tells one content from another; `key` is the store's secret."""
    return hashlib.blake2b(content, key=key, digest_size=DIGEST_BYTES).digest()


def mark(key: bytes, *parts: str) -> str:
    """Return what stands for somebody in the store without telling who it is."""
    return digest(key, "\0".join(parts).encode()).hex()


# By which route a ticket of an event's agent goes; empty: nobody knows which, or whose.
TicketRoute = Callable[[CallEvent, TicketWish], str]


class IngestPolicy(Struct, frozen=True, gc=False, kw_only=True):
    """What a site has decided about intake; `journal_days` is how far back an event may lie.

    `ticket_route` says by which route a ticket of an event's agent goes; None: none does.
    """

    calls: CallPolicy
    guide: Guide
    conflict: ConflictPolicy = "prefer_cuid"
    ticket_route: TicketRoute | None = None
    refresh_us: int = 30 * 86_400_000_000
    journal_days: int = 30


class Happening(Struct, frozen=True, gc=False):
    """An event on its way into its call, and when it was taken (microseconds since 1970).

    `trace` is its span, as W3C's `traceparent`; None where nothing is traced.
    """

    event: CallEvent
    received_us: int
    trace: str | None = None

    @property
    def key(self) -> CallKey:
        """The call that it belongs to."""
        return self.event.source, self.event.call_reference


class Effect(Struct, frozen=True, gc=False, kw_only=True):
    """What an event has set going: `rule` decided it, `gates` are where something waits now.

    `contact` is how the caller's card is counted, `unsent` why messages were not sent.
    """

    rule: str = ""
    gates: frozenset[Gate] = frozenset()
    contact: str = ""
    ends_skipped: int = 0
    unsent: tuple[Unsent, ...] = ()


NO_EFFECT: Final = Effect()


@dataclass(slots=True)
class _Sheet:
    """What one commit's events have changed so far."""

    threads: dict[CallKey, Thread]
    owners: dict[Key, str] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    told: dict[tuple[str, str], int] = field(default_factory=dict)
    rows: dict[CallKey, ThreadRow] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    called_off: set[str] = field(default_factory=set)
    changed: dict[str, Person] = field(default_factory=dict)
    keys: list[tuple[Key, str]] = field(default_factory=list)
    wanted: dict[str, Person] = field(default_factory=dict)
    # By person: the span of the event that wants a card last.
    traces: dict[str, str] = field(default_factory=dict)
    quarrels: list[Quarrel] = field(default_factory=list)
    tellings: list[Telling] = field(default_factory=list)


class Folder:
    """Folds events into their calls. Another policy is another folder: a commit goes by one."""

    def __init__(self, policy: IngestPolicy, digest_key: bytes) -> None:
        """Decide by this policy; the key is the store's secret."""
        self.policy: Final = policy
        self._digest_key = digest_key

    def fold(self, tx: Transaction, happenings: Sequence[Happening], now_us: int) -> list[Effect]:
        """Fold a commit's events of calls, reading and writing in sets."""
        sheet = _Sheet(threads=tx.threads({one.key for one in happenings}))
        folded = [self._fold(sheet, one) for one in happenings]
        self._look_up(tx, sheet, folded)
        effects = [
            self._effect(sheet, happening, one, now_us)
            for happening, one in zip(happenings, folded, strict=True)
        ]
        return self._written(tx, sheet, effects, now_us)

    def _fold(self, sheet: _Sheet, happening: Happening) -> Folded:
        event, received_us = happening.event, happening.received_us
        guide = self.policy.guide
        folded = fold(
            sheet.threads.get(happening.key, Thread()),
            event,
            lambda span: consider(event, span, guide, received_us),
            self.policy.calls,
            received_us=received_us,
        )
        sheet.threads[happening.key] = folded.thread
        sheet.rows[happening.key] = ThreadRow(
            key=happening.key, thread=folded.thread, timer_us=folded.timer_us
        )
        return folded

    def _look_up(self, tx: Transaction, sheet: _Sheet, folded: Sequence[Folded]) -> None:
        """Read who is known of those that the events speak of, and what they were told."""
        keys: set[Key] = set()
        notices = [one.notice for one in folded if one.notice is not None]
        for one in folded:
            keys.update(one.asked.claim.identifiers() if one.asked.claim is not None else ())
        keys.update(_voice(notice) for notice in notices)
        if not keys:
            return
        sheet.owners = tx.owners(keys)
        sheet.people = tx.people(set(sheet.owners.values()))
        if notices:
            whom = {self._mark(*of_number(notice.number)) for notice in notices}
            whom.update(self._mark(person) for person in sheet.people)
            sheet.told = tx.told(whom)

    def _effect(self, sheet: _Sheet, happening: Happening, folded: Folded, now_us: int) -> Effect:
        asked = folded.asked
        gates = {self._order(sheet, happening, draft) for draft in folded.drafts}
        contact, person = "", ""
        if asked.claim is not None:
            contact, person = self._identify(sheet, asked.claim, gates, now_us)
            if person and happening.trace is not None:
                sheet.traces[person] = happening.trace
        unsent = [] if asked.unsent is None else [asked.unsent]
        if folded.notice is not None:
            if self._tell(sheet, folded.notice, person):
                gates.add(self._order(sheet, happening, folded.notice.draft))
            else:
                unsent.append(Unsent.REPEATED)
        sheet.called_off.update(folded.called_off)
        if folded.ticket is not None:
            drafts = self._tickets(happening.event, folded.ticket)
            gates.update(self._order(sheet, happening, draft) for draft in drafts)
        return Effect(
            rule=asked.rule,
            gates=frozenset(gates),
            contact=contact,
            ends_skipped=folded.ends_skipped,
            unsent=tuple(unsent),
        )

    def _tickets(self, event: CallEvent, wish: TicketWish) -> list[Draft]:
        """Return what is to leave about a ticket; nothing, if nobody knows which, or whose."""
        route_of = self.policy.ticket_route
        route = "" if route_of is None else route_of(event, wish)
        if not route:
            return []
        told = (event.source, event.call_reference, wish.ticket_id)
        lane = f"ticket-{self._mark(*told)}"
        wanted = ((wish.picks, Kind.PICK_TICKET), (wish.closes, Kind.CLOSE_ROOM))
        return [
            Draft(
                key=f"{lane}:{kind.value}",
                lane=lane,
                position=position,
                kind=kind,
                route=route,
                payload=TicketWork(ticket_id=wish.ticket_id),
            )
            for position, (is_wanted, kind) in enumerate(wanted)
            if is_wanted
        ]

    def _order(self, sheet: _Sheet, happening: Happening, asked: Draft) -> Gate:
        draft = asked
        if not (asked.kind.is_of_ticket or is_outlet(asked.route)):
            # A route may be gone since the errand was made; what is left of the call still leaves.
            route = self.policy.guide.routes.named(asked.route).name
            draft = replace(asked, route=route)
        sheet.orders.append(
            Order(
                draft=draft,
                source=happening.event.source,
                reference_id=happening.event.call_reference,
                event_id=happening.event.event_id,
                accepted_us=happening.received_us,
                trace=happening.trace,
            )
        )
        return Gate(route=draft.route, kind=draft.kind)

    def _identify(
        self, sheet: _Sheet, said: Claim, gates: set[Gate], now_us: int
    ) -> tuple[str, str]:
        """Lay what is said of a caller over what is known.

        Returns how it is counted, and the person's id.
        """
        identified = identify(
            said,
            sheet.owners,
            sheet.people,
            new_id=self._person_id(said.identifiers()),
            policy=self.policy.conflict,
        )
        sheet.quarrels += _quarrels(identified, self.policy.conflict, now_us)
        person = identified.person
        if person is None:
            return "conflict", ""
        if person != sheet.people.get(person.id):
            sheet.changed[person.id] = person
        sheet.people[person.id] = person
        for key in identified.new_keys:
            sheet.owners[key] = person.id
            sheet.keys.append((key, person.id))
        shared = self.policy.guide.shared_numbers
        is_wanted = bool(person.missing(now_us, self.policy.refresh_us, shared))
        if is_wanted:
            sheet.wanted[person.id] = person
            gates.add(Gate(route=person.route, kind=Kind.CONTACT_CARD))
        if identified.is_conflict:
            return "conflict", person.id
        return "" if is_wanted else "unchanged", person.id

    def _tell(self, sheet: _Sheet, notice: Notice, person: str) -> bool:
        """Note that somebody is told something; False: they were told it a short time ago."""
        person = person or sheet.owners.get(_voice(notice), "")
        at_us = notice.draft.not_before_us or 0
        # By the number too: it is the same one in every workspace.
        whom = [
            self._mark(*of_number(notice.number)),
            *([self._mark(person)] if person else []),
        ]
        for mark in whom:
            before_us = sheet.told.get((mark, notice.template))
            if before_us is not None and abs(at_us - before_us) < notice.not_within_us:
                return False
        for mark in whom:
            sheet.told[mark, notice.template] = at_us
            sheet.tellings.append(
                Telling(whom=mark, template=notice.template, key=notice.draft.key, at_us=at_us)
            )
        return True

    def _written(
        self, tx: Transaction, sheet: _Sheet, effects: Sequence[Effect], now_us: int
    ) -> list[Effect]:
        tx.save_threads(list(sheet.rows.values()))
        tx.put_orders(sheet.orders)
        tx.save_people(list(sheet.changed.values()), sheet.keys)
        tx.want_cards(list(sheet.wanted.values()), now_us, sheet.traces)
        if sheet.quarrels:
            tx.note_quarrels(sheet.quarrels)
        if sheet.tellings:
            tx.tell(sheet.tellings)
        if not sheet.called_off:
            return list(effects)
        count = tx.call_off(sheet.called_off, "the call was answered after all", now_us)
        first, *others = effects
        return [
            replace(first, unsent=(*first.unsent, *[Unsent.ANSWERED] * count)),
            *others,
        ]

    def _person_id(self, keys: Sequence[Key]) -> str:
        return self._mark(*(part for key in keys for part in key))

    def _mark(self, *parts: str) -> str:
        return mark(self._digest_key, *parts)


def of_number(number: str) -> tuple[str, ...]:
    """Return what is marked for an MSISDN; see `mark`."""
    return "number", number


def _voice(notice: Notice) -> Key:
    return notice.scope, "voice", f"+{notice.number}"


def _quarrels(identified: Identified, policy: ConflictPolicy, now_us: int) -> list[Quarrel]:
    return [
        Quarrel(key=one.key, owner=one.owner, claimant=one.claimant, decided=policy, at_us=now_us)
        for one in identified.disputes
    ]
