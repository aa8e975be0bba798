"""Erasing one person from the store, beside a running daemon.

Where one of the values is found that tell them (`whom`), the whole run of events goes that it
stands in, with the name and whatever else was said there. What stays of a call is that it was: its
ids, times and agents, so that an errand that exists can still be ended.

Searching takes no lock and erasing looks at single calls only, so that events go on being taken.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Engine, delete, select, update

from bridge.domain.calls import Thread
from bridge.domain.deliveries import EndErrand, Kind, State
from bridge.domain.outcomes import Verdict
from bridge.ports import CallKey
from bridge.services.folding import mark, of_number
from bridge.storage import tables
from bridge.storage.codecs import decode, encode
from bridge.storage.failures import translated
from bridge.storage.forgetting_feedback import hush, hush_call, mentioning
from bridge.storage.redaction import undialled, without_texts
from bridge.storage.repairs import forget_refusals, remove
from bridge.storage.schema import secret_of
from bridge.storage.sets import chunks
from bridge.storage.whom import Whom

_ROWS: Final = 50
# A daemon at work will settle these itself, by their numbers.
_MOVING: Final = frozenset({State.SENDING, State.DOUBTFUL})
# Where such a delivery creates an errand, it may have done so.
_UNCLEAR: Final = _MOVING | {State.HELD}


@dataclass(slots=True)
class Found:
    """Where somebody is mentioned: calls, refusals, deliveries of which an upstream spoke.

    `answers`, and `others` of what came back, are by `forgetting_feedback`. `is_quarrelled_over`
    says that something of theirs is said to be somebody else's, or was.
    """

    calls: set[CallKey] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)
    quoted: set[int] = field(default_factory=set)
    answers: set[int] = field(default_factory=set)
    others: set[tuple[str, str, int]] = field(default_factory=set)
    is_quarrelled_over: bool = False

    def __bool__(self) -> bool:
        """Whether anything was found."""
        came_back = self.answers or self.others
        return bool(
            self.calls or self.refusals or self.quoted or came_back or self.is_quarrelled_over
        )


def search(connection: Connection, whom: Whom) -> Found:
    """Look through everything that is kept."""
    events, calls, outbox = tables.events.c, tables.calls.c, tables.outbox.c
    delivered = tables.delivered.c
    found, whom_ids = Found(), set(whom.ids)
    for query in (
        select(calls.source, calls.reference_id, calls.state),
        select(events.source, events.reference_id, events.payload),
        select(outbox.source, outbox.reference_id, outbox.payload),
        select(delivered.source, delivered.reference_id, delivered.payload),
    ):
        for source, reference_id, content in _each(connection, query):
            if (source, reference_id) not in found.calls and whom.are_in(content):
                found.calls.add((source, reference_id))
    refusals, attempts = tables.quarantine.c, tables.attempts.c
    for refusal, body in _each(connection, select(refusals.id, refusals.body)):
        if whom.are_sent(body):
            found.refusals.add(refusal)
    for query in (select(attempts.delivery_id, attempts.detail), select(outbox.id, outbox.error)):
        found.quoted.update(
            delivery for delivery, said in _each(connection, query) if whom.are_named(said)
        )
    found.answers, found.others = mentioning(connection, whom)
    quarrels = tables.quarrels.c
    found.is_quarrelled_over = any(
        value in whom.all or not whom_ids.isdisjoint((owner, claimant))
        for value, owner, claimant in _each(
            connection, select(quarrels.value, quarrels.owner, quarrels.claimant)
        )
    )
    return found


def _each(connection: Connection, query: Any) -> Iterator[Any]:
    # Rows may be megabytes each, and there may be millions.
    yield from connection.execute(query, execution_options={"yield_per": _ROWS})


@dataclass(slots=True)
class Erased:
    """What went.

    `errands` will not be sent (again); of these, `unclear` may be in Cention all the same.
    `on_their_way` are being sent or looked up, and stay until Cention has answered.
    """

    people: int = 0
    calls: int = 0
    errands: int = 0
    unclear: int = 0
    refusals: int = 0
    on_their_way: int = 0


def erase(connection: Connection, whom: Whom, found: Found, *, is_alone: bool) -> Erased:
    """Erase what was found, and the person. `is_alone`: no daemon is sending anything."""
    erased = Erased(refusals=forget_refusals(connection, sorted(found.refusals)))
    for key in sorted(found.calls):
        _erase_call(connection, key, whom, erased, is_alone=is_alone)
        erased.calls += 1
    hush(connection, found.answers, found.others)
    _unsay(connection, sorted(found.quoted))
    _erase_tellings(connection, whom)
    outbox, people, keys = tables.outbox, tables.people, tables.person_keys
    for some in chunks(whom.ids):
        _remove_archived(connection, [f"contact:{one}" for one in some])
        cards = connection.execute(
            select(outbox.c.id, outbox.c.state).where(outbox.c.person_id.in_(some))
        ).all()
        # One on its way is settled by its number, which nobody else may have until then.
        moving = [] if is_alone else [row.id for row in cards if row.state in _MOVING]
        remove(connection, [row.id for row in cards if row.id not in moving])
        _unsay(connection, moving)
        erased.on_their_way += len(moving)
        connection.execute(delete(keys).where(keys.c.person_id.in_(some)))
        erased.people += connection.execute(delete(people).where(people.c.id.in_(some))).rowcount
    return erased


def _erase_tellings(connection: Connection, whom: Whom) -> None:
    """Take away what they were told, and what they and others were said to have."""
    told, quarrels = tables.told, tables.quarrels
    key = secret_of(connection)
    marks = {mark(key, one) for one in whom.ids}
    marks.update(mark(key, *of_number(one)) for one in whom.numbers)
    for some in chunks(sorted(marks)):
        connection.execute(delete(told).where(told.c.whom.in_(some)))
    for column, values in (
        (quarrels.c.owner, whom.ids),
        (quarrels.c.claimant, whom.ids),
        (quarrels.c.value, sorted(whom.all)),
    ):
        for some in chunks(values):
            connection.execute(delete(quarrels).where(column.in_(some)))


def _remove_archived(connection: Connection, keys: Sequence[str]) -> None:
    """Take away what was delivered and has moved aside, and what was tried of it."""
    delivered, attempts = tables.delivered, tables.attempts
    ids = select(delivered.c.id).where(delivered.c.key.in_(keys))
    connection.execute(delete(attempts).where(attempts.c.delivery_id.in_(ids)))
    connection.execute(delete(delivered).where(delivered.c.key.in_(keys)))


def _unsay(connection: Connection, ids: Sequence[int]) -> None:
    """Take out what upstreams said of deliveries: they may quote what they were sent."""
    outbox, attempts = tables.outbox, tables.attempts
    for some in chunks(ids):
        connection.execute(update(outbox).where(outbox.c.id.in_(some)).values(error=""))
        connection.execute(
            update(attempts).where(attempts.c.delivery_id.in_(some)).values(detail="")
        )


def _erase_call(
    connection: Connection, key: CallKey, whom: Whom, erased: Erased, *, is_alone: bool
) -> None:
    calls, events, outbox = tables.calls, tables.events, tables.outbox
    delivered = tables.delivered
    rows = connection.execute(
        select(outbox).where(*_of(outbox.c, key)).order_by(outbox.c.position)
    ).all()
    archived = connection.execute(
        select(delivered.c.id, delivered.c.lane, delivered.c.payload, delivered.c.remote_id).where(
            *_of(delivered.c, key)
        )
    ).all()
    came = connection.execute(
        select(events.c.id, events.c.occurred_us, events.c.payload).where(*_of(events.c, key))
    ).all()
    state = connection.execute(select(calls.c.state).where(*_of(calls.c, key))).scalar()
    thread = decode(Thread, state) if state is not None else Thread()
    lanes = {row.lane for row in (*rows, *archived) if whom.are_in(row.payload)}
    moments = {row.occurred_us for row in came if whom.are_in(row.payload)}
    theirs = [
        span
        for span in thread.spans
        if any(span.first_us <= moment <= span.last_us for moment in moments)
        or any(one.message_id in lanes for one in span.creations)
        or whom.are_in(encode(span))
    ]
    lanes.update(one.message_id for span in theirs for one in span.creations)
    others = {
        int(row.remote_id)
        for row in (*rows, *archived)
        if row.lane not in lanes and row.remote_id.isdecimal()
    }
    lanes |= hush_call(connection, key, others)
    gone = _erase_deliveries(
        connection, [row for row in rows if row.lane in lanes], erased, is_alone=is_alone
    )
    _erase_archived(connection, [row.id for row in archived if row.lane in lanes])
    doomed = [
        row.id
        for row in came
        if row.occurred_us in moments
        or any(span.first_us <= row.occurred_us <= span.last_us for span in theirs)
    ]
    for some in chunks(doomed):
        connection.execute(update(events).where(events.c.id.in_(some)).values(payload=None))
    if theirs:
        spans = tuple(
            without_texts(span, gone) if span in theirs else span for span in thread.spans
        )
        after = replace(thread, spans=spans)
        connection.execute(
            update(calls)
            .where(*_of(calls.c, key))
            .values(state=encode(after), is_active=after.is_active, is_open=after.is_open)
        )


def _of(columns: Any, key: CallKey) -> Iterable[ColumnElement[bool]]:
    return columns.source == key[0], columns.reference_id == key[1]


def _erase_deliveries(
    connection: Connection, rows: Sequence[Any], erased: Erased, *, is_alone: bool
) -> set[str]:
    """Erase what was sent, and remove what was not; return the lanes that have no errand now.

    The end of an errand that exists is still sent, without the number that was dialled.
    """
    outbox = tables.outbox
    gone: set[str] = set()
    removed: list[int] = []
    doubted = _doubted(connection, [row.id for row in rows])
    for row in rows:
        is_end = row.kind == Kind.END_ERRAND and row.lane not in gone
        payload = None
        if row.state in _MOVING and not is_alone:
            erased.on_their_way += 1
            continue
        if row.state != State.DELIVERED:
            if not is_end:
                gone.add(row.lane)
                removed.append(row.id)
                if row.kind != Kind.END_ERRAND:
                    erased.errands += 1
                    erased.unclear += row.state in _UNCLEAR or row.id in doubted
                continue
            payload = encode(undialled(decode(EndErrand, row.payload)))
        connection.execute(update(outbox).where(outbox.c.id == row.id).values(payload=payload))
    remove(connection, removed)
    _unsay(connection, [row.id for row in rows])
    return gone


def _doubted(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Return which of these deliveries had an attempt of which nobody knows what it did."""
    attempts = tables.attempts
    found: set[int] = set()
    for some in chunks(ids):
        query = select(attempts.c.delivery_id).where(
            attempts.c.delivery_id.in_(some), attempts.c.outcome == Verdict.IN_DOUBT
        )
        found.update(connection.execute(query).scalars())
    return found


