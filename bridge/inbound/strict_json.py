"""A strict reader of JSON from outside (RFC 8259), for bodies that nobody has vouched for.

The standard library's reader accepts what no store or later reader can keep (lone surrogates,
U+0000), what JSON doesn't know (NaN, Infinity), and what two readers would read differently
(the same key twice, numbers out of range). Here all of that is refused, in linear time.

The standard library's scanner does the work, with hooks. Measured, that is quicker than orjson
with what orjson would need beside it to find duplicate keys and integers out of range.
"""

import json
import re
from collections.abc import Callable
from math import isfinite
from typing import Any, Final, TypeAlias, TypeVar

JsonValue: TypeAlias = bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"] | None

KnownT = TypeVar("KnownT")

_LINES_MAX: Final = 250_000

_WHITESPACE: Final = " \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"
_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
_INT64_LENGTH_MAX: Final = len(str(_INT64_MIN))

# The scanner's own words, where they are fixed texts: others could quote what came in.
_SYNTAX_ERRORS: Final = {
    "Expecting value": "a value is missing",
    "Expecting ',' delimiter": "a comma or a closing bracket is missing",
    "Expecting ':' delimiter": "a colon is missing after a key",
    "Expecting property name enclosed in double quotes": "a key in double quotes is missing",
    "Illegal trailing comma before end of object": "there is a comma before a closing bracket",
    "Illegal trailing comma before end of array": "there is a comma before a closing bracket",
    "Unterminated string starting at": "a string is not closed",
    "Invalid control character at": "a string holds an unescaped control character",
    "Invalid \\escape": "a string holds an unknown escape",
    "Invalid \\uXXXX escape": "a string holds a \\u escape without four hexadecimal digits",
}

# Steps over everything up to an escape of U+0000 or of a lone surrogate, backslash by backslash,
# since `\\ud800` (an escaped backslash, then letters) is harmless. Possessive, so that it never
# turns back: linear for any body.
_BAD_ESCAPE: Final = re.compile(
    rb"""(?:
        [^\\]++
      | \\[^u]
      | \\u(?!0000|[dD][89a-fA-F])
      | \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
    )*+\\u""",
    re.VERBOSE,
)

# From the first character of a line that isn't whitespace to the line's end: blank lines and
# the \r of a \r\n cost no step of their own.
_LINE: Final = re.compile(rb"[^ \t\r\n][^\n]*")


def _knows_none(_line: bytes) -> None:
    return None


class StrictJsonError(ValueError):
    """A body that isn't JSON as the bridge reads it.

    Attributes:
        detail: One sentence on what is wrong, without any of the body's content.
        pointer: Where, as a JSON Pointer (RFC 6901); empty for the whole document.
        line: The bytes of the line that it is about, where it is about one of many.
    """

    def __init__(self, detail: str, pointer: str = "", line: bytes = b"") -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.line = line


def loads(raw: bytes, *, depth_max: int = 32) -> JsonValue:
    """Read one JSON value from a whole body.

    Args:
        raw: The body. It must be UTF-8; a byte order mark before it is skipped (RFC 8259, 8.1).
        depth_max: How many arrays and objects may lie within each other.

    Returns:
        The value; integers fit a signed 64-bit field, and every text can be stored as UTF-8.

    Raises:
        StrictJsonError: If the body is empty or not well-formed, not UTF-8, nested too deep, or
            holds NaN, Infinity, a number out of range, a key twice in one object, a lone
            surrogate or U+0000.
    """
    return _loads_bare(raw.removeprefix(_BOM), depth_max)


def loads_lines(
    raw: bytes,
    *,
    depth_max: int = 32,
    first: Callable[[bytes], KnownT | None] = _knows_none,
) -> list[JsonValue | StrictJsonError | KnownT]:
    r"""Read one JSON value a line (NDJSON); blank lines are skipped, lines may end in `\r\n`.

    A bad line doesn't spoil its neighbours: its error stands in its place. Where the body as a
    whole can't be read (UTF-16 or UTF-32, or more lines than any batch has), the list holds the
    one error.

    Args:
        raw: The body, read by the rules of `loads` line by line.
        depth_max: How many arrays and objects may lie within each other in one line.
        first: Who is asked about each line before it is read here; what it returns, unless that
            is None, stands in the line's place.

    Returns:
        For each line that isn't blank, in order, its value or its error.
    """
    raw = raw.removeprefix(_BOM)
    wide = _wide_encoding(raw)
    if wide is not None:
        return [_wide_error(wide)]
    results: list[JsonValue | StrictJsonError | KnownT] = []
    for line in _LINE.finditer(raw):
        if len(results) == _LINES_MAX:
            return [StrictJsonError(f"The body has more than {_LINES_MAX} lines.")]
        known = first(line.group())
        if known is not None:
            results.append(known)
            continue
        try:
            results.append(_loads_bare(line.group(), depth_max))
        except StrictJsonError as error:
            # A fresh one: a kept traceback would hold the frames, and the line, of each bad line.
            results.append(StrictJsonError(error.detail, error.pointer, line.group()))
    return results


