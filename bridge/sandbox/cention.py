"""The stand-in for Cention's JSON:API: what an integrator would meet at a site.

Under `/s/<workspace>/capi/json/` it takes `c3_new_errands`, `c3_end_errands` and
`c3_contact_cards`, by the vendor's pages. Under `/_sandbox` it shows what it was sent
(`bridge.sandbox.readback`). What a request is refused for is checked in this order: workspace 404,
token 401, claim 403, rate 429, media types 415 and 406, JSON 400, document 422.
"""

import functools
import itertools
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from bridge.sandbox.documents import read_contact_card, read_end_errand, read_new_errand
from bridge.sandbox.jsonapi import ApiError, answer, check_accept, check_content_type, read_json
from bridge.sandbox.readback import create_readback
from bridge.sandbox.state import Exchange, SandboxOptions, SandboxState
from bridge.sandbox.tokens import CONTACT_CARDS, CREATE_ERRAND, Token, TokenError, read_token

__all__ = ["BODY_BYTES_MAX", "SandboxOptions", "create_app"]

# Ten attachments of 10 MiB together, in base64, and the rest of the errand.
BODY_BYTES_MAX: Final = 16 * 1024 * 1024

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STATE: Final = web.AppKey("state", SandboxState)
_BODY: Final = web.RequestKey("body", bytes)
_TOKEN: Final = web.RequestKey("token", Token)

_CLAIMS: Final = {
    "c3_new_errands": CREATE_ERRAND,
    "c3_end_errands": CREATE_ERRAND,
    "c3_contact_cards": CONTACT_CARDS,
}


def create_app(options: SandboxOptions | None = None) -> web.Application:
    """Return the sandbox as an application to be served."""
    state = SandboxState(SandboxOptions() if options is None else options)
    app = web.Application()
    app.add_subapp("/s", _create_vendor(state))
    app.add_subapp("/_sandbox", create_readback(state))
    return app


def _create_vendor(state: SandboxState) -> web.Application:
    app = web.Application(
        middlewares=[
            _record,
            # Faults on demand belong here: seen in the record, before any check is made.
            _answer_errors,
            _check_workspace,
            _check_token,
            _check_rate,
            _check_media_types,
        ],
        client_max_size=BODY_BYTES_MAX,
    )
    app[_STATE] = state
    app.router.add_post("/{workspace}/capi/json/c3_new_errands", _new_errand)
    app.router.add_post("/{workspace}/capi/json/c3_end_errands", _end_errand)
    app.router.add_post("/{workspace}/capi/json/c3_contact_cards", _contact_card)
    return app


@web.middleware
async def _record(request: web.Request, handler: _Handler) -> web.StreamResponse:
    state = request.app[_STATE]
    too_large = False
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        body, too_large = b"", True
    request[_BODY] = body
    exchange = Exchange(
        sequence=0,
        wall_time=state.options.wall_clock(),
        monotonic=state.options.clock(),
        method=request.method,
        path=request.path_qs,
        headers=tuple(itertools.starmap(_shown_header, request.headers.items())),
        body=body,
    )
    state.requests.begin(exchange)
    if too_large:
        detail = f"The body is larger than {BODY_BYTES_MAX} bytes"
        response: web.StreamResponse = ApiError(413, detail).response()
    else:
        response = await handler(request)
    state.requests.finish(exchange, response.status)
    return response


# Requests of one client differ in few headers, so that most of them are kept once.
@functools.lru_cache(maxsize=4096)
def _shown_header(name: str, value: str) -> tuple[str, str]:
    """Return a header as it is shown: of Authorization only the scheme, never the token."""
    shown = f"{value.partition(' ')[0]} …" if name.lower() == "authorization" else value
    return str(name), shown


@web.middleware
async def _answer_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return error.response()
    except web.HTTPException as error:
        allow = error.headers.get(hdrs.ALLOW)
        headers = None if allow is None else {"Allow": allow}
        return ApiError(
            error.status, f"{request.method} {request.path}", headers=headers
        ).response()


@web.middleware
async def _check_workspace(request: web.Request, handler: _Handler) -> web.StreamResponse:
    unrouted = request.match_info.http_exception
    if unrouted is not None:
        raise unrouted
    workspace = request.match_info["workspace"]
    if workspace not in request.app[_STATE].rates:
        raise ApiError(HTTPStatus.NOT_FOUND, f"There is no workspace {workspace!r}")
    return await handler(request)


@web.middleware
async def _check_token(request: web.Request, handler: _Handler) -> web.StreamResponse:
    options = request.app[_STATE].options
    scheme, _, text = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer" or not text:
        raise _unauthorised("is missing: send Authorization: Bearer <token>")
    try:
        token = read_token(options.token_key, text.strip())
    except TokenError as error:
        raise _unauthorised(str(error)) from error
    if token.expires_at is not None and token.expires_at <= options.wall_clock():
        raise _unauthorised("has expired")
    claim = _CLAIMS[request.path.rpartition("/")[2]]
    if claim not in token.claims:
        raise ApiError(HTTPStatus.FORBIDDEN, f"The token has no claim {claim!r}")
    request[_TOKEN] = token
    return await handler(request)


def _unauthorised(detail: str) -> ApiError:
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    return ApiError(HTTPStatus.UNAUTHORIZED, f"The token {detail}", headers=headers)


@web.middleware
async def _check_rate(request: web.Request, handler: _Handler) -> web.StreamResponse:
    state = request.app[_STATE]
    wait_seconds = state.rates[request.match_info["workspace"]].admit(state.options.clock())
    if wait_seconds:
        raise ApiError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"More than {state.options.requests_per_minute} requests in a minute",
            headers={"Retry-After": str(wait_seconds)},
        )
    return await handler(request)


@web.middleware
async def _check_media_types(request: web.Request, handler: _Handler) -> web.StreamResponse:
    check_content_type(request.headers.get(hdrs.CONTENT_TYPE))
    check_accept(request.headers.get(hdrs.ACCEPT))
    return await handler(request)


async def _new_errand(request: web.Request) -> web.Response:
    state, body = request.app[_STATE], request[_BODY]
    attributes = read_new_errand(read_json(body))
    errand = state.errands.create(
        attributes,
        workspace=request.match_info["workspace"],
        area=request[_TOKEN].area,
        body=body,
        now=state.options.wall_clock(),
    )
    data = {"type": "c3_new_errands", "id": str(errand.id)}
    return answer({"data": data}, status=HTTPStatus.CREATED)


async def _end_errand(request: web.Request) -> web.Response:
    state, body = request.app[_STATE], request[_BODY]
    reference = read_end_errand(read_json(body))["integrationData"]["referenceId"]
    errand = state.errands.end(
        workspace=request.match_info["workspace"],
        reference=reference,
        body=body,
        now=state.options.wall_clock(),
    )
    if errand is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"There is no errand of reference {reference!r}")
    return answer({"data": {"type": "c3_end_errands", "id": str(errand.id)}})


async def _contact_card(request: web.Request) -> web.Response:
    state = request.app[_STATE]
    contacts = read_contact_card(read_json(request[_BODY]))
    card, created = state.cards.merge(
        request.match_info["workspace"], contacts, state.options.wall_clock()
    )
    attributes = {"c3_id": card.id, "contacts": card.contacts()}
    data = {"type": "c3_contact_cards", "id": str(card.id), "attributes": attributes}
    return answer({"data": data}, status=HTTPStatus.CREATED if created else HTTPStatus.OK)