def _erase_archived(connection: Connection, ids: Sequence[int]) -> None:
    delivered = tables.delivered
    for some in chunks(ids):
        connection.execute(update(delivered).where(delivered.c.id.in_(some)).values(payload=None))
    _unsay(connection, ids)


def compact(engine: Engine) -> bool:
    """Write the file anew and empty the log beside it; False: somebody still reads from the log.

    SQLite's `secure_delete` zeroes what is deleted, but not the copies that lie between the rows
    of a page since its rows were moved to others: only a new file is free of them.

    Raises:
        StoreUnavailable: there is no room for it now, or the store is busy.
    """
    with translated(), contextlib.closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        # It can be as large as the store.
        cursor.execute("PRAGMA temp_store=FILE")
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        is_busy = cursor.fetchall()[0][0]
        cursor.close()
    return not is_busy


def remains(connection: Connection, whom: Whom) -> list[str]:
    """Return a line for each thing that still tells of them, since it is not theirs to erase."""
    keys = tables.person_keys.c
    lines = []
    ids = (
        select(table.c.reference_id, table.c.event_id)
        for table in (tables.events, tables.outbox, tables.delivered)
    )
    if any(whom.are_named(one) for query in ids for row in _each(connection, query) for one in row):
        lines.append("ids that the phone system gave, which stay as long as the journal")
    if any(value in whom.all for (value,) in _each(connection, select(keys.value).distinct())):
        lines.append("the card of somebody else, who has the same number under another cuid")
    return lines
