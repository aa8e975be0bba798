"""Contacts: who is calling, and what Cention does not know of them yet.

A contact is a desired state, not a list of requests: `wanted` is all that events said, `confirmed`
is what Cention has acknowledged, and what is sent is the difference. Cention merges a card into any
other that shares one of its channels (the vendor's page on contact cards), so a value that belongs
to somebody else is never put on a card.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

ConflictPolicy = Literal["prefer_cuid", "prefer_phone", "hold"]
CHANNELS: Final = ("voice", "email", "facebook", "vk", "line")
Key = tuple[str, str, str]


class Card(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
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

    @property
    def identifies(self) -> bool:
        """Whether it says who it is about, by cuid or by any channel."""
        return bool(self.cuid) or any(getattr(self, kind) for kind in CHANNELS)

    def plus(self, other: "Card") -> "Card":
        """Return both together; where they disagree on a single value, the other's is taken."""
        custom = self.custom
        if other.custom:
            custom = tuple((dict(custom) | dict(other.custom)).items())
        return Card(
            name=other.name or self.name,
            cuid=other.cuid or self.cuid,
            voice=_union(self.voice, other.voice),
            email=_union(self.email, other.email),
            facebook=_union(self.facebook, other.facebook),
            vk=_union(self.vk, other.vk),
            line=_union(self.line, other.line),
            custom=custom,
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
    if not other or one == other:
        return one
    return tuple(dict.fromkeys((*one, *other)))


def _difference(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    if not one or not other:
        return one
    return tuple(value for value in one if value not in other)


class Claim(Struct, frozen=True, gc=False, kw_only=True):
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
    keys = [(scope, "cuid", card.cuid)] if card.cuid else []
    keys += [(scope, "voice", value) for value in card.voice]
    if card.email or card.facebook or card.vk or card.line:
        keys += [(scope, kind, value) for kind in CHANNELS[1:] for value in getattr(card, kind)]
    return tuple(keys)


class Person(Struct, frozen=True, gc=False, kw_only=True):
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

    def missing(self, now_us: int, refresh_us: int, shared: frozenset[str] = frozenset()) -> Card:
        """Return what Cention is believed not to have, in a form that finds the right card.

        Cention matches on channels only, so whatever is sent later takes a confirmed channel along.
        A card that has none can't be found again: once there is a channel, a whole card is made
        with it. What was confirmed longer ago than `refresh_us` is not believed any more. Of the
        `shared` numbers (with plus) none goes on a card, nor is one found by it.
        """
        wanted, confirmed = _without(self.wanted, shared), _without(self.confirmed, shared)
        if not self.confirmed:
            return wanted if wanted.identifies else EMPTY_CARD
        is_believed = now_us - self.confirmed_us < refresh_us
        missing = wanted.minus(confirmed if is_believed else EMPTY_CARD)
        if not missing:
            return EMPTY_CARD
        for kind in CHANNELS:
            if anchor := getattr(confirmed, kind)[:1]:
                return _with_channels(missing, {kind: _union(anchor, getattr(missing, kind))})
        has_channel = any(getattr(missing, kind) for kind in CHANNELS)
        return wanted if has_channel else EMPTY_CARD

    def acknowledged(
        self, sent: Card, card_id: str, now_us: int, shared: frozenset[str] = frozenset()
    ) -> "Person":
        """Return the person after Cention took a card.

        What a part of it confirms is that part: how long the whole is believed counts from when
        the whole was sent.
        """
        is_whole = not _without(self.wanted, shared).minus(sent)
        return replace(
            self,
            confirmed=self.confirmed.plus(sent),
            confirmed_us=now_us if is_whole else self.confirmed_us,
            card_id=card_id or self.card_id,
        )


def _without(card: Card, numbers: frozenset[str]) -> Card:
    if not numbers or numbers.isdisjoint(card.voice):
        return card
    return replace(card, voice=tuple(one for one in card.voice if one not in numbers))


class Dispute(Struct, frozen=True, gc=False, kw_only=True):
    """What an event says is one person's, and is another's as far as is known.

    `owner` is whose the key is, `claimant` whom the event was taken to be about; empty: nobody
    that is known.
    """

    key: Key
    owner: str
    claimant: str


class Identified(Struct, frozen=True, gc=False):
    """Whom a claim is about, with the claim laid over them; None: held, nothing is changed.

    `new_keys` are to be noted as this person's, `disputes` are what keeps them from being more.
    """

    person: Person | None
    new_keys: tuple[Key, ...] = ()
    disputes: tuple[Dispute, ...] = ()

    @property
    def is_conflict(self) -> bool:
        """Whether the claim says one person by one key, and another by another."""
        return bool(self.disputes)


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
    if policy == "hold" and _are_two(claim, cuid_owner, channel_owner, people):
        return Identified(None, disputes=_disputes(keys, owners, cuid_owner, channel_owner))
    chosen = _choose(claim, cuid_owner, channel_owner, people, policy)
    person = people[chosen] if chosen else Person(id=new_id, scope=claim.scope, route=claim.route)
    card, kept = _own_card(claim, keys, owners, person)
    if claim.at_us < person.named_us and person.wanted.name:
        card = replace(card, name="")
    named_us = max(person.named_us, claim.at_us) if card.name else person.named_us
    after = replace(person, wanted=person.wanted.plus(card), named_us=named_us, route=claim.route)
    return Identified(
        after,
        new_keys=tuple([key for key in kept if key not in owners]),
        disputes=tuple(
            [
                Dispute(key=key, owner=owners.get(key, ""), claimant=person.id)
                for key in keys
                if key not in kept
            ]
        ),
    )


def _own_card(
    claim: Claim, keys: tuple[Key, ...], owners: Mapping[Key, str], person: Person
) -> tuple[Card, tuple[Key, ...]]:
    """Return what of a claim's card may be this person's, and the keys on it."""
    own = {key for key in keys if owners.get(key, person.id) == person.id}
    cuid = _own_cuid(claim, person, own)
    if len(own) == len(keys) and cuid == claim.card.cuid:
        return claim.card, keys
    card = _with_channels(
        replace(claim.card, cuid=cuid),
        {
            kind: _keep(getattr(claim.card, kind), (key[2] for key in own if key[1] == kind))
            for kind in CHANNELS
        },
    )
    return card, keys_of(claim.scope, card)


def _disputes(
    keys: Sequence[Key],
    owners: Mapping[Key, str],
    cuid_owner: str | None,
    channel_owner: str | None,
) -> tuple[Dispute, ...]:
    """Return what is held: each channel that is somebody's, claimed for the cuid's owner."""
    claimant = cuid_owner or ""
    held = tuple(
        Dispute(key=key, owner=owners[key], claimant=claimant)
        for key in keys
        if key[1] != "cuid" and key in owners and owners[key] != claimant
    )
    if cuid_owner is not None:
        return held
    cuids = (Dispute(key=key, owner="", claimant=channel_owner or "") for key in keys[:1])
    return (*cuids, *held)


def _are_two(
    claim: Claim,
    cuid_owner: str | None,
    channel_owner: str | None,
    people: Mapping[str, Person],
) -> bool:
    """Say whether cuid and channels speak of two people."""
    if not claim.card.cuid or channel_owner is None or cuid_owner == channel_owner:
        return False
    known = people[channel_owner].wanted.cuid
    return cuid_owner is not None or bool(known and known != claim.card.cuid)


def _choose(
    claim: Claim,
    cuid_owner: str | None,
    channel_owner: str | None,
    people: Mapping[str, Person],
    policy: ConflictPolicy,
) -> str | None:
    if not _are_two(claim, cuid_owner, channel_owner, people):
        return cuid_owner or channel_owner
    return channel_owner if policy == "prefer_phone" else cuid_owner


def _own_cuid(claim: Claim, person: Person, own: set[Key]) -> str:
    """Return the claim's cuid unless it is another person's, or the person has one already."""
    if person.wanted.cuid and person.wanted.cuid != claim.card.cuid:
        return ""
    return claim.card.cuid if (claim.scope, "cuid", claim.card.cuid) in own else ""


def _keep(values: tuple[str, ...], allowed: Iterable[str]) -> tuple[str, ...]:
    keep = set(allowed)
    return tuple(value for value in values if value in keep)
