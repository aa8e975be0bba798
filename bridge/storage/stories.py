"""The story of one call, as `trace` tells it: all that is kept under its reference."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote_plus

from sqlalchemy import ColumnElement, Connection, Table, and_, func, or_, select

from bridge.domain.calls import Thread
from bridge.domain.contacts import CHANNELS
from bridge.domain.events import EventType
from bridge.domain.units import DAY_US
from bridge.storage import feedback, queries, tables
from bridge.storage.codecs import decode
from bridge.storage.refusals import from_row

Story = dict[str, list[dict[str, Any]]]
# As many as fit on a screen; a phone system that goes wrong may be refused for ever.
REFUSED_MAX: Final = 20


def sources(connection: Connection, reference_id: str) -> list[str]:
    """Return the phone systems that know a call of this reference."""
    found: set[str] = set()
    for table in (tables.events, tables.calls, tables.outbox, tables.delivered):
        query = select(table.c.source).where(_is_of(connection, table, reference_id, None))
        found.update(connection.execute(query.distinct()).scalars())
    return sorted(found)


def story(connection: Connection, reference_id: str, source: str | None = None) -> Story:
    """Return all that is known of a call; without a source, in any phone system.

    `events` as they came, `deliveries` with their attempts, the `people` who called with what was
    sent about them, the `answers` and `reports` that came back, and what was `refused` that names
    the call.
    """
    events = tables.events
    came = [
        dict(row)
        for row in connection.execute(
            select(events)
            .where(_is_of(connection, events, reference_id, source))
            .order_by(events.c.occurred_us, events.c.id)
        ).mappings()
    ]
    for event in came:
        event["payload"] = queries.document(event["payload"])
    left = queries.deliveries(
        connection, lambda table: _is_of(connection, table, reference_id, source)
    )
    answers, reports = (
        _is_of(connection, table, reference_id, source)
        for table in (tables.answers, tables.reports)
    )
    return {
        "events": came,
        "deliveries": left,
        "people": _people(connection, reference_id, source, came, left),
        "answers": feedback.answers(connection, answers),
        "reports": feedback.reports(connection, reports),
        "refused": _refused(connection, reference_id, source, came),
    }


def belongs_to(connection: Connection, reference_id: str, source: str | None = None) -> str | None:
    """Return the call that an outbound call of this reference was counted to, if it was.

    Only the content of its events tells, so it is known for as long as that is kept.
    """
    events = tables.events.c
    said = json.dumps({"referenceId": reference_id}, ensure_ascii=False, separators=(",", ":"))
    query = select(events.reference_id).where(
        events.event_type.in_([one for one in EventType if one.is_outbound]),
        func.instr(events.payload, _bytes(said[1:-1])) > 0,
    )
    if source is not None:
        query = query.where(events.source == source)
    return connection.execute(query.limit(1)).scalar()


def _is_of(
    connection: Connection, table: Table, reference_id: str, source: str | None
) -> ColumnElement[bool]:
    """Return what is true of a call's rows, in a form for which the index serves."""
    known = queries.steps(connection, table.c.source) if source is None else [source]
    return and_(table.c.source.in_(known), table.c.reference_id == reference_id)


def _refused(
    connection: Connection,
    reference_id: str,
    source: str | None,
    came: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return what was refused at the door and names a call, the oldest first.

    A body that can't be read as JSON, or holds many events, counts if the name stands in it. Bodies
    have to be looked through, so of a call that is known only those since a while before it are.
    """
    since_us = min((event["received_us"] for event in came), default=0) - DAY_US
    table = tables.quarantine
    said = json.dumps(reference_id, ensure_ascii=False)
    in_form = _bytes(f"={quote_plus(reference_id, errors='replace')}")
    query = select(table).where(
        table.c.received_us >= since_us,
        or_(
            func.instr(table.c.body, _bytes(said)) > 0,
            func.instr(table.c.body, in_form + b"&") > 0,
            func.substr(table.c.body, -len(in_form)) == in_form,
        ),
    )
    if source is not None:
        query = query.where(table.c.source == source)
    rows = connection.execute(query.order_by(table.c.received_us, table.c.id).limit(REFUSED_MAX))
    found = [from_row(row) for row in rows]
    for one in found:
        one["payload"] = queries.document(one.pop("body"))
    return found


def _bytes(text: str) -> bytes:
    """Return a text as it stands in the store; half a character stands nowhere in it."""
    return text.encode(errors="replace")


def _people(
    connection: Connection,
    reference_id: str,
    source: str | None,
    came: Sequence[Mapping[str, Any]],
    left: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return who called, and what was tried to be sent about them since the call began."""
    values = {
        *_told(came),
        *_sent(left),
        *_remembered(connection, reference_id, source),
    }
    routes = {row["route"] for row in (*came, *left)}
    people = queries.people(connection, *sorted(values)) if values else []
    # A caller is somebody else in each workspace; those of other workspaces were not spoken of.
    near = [one for one in people if one["route"] in routes] or people
    since_us = min((event["received_us"] for event in came), default=0)
    for person in near:
        person["deliveries"] = _cards(connection, person["id"], since_us)
    return near


def _told(came: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what events say that somebody is known by. Their numbers are not read here."""
    for event in came:
        said = event["payload"]
        if not isinstance(said, dict):
            continue
        yield str(said.get("cuid") or "")
        contact = said.get("contact") or {}
        for channel in CHANNELS:
            yield from (str(one) for one in contact.get(channel) or ())


def _sent(left: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what errands say that somebody is known by."""
    for row in left:
        payload = row["payload"] or {}
        yield from (str(payload.get(name) or "") for name in ("sender", "cuid"))


def _remembered(connection: Connection, reference_id: str, source: str | None) -> Iterator[str]:
    """Yield what a call's own memory says that its caller is known by."""
    calls = tables.calls
    query = select(calls.c.state).where(_is_of(connection, calls, reference_id, source))
    for raw in connection.execute(query).scalars():
        try:
            thread = decode(Thread, raw)
        except ValueError:
            continue
        for span in thread.spans:
            yield span.recall("cuid")
            number = span.recall("caller")
            yield f"+{number}" if number else ""


def _cards(connection: Connection, person_id: str, since_us: int) -> list[dict[str, Any]]:
    """Return the deliveries of somebody's card. Of what was tried, only what was since then."""
    found = queries.deliveries(connection, lambda table: table.c.key == f"contact:{person_id}")
    for row in found:
        row["tries"] = [one for one in row["tries"] if one["at_us"] >= since_us]
    return [row for row in found if row["tries"] or row["done_us"] is None]
