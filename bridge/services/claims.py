"""Claiming: who of those that wait may leave next.

While first attempts wait, what is tried again gets one turn in ten; while live ones wait, what is
old gets one in ten as well. All else goes by: live, old, tried before. Within one commit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bridge.domain.contacts import Card
from bridge.domain.deliveries import Kind, State, Tier
from bridge.ports import Claim, Clock, Gate, Parcel, Pause, Settlement, Transaction
from bridge.services.channels import Stock
from bridge.services.recording import PROBE_US, DispatchPolicy

LIVE_US: Final = 60_000_000
_TURNS: Final = 10
_OLD_TURN: Final = 0
_LATER_TURN: Final = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request for parcels: from where, how many, how many cards among them at most.

    `turn` counts what has left before. `is_probe` prefers what may safely be sent twice.
    """

    hot: frozenset[Stock]
    limit: int
    cards: int
    turn: int
    floor_id: int = 0
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """What was claimed, and where more may be waiting."""

    parcels: list[Parcel]
    rest: frozenset[Stock]


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
        """Return the gates to look at, each of them first in its turn."""
        gates = sorted(
            (gate for gate, stock in self.hot if stock is tier),
            key=lambda one: (one.route, one.kind),
        )
        if self.wanted.is_probe:
            return sorted(gates, key=lambda gate: not gate.kind.is_repeatable)
        first = self.wanted.turn % len(gates) if gates else 0
        return gates[first:] + gates[:first]

    def claim(self, tx: Transaction, gate: Gate, tier: Tier, limit: int) -> int:
        found = tx.claim(
            Claim(
                gate=gate,
                tier=tier,
                limit=limit,
                now_us=self.now_us,
                live_us=self.now_us - LIVE_US,
                floor_id=self.wanted.floor_id,
            )
        )
        self.parcels += found
        return len(found)


class Claims:
    """Hands parcels out. `policy` can be replaced while running."""

    def __init__(self, clock: Clock, policy: DispatchPolicy) -> None:
        """Stand on these."""
        self._clock = clock
        self.policy = policy

    def take(self, tx: Transaction, wanted: Sequence[Wanted]) -> list[Taken]:
        """Claim parcels for several requests, within one commit."""
        now_us = self._clock.now_us()
        shut = list(tx.pauses())
        taken = []
        for one in wanted:
            basket = _Basket(one, now_us, set(one.hot))
            if shut:
                _pass_shut_gates(tx, basket, shut)
            for tier, most in _steps(one):
                _fill(tx, basket, tier, most)
            parcels = self._written(tx, basket.parcels, now_us)
            taken.append(Taken(parcels, frozenset(basket.hot)))
        return taken

    def _written(self, tx: Transaction, parcels: list[Parcel], now_us: int) -> list[Parcel]:
        """Write the contact cards among them, and drop those with nothing left to say."""
        people = tx.people({parcel.person for parcel in parcels if parcel.person})
        written: list[Parcel] = []
        empty: list[Settlement] = []
        for parcel in parcels:
            if parcel.kind is not Kind.CONTACT_CARD:
                written.append(parcel)
                continue
            person = people.get(parcel.person)
            card = person.missing(now_us, self.policy.refresh_us) if person else Card()
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


def _steps(wanted: Wanted) -> Iterator[tuple[Tier, int]]:
    """Yield which tier is asked for how many, in their order."""
    turns = range(wanted.turn, wanted.turn + wanted.limit)
    for tier, own in ((Tier.OLD, _OLD_TURN), (Tier.LATER, _LATER_TURN)):
        share = sum(turn % _TURNS == own for turn in turns)
        if share:
            yield tier, share
    for tier in (Tier.LIVE, Tier.OLD, Tier.LATER):
        yield tier, wanted.limit


def _fill(tx: Transaction, basket: _Basket, tier: Tier, most: int) -> None:
    for gate in basket.gates(tier):
        limit = min(most, basket.room_for(gate.kind))
        if basket.room <= 0 or most <= 0:
            return
        if limit <= 0:
            # Enough cards are under way: it is looked at again when one of them is back.
            basket.hot.discard((gate, tier))
            continue
        found = basket.claim(tx, gate, tier, limit)
        most -= found
        if found < limit:
            basket.hot.discard((gate, tier))


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
