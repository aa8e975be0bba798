"""What can be done within one commit, in SQL: the `ports.Transaction` of every engine.

Intake is here, deliveries are in `outbox` and `claims`, shut gates in `gates`, what is looked up in
`lookups`, what moves aside or goes in `keeping`, who was told what in `messages`, what came back in
`answers`, `origins` and `following`; `SqlTransaction` is all of them.
"""

import json
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import astuple
from sqlalchemy import bindparam, select, update

from bridge.domain.calls import Thread
from bridge.domain.contacts import CHANNELS, EMPTY_CARD, Card, Key, Person
from bridge.ports import CallKey, Entry, EventKey, Refusal, ThreadRow
from bridge.storage import tables
from bridge.storage.answers import AnswersTransaction
from bridge.storage.claims import ClaimsTransaction
from bridge.storage.codecs import decode, encode
from bridge.storage.following import FollowingTransaction
from bridge.storage.gates import GatesTransaction
from bridge.storage.keeping import KeepingTransaction
from bridge.storage.lookups import LookupsTransaction
from bridge.storage.messages import MessagesTransaction
from bridge.storage.origins import OriginsTransaction
from bridge.storage.prepared import Query, Rows, as_set, in_set, names_of
from bridge.storage.sets import grouped, insert, upsert

if TYPE_CHECKING:
    from bridge.ports.presence import PresenceTransaction

_DIGESTS: Final = Query(
    select(tables.events.c.event_id, tables.events.c.digest).where(
        tables.events.c.source == bindparam("source"), in_set(tables.events.c.event_id, "of")
    )
)
_THREADS: Final = Query(
    select(tables.calls.c.reference_id, tables.calls.c.state).where(
        tables.calls.c.source == bindparam("source"), in_set(tables.calls.c.reference_id, "of")
    )
)
_OWNERS: Final = Query(
    select(tables.person_keys.c.value, tables.person_keys.c.person_id).where(
        tables.person_keys.c.scope == bindparam("scope"),
        tables.person_keys.c.kind == bindparam("kind"),
        in_set(tables.person_keys.c.value, "of"),
    )
)
_PEOPLE: Final = Query(select(tables.people).where(in_set(tables.people.c.id, "of")))
_EVENTS: Final = Rows(tables.events.insert(), Entry.__struct_fields__)
_CALLS: Final = Rows(
    upsert(
        tables.calls,
        ["source", "reference_id"],
        ["state", "last_us", "is_active", "is_open", "timer_us"],
    ),
    names_of(tables.calls),
)
_PEOPLE_KEPT: Final = Rows(
    upsert(
        tables.people,
        ["id"],
        ["route", "wanted", "confirmed", "confirmed_us", "named_us", "card_id"],
    ),
    names_of(tables.people),
)
_KEYS: Final = Rows(
    insert(tables.person_keys).on_conflict_do_nothing(), names_of(tables.person_keys)
)


def _card(raw: bytes) -> Card | None:
    try:
        return decode(Card, raw)
    except ValueError:
        return None


