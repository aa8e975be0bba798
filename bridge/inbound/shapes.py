"""The shapes that events come in: one, an array, NDJSON, CloudEvents. All become plain objects."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import orjson
from msgspec import Struct

from bridge.domain.errors import InvalidEvent, Issue
from bridge.domain.plain_events import read_plain
from bridge.inbound.strict_json import StrictJsonError, loads, loads_lines

SINGLE_BYTES_MAX: Final = 256 * 1024
BODY_BYTES_MAX: Final = 16 * 1024 * 1024
# Objects in a batch: well above what fits a useful one, well below what would hold up others.
BATCH_MAX: Final = 10_000


class Shape(StrEnum):
    """The media types that events may have."""

    JSON = "application/json"
    NDJSON = "application/x-ndjson"
    CLOUDEVENT = "application/cloudevents+json"
    CLOUDEVENTS = "application/cloudevents-batch+json"


class Candidate(Struct, frozen=True):
    """What may be an event: an object or a plain event, or what is wrong with it.

    `raw` are the bytes that it came in, where those are known.
    """

    document: Any = None
    error: InvalidEvent | None = None
    raw: bytes = b""


class Body(Struct, frozen=True, gc=False):
    """What a request holds."""

    is_batch: bool
    candidates: list[Candidate]


def read(shape: Shape, raw: bytes, headers: Mapping[str, str]) -> Body:
    """Read a request's body into candidates for events.

    Raises:
        StrictJsonError: the body as a whole can't be read.
        InvalidEvent: it holds nothing that could be an event.
    """
    if shape is Shape.NDJSON:
        lines = loads_lines(raw, first=_plain)
        return Body(is_batch=True, candidates=[_line(line) for line in lines])
    if shape is Shape.JSON and (plain := _plain(raw)) is not None:
        return Body(is_batch=False, candidates=[plain])
    document = loads(raw)
    if shape is Shape.CLOUDEVENTS:
        if not isinstance(document, list):
            raise InvalidEvent([Issue("", "must be an array of CloudEvents")])
        return Body(is_batch=True, candidates=[_cloud_event(one) for one in document])
    if shape is Shape.CLOUDEVENT:
        return Body(is_batch=False, candidates=[_cloud_event(document)])
    if isinstance(document, list):
        return Body(is_batch=True, candidates=[Candidate(one) for one in document])
    return Body(is_batch=False, candidates=[Candidate(_with_webhook_id(document, headers))])


def _plain(raw: bytes) -> Candidate | None:
    event = read_plain(raw)
    return None if event is None else Candidate(event, raw=raw)


def _line(line: Any) -> Candidate:
    if isinstance(line, Candidate):
        return line
    if isinstance(line, StrictJsonError):
        return Candidate(error=InvalidEvent([Issue(line.pointer, line.detail)]), raw=line.line)
    return Candidate(line)


def _with_webhook_id(document: Any, headers: Mapping[str, str]) -> Any:
    """Take the event's id from the `webhook-id` header where the event has none.

    Raises:
        InvalidEvent: the header holds what can't be kept.
    """
    message_id = headers.get("webhook-id")
    if not message_id or not isinstance(document, dict) or document.get("eventId"):
        return document
    if not message_id.isprintable():
        raise InvalidEvent([Issue("/eventId", "the webhook-id header is no printable text")])
    return {**document, "eventId": message_id}


def _cloud_event(document: Any) -> Candidate:
    """Take the event out of a CloudEvent: `data` is the object, `id` its id.

    Source: CloudEvents 1.0.2, "JSON Event Format".
    """
    issues = []
    if not isinstance(document, dict):
        issues.append(Issue("", "must be a CloudEvent object"))
    else:
        if document.get("specversion") != "1.0":
            issues.append(Issue("/specversion", 'must be "1.0"'))
        if not isinstance(document.get("id"), str) or not document["id"]:
            issues.append(Issue("/id", "is required, and is the event's id"))
        if not isinstance(document.get("data"), dict):
            issues.append(Issue("/data", "must be the event's object"))
    if issues:
        return Candidate(error=InvalidEvent(issues), raw=orjson.dumps(document))
    return Candidate({**document["data"], "eventId": document["id"]})
