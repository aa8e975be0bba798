"""Whom to forget: how somebody is found in the store, and known wherever they are mentioned.

They are told by numbers, a cuid and other channels' values: a name may be many people's.
"""

import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote_plus

import phonenumbers
from sqlalchemy import Connection, select

from bridge.domain.contacts import CHANNELS, EMPTY_CARD, Card, keys_of
from bridge.domain.msisdn import read_number
from bridge.storage import tables
from bridge.storage.codecs import decode
from bridge.storage.sets import chunks

Regions = Collection[str | None]
# A shorter value is believed to be the person's only where a cuid or channel stands: as a word in
# a text it could be anything.
_TELLING_CHARS: Final = 8
_TAIL_DIGITS: Final = 6
_IDENTIFYING: Final = frozenset(("cuid", *CHANNELS))
# An attachment's content: base64, and megabytes of it.
_ENCODED: Final = "content"
_RUN: Final = re.compile(r"\d(?:[\s().+/-]{0,3}\d)+")
# A digit of another script, which is no digit among bytes.
_WIDE_DIGIT: Final = re.compile(r"[^\D0-9]")
_NO_DIGITS: Final = bytes(set(range(256)) - set(b"0123456789"))


class Whom:
    """Whom to forget. `ids` are those of the people in the store that it is; maybe none.

    `numbers` are their MSISDNs, `all` is all that tells them, numbers with the plus.
    """

    def __init__(
        self, ids: Collection[str], numbers: Collection[str], values: Collection[str], at: Regions
    ) -> None:
        """Know them by MSISDNs and by other values; numbers are read as at these regions."""
        self.ids = sorted(ids)
        self.numbers = frozenset(numbers)
        self._values = frozenset(values)
        self._regions = sorted(at, key=str)
        self._tails = [number[-_TAIL_DIGITS:].encode() for number in self.numbers]
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
            # A form hides what it says behind escapes.
            plain = f"{unquote_plus(text)}&"
            return (
                self.are_named(text)
                or self.are_named(plain)
                or any(f'"{one}"' in text or f"={one}&" in plain for one in self._values)
            )

    def _has_number(self, text: str) -> bool:
        digits = _digits(text).encode()
        if not any(tail in digits for tail in self._tails):
            return False
        runs = (_digits(match[0]).lstrip("0") for match in _RUN.finditer(text))
        if any(run in self.numbers for run in runs):
            return True
        return any(
            found in self.numbers for region in self._regions for found in _numbers(text, region)
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
        cards = [(row, _card(row.wanted).plus(_card(row.confirmed))) for row in fresh]
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


def _card(raw: bytes) -> Card:
    """Return a stored card; of one that can't be read, nothing: the person's keys tell enough."""
    try:
        return decode(Card, raw)
    except ValueError:
        return EMPTY_CARD
