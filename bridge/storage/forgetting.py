"""Erasing one person from the store, beside a running daemon.

Whoever is to be forgotten is told by numbers, a cuid and other channels' values: a name may be
many people's. Where one of them is found, the whole run of events goes that it stands in, with the
name and whatever else was said there. What stays of a call is that it was: its ids, times and
agents, so that an errand that exists can still be ended.

Searching takes no lock and erasing looks at single calls only, so that events go on being taken.
"""

import contextlib
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import phonenumbers
from sqlalchemy import ColumnElement, Connection, Engine, delete, select, update

from bridge.domain.calls import Thread
from bridge.domain.contacts import CHANNELS, Card, keys_of
from bridge.domain.deliveries import EndErrand, Kind, State
from bridge.domain.msisdn import read_number
from bridge.domain.spans import Mark, Span
from bridge.ports import CallKey
from bridge.storage import tables
from bridge.storage.codecs import decode, encode
from bridge.storage.failures import translated
from bridge.storage.repairs import forget_refusals, remove
from bridge.storage.sets import chunks

Regions = Collection[str | None]
# A shorter value is believed to be the person's only where a cuid or channel stands: as a word in
# a text it could be anything.
_TELLING_CHARS: Final = 8
_TAIL_DIGITS: Final = 6
_ROWS: Final = 50
_IDENTIFYING: Final = frozenset(("cuid", *CHANNELS))
# An attachment's content: base64, and megabytes of it.
_ENCODED: Final = "content"
_RUN: Final = re.compile(r"\d(?:[\s().+/-]{0,3}\d)+")
# A digit of another script, which is no digit among bytes.
_WIDE_DIGIT: Final = re.compile(r"[^\D0-9]")
_NO_DIGITS: Final = bytes(set(range(256)) - set(b"0123456789"))


class Whom:
    """Whom to forget. `ids` are those of the people in the store that it is; maybe none."""

    def __init__(
        self, ids: Collection[str], numbers: Collection[str], values: Collection[str], at: Regions
    ) -> None:
        """Know them by MSISDNs and by other values; numbers are read as at these regions."""
        self.ids = sorted(ids)
        self._numbers = frozenset(numbers)
        self._values = frozenset(values)
        self._regions = sorted(at, key=str)
        self._tails = [number[-_TAIL_DIGITS:].encode() for number in self._numbers]
        self._lower = [one.lower().encode() for one in self._values]
        self.all = frozenset((*values, *(f"+{one}" for one in numbers)))
        telling = (*numbers, *(one.casefold() for one in values if len(one) >= _TELLING_CHARS))
        words = "|".join(map(re.escape, telling)) or "(?!)"
        self._words = re.compile(rf"(?<!\w)(?:{words})(?!\w)")
        self._is_plain = all(re.fullmatch(r"[ !#-\[\]-~]+", one) for one in self._values)

    def are_in(self, raw: bytes | None) -> bool:
        """Tell whether stored JSON is about them."""
        if raw is None:
            return False
        if self._is_plain and (raw.isascii() or not _WIDE_DIGIT.search(raw.decode())):
            # Most rows are somebody else's, which is to be known before they are parsed.
            digits, letters = raw.translate(None, _NO_DIGITS), raw.lower()
            if not any(one in digits for one in self._tails) and not any(
                one in letters for one in self._lower
            ):
                return False
        return self.are_said(json.loads(raw))

    def are_said(self, value: Any, key: str = "") -> bool:
        """Tell whether a JSON value is about them; `key` is the one that it stands at."""
        if isinstance(value, dict):
            return any(
                self.are_said(item, key if name == "text" else name) for name, item in value.items()
            )
        if isinstance(value, list):
            return any(self.are_said(item, key) for item in value)
        if isinstance(value, str):
            if key == _ENCODED:
                return False
            return (key in _IDENTIFYING and value in self._values) or self.are_named(value)
        return type(value) is int and self.are_named(str(value))

    def are_named(self, text: str) -> bool:
        """Tell whether a text names them."""
        return self._words.search(text.casefold()) is not None or self._has_number(text)

    def are_sent(self, body: bytes) -> bool:
        """Tell whether a refused body is about them, be it JSON or not."""
        text = body.replace(b"\0", b"").decode(errors="replace")
        try:
            return self.are_said(json.loads(text))
        except (ValueError, RecursionError):
            return self.are_named(text) or any(f'"{one}"' in text for one in self._values)

    def _has_number(self, text: str) -> bool:
        digits = _digits(text).encode()
        if not any(tail in digits for tail in self._tails):
            return False
        runs = (_digits(match[0]).lstrip("0") for match in _RUN.finditer(text))
        if any(run in self._numbers for run in runs):
            return True
        return any(
            found in self._numbers for region in self._regions for found in _numbers(text, region)
        )


