"""The daemon's own description: OpenAPI 3.1, from the same models and limits that validate."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bridge import __version__
from bridge.inbound.callbacks import CALLBACK, CALLBACKS_PATH, TYPES
from bridge.inbound.event_schema import EXAMPLES, Schema, batch_schema, event_schemas
from bridge.inbound.forms import MULTIPART, URLENCODED
from bridge.inbound.openapi_answers import (
    ANSWERS,
    answer,
    batch_example,
    problem_schema,
    problems,
)
from bridge.inbound.shapes import Shape

EVENTS_PATH: Final = "/v1/events"
HOOKS_PATH: Final = "/v1/hooks/{name}"
HOOK_NAME: Final = "^[a-z0-9_-]{1,32}$"
_COMPONENTS: Final = "#/components/schemas/"
_EVENT: Final = _COMPONENTS + "Event"
# A bearer token, or the three headers of a signature; neither, where none is configured.
_SECURITY: Final[list[dict[str, list[str]]]] = [
    {"bearer": []},
    {"webhookId": [], "webhookTimestamp": [], "webhookSignature": []},
    {},
]
_SECURITY_SCHEMES: Final[Schema] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "One of `auth_tokens`."},
    "webhookId": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-id",
        "description": "Standard Webhooks: an id of the message; the event's, if it has none.",
    },
    "webhookTimestamp": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-timestamp",
        "description": "Standard Webhooks: Unix seconds, within five minutes of the bridge's.",
    },
    "webhookSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Standard Webhooks: `v1,` and the signature in base64; several by spaces.",
    },
}


def document() -> dict[str, Any]:
    """Return the OpenAPI document of all addresses of the daemon."""
    schemas = event_schemas(_COMPONENTS)
    single = {key: value for key, value in schemas["Event"].items() if key != "examples"}
    single["required"] = [one for one in single["required"] if one != "eventId"]
    single["description"] = "One event; its `eventId` may come in the `webhook-id` header instead."
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Aventa bridge",
            "version": __version__,
            "description": "Takes call events; 2xx means that they are on disk.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8080", "description": "`http.listen`"}],
        "paths": {
            EVENTS_PATH: {"post": _events()},
            CALLBACKS_PATH: {"post": _callbacks()},
            HOOKS_PATH: {"post": _hooks()},
            **_admin(),
        },
        "components": {
            "schemas": {
                **schemas,
                "SingleEvent": single,
                "Batch": batch_schema(_EVENT),
                "CloudEvent": _cloud_event(),
                **ANSWERS,
                "Problem": problem_schema(),
            },
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _events() -> dict[str, Any]:
    event = EXAMPLES[0]
    enveloped = {
        "specversion": "1.0",
        "id": event["eventId"],
        "type": "com.example.call",
        "source": "/pbx",
        "data": {key: value for key, value in event.items() if key != "eventId"},
    }
    cloud = {"$ref": _COMPONENTS + "CloudEvent"}
    singles = [{"$ref": _COMPONENTS + name} for name in ("SingleEvent", "Batch")]
    return {
        "summary": "Post one event, or many",
        "operationId": "postEvents",
        "security": _SECURITY,
        "requestBody": {
            "required": True,
            "content": {
                Shape.JSON.value: {
                    "schema": {"anyOf": singles},
                    "examples": _named(EXAMPLES) | {"batch": {"value": list(EXAMPLES[:2])}},
                },
                Shape.NDJSON.value: {
                    "schema": {"type": "string", "description": "One event a line."},
                },
                Shape.CLOUDEVENT.value: {
                    "schema": cloud,
                    "examples": {"enveloped": {"value": enveloped}},
                },
                Shape.CLOUDEVENTS.value: {
                    "schema": {"type": "array", "minItems": 1, "items": cloud},
                },
            },
        },
        "responses": {
            "202": answer(
                "Accepted, or a batch of which at least one event is kept or was before.",
                "Accepted",
                "BatchResult",
                examples={
                    "single": {"status": "accepted", "eventId": "e-1"},
                    "batch": batch_example(),
                },
            ),
            "200": answer("A duplicate: the same event is kept already.", "Duplicate"),
            **problems("400", "401", "408", "409", "413", "415", "417", "422", "503"),
        },
    }


def _cloud_event() -> Schema:
    return {
        "description": "An event in an envelope (CloudEvents 1.0.2, JSON Event Format).",
        "type": "object",
        "required": ["specversion", "id", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1, "maxLength": 128},
            "data": {"type": "object", "description": "The event; its `eventId` is the `id`."},
        },
    }


def _callbacks() -> dict[str, Any]:
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
    return {
        "summary": "Take a callback of Cention about an answered errand",
        "description": "The secret is in the document, as `meta.api_secret`.",
        "operationId": "postCallback",
        "security": [],
        "requestBody": {
            "required": True,
            "content": {media_type: {"schema": schema} for media_type in TYPES},
        },
        "responses": {
            "202": answer("Accepted.", "CallbackTaken"),
            "200": answer("A duplicate: the same answer is kept already.", "CallbackTaken"),
            **problems("400", "401", "408", "409", "413", "415", "417", "422", "503"),
        },
    }


def _hooks() -> dict[str, Any]:
    """Describe where other phone systems post: their own documents, which a mapping reads."""
    anything = {"type": "object", "description": "What the phone system sends."}
    return {
        "summary": "Take what another phone system posts",
        "operationId": "postHook",
        "security": _SECURITY,
        "parameters": [
            {
                "name": "name",
                "in": "path",
                "required": True,
                "description": "The hook's name in the settings.",
                "schema": {"type": "string", "pattern": HOOK_NAME},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                Shape.JSON.value: {"schema": {"type": ["object", "array"]}},
                URLENCODED: {"schema": anything},
                MULTIPART: {"schema": anything},
            },
        },
        "responses": {
            "202": answer("Accepted.", "Accepted", "BatchResult"),
            "200": _hook_done(),
            **problems(
                *("400", "401", "404", "405", "408", "409", "413", "415", "417", "422", "431"),
                "503",
            ),
        },
    }


def _hook_done() -> dict[str, Any]:
    """Describe what is answered where nothing is new, or the phone system wants to read it."""
    done = answer("A duplicate, ignored, or what the mapping replies.", "Taken")
    replied: Schema = {"description": "What the mapping replies."}
    taken = done["content"][Shape.JSON.value]["schema"]
    done["content"][Shape.JSON.value]["schema"] = {"anyOf": [taken, replied]}
    done["content"]["*/*"] = {"schema": replied}
    return done


def _admin() -> dict[str, Any]:
    """Describe the operators' addresses, which are on a port of their own."""
    text, lines = {"type": "string"}, {"application/x-ndjson": {"schema": {"type": "string"}}}
    alive = {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"const": "alive"}},
    }
    gets: Mapping[str, tuple[str, Mapping[str, Any]]] = {
        "/metrics": ("Metrics for Prometheus", {"200": {"text/plain": {"schema": text}}}),
        "/livez": ("Whether the daemon lives", {"200": {"application/json": {"schema": alive}}}),
        "/readyz": ("Whether events can be kept", {"200": lines, "503": lines}),
        "/openapi.json": (
            "This document",
            {"200": {"application/json": {"schema": {"type": "object"}}}},
        ),
    }
    return {
        path: {
            "servers": [{"url": "http://127.0.0.1:9108", "description": "`admin.listen`"}],
            "get": {
                "summary": summary,
                "operationId": "get" + path.strip("/").partition(".")[0].capitalize(),
                "security": [],
                "responses": {
                    status: {"description": _SAID[status], "content": content}
                    for status, content in answers.items()
                },
            },
        }
        for path, (summary, answers) in gets.items()
    }


_SAID: Final = {"200": "As asked for.", "503": "Events can't be kept now; a line says why."}


def _named(examples: Sequence[Schema]) -> dict[str, Any]:
    return {one["eventType"]: {"value": one} for one in examples}
