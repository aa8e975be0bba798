"""What the sandbox is told to do: faults, and errands and ratings that others make."""

from typing import Any, Final

import orjson
from aiohttp import web

from bridge.sandbox.documents import ISSUES_MAX
from bridge.sandbox.jsonapi import ApiError, Issue, read_json
from bridge.sandbox.keys import STATE
from bridge.sandbox.presets import read_faults
from bridge.sandbox.schema import Check, filled, integer, optional, record, text
from bridge.sandbox.state import SandboxState

_ERRAND: Final = record(
    {
        "workspace": optional(filled),
        "area": optional(filled),
        "name": optional(text),
        "from": optional(filled),
        "subject": optional(text),
        "body": optional(text),
    }
)
_RATING: Final = record(
    {
        "workspace": optional(filled),
        "message": optional(text),
        "rating": optional(integer),
        "reviewerId": optional(integer),
        "reviewerName": optional(text),
    }
)


async def set_faults(request: web.Request) -> web.Response:
    """Put faults in the place of those in force."""
    state = request.app[STATE]
    rules = read_faults(read_json(await request.read()))
    state.faults.set(rules, state.options.clock())
    return json_answer(state.faults.read_back())


async def clear_faults(request: web.Request) -> web.Response:
    """End the faults in force."""
    request.app[STATE].faults.clear()
    return web.Response(status=204)


async def make_errand(request: web.Request) -> web.Response:
    """Make an errand that is none of the bridge's."""
    state = request.app[STATE]
    wanted = await read_wanted(request, _ERRAND)
    errand = state.errands.create_others(
        {
            "name": wanted.get("name", "Leader"),
            "from": wanted.get("from", "test.account@cention.se"),
            "subject": wanted.get("subject", "test"),
            "body": wanted.get("body", "test222"),
        },
        workspace=_workspace(state, wanted),
        area=wanted.get("area", "test-services-area"),
        now=state.options.wall_clock(),
    )
    return json_answer({"id": str(errand.id)}, status=201)


async def make_rating(request: web.Request) -> web.Response:
    """Make a Facebook rating."""
    state = request.app[STATE]
    wanted = await read_wanted(request, _RATING)
    rating = state.ratings.create(
        workspace=_workspace(state, wanted),
        message=wanted.get("message", "Hi its a really great page."),
        stars=wanted.get("rating", 5),
        reviewer_id=wanted.get("reviewerId", 2117249628),
        reviewer_name=wanted.get("reviewerName", "Jessica Elizabeth"),
        now=state.options.wall_clock(),
    )
    return json_answer({"id": str(rating.id)}, status=201)


async def read_wanted(request: web.Request, check: Check) -> dict[str, Any]:
    """Return what the body wants; without a body nothing in particular.

    Raises:
        ApiError: 400 or 422, it is no JSON, or does not pass the check.
    """
    body = await request.read()
    wanted = read_json(body) if body else {}
    issues: list[Issue] = []
    check(wanted, "", issues)
    if issues:
        raise ApiError(422, *issues[:ISSUES_MAX])
    fields: dict[str, Any] = wanted
    return fields


def _workspace(state: SandboxState, wanted: dict[str, Any]) -> str:
    workspace: str = wanted.get("workspace", state.options.workspaces[0])
    if workspace not in state.rates:
        raise ApiError(422, Issue("/workspace", f"there is no workspace {workspace!r}"))
    return workspace


def json_answer(value: Any, *, status: int = 200) -> web.Response:
    """Return an answer of the sandbox's own pages."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
