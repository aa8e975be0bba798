"""Claiming: who of those that wait may leave next.

While first attempts wait, what is tried again gets one turn in ten; while live ones wait, what is
old gets one in ten as well; and while others wait, so do contact cards. All else goes by: live,
old, tried before; the gates take turns, and cards come after the others. Within one commit.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.contacts import Card
from bridge.domain.deliveries import Kind, NewErrand, State, Tier
from bridge.ports import Claim, Clock, Gate, Parcel, Pause, Settlement, Transaction
from bridge.services.channels import TURNS, Channel, Stock
from bridge.services.recording import PROBE_US, DispatchPolicy

LIVE_US: Final = 60_000_000
_OLD_TURN: Final = 0
_LATER_TURN: Final = 5
_CARD_TURN: Final = 3


class Wanted(Struct, frozen=True, gc=False):
    """A request for parcels: from where, how many, how many cards among them at most.

    `turn` counts what has left before. `is_probe` prefers what may safely be sent twice.
    """

    scope: str
    hot: frozenset[Stock]
    limit: int
    cards: int
    turn: int
    floor_id: int = 0
    is_probe: bool = False


class Claimed(Struct, frozen=True, gc=False):
    """What was claimed, and where more may be waiting."""

    parcels: list[Parcel]
    rest: frozenset[Stock]


class Offer:
    """A request for parcels that goes along with a commit of others."""

    def __init__(self, claims: "Claims", channel: Channel, wanted: Wanted) -> None:
        """Ask these claims for what may leave by the channel."""
        self._claims = claims
        self.channel = channel
        self.wanted = wanted
        self.is_taken_back = False

    def claim(self, tx: Transaction) -> Claimed:
        """Claim what may leave, within the commit; nothing, if the offer was taken back by then."""
        if self.is_taken_back:
            return Claimed([], self.wanted.hot)
        (taken,) = self._claims.take(tx, [self.wanted])
        return taken

    def emptied(self, taken: Claimed) -> frozenset[Gate]:
        """Return the gates at which nothing live is left that could have been taken."""
        stocks = self.wanted.hot - taken.rest
        return frozenset(gate for gate, tier in stocks if tier is Tier.LIVE)


@dataclass(slots=True)
class _Basket:
    """What one request has got so far."""

    wanted: Wanted
    now_us: int
    hot: set[Stock]
    parcels: list[Parcel] = field(default_factory=list)

    @property
    def room(self) -> int:
        return self.wanted.limit - len(self.parcels)

    def room_for(self, kind: Kind) -> int:
        if kind is not Kind.CONTACT_CARD:
            return self.room
        cards = sum(parcel.kind is Kind.CONTACT_CARD for parcel in self.parcels)
        return min(self.room, self.wanted.cards - cards)

    def gates(self, tier: Tier) -> list[Gate]:
        """Return the gates at which something of a tier may be waiting."""
        return sorted(
            (gate for gate, stock in self.hot if stock is tier),
            key=lambda one: (one.route, one.kind),
        )

    def claim(self, tx: Transaction, gate: Gate, tier: Tier, limit: int) -> int:
        found = tx.claim(
            Claim(
                gate=gate,
                tier=tier,
                limit=limit,
                now_us=self.now_us,
                live_us=self.now_us - LIVE_US,
                scope=self.wanted.scope,
                floor_id=self.wanted.floor_id,
            )
        )
        self.parcels += found
        return len(found)


class _Step(Struct, frozen=True, gc=False):
    """One tier asked for so many; `are_cards`: for contact cards only, None: for all kinds."""

    tier: Tier
    most: int
    are_cards: bool | None = None


class Claims:
    """Hands parcels out. `policy` can be replaced while running."""

    def __init__(self, clock: Clock, policy: DispatchPolicy) -> None:
        """Stand on these."""
        self._clock = clock
        # How often each tier of each upstream was asked, so that its gates take turns.
        self._asked: Counter[tuple[str, Tier, bool]] = Counter()
        self.policy = policy

    def take(self, tx: Transaction, wanted: Sequence[Wanted]) -> list[Claimed]:
        """Claim parcels for several requests, within one commit."""
        now_us = self._clock.now_us()
        shut = list(tx.pauses())
        taken = []
        for one in wanted:
            basket = _Basket(one, now_us, set(one.hot))
            if shut:
                _pass_shut_gates(tx, basket, shut)
            for step in _steps(one):
                self._fill(tx, basket, step)
            parcels = self._written(tx, basket.parcels, now_us)
            taken.append(Claimed(parcels, frozenset(basket.hot)))
        return taken

    def _fill(self, tx: Transaction, basket: _Basket, step: _Step) -> None:
        most = min(step.most, basket.room)
        for gate in self._in_turn(basket, step) if most else ():
            limit = min(most, basket.room_for(gate.kind))
            if most <= 0:
                return
            if limit <= 0:
                # Enough cards are under way: it is looked at again when one of them is back.
                basket.hot.discard((gate, step.tier))
                continue
            found = basket.claim(tx, gate, step.tier, limit)
            most -= found
            if found < limit:
                basket.hot.discard((gate, step.tier))

    def _in_turn(self, basket: _Basket, step: _Step) -> list[Gate]:
        """Return the gates to look at, each of them first in its turn."""
        gates = [
            gate
            for gate in basket.gates(step.tier)
            if step.are_cards in {None, gate.kind is Kind.CONTACT_CARD}
        ]
        if basket.wanted.is_probe:
            return sorted(gates, key=lambda gate: not gate.kind.is_repeatable)
        if not gates:
            return gates
        key = basket.wanted.scope, step.tier, bool(step.are_cards)
        first = self._asked[key] % len(gates)
        self._asked[key] += 1
        return gates[first:] + gates[:first]

    def _written(self, tx: Transaction, parcels: list[Parcel], now_us: int) -> list[Parcel]:
        """Write the contact cards among them, and drop those with nothing left to say."""
        people = tx.people({parcel.person for parcel in parcels if parcel.person})
        written: list[Parcel] = []
        empty: list[Settlement] = []
        for parcel in parcels:
            if parcel.kind is Kind.WATEMPLATE:
                if self._may_leave(tx, parcel, now_us):
                    written.append(parcel)
                continue
            if parcel.kind is not Kind.CONTACT_CARD:
                written.append(parcel)
                continue
            person = people.get(parcel.person)
            card = self.policy.missing(person, now_us) if person else Card()
            if card:
                written.append(replace(parcel, payload=card))
            else:
                empty.append(
                    Settlement(
                        id=parcel.id,
                        state=State.DELIVERED,
                        due_us=now_us,
                        attempts=parcel.attempts - 1,
                        done_us=now_us,
                    )
                )
        tx.settle(empty)
        return written

    def _may_leave(self, tx: Transaction, parcel: Parcel, now_us: int) -> bool:
        """See whether a message may leave now; else let it wait, or give it up."""
        if not isinstance(parcel.payload, NewErrand):
            return False
        until_us = self.policy.manners.wait_until_us(parcel.payload, parcel.route, now_us)
        if until_us is not None and until_us <= now_us:
            return True
        attempts = parcel.attempts - 1
        due_us = now_us if until_us is None else until_us
        tx.settle(
            [Settlement(id=parcel.id, state=State.READY, due_us=due_us, attempts=attempts, tier=1)]
        )
        if until_us is None:
            tx.call_off([parcel.key], "it is not to be sent any more", now_us)
        return False


def stocked_at(
    tx: Transaction, asked: Sequence[tuple[list[Gate], frozenset[Kind]]]
) -> list[set[Gate]]:
    """Return at which of these gates, and of all that are of these kinds, something is ready."""
    return [tx.stocked(gates) | (tx.stocked_of(of) if of else set()) for gates, of in asked]


def _steps(wanted: Wanted) -> Iterator[_Step]:
    """Yield which tier is asked for how many, in their order."""
    if wanted.is_probe:
        yield from (_Step(tier, wanted.limit) for tier in Tier)
        return
    turns = range(wanted.turn, wanted.turn + wanted.limit)

    def share(of: int) -> int:
        return sum(turn % TURNS == of for turn in turns)

    if old := share(_OLD_TURN):
        yield _Step(Tier.OLD, old)
    if later := share(_LATER_TURN):
        yield _Step(Tier.LATER, later)
    if cards := share(_CARD_TURN):
        yield from (_Step(tier, cards, are_cards=True) for tier in (Tier.LIVE, Tier.OLD))
    for are_cards in (False, True):
        yield from (_Step(tier, wanted.limit, are_cards) for tier in (Tier.LIVE, Tier.OLD))
    yield _Step(Tier.LATER, wanted.limit)


def _pass_shut_gates(tx: Transaction, basket: _Basket, shut: list[Pause]) -> None:
    """Let one through a shut gate now and then; none while a hand keeps it shut."""
    gates = sorted({gate for gate, _ in basket.hot}, key=lambda one: (one.route, one.kind))
    for gate in gates:
        pauses = [one for one in shut if one.route == gate.route and one.kind in {None, gate.kind}]
        if not pauses:
            continue
        basket.hot -= {(gate, tier) for tier in Tier}
        is_due = all(_is_due(pause, basket.now_us) for pause in pauses)
        if is_due and basket.room_for(gate.kind) > 0 and _probe(tx, basket, gate):
            moved = [replace(one, probe_us=basket.now_us + PROBE_US) for one in pauses]
            tx.save_pauses(moved)
            shut[:] = [one for one in shut if one not in pauses] + moved


def _probe(tx: Transaction, basket: _Basket, gate: Gate) -> bool:
    if not any(basket.claim(tx, gate, tier, 1) for tier in Tier):
        return False
    basket.parcels[-1] = replace(basket.parcels[-1], is_probe=True)
    return True


def _is_due(pause: Pause, now_us: int) -> bool:
    return bool(pause.token_mark) and not 0 < pause.probe_us - now_us <= PROBE_US
