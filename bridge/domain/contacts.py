"""Contacts: who is calling, and what Cention does not know of them yet.

A contact is a desired state, not a list of requests: `wanted` is all that events said, `confirmed`
is what Cention has acknowledged, and what is sent is the difference. Cention merges a card into any
other that shares one of its channels (the vendor's page on contact cards), so a value that belongs
to somebody else is never put on a card.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

ConflictPolicy = Literal["prefer_cuid", "prefer_phone", "hold"]
CHANNELS: Final = ("voice", "email", "facebook", "vk", "line")
DAY_US: Final = 86_400_000_000
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A contact card's content; `voice` holds numbers with the plus. Empty means unknown."""

    name: str = ""
    cuid: str = ""
    voice: tuple[str, ...] = ()
    email: tuple[str, ...] = ()
    facebook: tuple[str, ...] = ()
    vk: tuple[str, ...] = ()
    line: tuple[str, ...] = ()
    custom: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return self != EMPTY_CARD

    def plus(self, other: "Card") -> "Card":
        """Return both together; where they disagree on a single value, the other's is taken."""
        custom = dict(self.custom) | dict(other.custom)
        return Card(
            name=other.name or self.name,
            cuid=other.cuid or self.cuid,
            voice=_union(self.voice, other.voice),
            email=_union(self.email, other.email),
            facebook=_union(self.facebook, other.facebook),
            vk=_union(self.vk, other.vk),
            line=_union(self.line, other.line),
            custom=tuple(custom.items()),
        )

    def minus(self, other: "Card") -> "Card":
        """Return what this card says and the other does not."""
        known = dict(other.custom)
        return Card(
            name=self.name if self.name != other.name else "",
            cuid=self.cuid if self.cuid != other.cuid else "",
            voice=_difference(self.voice, other.voice),
            email=_difference(self.email, other.email),
            facebook=_difference(self.facebook, other.facebook),
            vk=_difference(self.vk, other.vk),
            line=_difference(self.line, other.line),
            custom=tuple((one, value) for one, value in self.custom if known.get(one) != value),
        )


EMPTY_CARD: Final = Card()


def _with_channels(card: Card, channels: Mapping[str, tuple[str, ...]]) -> Card:
    return Card(
        name=card.name,
        cuid=card.cuid,
        voice=channels.get("voice", card.voice),
        email=channels.get("email", card.email),
        facebook=channels.get("facebook", card.facebook),
        vk=channels.get("vk", card.vk),
        line=channels.get("line", card.line),
        custom=card.custom,
    )


