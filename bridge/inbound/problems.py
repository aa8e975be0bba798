"""Errors for a caller: RFC 9457 problem details that say what to do, and never what was sent."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from aiohttp import web

from bridge.domain.errors import Issue

MEDIA_TYPE: Final = "application/problem+json"
_TITLES: Final[Mapping[int, str]] = {
    400: "Not readable",
    401: "Not authorised",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    417: "Expectation failed",
    422: "Not a valid event",
    503: "Not now",
}
RETRY_AFTER_S: Final = 5


def problem(
    status: int,
    detail: str,
    *,
    issues: Sequence[Issue] = (),
    quarantine_id: str = "",
    headers: Mapping[str, str] | None = None,
    **further: Any,
) -> web.Response:
    """Return an `application/problem+json` answer."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
    }
    if issues:
        document["errors"] = [{"pointer": one.pointer, "detail": one.detail} for one in issues]
    if quarantine_id:
        document["quarantineId"] = quarantine_id
    document.update(further)
    given = dict(headers or {})
    if status == 503:
        given.setdefault("Retry-After", str(RETRY_AFTER_S))
    if status == 401:
        # With a parameter, as RFC 6750 (section 3) wants it, and without a word on the cause.
        given.setdefault("WWW-Authenticate", 'Bearer realm="aventa-bridge"')
    return web.Response(
        status=status, body=orjson.dumps(document), content_type=MEDIA_TYPE, headers=given
    )
