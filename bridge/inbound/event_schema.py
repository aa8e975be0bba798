"""The JSON Schema (2020-12) of an event, from the very model that checks events.

What the model accepts, the schema accepts: where a field may be absent, `null` and `""` are the
same as absent, and the schema says so. The other way round the schema can't say all:
`docs/sending-events.md` lists what it leaves to the bridge.
"""

from typing import Any, Final

from bridge.domain.events import EventDocument, EventType
from bridge.inbound.shapes import BATCH_MAX

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
EVENT_FILE: Final = "event.schema.json"
BATCH_FILE: Final = "event-batch.schema.json"
# Of these objects, what is absent may be said to be so; see `events._Document`.
_FORGIVING: Final = ("ContactDocument", "CustomField", "ExtraDataDocument")
_ABSENT: Final[Schema] = {"enum": [None, ""]}
# Names of the models are the bridge's own affair.
_NAMES: Final = {
    "ContactDocument": "Contact",
    "CustomField": "CustomField",
    "ExtraDataDocument": "ExtraData",
    "AttachmentDocument": "Attachment",
    "EventType": "EventType",
}
# One for each thing that integrators ask first. Tests hold each against the model.
EXAMPLES: Final[tuple[Schema, ...]] = (
    {
        "eventId": "e-1",
        "eventType": "call.answered",
        "occurredAt": "2026-03-01T09:30:00+01:00",
        "referenceId": "c-1",
        "callerNumber": "+46701234567",
        "callerName": "Alice Example",
        "destNumber": "+60374571234",
        "queueName": "Sales",
        "queueNumber": "100",
        "deviceId": 1000,
        "extensionId": 1000,
    },
    {
        "eventId": "e-2",
        "eventType": "call.ended",
        "occurredAt": "2026-03-01T09:34:10+01:00",
        "referenceId": "c-1",
        "destNumber": "+60374571234",
        "queueName": "Sales",
        "queueNumber": "100",
    },
    {
        "eventId": "e-3",
        "eventType": "callback.requested",
        "occurredAt": "2026-03-01T09:40:00Z",
        "referenceId": "c-2",
        "callerNumber": "anonymous",
        "cuid": "customer-17",
        "contact": {"email": ["alice@example.com"], "custom": [{"label": "tier", "value": "gold"}]},
        "destNumber": "+60374571234",
        "queueName": "Sales",
        "queueNumber": "100",
        "extraData": {"comment": "wants to be rung back", "appointmentTimestamp": "1772360000"},
    },
    {
        "eventId": "e-4",
        "eventType": "outbound.ended",
        "occurredAt": "2026-03-01T10:05:00+01:00",
        "referenceId": "c-3",
        "relatedReferenceId": "c-2",
        "dialedNumber": "+46701234567",
        "outcome": "completed",
        "deviceId": 1000,
        "extensionId": 1000,
    },
    {
        "eventId": "e-5",
        "eventType": "agent.available",
        "occurredAt": "2026-03-01T08:00:00+01:00",
        "deviceId": 1000,
        "extensionId": 1000,
    },
)


def event_schemas(prefix: str) -> dict[str, Schema]:
    """Return the schemas of an event and its parts by name; references begin with `prefix`."""
    event = EventDocument.model_json_schema(ref_template="{model}")
    parts: dict[str, Schema] = event.pop("$defs")
    for name, part in parts.items():
        if name in _FORGIVING:
            _forgive(part)
    _forgive(event)
    event["description"] = "One call event."
    event["allOf"] = _together()
    event["examples"] = list(EXAMPLES)
    parts["EventType"]["description"] = "What happened at the phone system."
    made = {_NAMES[name]: part for name, part in parts.items()}
    made["Event"] = event
    for part in made.values():
        _tidy(part, prefix)
    return made


def event_document() -> Schema:
    """Return the schema of one event as a file of its own."""
    parts = event_schemas("#/$defs/")
    event = parts.pop("Event")
    return {"$schema": DIALECT, "$id": EVENT_FILE, "title": "Event", **event, "$defs": parts}


def batch_document() -> Schema:
    """Return the schema of a batch, which stands beside that of one event."""
    return {
        "$schema": DIALECT,
        "$id": BATCH_FILE,
        "title": "Batch of events",
        **batch_schema(EVENT_FILE),
    }


def batch_schema(of: str) -> Schema:
    """Return the schema of a batch of what a reference leads to."""
    return {"type": "array", "minItems": 1, "maxItems": BATCH_MAX, "items": {"$ref": of}}


def _forgive(schema: Schema) -> None:
    """Let what may be absent be `null` or an empty text."""
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        field.pop("default", None)
        if name in required:
            continue
        said = {key: field.pop(key) for key in ("description",) if key in field}
        (kind,) = [one for one in field.pop("anyOf", [field]) if one != {"type": "null"}]
        schema["properties"][name] = {**said, "anyOf": [kind, _ABSENT]}
    if schema.get("additionalProperties") is False:
        schema["additionalProperties"] = _ABSENT


def _together() -> list[Schema]:
    """Say what fields need of each other, as `events.check_together` does."""
    agents = [one.value for one in EventType if one.is_of_agent]
    desk = [_has("deviceId", "integer"), _has("extensionId", "integer")]
    return [
        {"if": desk[0], "then": desk[1]},
        {"if": desk[1], "then": desk[0]},
        {
            "if": {"properties": {"eventType": {"enum": agents}}},
            "then": {"anyOf": [desk[0], _has("agentId", "string")]},
            "else": _has("referenceId", "string"),
        },
    ]


def _has(name: str, kind: str) -> Schema:
    held: Schema = {"type": kind}
    if kind == "string":
        held["minLength"] = 1
    return {"required": [name], "properties": {name: held}}


def _tidy(value: Any, prefix: str) -> None:
    """Point references to where the parts are, and drop titles that only repeat a name."""
    if isinstance(value, list):
        for one in value:
            _tidy(one, prefix)
    elif isinstance(value, dict):
        if isinstance(value.get("title"), str):
            del value["title"]
        reference = value.get("$ref")
        if isinstance(reference, str):
            value["$ref"] = prefix + _NAMES[reference]
        for key, one in value.items():
            if key != "examples":
                _tidy(one, prefix)