class SqlTransaction(
    ClaimsTransaction,
    GatesTransaction,
    LookupsTransaction,
    KeepingTransaction,
    MessagesTransaction,
    AnswersTransaction,
    OriginsTransaction,
    FollowingTransaction,
):
    """One open transaction on one connection."""

    def digests(self, keys: Collection[EventKey]) -> dict[EventKey, bytes]:
        """Return the digests of the events that are known already."""
        return {
            (source, event_id): digest
            for source, event_ids in grouped(keys)
            for event_id, digest in _DIGESTS.run(self._driver, source=source, of=as_set(event_ids))
        }

    def threads(self, keys: Collection[CallKey]) -> dict[CallKey, Thread]:
        """Return the threads that exist."""
        return {
            (source, reference): decode(Thread, state)
            for source, references in grouped(keys)
            for reference, state in _THREADS.run(self._driver, source=source, of=as_set(references))
        }

    def owners(self, keys: Collection[Key]) -> dict[Key, str]:
        """Return whose each key is, as far as it is anybody's."""
        by_kind = grouped(((scope, kind), value) for scope, kind, value in keys)
        return {
            (scope, kind, value): person
            for (scope, kind), values in by_kind
            for value, person in _OWNERS.run(
                self._driver, scope=scope, kind=kind, of=as_set(values)
            )
        }

    def people(self, ids: Collection[str]) -> dict[str, Person]:
        """Return the people that exist; of a card that can't be read, what their keys tell."""
        if not ids:
            return {}
        rows = _PEOPLE.run(self._driver, of=as_set(ids))
        return {row[0]: self._person(row) for row in rows}

    def _person(self, row: Sequence[Any]) -> Person:
        person, scope, route, raw_wanted, raw_confirmed, confirmed_us, named_us, card_id = row
        wanted, confirmed = _card(raw_wanted), _card(raw_confirmed)
        if wanted is None or confirmed is None:
            # One row that can't be read is not to stop all others. With nothing confirmed, the
            # whole card is sent again, and then kept in a form that can be read.
            wanted, confirmed = wanted or self._told_by_keys(person), EMPTY_CARD
        return Person(
            id=person,
            scope=scope,
            route=route,
            wanted=wanted,
            confirmed=confirmed,
            confirmed_us=confirmed_us,
            named_us=named_us,
            card_id=card_id,
        )

    def _told_by_keys(self, person: str) -> Card:
        """Return all of a person's card that tells them from others; not their name."""
        keys = tables.person_keys.c
        query = select(keys.kind, keys.value).where(keys.person_id == person)
        values: dict[str, list[str]] = {}
        for kind, value in self._connection.execute(query.order_by(keys.kind, keys.value)):
            values.setdefault(kind, []).append(value)
        told = {kind: values.get(kind, []) for kind in CHANNELS}
        return decode(Card, json.dumps({"cuid": values.get("cuid", [""])[0], **told}).encode())

    def add_events(self, entries: Sequence[Entry]) -> None:
        """Keep events."""
        _EVENTS.run(self._driver, [astuple(entry) for entry in entries])

    def save_threads(self, rows: Sequence[ThreadRow]) -> None:
        """Keep threads in their new form."""
        _CALLS.run(
            self._driver,
            [
                (
                    *row.key,
                    encode(row.thread),
                    max([span.last_us for span in row.thread.spans], default=0),
                    row.thread.is_active,
                    row.thread.is_open,
                    row.timer_us,
                )
                for row in rows
            ],
        )

    def due_threads(self, now_us: int, limit: int) -> dict[CallKey, Thread]:
        """Return threads whose timer has run out."""
        calls = tables.calls.c
        query = (
            select(calls.source, calls.reference_id, calls.state)
            .where(calls.timer_us.is_not(None), calls.timer_us <= now_us)
            .order_by(calls.timer_us)
            .limit(limit)
        )
        due: dict[CallKey, Thread] = {}
        for source, reference, state in self._connection.execute(query).all():
            try:
                due[source, reference] = decode(Thread, state)
            except ValueError:
                # Nobody can tell what was to be done, and the others are not to wait for it.
                is_it = tables.calls.c.source == source, tables.calls.c.reference_id == reference
                self._connection.execute(update(tables.calls).where(*is_it).values(timer_us=None))
        return due

    def save_people(self, people: Sequence[Person], keys: Sequence[tuple[Key, str]]) -> None:
        """Keep people in their new form, and note the keys that are theirs."""
        _PEOPLE_KEPT.run(
            self._driver,
            [
                (
                    person.id,
                    person.scope,
                    person.route,
                    encode(person.wanted),
                    encode(person.confirmed),
                    person.confirmed_us,
                    person.named_us,
                    person.card_id,
                )
                for person in people
            ],
        )
        _KEYS.run(self._driver, [(*key, person) for key, person in keys])

    def presence(self) -> "PresenceTransaction":
        """Return the part that is about agents' presence."""
        from bridge.storage.presence import SqlPresence  # noqa: PLC0415 - few sites use it

        return SqlPresence(self._connection)

    def add_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Keep what was refused at the door."""
        self._connection.execute(
            tables.quarantine.insert(),
            [
                {
                    "id": refusal.id,
                    "source": refusal.source,
                    "received_us": refusal.received_us,
                    "status": refusal.status,
                    "content_type": refusal.content_type,
                    "event_id": refusal.event_id,
                    "event_type": refusal.event_type,
                    "issues": json.dumps(refusal.issues),
                    "body": refusal.body,
                    "is_cut": refusal.is_cut,
                }
                for refusal in refusals
            ],
        )

    def touch(self, now_us: int) -> None:
        """Write something of no other use, to see that writing works."""
        self._connection.execute(
            upsert(tables.meta, ["name"], ["value"]),
            {"name": "touched", "value": str(now_us).encode()},
        )