def _digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(char)) for char in text if char.isdecimal())


def _numbers(text: str, region: str | None) -> Iterator[str]:
    """Yield the MSISDNs that a text is or holds, as it is read at a region."""
    yield read_number(text, region=region).msisdn
    yield read_number(text, region=region, bare_digits="msisdn").msisdn
    for match in phonenumbers.PhoneNumberMatcher(text, region):
        national = phonenumbers.national_significant_number(match.number)
        yield f"{match.number.country_code}{national}"


def find(connection: Connection, text: str, number: str, at: Regions) -> Whom:
    """Find whom a text means: who has it as cuid or channel, else who has the number (with plus).

    In other workspaces it is whoever shares a value with them and has no other cuid.
    """
    start = text if not number or _people(connection, [text]) else number
    ids: set[str] = set()
    values, cuids = {start}, set[str]()
    while True:
        fresh = [row for row in _people(connection, sorted(values)) if row.id not in ids]
        cards = [(row, decode(Card, row.wanted).plus(decode(Card, row.confirmed))) for row in fresh]
        # Somebody else may have the same number: another cuid tells.
        own = [one for one in cards if not cuids or one[1].cuid in {"", *cuids} or not ids]
        if not own:
            break
        for row, card in own:
            ids.add(row.id)
            cuids.update({card.cuid} - {""})
            values.update(value for _, _, value in keys_of(row.scope, card))
        values.update(_keys(connection, sorted(ids)))
    numbers = {one[1:] for one in values if re.fullmatch(r"\+\d{5,15}", one)}
    return Whom(ids, numbers, values - {f"+{one}" for one in numbers}, at)


def _people(connection: Connection, values: Sequence[str]) -> list[Any]:
    keys, people = tables.person_keys.c, tables.people
    found: list[Any] = []
    for some in chunks(values):
        ids = select(keys.person_id).where(keys.value.in_(some))
        found.extend(connection.execute(select(people).where(people.c.id.in_(ids))))
    return found


def _keys(connection: Connection, ids: Sequence[str]) -> list[str]:
    keys = tables.person_keys.c
    found: list[str] = []
    for some in chunks(ids):
        found.extend(
            connection.execute(select(keys.value).where(keys.person_id.in_(some))).scalars()
        )
    return found


