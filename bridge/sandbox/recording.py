"""Keeps each request that came under /s/, for the sandbox's own pages."""

import functools
import itertools
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from bridge.sandbox.jsonapi import ApiError
from bridge.sandbox.keys import EXCHANGE, STATE
from bridge.sandbox.state import Exchange
from bridge.sandbox.strikes import NoAnswer

# Ten attachments of 10 MiB together, in base64, and the rest of the errand.
BODY_BYTES_MAX: Final = 16 * 1024 * 1024

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def record_request(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Keep a request for the sandbox's own pages, and what it was answered."""
    state = request.app[STATE]
    too_large = False
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        body, too_large = b"", True
    exchange = Exchange(
        sequence=0,
        wall_time=state.options.wall_clock(),
        monotonic=state.options.clock(),
        method=request.method,
        path=request.path_qs,
        headers=tuple(itertools.starmap(_shown_header, request.headers.items())),
        body=body,
    )
    request[EXCHANGE] = exchange
    state.requests.begin(exchange)
    if too_large:
        detail = f"The body is larger than {BODY_BYTES_MAX} bytes"
        response: web.StreamResponse = ApiError(413, detail).response()
    else:
        response = await handler(request)
    if not isinstance(response, NoAnswer):
        state.requests.finish(exchange, response.status)
    return response


# Requests of one client differ in few headers, so that most of them are kept once.
@functools.lru_cache(maxsize=4096)
def _shown_header(name: str, value: str) -> tuple[str, str]:
    """Return a header as it is shown: of Authorization only the scheme, never the token."""
    shown = f"{value.partition(' ')[0]} …" if name.lower() == "authorization" else value
    return str(name), shown