def _loads_bare(raw: bytes, depth_max: int) -> JsonValue:
    value: JsonValue
    try:
        text = raw.decode()
        body = text.strip(_WHITESPACE)
        value, end = _DECODER.raw_decode(body)
    except UnicodeDecodeError:
        raise _encoding_error(raw) from None
    except json.JSONDecodeError as error:
        raise _syntax_error(raw, error) from None
    except RecursionError:
        raise _depth_error(depth_max) from None
    if end != len(body):
        offset = len(text) - len(text.lstrip(_WHITESPACE)) + end
        raise StrictJsonError(
            f"The body goes on after its JSON value, at character {offset} (from 0)."
        )
    # Brackets can't nest deeper than there are brackets: most bodies need no closer look.
    if raw.count(b"[") + raw.count(b"{") > depth_max:
        _check_depth(value, depth_max)
    if b"\\u" in raw:
        _check_escapes(raw)
    return value


def _check_depth(value: JsonValue, depth_max: int) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth_max):
        if not level:
            return
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) is dict or type(child) is list
        ]
    if level:
        raise _depth_error(depth_max)


def _check_escapes(raw: bytes) -> None:
    if not (b"\\u0000" in raw or b"\\ud" in raw or b"\\uD" in raw):
        return
    bad = _BAD_ESCAPE.match(raw)
    if bad is None:
        return
    if raw.startswith(b"0000", bad.end()):
        raise StrictJsonError("A string holds U+0000, which can't be stored.")
    raise StrictJsonError("A string holds half a surrogate pair, which is no character.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise StrictJsonError("An object has the same key twice.")
    return members


def _integer(literal: str) -> int:
    # By length first: int() refuses thousands of digits in words of its own.
    if len(literal) <= _INT64_LENGTH_MAX:
        number = int(literal)
        if _INT64_MIN <= number <= _INT64_MAX:
            return number
    raise StrictJsonError("An integer is outside the signed 64-bit range.")


def _float(literal: str) -> float:
    number = float(literal)
    if not isfinite(number):
        raise StrictJsonError("A number is too large for a double-precision float.")
    return number


def _constant(_literal: str) -> None:
    raise StrictJsonError("NaN, Infinity and -Infinity are no JSON numbers.")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def _wide_encoding(raw: bytes) -> str | None:
    """Name the encoding if it is UTF-16 or UTF-32, told by its first bytes (RFC 4627, 3)."""
    encoding = json.detect_encoding(raw)
    return None if encoding.startswith("utf-8") else encoding[:6].upper()


def _wide_error(encoding: str) -> StrictJsonError:
    return StrictJsonError(f"The body must be UTF-8, but looks like {encoding}.")


def _encoding_error(raw: bytes) -> StrictJsonError:
    wide = _wide_encoding(raw)
    return _wide_error(wide) if wide else StrictJsonError("The body is not valid UTF-8.")


def _syntax_error(raw: bytes, error: json.JSONDecodeError) -> StrictJsonError:
    if not raw.strip():
        return StrictJsonError("The body is empty.")
    # ASCII in UTF-16 without a byte order mark is valid UTF-8 too, full of NULs.
    wide = _wide_encoding(raw)
    if wide:
        return _wide_error(wide)
    lead = len(raw) - len(raw.lstrip(_WHITESPACE.encode()))
    what = _SYNTAX_ERRORS.get(error.msg, "something unexpected stands")
    return StrictJsonError(
        f"The body is not JSON: {what} at character {error.pos + lead} (from 0)."
    )


def _depth_error(depth_max: int) -> StrictJsonError:
    return StrictJsonError(f"Arrays and objects are nested more than {depth_max} deep.")
