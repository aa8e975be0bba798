"""What is told of events, against what is done with them: the schema and the validator."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from plain_bodies import body, changed, odd, steps, well_formed
from referencing import Registry, Resource

from bridge.domain.errors import InvalidEvent
from bridge.domain.events import EventType, parse_event
from bridge.domain.plain_events import PlainEvent
from bridge.inbound.event_schema import (
    EVENT_FILE,
    EXAMPLES,
    batch_document,
    event_document,
)
from bridge.inbound.strict_json import StrictJsonError, loads

DOCUMENT: Final = event_document()
VALIDATOR: Final = Draft202012Validator(DOCUMENT)
REGISTRY: Final = Registry().with_resource(EVENT_FILE, Resource.from_contents(DOCUMENT))
BATCH: Final = Draft202012Validator(batch_document(), registry=REGISTRY)
NEEDED: Final = {
    "eventId": "e",
    "eventType": "call.answered",
    "occurredAt": "2026-09-21T14:13:20Z",
    "referenceId": "r",
}


def is_accepted(document: object) -> bool:
    try:
        parse_event(document)
    except InvalidEvent:
        return False
    return True


def check_agree(document: Any) -> None:
    """What the validator accepts, the schema accepts."""
    assert not is_accepted(document) or VALIDATOR.is_valid(document), [
        error.message for error in VALIDATOR.iter_errors(document)
    ]


def test_the_documents_are_schemas() -> None:
    Draft202012Validator.check_schema(DOCUMENT)
    Draft202012Validator.check_schema(batch_document())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: str(one["eventType"]))
def test_an_example_is_valid_both_ways(example: dict[str, Any]) -> None:
    assert is_accepted(example)
    assert VALIDATOR.is_valid(example)


def test_a_batch_is_many_events_and_never_none() -> None:
    assert BATCH.is_valid(list(EXAMPLES))
    assert not BATCH.is_valid([])
    assert not BATCH.is_valid([{"eventId": "e"}])


@settings(max_examples=150, deadline=None)
@given(st.one_of(well_formed(), odd()), st.lists(steps, max_size=2))
def test_what_is_accepted_of_bodies_the_schema_accepts(
    raw: bytes, changes: list[tuple[str, int, int]]
) -> None:
    try:
        document = loads(changed(raw, changes))
    except StrictJsonError:
        return
    check_agree(document)


# Values at and around every limit, and those of the wrong kind.
VALUES: Final[tuple[Any, ...]] = (
    *(None, "", " ", "x", "x" * 128, "x" * 129, "x" * 256, "x" * 257, "x" * 2048, "x" * 2049),
    *("http:x", "HTTPS:y", "ftp:x", "\N{GRINNING FACE}" * 128, "\N{GRINNING FACE}" * 129),
    *(0, -1, 1, 1.5, 2**31 - 1, 2**31, True, False, [], {}, [""], ["x"], [1], [None]),
    *({"email": ["x"]}, {"email": ""}, {"email": [""]}, {"email": ["x"] * 51}, {"odd": None}),
    *({"odd": 1}, {"custom": [{"label": "a", "value": "b"}]}, {"custom": [{"label": "a"}]}),
    *({"custom": [{"label": "a", "value": "b", "odd": ""}]}, {"comment": "x" * 16385}),
    *({"comment": ""}, {"appointmentTimestamp": "1"}, {"appointmentTimestamp": "1" * 13}),
    *({"anything": {"goes": [1]}}, "completed", "busy", "lost", "call.queued", "call.lost"),
    *("2026-09-21T14:13:20Z", "2026-09-21 14:13:60+02:00", "2026-09-21t14:13:20.123456789z"),
    *("2026-09-21T14:13:20", "2026-09-21", "2026-09-21T14:13:20." + "1" * 60 + "Z"),
    [{"content_type": "a", "name": "b", "content": "AAAA"}],
    [{"content_type": "a", "name": "b", "content": "AA=="}],
    [{"content_type": "a", "name": "b", "content": "AAAA=="}],
    [{"content_type": "a", "name": "b", "content": "A A"}],
    [{"content_type": "a", "name": "b", "content": "", "odd": ""}],
    [{"content_type": "a", "name": "b", "content": ""}] * 11,
    [{"content_type": "a", "name": "", "content": ""}],
)


@pytest.mark.parametrize("name", sorted(DOCUMENT["properties"]))
def test_at_every_limit_of_a_field_the_schema_is_no_stricter(name: str) -> None:
    for value in VALUES:
        for kind in ("call.answered", "agent.available"):
            check_agree({**NEEDED, "eventType": kind, name: value})
            check_agree({**NEEDED, "eventType": kind, "deviceId": 1, "extensionId": 2, name: value})


# What the schema can't say, or leaves to the bridge; docs/sending-events.md lists it.
LENIENT: Final[tuple[Any, ...]] = (
    {**NEEDED, "occurredAt": "2026-02-30T00:00:00Z"},  # no such day
    {**NEEDED, "deviceId": 1.0, "extensionId": 1},  # an integer, by JSON Schema
    {**NEEDED, "attachments": [{"content_type": "a", "name": "b", "content": "A"}]},
)


@pytest.mark.parametrize("name", sorted(DOCUMENT["properties"]))
def test_at_every_limit_of_a_field_the_schema_is_no_laxer(name: str) -> None:
    for value in VALUES:
        document = {**NEEDED, name: value}
        assert is_accepted(document) == VALIDATOR.is_valid(document), value


@pytest.mark.parametrize("document", LENIENT)
def test_what_only_the_bridge_knows_is_listed(document: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(document)
    assert not is_accepted(document)


@pytest.mark.parametrize("kind", EventType)
def test_what_fields_need_of_each_other_is_said(kind: EventType) -> None:
    desk = {"deviceId": 1, "extensionId": 1}
    for fields in (
        {},
        desk,
        {"agentId": "a"},
        {"deviceId": 1},
        {"extensionId": 1},
        {"deviceId": 1, "extensionId": None},
        {"deviceId": None},
        {"referenceId": None},
        {"referenceId": None, **desk},
        {"referenceId": "", "agentId": "a"},
    ):
        document = {**NEEDED, "eventType": kind.value, **fields}
        assert is_accepted(document) == VALIDATOR.is_valid(document), fields


def test_the_way_in_one_step_has_the_same_limits() -> None:
    """Its struct says them again, for speed: they must be those of the model."""
    (plain,) = (
        one
        for name, one in msgspec.json.schema(PlainEvent)["$defs"].items()
        if name == "PlainEvent"
    )
    for name, field in plain["properties"].items():
        known = DOCUMENT["properties"][name]
        ours, theirs = _limits(field), _limits(known)
        # No text that is absent is empty; for the model's link, that is how it is said.
        ours.pop("minLength", None)
        assert ours == {key: theirs[key] for key in ours}, name


def _limits(field: dict[str, Any]) -> dict[str, Any]:
    kinds = [one for one in field.get("anyOf", [field]) if one.get("type") != "null"]
    keys = ("type", "minLength", "maxLength", "minimum", "maximum")
    return {key: kinds[0][key] for key in keys if key in kinds[0]}


def test_the_files_in_the_docs_are_current() -> None:
    folder = Path(__file__).parents[2] / "docs" / "schemas"
    assert json.loads((folder / EVENT_FILE).read_text()) == DOCUMENT
    assert json.loads((folder / "event-batch.schema.json").read_text()) == batch_document()


def test_a_body_that_a_test_makes_is_an_event() -> None:
    assert VALIDATOR.is_valid(json.loads(body()))
