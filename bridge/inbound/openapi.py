"""The door's own description: OpenAPI 3.1, from the same model that validates events."""

from typing import Any, Final

from bridge import __version__
from bridge.domain.events import EventDocument
from bridge.inbound.callbacks import CALLBACK, CALLBACKS_PATH, TYPES
from bridge.inbound.problems import MEDIA_TYPE as PROBLEM
from bridge.inbound.shapes import Shape

_EXAMPLE: Final = {
    "eventId": "e-1",
    "eventType": "call.answered",
    "occurredAt": "2026-03-01T09:30:00+01:00",
    "referenceId": "c-1",
    "callerNumber": "+46701234567",
    "destNumber": "+60374571234",
    "queueName": "Sales",
    "queueNumber": "100",
    "deviceId": 1000,
    "extensionId": 1000,
}
_PROBLEMS: Final = {
    "400": "The body can't be read; it is kept in quarantine.",
    "401": "A valid bearer token or webhook signature is needed.",
    "409": "An event with this id and other content is kept already.",
    "413": "Too large: 256 KiB for one event, 16 MiB for a batch or with attachments.",
    "415": "Of a media type that is not taken.",
    "422": "Not a valid event, or a batch without one; it is kept in quarantine.",
    "503": "It can't be kept now; send it again after Retry-After seconds.",
}

_CALLBACK_PROBLEMS: Final = {
    "400": "The body can't be read; it is kept in quarantine, if it has the secret.",
    "401": "meta.api_secret is missing or wrong, or the address is not one that needs none.",
    "408": "The body did not come in time.",
    "409": "A callback with these ids and another answer is kept already.",
    "413": "Too large: 8 MiB.",
    "415": "Of a media type that is not taken.",
    "422": "No callback about an answered errand; it is kept in quarantine.",
    "503": "It can't be kept now; send it again after Retry-After seconds.",
}


def document() -> dict[str, Any]:
    """Return the OpenAPI document of the addresses for events and callbacks."""
    event = EventDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = event.pop("$defs", {})
    event["examples"] = [_EXAMPLE]
    one = {"$ref": "#/components/schemas/Event"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Aventa bridge",
            "version": __version__,
            "description": "Takes call events; 2xx means that they are on disk.",
        },
        "paths": {
            "/v1/events": {"post": _post(one)},
            CALLBACKS_PATH: {"post": _callback()},
        },
        "components": {
            "schemas": {**schemas, "Event": event, "Problem": _problem_schema()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "signature": {"type": "apiKey", "in": "header", "name": "webhook-signature"},
            },
        },
    }


def _post(one: dict[str, Any]) -> dict[str, Any]:
    many = {"type": "array", "items": one}
    envelope = {
        "type": "object",
        "required": ["specversion", "id", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1, "maxLength": 128},
            "data": {"type": "object"},
        },
    }
    bodies: dict[Shape, dict[str, Any]] = {
        Shape.JSON: {"anyOf": [one, many]},
        Shape.NDJSON: {"type": "string", "description": "One event a line."},
        Shape.CLOUDEVENT: envelope,
        Shape.CLOUDEVENTS: {"type": "array", "items": envelope},
    }
    problems = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        "summary": "Post one event, or many",
        "operationId": "postEvents",
        "security": [{}, {"bearer": []}, {"signature": []}],
        "requestBody": {
            "required": True,
            "content": {shape.value: {"schema": schema} for shape, schema in bodies.items()},
        },
        "responses": {
            "202": {"description": "Accepted, or a batch of which at least one event is kept."},
            "200": {"description": "A duplicate: the same event is kept already."},
            **{
                status: {"description": text, "content": {PROBLEM: problems}}
                for status, text in _PROBLEMS.items()
            },
        },
    }


def _callback() -> dict[str, Any]:
    """Describe what Cention posts; its own page says the rest."""
    of_id = {"type": ["string", "integer"]}
    schema = {
        "type": "object",
        "required": ["data", "included"],
        "properties": {
            "data": {
                "type": "object",
                "required": ["type", "id"],
                "properties": {"type": {"const": CALLBACK}, "id": of_id},
            },
            "included": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["type", "id"],
                    "properties": {"type": {"type": "string"}, "id": of_id},
                },
            },
            "meta": {"type": "object", "properties": {"api_secret": {"type": "string"}}},
        },
    }
    problems = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        "summary": "Take a callback of Cention about an answered errand",
        "operationId": "postCallback",
        "security": [],
        "requestBody": {
            "required": True,
            "content": {media_type: {"schema": schema} for media_type in TYPES},
        },
        "responses": {
            "202": {"description": "Accepted."},
            "200": {"description": "A duplicate: the same answer is kept already."},
            **{
                status: {"description": text, "content": {PROBLEM: problems}}
                for status, text in _CALLBACK_PROBLEMS.items()
            },
        },
    }


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "quarantineId": text,
            "errors": {
                "type": "array",
                "items": {"type": "object", "properties": {"pointer": text, "detail": text}},
            },
            "results": {"type": "array", "items": {"type": "object"}},
        },
    }
