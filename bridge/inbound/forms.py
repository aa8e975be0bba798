"""Forms as phone systems post them, read into plain objects, as strictly as JSON is.

A field that comes more than once, or whose name ends with `[]`, is a list; any other is a text.
Sources: WHATWG URL, "application/x-www-form-urlencoded"; RFC 7578 (`multipart/form-data`).
"""

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from bridge.inbound.strict_json import StrictJsonError, loads

URLENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
JSON: Final = "application/json"
FIELDS_MAX: Final = 1000
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PARAMETER: Final = re.compile(r';\s*([\w-]+)\s*=\s*(?:"([^"]*)"|([^;\s"]*))')
_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii"})


def kind_of(content_type: str) -> str:
    """Return which of the three kinds of body a Content-Type is; empty: none of them."""
    kind = content_type.partition(";")[0].strip().lower()
    if parameters(content_type).get("charset", "utf-8").lower() not in _UTF8:
        return ""
    if kind == JSON or (kind.startswith("application/") and kind.endswith("+json")):
        return JSON
    return kind if kind in {URLENCODED, MULTIPART} else ""


def parameters(header: str) -> dict[str, str]:
    """Return the parameters of a Content-Type or Content-Disposition."""
    return {one[1].lower(): one[2] or one[3] or "" for one in _PARAMETER.finditer(header)}


def read_any(raw: bytes, content_type: str) -> Any:
    """Return what a body of one of the three kinds holds.

    Raises:
        StrictJsonError: it can't be read; what is wrong is said without any of its content.
    """
    kind = kind_of(content_type)
    if kind == JSON:
        return loads(raw)
    if kind == MULTIPART:
        return _collected(_multipart(raw, parameters(content_type).get("boundary", "")))
    return _collected(_urlencoded(raw))


def _collected(fields: Iterator[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    count = 0
    for name, value in fields:
        count += 1
        if count > FIELDS_MAX:
            raise StrictJsonError(f"the form has more than {FIELDS_MAX:,} fields")
        if "\0" in name or "\0" in value:
            raise StrictJsonError("the form holds the character U+0000")
        plain = name.removesuffix("[]")
        if plain in found:
            before = found[plain]
            found[plain] = [*(before if isinstance(before, list) else [before]), value]
        else:
            found[plain] = [value] if plain != name else value
    if not count:
        raise StrictJsonError("the form is empty")
    return found


def _urlencoded(raw: bytes) -> Iterator[tuple[str, str]]:
    if _BAD_ESCAPE.search(raw):
        raise StrictJsonError("the form holds a % without two hexadecimal digits")
    if raw.count(b"&") > FIELDS_MAX:
        raise StrictJsonError(f"the form has more than {FIELDS_MAX:,} fields")
    for pair in raw.strip(b"\r\n").split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            yield _unquoted(name), _unquoted(value)


def _unquoted(text: bytes) -> str:
    return _decoded(unquote_to_bytes(text.replace(b"+", b" ")))


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise StrictJsonError("the form is not UTF-8") from None


def _multipart(raw: bytes, boundary: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of a form in parts; files are no part of what a phone system tells."""
    if not boundary or len(boundary) > 70 or not boundary.isascii():
        raise StrictJsonError("the form names no boundary")
    line = b"\r\n--" + boundary.encode()
    parts = (b"\r\n" + raw).split(line, FIELDS_MAX + 2)
    if len(parts) < 3 or not parts[-1].startswith(b"--"):
        raise StrictJsonError("the form does not end with its boundary")
    for part in parts[1:-1]:
        head, separator, content = part.partition(b"\r\n\r\n")
        if not separator or not head.startswith(b"\r\n"):
            raise StrictJsonError("a part of the form has no head")
        yield _part_name(_decoded(head)), _decoded(content)


def _part_name(head: str) -> str:
    for header in head.split("\r\n"):
        name, _, value = header.partition(":")
        if name.strip().lower() == "content-disposition":
            given = parameters(value)
            if "filename" in given:
                raise StrictJsonError("the form holds a file, which is no field of an event")
            if "name" in given:
                return given["name"]
    raise StrictJsonError("a part of the form has no name")
