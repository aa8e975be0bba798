"""What a delivery holds, as a person may edit it.

Files stand in it as their size only, and keep their content unless that is replaced by base64.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import orjson

from bridge.cli.common import file_size
from bridge.domain.answers import OnwardAnswer
from bridge.domain.deliveries import PAYLOADS, Kind, NewErrand, Payload, TicketWork
from bridge.domain.errors import Issue
from bridge.domain.markers import find_marker, marker
from bridge.inbound.strict_json import StrictJsonError, loads
from bridge.storage.codecs import decode, encode

_UNREADABLE: Final = "what is kept can't be read; the release that kept it could"
_MISSING: Final = re.compile(r"Object missing required field `([^`]*)`")
_EXPECTED: Final = re.compile(r"Expected `([^`]*)`")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[([^\]]*)\]")
_KINDS: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
}
_NO_FILE: Final = "must be base64, or as it was shown to stay as it is"


class InvalidEdit(ValueError):  # noqa: N818 - what was edited is not valid; the name says so
    """What was edited is no such delivery any more; `issues` says what is wrong with it."""

    def __init__(self, issues: list[Issue]) -> None:
        """Keep every issue found."""
        super().__init__("; ".join(f"{one.pointer}: {one.detail}" for one in issues))
        self.issues = issues


def as_text(payload: bytes) -> bytes:
    """Return a payload for an editor, as `dead-letters show --reveal` prints it.

    Raises:
        InvalidEdit: it can't be read.
    """
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise InvalidEdit([Issue("", _UNREADABLE)]) from None
    for one in document.get("attachments", ()):
        one["content"] = file_size(one["content"])
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def from_text(kind: Kind, text: bytes, before: bytes) -> bytes:
    """Return the payload that an edited text means, in place of the one before.

    Raises:
        InvalidEdit: it means none, or changes what an errand is known by.
    """
    try:
        document = loads(text)
    except StrictJsonError as error:
        raise InvalidEdit([Issue(error.pointer, error.detail)]) from None
    issues = list(_with_files(document, orjson.loads(before)))
    if issues:
        raise InvalidEdit(issues)
    of = PAYLOADS[kind]
    try:
        old = decode(of, before)
    except ValueError:
        raise InvalidEdit([Issue("", _UNREADABLE)]) from None
    try:
        after = decode(of, orjson.dumps(document))
    except msgspec.ValidationError as error:
        raise InvalidEdit([_issue(str(error))]) from None
    issues = [Issue(one, "is no field of it") for one in _unknown(document, after)]
    issues += _identity(after, old)
    if issues:
        raise InvalidEdit(issues)
    return encode(after)


def _issue(said: str) -> Issue:
    """Return msgspec's words as a pointer (RFC 6901) and what is wrong there."""
    what, _, path = said.partition(" - at `$")
    pointer = _STEP.sub(r"/\1\2", path.rstrip("`"))
    if missing := _MISSING.fullmatch(what):
        return Issue(f"{pointer}/{missing[1]}", "is required")
    if wrong := _EXPECTED.match(what):
        kinds = [_KINDS.get(one, one) for one in wrong[1].split(" | ")]
        return Issue(pointer, f"must be {' or '.join(kinds)}")
    return Issue(pointer, what.replace("`", ""))


def _with_files(document: Any, before: Any) -> Iterator[Issue]:
    """Put files' contents back where only their size stands; yield what is no file's content."""
    kept = list(before.get("attachments", ()))
    edited = document.get("attachments") if isinstance(document, dict) else None
    for place, one in enumerate(edited if isinstance(edited, list) else ()):
        content = one.get("content") if isinstance(one, dict) else None
        if not isinstance(content, str):
            continue  # the type's check says so
        same = [old for old in kept if file_size(old["content"]) == content]
        # Of several of one size, the one that goes by this name first.
        same = [old for old in same if old["name"] == one.get("name")] or same
        if same:
            one["content"] = same[0]["content"]
            kept.remove(same[0])
        elif not _is_base64(content):
            yield Issue(f"/attachments/{place}/content", _NO_FILE)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _unknown(given: Any, known: Any, pointer: str = "") -> Iterator[str]:
    """Yield where an edited text says what is not kept, such as a field with its name mistyped."""
    if isinstance(known, msgspec.Struct):
        known = msgspec.structs.asdict(known)
    if isinstance(given, dict) and isinstance(known, dict):
        for key, value in given.items():
            here = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
            if key in known:
                yield from _unknown(value, known[key], here)
            else:
                yield here
    elif isinstance(given, list) and isinstance(known, list | tuple):
        for place, (one, other) in enumerate(zip(given, known, strict=False)):
            yield from _unknown(one, other, f"{pointer}/{place}")


def _identity(after: Payload, before: Payload) -> Iterator[Issue]:
    """Yield where an edit changes what an errand is known by, here or at Cention."""
    may_not = "is what the errand is known by, and may not change"
    if isinstance(after, OnwardAnswer) and isinstance(before, OnwardAnswer):
        if after.webhook_id != before.webhook_id:
            yield Issue("/webhook_id", "is what the answer is known by, and may not change")
        return
    if not isinstance(after, NewErrand) or not isinstance(before, NewErrand):
        if reference(after) != reference(before):
            yield Issue("/reference_id", may_not)
        return
    if after.message_id != before.message_id:
        yield Issue("/message_id", may_not)
    if reference(after) != reference(before):
        yield Issue("/integration/reference_id", may_not)
    for name in ("body", "html_body"):
        line = marker(before.message_id)
        expected = find_marker(getattr(before, name) or line)
        text = getattr(after, name)
        if text and expected and find_marker(text) != expected:
            yield Issue(f"/{name}", f"has to end with the line `{line}`, or look-ups can't find it")


def reference(payload: Payload) -> str:
    """Return the call's reference that a payload names; empty where it names none."""
    if isinstance(payload, TicketWork):
        return ""
    if not isinstance(payload, NewErrand):
        return payload.reference_id
    return payload.integration.reference_id if payload.integration else ""
