from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.contacts import (
    CHANNELS,
    Card,
    Claim,
    ConflictPolicy,
    Identified,
    Key,
    Person,
    identify,
)
from bridge.domain.units import DAY_US

NOW_US = 1_790_000_000_000_000
REFRESH_US = 30 * DAY_US
ADA = Card(name="Ada", cuid="c1", voice=("+60123456789",))


@dataclass
class Book:
    """Everybody known, and Cention, which merges a card into any that shares a channel value."""

    policy: ConflictPolicy = "prefer_cuid"
    owners: dict[Key, str] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    cards: list[Card] = field(default_factory=list)
    sent: int = 0
    conflicts: int = 0

    def say(self, card: Card, at_us: int = NOW_US) -> Identified:
        """Lay what an event says over what is known."""
        claim = Claim(scope="s", route="default", at_us=at_us, card=card)
        new_id = "|".join("/".join(key) for key in claim.identifiers())
        found = identify(claim, self.owners, self.people, new_id=new_id, policy=self.policy)
        self.conflicts += found.is_conflict
        if found.person is not None:
            self.people[found.person.id] = found.person
            self.owners.update(dict.fromkeys(found.new_keys, found.person.id))
        return found

    def deliver(self, now_us: int = NOW_US) -> None:
        """Send what Cention lacks of each person."""
        for person in list(self.people.values()):
            missing = person.missing(now_us, REFRESH_US)
            if missing:
                self.sent += 1
                self._merge(missing)
                self.people[person.id] = person.acknowledged(missing, "13", now_us)

    def _merge(self, card: Card) -> None:
        for number, held in enumerate(self.cards):
            if any(set(getattr(held, kind)) & set(getattr(card, kind)) for kind in CHANNELS):
                self.cards[number] = held.plus(card)
                return
        self.cards.append(card)


def test_nothing_is_sent_when_nothing_is_new() -> None:
    book = Book()
    for _ in range(3):
        book.say(ADA)
        book.deliver()
    assert book.sent == 1
    assert book.cards == [ADA]


def test_what_is_new_is_sent_with_a_channel_that_finds_the_card() -> None:
    book = Book()
    book.say(ADA)
    book.deliver()
    book.say(Card(cuid="c1", email=("ada@example.org",)))
    (person,) = book.people.values()
    assert person.missing(NOW_US, REFRESH_US) == Card(voice=ADA.voice, email=("ada@example.org",))
    book.deliver()
    assert len(book.cards) == 1


def test_what_was_confirmed_long_ago_is_sent_again() -> None:
    book = Book()
    book.say(ADA)
    book.deliver()
    book.deliver(NOW_US + REFRESH_US)
    assert book.sent == 2
    assert book.cards == [ADA]


def test_a_card_without_any_channel_is_sent_once_only() -> None:
    book = Book()
    book.say(Card(cuid="c1", name="Ada"))
    book.deliver()
    book.say(Card(cuid="c1", name="Ada L."))
    book.deliver(NOW_US + REFRESH_US)
    assert book.sent == 1


def test_a_card_that_gets_its_first_channel_is_made_whole() -> None:
    book = Book()
    book.say(Card(cuid="c1", name="Ada"))
    book.deliver()
    book.say(ADA)
    book.deliver()
    assert book.cards[-1] == ADA


def test_a_number_known_without_cuid_takes_the_cuid() -> None:
    book = Book()
    book.say(Card(voice=("+60123456789",)))
    book.say(ADA)
    assert len(book.people) == 1


def test_an_older_event_does_not_take_the_name_back() -> None:
    book = Book()
    book.say(ADA)
    found = book.say(Card(name="Old", cuid="c1"), NOW_US - DAY_US)
    assert found.person is not None
    assert found.person.wanted.name == "Ada"


def test_a_number_of_somebody_elses_cuid_is_not_sent_with_the_card() -> None:
    book = Book()
    book.say(ADA)
    found = book.say(Card(name="Eve", cuid="c2", voice=ADA.voice))
    assert found.is_conflict
    assert found.person is not None
    assert found.person.wanted == Card(name="Eve", cuid="c2")


def test_prefer_phone_leaves_the_cuid_in_conflict_off() -> None:
    book = Book(policy="prefer_phone")
    book.say(ADA)
    found = book.say(Card(cuid="c2", voice=ADA.voice, email=("ada@example.org",)))
    assert found.is_conflict
    assert found.person is not None
    assert found.person.wanted.cuid == "c1"
    assert found.person.wanted.email == ("ada@example.org",)


def test_hold_changes_nothing_on_a_conflict() -> None:
    book = Book(policy="hold")
    book.say(ADA)
    before = dict(book.people)
    assert book.say(Card(cuid="c2", voice=ADA.voice)).person is None
    assert book.people == before