def _union(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def _difference(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value for value in one if value not in other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What an event says of its caller. `scope` is the upstream whose cards it is about."""

    scope: str
    route: str
    at_us: int
    card: Card

    def identifiers(self) -> tuple[Key, ...]:
        """Return (scope, kind, value) of all that may identify the person, the cuid first."""
        return keys_of(self.scope, self.card)


def keys_of(scope: str, card: Card) -> tuple[Key, ...]:
    """Return (scope, kind, value) of all on a card that identifies a person."""
    cuid = ((scope, "cuid", card.cuid),) if card.cuid else ()
    channels = ((scope, kind, value) for kind in CHANNELS for value in getattr(card, kind))
    return (*cuid, *channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One caller as the bridge knows them in one workspace.

    `confirmed_us` is when Cention last acknowledged the card, `named_us` when the event happened
    that gave the name: an older one doesn't take it back.
    """

    id: str
    scope: str
    route: str
    wanted: Card = EMPTY_CARD
    confirmed: Card = EMPTY_CARD
    confirmed_us: int = 0
    named_us: int = 0
    card_id: str = ""

    def missing(self, now_us: int, refresh_us: int) -> Card:
        """Return what Cention is believed not to have, in a form that finds the right card.

        Cention matches on channels only, so whatever is sent later takes a confirmed channel along.
        A card that has none can't be found again: once there is a channel, a whole card is made
        with it. What was confirmed longer ago than `refresh_us` is not believed any more.
        """
        if not self.confirmed:
            return self.wanted
        is_believed = now_us - self.confirmed_us < refresh_us
        missing = self.wanted.minus(self.confirmed if is_believed else EMPTY_CARD)
        if not missing:
            return EMPTY_CARD
        for kind in CHANNELS:
            if anchor := getattr(self.confirmed, kind)[:1]:
                return _with_channels(missing, {kind: _union(anchor, getattr(missing, kind))})
        has_channel = any(getattr(missing, kind) for kind in CHANNELS)
        return self.wanted if has_channel else EMPTY_CARD

    def acknowledged(self, sent: Card, card_id: str, now_us: int) -> "Person":
        """Return the person after Cention took a card."""
        return replace(
            self,
            confirmed=self.confirmed.plus(sent),
            confirmed_us=now_us,
            card_id=card_id or self.card_id,
        )


@dataclass(frozen=True, slots=True)
class Identified:
    """Whom a claim is about, with the claim laid over them; None: held, nothing is changed.

    `new_keys` are to be noted as this person's.
    """

    person: Person | None
    new_keys: tuple[Key, ...] = ()
    is_conflict: bool = False


def identify(
    claim: Claim,
    owners: Mapping[Key, str],
    people: Mapping[str, Person],
    *,
    new_id: str,
    policy: ConflictPolicy,
) -> Identified:
    """Find the person whom a claim is about, or make one with the id given.

    `owners` says whose each key is, `people` holds at least these owners. A key that is somebody
    else's is left off: two people are never merged.
    """
    keys = claim.identifiers()
    cuid_owner = owners.get(keys[0]) if claim.card.cuid else None
    channel_owner = next((owners[key] for key in keys if key[1] != "cuid" and key in owners), None)
    chosen, is_conflict = _choose(claim, cuid_owner, channel_owner, people, policy)
    if is_conflict and policy == "hold":
        return Identified(None, is_conflict=True)
    person = people[chosen] if chosen else Person(id=new_id, scope=claim.scope, route=claim.route)
    own = {key for key in keys if owners.get(key, person.id) == person.id}
    card = _with_channels(
        replace(claim.card, cuid=_own_cuid(claim, person, own)),
        {
            kind: _keep(getattr(claim.card, kind), (key[2] for key in own if key[1] == kind))
            for kind in CHANNELS
        },
    )
    if claim.at_us < person.named_us and person.wanted.name:
        card = replace(card, name="")
    named_us = max(person.named_us, claim.at_us) if card.name else person.named_us
    if len(own) < len(keys):
        is_conflict = True
    after = replace(person, wanted=person.wanted.plus(card), named_us=named_us, route=claim.route)
    new_keys = tuple(key for key in keys_of(claim.scope, card) if key not in owners)
    return Identified(after, new_keys, is_conflict)


def _choose(
    claim: Claim,
    cuid_owner: str | None,
    channel_owner: str | None,
    people: Mapping[str, Person],
    policy: ConflictPolicy,
) -> tuple[str | None, bool]:
    if channel_owner is None or cuid_owner == channel_owner:
        return cuid_owner or channel_owner, False
    if cuid_owner is None:
        known = people[channel_owner].wanted.cuid
        if not claim.card.cuid or not known or known == claim.card.cuid:
            return channel_owner, False
    return (channel_owner if policy == "prefer_phone" else cuid_owner), True


def _own_cuid(claim: Claim, person: Person, own: set[Key]) -> str:
    """Return the claim's cuid unless it is another person's, or the person has one already."""
    if person.wanted.cuid and person.wanted.cuid != claim.card.cuid:
        return ""
    return claim.card.cuid if (claim.scope, "cuid", claim.card.cuid) in own else ""


def _keep(values: tuple[str, ...], allowed: Iterable[str]) -> tuple[str, ...]:
    keep = set(allowed)
    return tuple(value for value in values if value in keep)
