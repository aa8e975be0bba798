"""What mappings can say beyond JMESPath's own functions: all pure, and none stops a mapping."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson
from jmespath import functions

HASH_BYTES: Final = 8
# International digits without the plus: no country code begins with 0, and what is shorter than
# seven digits is an extension or a short code.
_BARE: Final = re.compile(r"[1-9][0-9]{6,14}")
_UNIX: Final = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,9})?")
# Seconds until the year 5138; what is larger counts thousandths, what is larger still millionths.
_SECONDS_MAX: Final = 10**11
_MILLIS_MAX: Final = 10**14


class Functions(functions.Functions):
    """JMESPath's functions, and those of mappings, over the tables and headers of one body."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], headers: Mapping[str, str]) -> None:
        """Look up in these tables; the headers' names are in lower case."""
        super().__init__()
        self._tables = tables
        self._headers = headers

    @functions.signature({"types": []})
    def _func_plus(self, number: Any) -> Any:
        """Return international digits with their plus; anything else as it is."""
        text = as_text(number)
        return f"+{text}" if text is not None and _BARE.fullmatch(text) else number

    @functions.signature({"types": []})
    def _func_time(self, moment: Any) -> Any:
        """Return Unix time or a date of RFC 2822 as RFC 3339; anything else as it is."""
        return read_time(moment)

    @functions.signature({"types": []})
    def _func_lower(self, text: Any) -> Any:
        """Return a text in lower case; anything else as it is."""
        return text.lower() if isinstance(text, str) else text

    @functions.signature({"types": []})
    def _func_hash(self, value: Any) -> str:
        """Return 16 digits that stand for a value and whatever is in it."""
        return hash_of(value)

    @functions.signature({"types": ["string"]})
    def _func_header(self, name: str) -> str | None:
        """Return a header of the request."""
        return self._headers.get(name.lower())

    @functions.signature({"types": ["string"]}, {"types": []})
    def _func_lookup(self, table: str, key: Any) -> Any:
        """Return what a table has for a key, or for the first of several that it knows."""
        return look_up(self._tables.get(table, {}), key)


NAMES: Final = frozenset(Functions.FUNCTION_TABLE)


def as_text(value: Any) -> str | None:
    """Return a text, or a whole number as one; None for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def look_up(table: Mapping[str, Any], key: Any) -> Any:
    """Return what a table has for a key; of a list, for the first key that it knows."""
    keys = key if isinstance(key, list) else [key]
    for one in keys:
        text = as_text(one)
        if text is not None and text in table:
            return table[text]
    return None


def hash_of(value: Any) -> str:
    """Return 16 hexadecimal digits that stand for a value; the order of keys is no difference."""
    content = orjson.dumps(clean(value), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(content, digest_size=HASH_BYTES).hexdigest()


def read_time(moment: Any) -> Any:
    """Return Unix seconds, milliseconds or microseconds, or a date of RFC 2822, as RFC 3339.

    What is none of these is returned as it is, and refused further on unless it is RFC 3339.
    """
    text = as_text(moment)
    try:
        if isinstance(moment, float) or (text is not None and _UNIX.fullmatch(text)):
            return _from_unix(float(moment))
        if text is not None and "," in text:
            at = parsedate_to_datetime(text)
            # An offset of -0000 says that none is known, which RFC 2822 takes for UTC.
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()
    except (ValueError, OverflowError, OSError, TypeError, IndexError):
        return moment
    return moment


def _from_unix(number: float) -> str:
    size = abs(number)
    seconds = number if size < _SECONDS_MAX else number / (1e3 if size < _MILLIS_MAX else 1e6)
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat().replace("+00:00", "Z")


def clean(value: Any) -> Any:
    """Return a value as the store can keep it: JSON's types, 64 bits, and texts that are UTF-8."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        # Neither NaN nor an infinity is JSON.
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {clean(str(key)): clean(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [clean(one) for one in value]
    return None
