"""The stand-in for One View's chat-ticket API, under `/cs-chat-ticket`.

By the page: `GET /v1/info`, `GET /v1/tickets`, `PUT /v1/online`, `PUT /v1/offline`,
`PUT /v1/status`, `DELETE /v1/rooms/<id>` and `PUT /v1/tickets/<id>/pickedTime`, with its error
objects. Faults on demand strike here as well (`bridge.sandbox.strikes`); their kinds are
`oneview_info`, `oneview_status`, `oneview_tickets` and `oneview_rooms`.

Who works there is told under `/_sandbox/oneview`:

| page | does |
| --- | --- |
| `GET /agents` | shows everybody: status, since when, and every change with whose deed it was |
| `POST /agents` | makes `{"email", "token"}` an agent, of any `status` |
| `PUT /agents/<email>` | sets any of `status`, as the agent does themselves, and `refused`: |
| | whether their token is taken for none |
| `GET /tickets` | shows tickets and rooms |
| `POST /tickets` | gives `{"id", "email"}` a ticket, with any `roomId` |
| `PUT /info` | `{"array": true}`: `/v1/info` answers an array from now on |
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from bridge.sandbox.chats import STATUSES, ChatAgent, ChatError, ChatTicket
from bridge.sandbox.jsonapi import ApiError
from bridge.sandbox.keys import STATE
from bridge.sandbox.state import SandboxState
from bridge.sandbox.strikes import stop_late_effects, strike_early, take_effect
from bridge.sandbox.vendor import Asked, Effect

BASE: Final = "/cs-chat-ticket"
AGENT: Final = web.RequestKey("agent", ChatAgent)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_oneview(state: SandboxState, record: Middleware) -> web.Application:
    """Return the API as an application, to be put under a prefix; `record` keeps its requests."""
    app = web.Application(middlewares=[record, strike_early, _answer_errors, _check_token])
    app[STATE] = state
    app.on_cleanup.append(stop_late_effects)
    app.router.add_get("/v1/info", _info)
    app.router.add_get("/v1/tickets", _tickets)
    app.router.add_put("/v1/online", _set_status)
    app.router.add_put("/v1/offline", _set_status)
    app.router.add_put("/v1/status", _set_status)
    app.router.add_delete("/v1/rooms/{id}", _close)
    app.router.add_put("/v1/tickets/{id}/pickedTime", _pick)
    return app


@web.middleware
async def _answer_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ChatError as error:
        return _json(error.document(), status=error.status)
    except ApiError as error:
        return _json(ChatError(error.status).document(), status=error.status)
    except web.HTTPException as error:
        return _json(ChatError(error.status).document(), status=error.status)


@web.middleware
async def _check_token(request: web.Request, handler: _Handler) -> web.StreamResponse:
    unrouted = request.match_info.http_exception
    if unrouted is not None:
        raise unrouted
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise ChatError(401)
    request[AGENT] = request.app[STATE].chats.of_token(token.strip())
    return await handler(request)


def _done(request: web.Request, effect: Callable[[SandboxState], Any]) -> web.StreamResponse:
    """Do what a request asks for, struck by the fault chosen for it."""

    def do(state: SandboxState, _asked: Asked) -> web.Response:
        return _json(effect(state))

    of_effect: Effect = do
    asked = Asked(workspace="", area="", body=b"", id="", query={})
    return take_effect(request, of_effect, asked)


async def _info(request: web.Request) -> web.StreamResponse:
    agent = request[AGENT]

    def info(state: SandboxState) -> Any:
        found = agent.info(state.options.wall_clock())
        return [found] if state.chats.wraps_info else found

    return _done(request, info)


async def _tickets(request: web.Request) -> web.StreamResponse:
    agent = request[AGENT]
    return _done(request, lambda state: state.chats.tickets_of(agent, state.options.wall_clock()))


async def _set_status(request: web.Request) -> web.StreamResponse:
    agent, status = request[AGENT], request.path.rpartition("/")[2]
    if status == "status":
        wanted = _object(await request.read())
        status = wanted.get("status", "")
    return _done(
        request,
        lambda state: state.chats.put_status(agent, status, state.options.wall_clock()),
    )


async def _pick(request: web.Request) -> web.StreamResponse:
    agent, ticket_id = request[AGENT], request.match_info["id"]
    email = request.headers.get("X-Agent-ID", "")
    return _done(
        request,
        lambda state: state.chats.pick(agent, ticket_id, email, state.options.wall_clock()),
    )


async def _close(request: web.Request) -> web.StreamResponse:
    room_id = request.match_info["id"]
    return _done(request, lambda state: state.chats.close(room_id))


def create_desk(state: SandboxState) -> web.Application:
    """Return the sandbox's own pages about it as an application, to be put under a prefix."""
    app = web.Application(middlewares=[_answer_errors])
    app[STATE] = state
    app.router.add_get("/agents", _show_agents)
    app.router.add_post("/agents", _add_agent)
    app.router.add_put("/agents/{email}", _change_agent)
    app.router.add_get("/tickets", _show_tickets)
    app.router.add_post("/tickets", _add_ticket)
    app.router.add_put("/info", _wrap_info)
    return app


async def _show_agents(request: web.Request) -> web.Response:
    return _json([one.read_back() for one in request.app[STATE].chats.agents()])


async def _add_agent(request: web.Request) -> web.Response:
    wanted, state = _object(await request.read()), request.app[STATE]
    email, token = _text(wanted, "email"), _text(wanted, "token")
    status = wanted.get("status", "online")
    if status not in STATUSES:
        raise ChatError(400, "no such status")
    agent = state.chats.add(email, token, status, state.options.wall_clock())
    return _json(agent.read_back(), status=201)


async def _change_agent(request: web.Request) -> web.Response:
    wanted, state = _object(await request.read()), request.app[STATE]
    agent = state.chats.named(request.match_info["email"])
    if agent is None:
        raise ChatError(404)
    if "refused" in wanted:
        agent.is_refused = bool(wanted["refused"])
    if "status" in wanted:
        status = wanted["status"]
        if status not in STATUSES:
            raise ChatError(400, "no such status")
        agent.set(status, state.options.wall_clock(), "agent")
    return _json(agent.read_back())


async def _show_tickets(request: web.Request) -> web.Response:
    tickets = request.app[STATE].chats.tickets.values()
    return _json(
        [
            {
                "id": one.id,
                "email": one.email,
                "roomId": one.room_id,
                "pickedTimestamp": one.picked_at,
                "isChatRoomClosed": one.is_closed,
            }
            for one in tickets
        ]
    )


async def _add_ticket(request: web.Request) -> web.Response:
    wanted, state = _object(await request.read()), request.app[STATE]
    agent = state.chats.named(_text(wanted, "email"))
    if agent is None:
        raise ChatError(404)
    ticket_id = _text(wanted, "id")
    room_id = wanted.get("roomId", f"room-{ticket_id}")
    state.chats.tickets[ticket_id] = ChatTicket(ticket_id, agent.email, str(room_id))
    return _json({"id": ticket_id, "roomId": room_id}, status=201)


async def _wrap_info(request: web.Request) -> web.Response:
    wanted = _object(await request.read())
    request.app[STATE].chats.wraps_info = bool(wanted.get("array", True))
    return web.Response(status=204)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        raise ChatError(400, "not JSON") from None
    if not isinstance(found, dict):
        raise ChatError(400, "not an object")
    return found


def _text(wanted: dict[str, Any], key: str) -> str:
    value = wanted.get(key)
    if not isinstance(value, str) or not value:
        raise ChatError(400, f"{key} is missing")
    return value


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
