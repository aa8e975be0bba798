"""The stand-in for Cention's JSON:API: what an integrator would meet at a site.

Under `/s/<workspace>/capi/json/` it takes, by the vendor's pages,

| type | |
| --- | --- |
| `c3_new_errands`, `c3_end_errands`, `c3_contact_cards` | `POST` |
| `c3_dirty_errand_list` | `GET` lists the errands that have changed, `POST` marks some |
| `c3_errand_reports/<id>` | `GET`, and the errand is no longer listed as changed |
| `c3_dirty_facebook_ratings`, `c3_facebook_ratings/<id>` | `GET`, in the same way |
| `c3_response_attachments/<id>`, `c3_area_archives/<id>` | `GET` what goes with an answer |

Under `/s/<workspace>/v1/` it takes what sets a centre up (`bridge.sandbox.administration`).

Under `/cs-chat-ticket` it is One View's chat-ticket API (`bridge.sandbox.oneview`).

Under `/_sandbox` it shows what it was sent, and is told what to do (`bridge.sandbox.readback`):
that an agent answers an errand as well, which it then tells the callback address
(`bridge.sandbox.callbacks`).
What a request is refused for is checked in this order: workspace 404, token 401, claim 403, rate
429, media types 415 and 406, JSON 400, document 422. Faults on demand come before all of that, or
between the media types and the JSON (`bridge.sandbox.strikes`).
"""

import functools
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from bridge.sandbox import kinds, vendor
from bridge.sandbox.administration import PATH as ADMINISTRATION_PATH
from bridge.sandbox.administration import administer
from bridge.sandbox.jsonapi import ApiError, check_accept, check_content_type
from bridge.sandbox.keys import EXCHANGE, STATE, TOKEN
from bridge.sandbox.oneview import BASE, create_desk, create_oneview
from bridge.sandbox.readback import create_readback
from bridge.sandbox.recording import BODY_BYTES_MAX, record_request
from bridge.sandbox.state import SandboxOptions, SandboxState
from bridge.sandbox.strikes import stop_late_effects, strike_early, take_effect
from bridge.sandbox.tokens import TokenError, read_token

__all__ = ["BODY_BYTES_MAX", "SandboxOptions", "create_app"]

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ROUTES: Final[tuple[tuple[str, str, vendor.Effect], ...]] = (
    (hdrs.METH_POST, kinds.NEW_ERRANDS, vendor.new_errand),
    (hdrs.METH_POST, kinds.END_ERRANDS, vendor.end_errand),
    (hdrs.METH_POST, kinds.CARDS, vendor.contact_card),
    (hdrs.METH_GET, kinds.DIRTY_ERRANDS, vendor.dirty_errands),
    (hdrs.METH_POST, kinds.DIRTY_ERRANDS, vendor.mark_dirty_errands),
    (hdrs.METH_GET, f"{kinds.REPORTS}/{{id}}", vendor.errand_report),
    (hdrs.METH_GET, kinds.DIRTY_RATINGS, vendor.dirty_ratings),
    (hdrs.METH_GET, f"{kinds.RATINGS}/{{id}}", vendor.rating),
    (hdrs.METH_GET, f"{kinds.ATTACHMENTS}/{{id}}", vendor.attachment),
    (hdrs.METH_GET, f"{kinds.ARCHIVES}/{{id}}", vendor.archive),
)


def create_app(options: SandboxOptions | None = None) -> web.Application:
    """Return the sandbox as an application to be served."""
    state = SandboxState(SandboxOptions() if options is None else options)
    # The limit is the outermost application's; one of those within it would be without effect.
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app[STATE] = state
    # Before what else is under /s, which takes all that comes to it.
    app.router.add_route(hdrs.METH_ANY, ADMINISTRATION_PATH, administer)
    app.add_subapp("/s", _create_vendor(state))
    app.add_subapp(BASE, create_oneview(state, record_request))
    # Before the pages that it is a part of, or these would answer for it.
    app.add_subapp("/_sandbox/oneview", create_desk(state))
    app.add_subapp("/_sandbox", create_readback(state))
    return app


def _create_vendor(state: SandboxState) -> web.Application:
    app = web.Application(
        middlewares=[
            record_request,
            strike_early,
            _answer_errors,
            _check_workspace,
            _check_token,
            _check_rate,
            _check_media_types,
        ]
    )
    app[STATE] = state
    app.on_cleanup.append(stop_late_effects)
    for method, path, effect in _ROUTES:
        handler = functools.partial(_handle, effect)
        app.router.add_route(method, f"/{{workspace}}/capi/json/{path}", handler)
    return app


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
    if workspace not in request.app[STATE].rates:
        raise ApiError(HTTPStatus.NOT_FOUND, f"There is no workspace {workspace!r}")
    return await handler(request)


@web.middleware
async def _check_token(request: web.Request, handler: _Handler) -> web.StreamResponse:
    options = request.app[STATE].options
    scheme, _, text = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer" or not text:
        raise _unauthorised("is missing: send Authorization: Bearer <token>")
    try:
        token = read_token(options.token_key, text.strip())
    except TokenError as error:
        raise _unauthorised(str(error)) from error
    if token.expires_at is not None and token.expires_at <= options.wall_clock():
        raise _unauthorised("has expired")
    claim = kinds.CLAIMS[kinds.kind_of(request.path)]
    if claim not in token.claims:
        raise ApiError(HTTPStatus.FORBIDDEN, f"The token has no claim {claim!r}")
    request[TOKEN] = token
    return await handler(request)


def _unauthorised(detail: str) -> ApiError:
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    return ApiError(HTTPStatus.UNAUTHORIZED, f"The token {detail}", headers=headers)


@web.middleware
async def _check_rate(request: web.Request, handler: _Handler) -> web.StreamResponse:
    state = request.app[STATE]
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
    content_type = request.headers.get(hdrs.CONTENT_TYPE)
    # A request without a body has no type of one.
    if request.method != hdrs.METH_GET or content_type is not None:
        check_content_type(content_type)
    check_accept(request.headers.get(hdrs.ACCEPT))
    return await handler(request)


async def _handle(effect: vendor.Effect, request: web.Request) -> web.StreamResponse:
    asked = vendor.Asked(
        workspace=request.match_info["workspace"],
        area=request[TOKEN].area,
        body=request[EXCHANGE].body,
        id=request.match_info.get("id", ""),
        query=request.query,
    )
    return take_effect(request, effect, asked)
