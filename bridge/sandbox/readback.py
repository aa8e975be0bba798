"""The sandbox's own pages under `/_sandbox`: what it was sent, in JSON; no token is asked for.

| page | does |
| --- | --- |
| `GET /errands` | shows errands, the oldest first; `?after=<id>` only those with a higher id |
| `GET /dirty` | shows by workspace the ids of the errands that are listed as changed |
| `GET /contacts` | shows contact cards, the oldest first |
| `GET /administered` | shows by workspace and kind what was set up and not deleted, by id |
| `GET /requests` | shows every request under /s/; `?after=<sequence>` only later ones |
| `GET /summary` | shows counts, and each reference's steps in order, unless `?references=0` |
| `GET /token` | gives a token; `?claims=a,b&area=x&ttl=3600` (seconds; negative: expired already) |
| `POST /errands` | makes an errand that came in by e-mail, of any of `workspace`, `area`, `name`, |
| | `from`, `subject`, `body` |
| `POST /errands/<id>/answer` | answers an errand as an agent does, and sends the callback; takes |
| | any of `subject`, `body`, `html_body`, `agent`, `tags` (texts), `attachments` and `archives` |
| | (`{content_type, name, content}` each, in base64), and `links` (`object`, or `string`); |
| | answers `{callbackId, answerId, status, attachments, archives}`: `callbackId` is null |
| | without an address, `status` where the receiver gave none |
| `POST /errands/<id>/tags` | puts `{"tags": [...]}` on an errand |
| `GET /callback` | shows the callback's `url`, and whether it `hasSecret` |
| `PUT /callback` | sends callbacks to `{"url": ..., "secret": ...}` from now on; `""`: nowhere |
| `POST /callbacks/<id>/resend` | sends the same bytes again; answers `{callbackId, status}` |
| `POST /ratings` | makes a Facebook rating, of any of `workspace`, `message`, `rating`, |
| | `reviewerId`, `reviewerName` |
| `POST /faults` | puts an array of rules (`bridge.sandbox.faults`) in force and ends all others, |
| | or a preset: `{"preset": "mixed", "rate": 0.2}` (`bridge.sandbox.presets`) |
| `GET /faults` | shows the rules in force, how often each struck, and how often any has |
| `DELETE /faults` | ends them; what they delayed is still done |
| `DELETE /` | forgets all of it: what was sent, the faults and what they delayed, and any other |
| | callback address than the one that it was started with |
"""

from collections.abc import Awaitable, Callable, Iterable
from itertools import takewhile
from typing import Any, Final, Protocol, TypeVar

import orjson
from aiohttp import web

from bridge.sandbox import answering, controls
from bridge.sandbox.jsonapi import ApiError
from bridge.sandbox.keys import STATE
from bridge.sandbox.state import SandboxState
from bridge.sandbox.tokens import ALL_CLAIMS, make_token

DEFAULT_TTL_SECONDS: Final = 3600

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Shown(Protocol):
    def read_back(self) -> dict[str, Any]: ...


_ShownT = TypeVar("_ShownT", bound=_Shown)


def create_readback(state: SandboxState) -> web.Application:
    """Return the pages as an application, to be put under a prefix."""
    app = web.Application(middlewares=[_answer_errors])
    app[STATE] = state
    app.router.add_get("/errands", _errands)
    app.router.add_get("/dirty", _dirty)
    app.router.add_get("/contacts", _contacts)
    app.router.add_get("/administered", _administered)
    app.router.add_get("/requests", _requests)
    app.router.add_get("/summary", _summary)
    app.router.add_get("/token", _token)
    app.router.add_post("/errands", controls.make_errand)
    app.router.add_post("/errands/{id}/answer", answering.answer_errand)
    app.router.add_post("/errands/{id}/tags", answering.tag_errand)
    app.router.add_get("/callback", answering.show_callback)
    app.router.add_put("/callback", answering.set_callback)
    app.router.add_post("/callbacks/{id}/resend", answering.resend_callback)
    app.router.add_post("/ratings", controls.make_rating)
    app.router.add_get("/faults", _faults)
    app.router.add_post("/faults", controls.set_faults)
    app.router.add_delete("/faults", controls.clear_faults)
    app.router.add_delete("", _reset)
    return app


@web.middleware
async def _answer_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return error.response()


async def _errands(request: web.Request) -> web.Response:
    after = _integer(request, "after", 0)
    newest_first = reversed(request.app[STATE].errands)
    return _list(takewhile(lambda errand: errand.id > after, newest_first))


async def _dirty(request: web.Request) -> web.Response:
    state = request.app[STATE]
    return _json({workspace: state.errands.dirty(workspace) for workspace in state.rates})


async def _contacts(request: web.Request) -> web.Response:
    return _list(reversed(list(request.app[STATE].cards)))


async def _administered(request: web.Request) -> web.Response:
    state = request.app[STATE]
    return _json({workspace: state.administered.shown(workspace) for workspace in state.rates})


async def _requests(request: web.Request) -> web.Response:
    after = _integer(request, "after", 0)
    newest_first = reversed(request.app[STATE].requests)
    return _list(takewhile(lambda exchange: exchange.sequence > after, newest_first))


async def _summary(request: web.Request) -> web.Response:
    with_references = request.query.get("references", "1") != "0"
    return _json(request.app[STATE].summary(with_references=with_references))


async def _token(request: web.Request) -> web.Response:
    options = request.app[STATE].options
    claims = request.query.get("claims")
    area = request.query.get("area", options.workspaces[0])
    expires_at = int(options.wall_clock()) + _integer(request, "ttl", DEFAULT_TTL_SECONDS)
    token = make_token(
        options.token_key,
        claims=ALL_CLAIMS if claims is None else claims.split(","),
        area=area,
        expires_at=expires_at,
    )
    return _json({"token": token, "expires_at": expires_at})


async def _faults(request: web.Request) -> web.Response:
    return _json(request.app[STATE].faults.read_back())


async def _reset(request: web.Request) -> web.Response:
    request.app[STATE].reset()
    return web.Response(status=204)


def _list(newest_first: Iterable[_ShownT]) -> web.Response:
    shown = [item.read_back() for item in newest_first]
    shown.reverse()
    return _json(shown)


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


def _integer(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    try:
        return default if text is None else int(text)
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{name} must be an integer") from error
