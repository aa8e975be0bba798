"""Contact cards, and how Cention merges a request into a card that it already has.

The vendor's page on contact cards: "the same endpoint will not create duplicate contact if any of
the provided contacts found inside database. In such situation, the contact will be updated by
appending on the found contact." Read here as: any of a card's channels matches; its name and its
custom fields never do; of several cards that match, the oldest is taken.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.sandbox.documents import CHANNELS

FIRST_ID: Final = 13


@dataclass(slots=True)
class Card:
    """One contact card; times are Unix seconds."""

    id: int
    workspace: str
    created_at: float
    updated_at: float
    update_count: int = 0
    name: str = ""
    channels: dict[str, list[str]] = field(default_factory=dict)
    custom: dict[str, str] = field(default_factory=dict)

    def contacts(self) -> dict[str, Any]:
        """Return `data.attributes.contacts` as Cention answers it, empty fields left out."""
        contacts: dict[str, Any] = {}
        if self.name:
            contacts["name"] = self.name
        contacts.update({name: self.channels[name] for name in CHANNELS if name in self.channels})
        if self.custom:
            contacts["custom"] = [
                {"label": label, "value": value} for label, value in self.custom.items()
            ]
        return contacts

    def read_back(self) -> dict[str, Any]:
        """Return the card as the sandbox's own pages show it."""
        return {
            "id": str(self.id),
            "workspace": self.workspace,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "update_count": self.update_count,
            "contacts": self.contacts(),
        }


class CardFile:
    """The contact cards of all workspaces; the oldest go where there are more than `kept_max`."""

    def __init__(self, kept_max: int) -> None:
        self._kept_max = kept_max
        self._cards: OrderedDict[int, Card] = OrderedDict()
        # Ids grow, so that the first of a list is the oldest card with that value.
        self._ids: dict[tuple[str, str, str], list[int]] = {}
        self._next_id = FIRST_ID

    def __len__(self) -> int:
        """Return how many cards are kept."""
        return len(self._cards)

    def __iter__(self) -> Iterator[Card]:
        """Iterate over the cards, the oldest first."""
        return iter(self._cards.values())

    def clear(self) -> None:
        """Forget every card; ids go on growing."""
        self._cards.clear()
        self._ids.clear()

    def merge(self, workspace: str, contacts: dict[str, Any], now: float) -> tuple[Card, bool]:
        """Append to the card that has any of the channels, or make one; now is Unix seconds.

        Returns:
            The card, and whether it was made.
        """
        card = self._find(workspace, contacts)
        created = card is None
        if card is None:
            card = Card(self._next_id, workspace, created_at=now, updated_at=now)
            self._next_id += 1
            self._cards[card.id] = card
        else:
            card.update_count += 1
            card.updated_at = now
        self._append(card, contacts)
        if len(self._cards) > self._kept_max:
            self._evict()
        return card, created

    def _find(self, workspace: str, contacts: dict[str, Any]) -> Card | None:
        matches = [
            ids[0]
            for channel in CHANNELS
            for value in contacts.get(channel, ())
            if (ids := self._ids.get((workspace, channel, value)))
        ]
        return self._cards[min(matches)] if matches else None

    def _append(self, card: Card, contacts: dict[str, Any]) -> None:
        if contacts.get("name"):
            card.name = contacts["name"]
        for channel in CHANNELS:
            for value in contacts.get(channel, ()):
                known = card.channels.setdefault(channel, [])
                if value not in known:
                    known.append(value)
                    ids = self._ids.setdefault((card.workspace, channel, value), [])
                    ids.append(card.id)
                    ids.sort()
        for item in contacts.get("custom", ()):
            card.custom[item["label"]] = item["value"]

    def _evict(self) -> None:
        _, card = self._cards.popitem(last=False)
        for channel, values in card.channels.items():
            for value in values:
                key = (card.workspace, channel, value)
                self._ids[key].remove(card.id)
                if not self._ids[key]:
                    del self._ids[key]
