"""The stand-in for Cention's administration API: organizations, areas, routings and tags.

`POST /s/<workspace>/v1/<type>` makes one, `PUT` and `DELETE` with `/<id>` change and delete one;
the types are `org`, `area`, `tag`, `routing/keywords`, `routing/autotags` and `routing/sip`. Each
request has to be signed. What one is refused for is checked in this order: workspace 404, body 415
and 400, signature 401, rate 429, what it says 400 or 404. Errors are `{"error": "…"}`. Faults
strike as they do elsewhere (`bridge.sandbox.strikes`).
"""

import functools
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from bridge.sandbox import kinds
from bridge.sandbox.jsonapi import MEDIA_TYPE, ApiError, read_id, read_json
from bridge.sandbox.keys import EXCHANGE, STATE
from bridge.sandbox.recording import record_request
from bridge.sandbox.state import SandboxState
from bridge.sandbox.strikes import hang_up, strike_early, take_effect
from bridge.sandbox.vendor import Asked

PATH: Final = "/s/{workspace}/v1/{rest:.*}"
_API_PATH: Final = re.compile(
    r"/v1/(?:(?:org|area|tag)|routing/(?:keywords|autotags|sip))(?:/(?P<id>[0-9]+))?"
)
_HEADER: Final = re.compile(r"CENTION1-HMAC-SHA256 (?P<id>[^,\s]+),(?P<signature>[0-9a-f]{64})")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def administer(request: web.Request) -> web.StreamResponse:
    """Answer one request."""
    struck = functools.partial(strike_early, handler=_handle)
    return await record_request(request, functools.partial(_with_plain_errors, handler=struck))


async def _with_plain_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Turn the errors of JSON:API into those of this API."""
    try:
        response = await handler(request)
    except ApiError as error:
        response = error.response()
    if not isinstance(response, web.Response) or response.content_type != MEDIA_TYPE:
        return response
    document = orjson.loads(response.body) if isinstance(response.body, bytes) else {}
    if "errors" in document:
        document = {"error": "; ".join(error["detail"] for error in document["errors"])}
    kept = {name: value for name, value in response.headers.items() if name == hdrs.RETRY_AFTER}
    return _answer(document, response.status, kept)


def _answer(
    document: Any, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        content_type="application/json",
        headers=headers,
    )


async def _handle(request: web.Request) -> web.StreamResponse:
    state = request.app[STATE]
    workspace = request.match_info["workspace"]
    if workspace not in state.rates:
        raise ApiError(HTTPStatus.NOT_FOUND, f"There is no workspace {workspace!r}")
    path = f"/v1/{request.match_info['rest']}"
    match = _API_PATH.fullmatch(path)
    has_id = match is not None and match["id"] is not None
    if match is None or request.method not in ({"PUT", "DELETE"} if has_id else {"POST"}):
        raise ApiError(HTTPStatus.NOT_FOUND, f"There is no {request.method} {path}")
    body = request[EXCHANGE].body
    document = _read(request, body)
    _check_signature(state, request, path, document)
    wait_seconds = state.rates[workspace].admit(state.options.clock())
    if wait_seconds:
        headers = {"Retry-After": str(wait_seconds)}
        raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", headers=headers)
    asked = Asked(workspace=workspace, area="", body=body, id=match["id"] or "", query={})
    state.administered.requests += 1
    number = state.administered.requests
    if not state.options.watch("before", number):
        return hang_up(request)
    effect = functools.partial(_effect, request.method, kinds.kind_of(request.path), document)
    try:
        response = take_effect(request, effect, asked)
    except ApiError as error:
        response = error.response()
    return response if state.options.watch("after", number) else hang_up(request)


def _read(request: web.Request, body: bytes) -> dict[str, Any]:
    """Return the body's object; a deletion has none."""
    if request.method == hdrs.METH_DELETE:
        if body:
            raise ApiError(400, "A deletion has no body")
        return {}
    if request.content_type != "application/json":
        raise ApiError(415, "Content-Type must be application/json")
    document = read_json(body)
    if not isinstance(document, dict):
        raise ApiError(400, "The body must be an object")
    return document


def _effect(
    method: str, kind: str, document: dict[str, Any], state: SandboxState, asked: Asked
) -> web.Response:
    book, number = state.administered, read_id(asked.id)
    if method == hdrs.METH_POST:
        return _answer(book.create(asked.workspace, kind, document))
    if method == hdrs.METH_PUT:
        return _answer(book.update(asked.workspace, kind, number, document))
    return _answer(book.delete(asked.workspace, kind, number))


def _check_signature(
    state: SandboxState, request: web.Request, path: str, document: dict[str, Any]
) -> None:
    match = _HEADER.fullmatch(request.headers.get(hdrs.AUTHORIZATION, ""))
    secret = state.options.access_keys.get(match["id"]) if match else None
    if match is None or secret is None:
        raise ApiError(
            401, "Authorization must be CENTION1-HMAC-SHA256 <access-key-id>,<signature>"
        )
    readings = {"values": _by_values, "json": _as_json}
    wanted = state.options.struct_signing
    for name, reading in readings.items():
        parts = [match["id"], request.match_info["workspace"], path]
        parts += [_text(value, reading) for _, value in sorted(document.items())]
        digest = hmac.new(secret.encode(), ":".join(parts).encode(), hashlib.sha256).hexdigest()
        if wanted in {None, name} and hmac.compare_digest(digest, match["signature"]):
            return
    raise ApiError(401, "The signature is not right")


def _text(value: Any, reading: Callable[[dict[str, Any]], str]) -> str:
    """Return a value as it is signed; written apart from the bridge's own, as a check of it."""
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_text(item, reading) for item in value)
    return reading(value) if isinstance(value, dict) else str(value)


def _by_values(value: dict[str, Any]) -> str:
    return ":".join(_text(item, _by_values) for _, item in sorted(value.items()))


def _as_json(value: dict[str, Any]) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
