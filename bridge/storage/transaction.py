"""What can be done within one commit, in SQL: the `ports.Transaction` of every engine.

Intake is here, deliveries are in `outbox` and `claims`, shut gates in `gates`, what is looked up in
`lookups`, what moves aside or goes in `keeping`, who was told what in `messages`, what came back in
`answers`, `origins` and `following`; `SqlTransaction` is all of them.
"""

import json
from collections.abc import Collection, Sequence
from functools import cache

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import Insert

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
from bridge.storage.sets import chunks, grouped, insert, upsert

# Statements are put together once: building one takes longer than running it.


@cache
def _calls_upsert() -> Insert:
    columns = ("state", "last_us", "is_active", "is_open", "timer_us")
    return upsert(tables.calls, ["source", "reference_id"], columns)


@cache
def _people_upsert() -> Insert:
    columns = ("route", "wanted", "confirmed", "confirmed_us", "named_us", "card_id")
    return upsert(tables.people, ["id"], columns)


@cache
def _keys_insert() -> Insert:
    return insert(tables.person_keys).on_conflict_do_nothing()


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
        events = tables.events.c
        found: dict[EventKey, bytes] = {}
        for source, event_ids in grouped(keys):
            for some in chunks(event_ids):
                query = select(events.event_id, events.digest).where(
                    events.source == source, events.event_id.in_(some)
                )
                found.update(
                    ((source, event_id), digest)
                    for event_id, digest in self._connection.execute(query)
                )
        return found

    def threads(self, keys: Collection[CallKey]) -> dict[CallKey, Thread]:
        """Return the threads that exist."""
        calls = tables.calls.c
        found: dict[CallKey, Thread] = {}
        for source, references in grouped(keys):
            for some in chunks(references):
                query = select(calls.reference_id, calls.state).where(
                    calls.source == source, calls.reference_id.in_(some)
                )
                found.update(
                    ((source, reference), decode(Thread, state))
                    for reference, state in self._connection.execute(query)
                )
        return found

    def owners(self, keys: Collection[Key]) -> dict[Key, str]:
        """Return whose each key is, as far as it is anybody's."""
        columns = tables.person_keys.c
        found: dict[Key, str] = {}
        for (scope, kind), values in grouped(((scope, kind), value) for scope, kind, value in keys):
            for some in chunks(values):
                query = select(columns.value, columns.person_id).where(
                    columns.scope == scope, columns.kind == kind, columns.value.in_(some)
                )
                found.update(
                    ((scope, kind, value), person)
                    for value, person in self._connection.execute(query)
                )
        return found

    def people(self, ids: Collection[str]) -> dict[str, Person]:
        """Return the people that exist; of a card that can't be read, what their keys tell."""
        found: dict[str, Person] = {}
        for some in chunks(sorted(ids)):
            query = select(tables.people).where(tables.people.c.id.in_(some))
            for row in self._connection.execute(query).all():
                wanted, confirmed = _card(row.wanted), _card(row.confirmed)
                if wanted is None or confirmed is None:
                    # One row that can't be read is not to stop all others. With nothing confirmed,
                    # the whole card is sent again, and then kept in a form that can be read.
                    wanted, confirmed = wanted or self._told_by_keys(row.id), EMPTY_CARD
                found[row.id] = Person(
                    id=row.id,
                    scope=row.scope,
                    route=row.route,
                    wanted=wanted,
                    confirmed=confirmed,
                    confirmed_us=row.confirmed_us,
                    named_us=row.named_us,
                    card_id=row.card_id,
                )
        return found

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
        if not entries:
            return
        self._connection.execute(
            tables.events.insert(),
            [
                {
                    "source": entry.source,
                    "event_id": entry.event_id,
                    "event_type": entry.event_type,
                    "reference_id": entry.reference_id,
                    "route": entry.route,
                    "occurred_us": entry.occurred_us,
                    "received_us": entry.received_us,
                    "digest": entry.digest,
                    "payload": entry.payload,
                }
                for entry in entries
            ],
        )

    def save_threads(self, rows: Sequence[ThreadRow]) -> None:
        """Keep threads in their new form."""
        if not rows:
            return
        self._connection.execute(
            _calls_upsert(),
            [
                {
                    "source": row.key[0],
                    "reference_id": row.key[1],
                    "state": encode(row.thread),
                    "last_us": max((span.last_us for span in row.thread.spans), default=0),
                    "is_active": row.thread.is_active,
                    "is_open": row.thread.is_open,
                    "timer_us": row.timer_us,
                }
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
        if people:
            self._connection.execute(
                _people_upsert(),
                [
                    {
                        "id": person.id,
                        "scope": person.scope,
                        "route": person.route,
                        "wanted": encode(person.wanted),
                        "confirmed": encode(person.confirmed),
                        "confirmed_us": person.confirmed_us,
                        "named_us": person.named_us,
                        "card_id": person.card_id,
                    }
                    for person in people
                ],
            )
        if keys:
            self._connection.execute(
                _keys_insert(),
                [
                    {"scope": scope, "kind": kind, "value": value, "person_id": person}
                    for (scope, kind, value), person in keys
                ],
            )

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
