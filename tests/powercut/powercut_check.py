"""What must hold of a store that is found after a power cut.

`check` looks with SQLite alone, as fast as can be. `reopen` goes the product's own way. What should
be there is worked out from the events that are, by the contract's table and not by the fold: the
fold is what is tested.
"""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from powercut_writer import STORE_NAME, documents, new_ingest, url_of
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from bridge.domain.calls import Thread
from bridge.domain.errors import BridgeError
from bridge.services.folding import DIGEST_BYTES
from bridge.services.ingest import Receipt, Taken
from bridge.storage import tables
from bridge.storage.checkpoints import settle
from bridge.storage.codecs import decode
from bridge.storage.engine import open_engine
from bridge.storage.schema import prepare
from bridge.storage.writer import SharedCommit

_CREATING: Final = frozenset({"call.answered", "callback.requested", "voicemail.left"})
_RINGING: Final = frozenset({"call.queued", "call.answered", "call.transferred"})
_LEAVING: Final = frozenset({"call.ended", "call.abandoned"})
_NAMING: Final = _CREATING | {"call.queued", "call.abandoned"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: acknowledged events that are gone, and all else that is wrong."""

    missing: frozenset[str] = frozenset()
    faults: tuple[str, ...] = ()
    has_tables: bool = True

    @property
    def is_good(self) -> bool:
        """Whether nothing is missing or wrong."""
        return not self.missing and not self.faults


def check(folder: Path, acknowledged: Collection[str]) -> Verdict:
    """Look at a store with SQLite alone: whole, nothing acknowledged missing, all consistent."""
    try:
        with closing(sqlite3.connect(folder / STORE_NAME, isolation_level=None)) as connection:
            # What this look writes needn't last.
            connection.execute("PRAGMA synchronous=OFF")
            told = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            if told != ["ok"]:
                return Verdict(faults=tuple(f"integrity_check: {one}" for one in told))
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if tables.events.name not in {row[0] for row in found}:
                return Verdict(frozenset(acknowledged), has_tables=False)
            return _judge(_Found.read(connection), acknowledged)
    except (sqlite3.DatabaseError, ValueError) as error:
        said = f"it can't be read: {type(error).__name__}: {error}"
        return Verdict(frozenset(acknowledged), (said,))


def reopen(folder: Path, acknowledged: Collection[str]) -> Verdict:
    """Open a store as the daemon does, and go on with it.

    An acknowledged event that comes again must be known as a duplicate, and a new one be taken.
    """
    try:
        engine = open_engine(url_of(folder))
        try:
            prepare(engine)
            settle(engine)
            return asyncio.run(_go_on(engine, acknowledged))
        finally:
            engine.dispose()
    except (BridgeError, SQLAlchemyError) as error:
        return Verdict(faults=(f"the product can't open it: {type(error).__name__}: {error}",))


async def _go_on(engine: Engine, acknowledged: Collection[str]) -> Verdict:
    events = tables.events.c
    with engine.connect() as connection:
        rows = connection.execute(select(events.event_id, events.payload))
        kept = {event_id: payload for event_id, payload in rows}  # noqa: C416 - rows are no pairs
    told = [json.loads(kept[one]) for one in list(acknowledged)[-3:] if one in kept]
    # Of a call that no recording has.
    (some,) = documents(1, Random(0))  # noqa: S311 - made up
    new = {**some, "eventId": "after-the-cut", "referenceId": "after"}
    writer = SharedCommit(engine)
    writer.start()
    try:
        ingest = new_ingest(engine, writer)
        receipts = await ingest.take([ingest.admit(one, source="aventa") for one in [*told, new]])
    finally:
        await writer.close()
    taken = [one.taken if isinstance(one, Receipt) else repr(one) for one in receipts]
    expected = [*[Taken.DUPLICATE] * len(told), Taken.ACCEPTED]
    faults = () if taken == expected else (f"events taken again or anew became {taken}",)
    return Verdict(frozenset(acknowledged) - kept.keys(), faults)


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows of a store that hang together. `types` has the events' types by reference."""

    events: Mapping[str, sqlite3.Row]
    types: Mapping[str, list[str]]
    calls: Mapping[str, sqlite3.Row]
    outbox: Mapping[str, sqlite3.Row]
    people: frozenset[str]
    owners: Mapping[str, str]
    key: bytes

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> "_Found":
        connection.row_factory = sqlite3.Row
        events = {row["event_id"]: row for row in connection.execute("SELECT * FROM events")}
        types: dict[str, list[str]] = {}
        for row in events.values():
            types.setdefault(row["reference_id"], []).append(row["event_type"])
        keys = connection.execute("SELECT value FROM meta WHERE name = 'digest_key'").fetchall()
        return cls(
            events=events,
            types=types,
            calls={row["reference_id"]: row for row in connection.execute("SELECT * FROM calls")},
            outbox={row["key"]: row for row in connection.execute("SELECT * FROM outbox")},
            people=frozenset(row["id"] for row in connection.execute("SELECT id FROM people")),
            owners={
                row["value"]: row["person_id"]
                for row in connection.execute("SELECT value, person_id FROM person_keys")
            },
            key=keys[0]["value"] if keys else b"",
        )


def _judge(found: _Found, acknowledged: Collection[str]) -> Verdict:
    faults = [
        *_event_faults(found),
        *_call_faults(found),
        *_delivery_faults(found),
        *_person_faults(found),
    ]
    return Verdict(frozenset(acknowledged) - found.events.keys(), tuple(faults))


def _event_faults(found: _Found) -> Iterator[str]:
    for event_id, row in found.events.items():
        digest = hashlib.blake2b(row["payload"], key=found.key, digest_size=DIGEST_BYTES).digest()
        if digest != row["digest"]:
            yield f"event {event_id}: its digest does not belong to its content and the store's key"


def _call_faults(found: _Found) -> Iterator[str]:
    for reference in found.calls.keys() ^ found.types.keys():
        yield f"call {reference}: its events or its state are there without the other"
    for reference in found.calls.keys() & found.types.keys():
        types, row = found.types[reference], found.calls[reference]
        if decode(Thread, row["state"]).arrivals != len(types):
            yield f"call {reference}: its state is of other events than those that are there"
        if bool(row["is_active"]) != (bool(_RINGING & {*types}) and not _LEAVING & {*types}):
            yield f"call {reference}: it is wrong on whether somebody is on the line"


def _delivery_faults(found: _Found) -> Iterator[str]:
    there: dict[str, list[str]] = {reference: [] for reference in found.types}
    for row in found.outbox.values():
        if row["kind"] == "contact_card":
            continue
        there.setdefault(row["reference_id"], []).append(row["kind"])
        said: dict[str, Any] = json.loads(row["payload"] or "{}")
        told = said.get("integration", said).get("reference_id")
        if told != row["reference_id"]:
            yield f"delivery {row['key']}: its content is not of its call"
    for reference, kinds in there.items():
        wanted = _wanted(frozenset(found.types.get(reference, ())))
        if sorted(kinds) != wanted:
            yield f"call {reference}: deliveries {sorted(kinds)} instead of {wanted}"


def _wanted(types: frozenset[str]) -> list[str]:
    """Return which deliveries a call's events cause, in the order of the alphabet."""
    if not types & _CREATING:
        return []
    is_over = types >= {"call.answered", "call.ended"} or "outbound.ended" in types
    return ["end_errand", "new_errand"] if is_over else ["new_errand"]


def _person_faults(found: _Found) -> Iterator[str]:
    known: set[str] = set()
    for event_id, row in found.events.items():
        if row["event_type"] not in _NAMING:
            continue
        person = found.owners.get(json.loads(row["payload"])["callerNumber"], "")
        known.add(person)
        if person not in found.people or f"contact:{person}" not in found.outbox:
            yield f"event {event_id}: its caller, or the card that should leave, is not there"
    for person in found.people - known:
        yield f"person {person}: nobody's event tells of them"