def test_what_is_held_is_told_of_both_and_of_the_cuid_that_is_nobodys() -> None:
    book = Book(policy="hold")
    book.say(ADA)
    ada = next(iter(book.people))
    new = book.say(Card(cuid="c2", voice=ADA.voice))
    assert [(one.key[1], one.owner, one.claimant) for one in new.disputes] == [
        ("cuid", "", ada),
        ("voice", ada, ""),
    ]
    book.say(Card(cuid="c2"))
    eve = next(one.id for one in book.people.values() if one.wanted.cuid == "c2")
    known = book.say(Card(cuid="c2", voice=ADA.voice))
    assert [(one.key[1], one.owner, one.claimant) for one in known.disputes] == [
        ("voice", ada, eve)
    ]


def test_a_dispute_names_what_is_anothers_and_who_was_meant() -> None:
    book = Book()
    book.say(ADA)
    book.say(Card(cuid="c9", email=("eve@example.org",)))
    ada, eve = book.people
    found = book.say(Card(cuid="c9", voice=ADA.voice, email=("eve@example.org",)))
    (dispute,) = found.disputes
    assert (dispute.key, dispute.owner, dispute.claimant) == (
        ("s", "voice", ADA.voice[0]),
        ada,
        eve,
    )


def test_two_channels_of_two_people_are_a_dispute_without_any_cuid() -> None:
    book = Book()
    book.say(Card(voice=("+1",)))
    book.say(Card(email=("a@x",)))
    found = book.say(Card(voice=("+1",), email=("a@x",)))
    assert found.is_conflict
    assert found.person is not None
    assert found.person.wanted == Card(voice=("+1",))


def test_a_part_that_is_confirmed_does_not_renew_what_is_believed_of_the_rest() -> None:
    book = Book()
    book.say(ADA)
    book.deliver()
    book.say(Card(cuid="c1", email=("ada@example.org",)))
    book.deliver(NOW_US + 20 * DAY_US)
    (person,) = book.people.values()
    assert person.missing(NOW_US + 29 * DAY_US, REFRESH_US) == Card()
    assert person.missing(NOW_US + 30 * DAY_US, REFRESH_US) == person.wanted


def test_a_shared_number_goes_on_no_card_and_finds_none() -> None:
    shared = frozenset(ADA.voice)
    book = Book()
    book.say(ADA)
    (person,) = book.people.values()
    assert person.missing(NOW_US, REFRESH_US, shared) == Card(name="Ada", cuid="c1")
    book.deliver()
    book.say(Card(cuid="c1", email=("ada@example.org",)))
    (person,) = book.people.values()
    assert person.missing(NOW_US, REFRESH_US, shared) == Card(
        name="Ada", cuid="c1", email=("ada@example.org",)
    )


def test_who_is_known_by_a_shared_number_alone_is_nobody() -> None:
    book = Book()
    book.say(Card(name="Ada", voice=ADA.voice))
    (person,) = book.people.values()
    assert person.missing(NOW_US, REFRESH_US, frozenset(ADA.voice)) == Card()


def test_a_custom_field_is_replaced_by_label() -> None:
    book = Book()
    book.say(Card(voice=("+60123456789",), custom=(("Address", "A"),)))
    book.say(Card(voice=("+60123456789",), custom=(("Address", "B"),)))
    (person,) = book.people.values()
    assert person.wanted.custom == (("Address", "B"),)


CARDS = st.builds(
    Card,
    name=st.sampled_from(["", "Ada", "Eve"]),
    cuid=st.sampled_from(["", "c1", "c2", "c3"]),
    voice=st.lists(st.sampled_from(["+1", "+2", "+3"]), max_size=2, unique=True).map(tuple),
    email=st.lists(st.sampled_from(["a@x", "b@x"]), max_size=1).map(tuple),
).filter(lambda card: bool(card.cuid or card.voice or card.email))


@settings(max_examples=300)
@given(st.lists(st.tuples(CARDS, st.booleans()), max_size=12))
def test_no_two_cuids_ever_meet_on_one_card(said: list[tuple[Card, bool]]) -> None:
    book = Book()
    for card, delivers in said:
        book.say(card)
        if delivers:
            book.deliver()
    book.deliver()
    sent = book.sent
    book.deliver()
    assert book.sent == sent
    owner_of: dict[tuple[str, str], str] = {}
    for person in book.people.values():
        for kind in CHANNELS:
            for value in getattr(person.wanted, kind):
                assert owner_of.setdefault((kind, value), person.id) == person.id


@pytest.mark.parametrize("policy", ["prefer_cuid", "prefer_phone"])
@given(said=st.lists(CARDS, max_size=12))
def test_a_person_keeps_the_cuid_they_have(policy: ConflictPolicy, said: list[Card]) -> None:
    book = Book(policy=policy)
    known: dict[str, str] = {}
    for card in said:
        book.say(card)
        for person in book.people.values():
            if person.wanted.cuid:
                assert known.setdefault(person.id, person.wanted.cuid) == person.wanted.cuid
