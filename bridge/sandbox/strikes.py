"""How faults strike over HTTP: what a client meets of a Cention behind a proxy that ails.

A fault without effect is the network's or the proxy's, so that it comes before any check, and takes
nothing of the rate; a request that was only delayed meets the checks afterwards. A fault with
effect is one of an answer on its way back, so that it strikes what has passed the checks (the
workspace, the token, the rate and the media types); a mistake in the document is lost with the
answer. What fails a check is refused as ever, and the fault is not counted.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from bridge.sandbox.faults import Deed, Rule, StandingRule
from bridge.sandbox.jsonapi import ApiError, answer
from bridge.sandbox.keys import CHOSEN_RULE, EXCHANGE, STATE
from bridge.sandbox.kinds import kind_of
from bridge.sandbox.state import SandboxState
from bridge.sandbox.vendor import Asked, Effect

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# To linger for no time at all: closing sends RST instead of FIN (socket(7), SO_LINGER).
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class NoAnswer(web.Response):
    """Stands for the answer that a client who was hung up on does not get."""


@web.middleware
async def strike_early(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Choose the fault that is to strike a request, and do the harm that comes before the checks.

    A fault with an effect is left to `take_effect`.
    """
    state = request.app[STATE]
    standing = state.faults.choose(kind_of(request.path), state.options.clock())
    if standing is None:
        return await handler(request)
    rule = standing.rule
    if rule.comes_late:
        request[CHOSEN_RULE] = standing
        return await handler(request)
    _count(request, state, standing)
    if rule.deed is Deed.STATUS:
        return _status(rule)
    if rule.deed is Deed.DELAY:
        await state.options.sleep(rule.seconds)
        return await handler(request)
    return hang_up(request, with_reset=True)


def take_effect(request: web.Request, effect: Effect, asked: Asked) -> web.StreamResponse:
    """Do what a request that has passed the checks asks for, struck by the fault chosen for it.

    Raises:
        ApiError: the request is answered with an error, and no fault hides it.
    """
    state = request.app[STATE]
    standing = request.get(CHOSEN_RULE)
    if standing is None:
        return effect(state, asked)
    rule = standing.rule
    _count(request, state, standing)
    if rule.deed is Deed.LATE_EFFECT:
        task = asyncio.create_task(_take_effect_later(state, effect, asked, rule.seconds))
        state.late_effects.add(task)
        task.add_done_callback(state.late_effects.discard)
        return hang_up(request)
    with contextlib.suppress(ApiError):
        effect(state, asked)
    return _status(rule) if rule.deed is Deed.STATUS else hang_up(request)


async def stop_late_effects(app: web.Application) -> None:
    """Cancel what is still to be done, and wait until it is."""
    state = app[STATE]
    late_effects = list(state.late_effects)
    state.cancel_late_effects()
    await asyncio.gather(*late_effects, return_exceptions=True)


async def _take_effect_later(
    state: SandboxState, effect: Effect, asked: Asked, seconds: float
) -> None:
    await state.options.sleep(seconds)
    # The client is gone, and so is any answer to it.
    with contextlib.suppress(ApiError):
        effect(state, asked)


def _count(request: web.Request, state: SandboxState, standing: StandingRule) -> None:
    state.faults.count(standing)
    request[EXCHANGE].fault = standing.rule.name


def _status(rule: Rule) -> web.Response:
    headers = {} if rule.retry_after is None else {"Retry-After": rule.retry_after}
    if isinstance(rule.body, str):
        return web.Response(
            status=rule.status, text=rule.body, content_type="text/html", headers=headers
        )
    if rule.body is not None:
        return answer(rule.body, status=rule.status, headers=headers)
    if rule.status < HTTPStatus.BAD_REQUEST:
        return web.Response(status=rule.status, headers=headers)
    return ApiError(rule.status, "A fault that was asked for", headers=headers).response()


def hang_up(request: web.Request, *, with_reset: bool = False) -> NoAnswer:
    """Close a request's connection without an answer."""
    transport = request.transport
    if transport is not None:
        if with_reset:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    return NoAnswer()
