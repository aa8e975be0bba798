"""What the daemon answers, as its OpenAPI document has it."""

from collections.abc import Mapping
from typing import Any, Final

from bridge.inbound.problems import MEDIA_TYPE
from bridge.inbound.shapes import BODY_BYTES_MAX, SINGLE_BYTES_MAX

_SIZES: Final = f"{SINGLE_BYTES_MAX // 1024} KiB for one event, {BODY_BYTES_MAX // 2**20} MiB for"
_PROBLEMS: Final[Mapping[str, str]] = {
    "400": "It can't be read. Where a body came, it is kept in quarantine.",
    "401": "A valid bearer token, signature or secret is needed.",
    "404": "Nothing is at this address.",
    "405": "This address takes POST.",
    "408": "Head or body did not come within ten seconds; send it again.",
    "409": "Something with this id and other content is kept already.",
    "413": f"Too large: {_SIZES} a batch or with attachments, 8 MiB for a callback.",
    "415": "Of a media type that is not taken.",
    "417": "Of expectations, only 100-continue can be met.",
    "422": "Not valid, or a batch of which nothing is; it is kept in quarantine.",
    "431": "The header fields are too many or too long.",
    "503": "It can't be kept now; send it again after Retry-After seconds.",
}
_HEADERS: Final[Mapping[str, tuple[str, str]]] = {
    "401": ("WWW-Authenticate", "string"),
    "405": ("Allow", "string"),
    "503": ("Retry-After", "integer"),
}
_TEXT: Final = {"type": "string"}
_ISSUES: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["pointer", "detail"],
        "properties": {
            "pointer": {**_TEXT, "description": "JSON Pointer (RFC 6901); empty: the whole."},
            "detail": _TEXT,
        },
    },
}


def _object(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> Any:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


_RESULT: Final = _object(
    {
        "eventId": {"type": ["string", "null"]},
        "status": {"enum": ["accepted", "duplicate", "rejected"]},
    },
    {"errors": _ISSUES, "quarantineId": _TEXT},
)
ANSWERS: Final[Mapping[str, Any]] = {
    "Accepted": _object({"status": {"const": "accepted"}, "eventId": _TEXT}),
    "Duplicate": _object({"status": {"const": "duplicate"}, "eventId": _TEXT}),
    "BatchResult": _object(
        {"results": {"type": "array", "items": _RESULT}}, {"quarantineId": _TEXT}
    ),
    "CallbackTaken": _object(
        {"status": {"enum": ["accepted", "duplicate"]}, "callbackId": {"type": "string"}}
    ),
    "Taken": _object({"status": {"enum": ["duplicate", "ignored"]}}, {"eventId": _TEXT}),
}


def answer(
    description: str, *names: str, examples: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Describe an answer that is one of these components."""
    kinds = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    content: dict[str, Any] = {"schema": kinds[0] if len(kinds) == 1 else {"anyOf": kinds}}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"description": description, "content": {"application/json": content}}


def problems(*statuses: str) -> dict[str, Any]:
    """Describe answers that say why not, by status."""
    return {status: _problem(status) for status in statuses}


def _problem(status: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _PROBLEMS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    header = _HEADERS.get(status)
    if header is not None:
        name, kind = header
        described["headers"] = {name: {"required": True, "schema": {"type": kind}}}
    return described


def problem_schema() -> dict[str, Any]:
    """Return the schema of a problem (RFC 9457)."""
    schema = _object(
        {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
        },
        {
            "errors": _ISSUES,
            "quarantineId": {**_TEXT, "description": "What was refused is kept under it."},
            "results": {"type": "array", "items": _RESULT},
        },
    )
    schema["examples"] = [
        {
            "type": "about:blank",
            "title": "Not a valid event",
            "status": 422,
            "detail": "The event is not valid.",
            "errors": [{"pointer": "/destNumber", "detail": "is required"}],
            "quarantineId": "5f0c9a52c5a94e7f8a7d4f2f7f0e1a2b",
        }
    ]
    result: dict[str, Any] = schema
    return result


def batch_example() -> dict[str, Any]:
    """Return an answer to a batch of which one event was not valid."""
    return {
        "results": [
            {"eventId": "e-1", "status": "accepted"},
            {
                "eventId": "e-2",
                "status": "rejected",
                "errors": [{"pointer": "/referenceId", "detail": "is required"}],
                "quarantineId": "5f0c9a52c5a94e7f8a7d4f2f7f0e1a2b",
            },
        ]
    }