@dataclass(slots=True)
class Found:
    """Where somebody is mentioned: calls, refusals, deliveries of which an upstream spoke."""

    calls: set[CallKey] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)
    quoted: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether anything was found."""
        return bool(self.calls or self.refusals or self.quoted)


def search(connection: Connection, whom: Whom) -> Found:
    """Look through everything that is kept."""
    events, calls, outbox = tables.events.c, tables.calls.c, tables.outbox.c
    found = Found()
    for query in (
        select(calls.source, calls.reference_id, calls.state),
        select(events.source, events.reference_id, events.payload),
        select(outbox.source, outbox.reference_id, outbox.payload),
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
    return found


def _each(connection: Connection, query: Any) -> Iterator[Any]:
    # Rows may be megabytes each, and there may be millions.
    yield from connection.execute(query, execution_options={"yield_per": _ROWS})


@dataclass(slots=True)
class Erased:
    """What went. `errands` had not been sent; `on_their_way` stay until Cention has answered."""

    people: int = 0
    calls: int = 0
    errands: int = 0
    refusals: int = 0
    on_their_way: int = 0


def erase(connection: Connection, whom: Whom, found: Found, *, is_alone: bool) -> Erased:
    """Erase what was found, and the person. `is_alone`: no daemon is sending anything."""
    erased = Erased(refusals=forget_refusals(connection, sorted(found.refusals)))
    for key in sorted(found.calls):
        _erase_call(connection, key, whom, erased, is_alone=is_alone)
        erased.calls += 1
    _unsay(connection, sorted(found.quoted))
    outbox, people, keys = tables.outbox, tables.people, tables.person_keys
    for some in chunks(whom.ids):
        cards = connection.execute(
            select(outbox.c.id, outbox.c.state).where(outbox.c.person_id.in_(some))
        ).all()
        # One on its way is settled by its number, which nobody else may have until then.
        moving = [] if is_alone else [row.id for row in cards if row.state == State.SENDING]
        remove(connection, [row.id for row in cards if row.id not in moving])
        _unsay(connection, moving)
        erased.on_their_way += len(moving)
        connection.execute(delete(keys).where(keys.c.person_id.in_(some)))
        erased.people += connection.execute(delete(people).where(people.c.id.in_(some))).rowcount
    return erased


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
    rows = connection.execute(
        select(outbox).where(*_of(outbox.c, key)).order_by(outbox.c.position)
    ).all()
    came = connection.execute(
        select(events.c.id, events.c.occurred_us, events.c.payload).where(*_of(events.c, key))
    ).all()
    state = connection.execute(select(calls.c.state).where(*_of(calls.c, key))).scalar()
    thread = decode(Thread, state) if state is not None else Thread()
    lanes = {row.lane for row in rows if whom.are_in(row.payload)}
    moments = {row.occurred_us for row in came if whom.are_in(row.payload)}
    theirs = [
        span
        for span in thread.spans
        if any(span.first_us <= moment <= span.last_us for moment in moments)
        or any(one.message_id in lanes for one in span.creations)
        or whom.are_in(encode(span))
    ]
    lanes.update(one.message_id for span in theirs for one in span.creations)
    gone = _erase_deliveries(
        connection, [row for row in rows if row.lane in lanes], erased, is_alone=is_alone
    )
    doomed = [
        row.id
        for row in came
        if row.occurred_us in moments
        or any(span.first_us <= row.occurred_us <= span.last_us for span in theirs)
    ]
    for some in chunks(doomed):
        connection.execute(update(events).where(events.c.id.in_(some)).values(payload=None))
    if theirs:
        spans = tuple(_bare(span, gone) if span in theirs else span for span in thread.spans)
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
    for row in rows:
        is_end = row.kind == Kind.END_ERRAND and row.lane not in gone
        payload = None
        if row.state == State.SENDING and not is_alone:
            erased.on_their_way += 1
            continue
        if row.state != State.DELIVERED:
            if not is_end:
                gone.add(row.lane)
                removed.append(row.id)
                erased.errands += row.kind != Kind.END_ERRAND
                continue
            payload = encode(replace(decode(EndErrand, row.payload), dialed_number=""))
        connection.execute(update(outbox).where(outbox.c.id == row.id).values(payload=payload))
    remove(connection, removed)
    _unsay(connection, [row.id for row in rows])
    return gone


def _bare(span: Span, gone: Collection[str]) -> Span:
    """Return a span without anything that was said in it, and without errands never made."""
    creations = tuple(
        replace(one, end=_undialled(one.end))
        for one in span.creations
        if one.draft is None and one.message_id not in gone
    )
    return replace(
        span,
        known={},
        ended=_unmarked(span.ended),
        dialed=_unmarked(span.dialed),
        awaits_callback=span.awaits_callback and bool(creations),
        creations=creations,
    )


def _undialled(end: EndErrand | None) -> EndErrand | None:
    return None if end is None else replace(end, dialed_number="")


def _unmarked(mark: Mark | None) -> Mark | None:
    return None if mark is None else replace(mark, text="")


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
    events, outbox, keys = tables.events.c, tables.outbox.c, tables.person_keys.c
    lines = []
    ids = (
        select(events.reference_id, events.event_id),
        select(outbox.reference_id, outbox.event_id),
    )
    if any(whom.are_named(one) for query in ids for row in _each(connection, query) for one in row):
        lines.append("ids that the phone system gave, which stay as long as the journal")
    if any(value in whom.all for (value,) in _each(connection, select(keys.value).distinct())):
        lines.append("the card of somebody else, who has the same number under another cuid")
    return lines
