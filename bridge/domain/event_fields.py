"""The fields of an event on the wire: how each kind is checked, and what its schema says."""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

TIME_CHARS_MAX: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:(?P<second>\d{2})(?P<fraction>\.\d+)?"
    r"(?P<offset>[Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)
# What JSON Schema is told of it.
_TIME_SCHEMA: Final = {
    "type": "string",
    "format": "date-time",
    "maxLength": TIME_CHARS_MAX,
    "pattern": "^" + re.sub(r"\?P<\w+>", "", _RFC3339.pattern).replace(r"\d", "[0-9]") + "$",
}


def read_rfc3339(value: object) -> int:
    """Return an RFC 3339 date-time with an offset as microseconds since 1970.

    A leap second (`:60`) counts as the second before it, as POSIX time has none; fractions beyond
    microseconds are cut.

    Raises:
        PydanticCustomError: it is no such string, or no such moment exists.
    """
    if not isinstance(value, str) or len(value) > TIME_CHARS_MAX:
        raise _no_time()
    return _moment(value)


def _no_time() -> PydanticCustomError:
    return PydanticCustomError(
        "rfc3339", "must be an RFC 3339 time with an offset, such as 2026-03-01T09:30:00+01:00"
    )


@lru_cache(maxsize=1024)  # it is asked for more than once an event, and many events share one
def _moment(value: str) -> int:
    match = _RFC3339.fullmatch(value)
    if match is None:
        raise _no_time()
    text = value.upper()
    if match["second"] == "60":
        text = f"{text[:17]}59{text[19:]}"
    if match["fraction"] is not None:
        text = text.replace(match["fraction"], match["fraction"][:7], 1)
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise PydanticCustomError("rfc3339", "is no moment that exists") from None


def check_link(value: str) -> str:
    """Return a link that begins as one does.

    Raises:
        PydanticCustomError: it doesn't.
    """
    if not value.lower().startswith(("http:", "https:")):
        raise PydanticCustomError("link", "must begin with http: or https:")
    return value


def _check_base64(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("base64", "must be base64 (RFC 4648 §4)") from None
    return value


def _check_unix_seconds(value: str) -> str:
    if re.fullmatch(r"\d{1,12}", value, re.ASCII) is None:
        raise PydanticCustomError("unix_seconds", "must be Unix seconds, as a string of digits")
    return value


Text128 = Annotated[str, Field(min_length=1, max_length=128)]
Text256 = Annotated[str, Field(min_length=1, max_length=256)]
Id31 = Annotated[int, Field(ge=0, le=2**31 - 1)]
ChannelValues = Annotated[tuple[Text256, ...], Field(max_length=50, strict=False)]
Link = Annotated[
    str,
    Field(max_length=2048, json_schema_extra={"pattern": "^[Hh][Tt][Tt][Pp][Ss]?:"}),
    AfterValidator(check_link),
]
Base64 = Annotated[
    str,
    Field(json_schema_extra={"contentEncoding": "base64", "pattern": "^[A-Za-z0-9+/]*={0,2}$"}),
    AfterValidator(_check_base64),
]
UnixSeconds = Annotated[
    str,
    Field(json_schema_extra={"pattern": "^[0-9]{1,12}$"}),
    AfterValidator(_check_unix_seconds),
]
# Microseconds since 1970.
Moment = Annotated[int, BeforeValidator(read_rfc3339), WithJsonSchema(_TIME_SCHEMA)]
Outcome = Literal["completed", "no_answer", "busy", "failed", "voicemail"]
