"""Answers errands as an agent does, and tells the callback address of it."""

from http import HTTPStatus
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import hdrs, web

from bridge.sandbox.callbacks import Answered, is_address
from bridge.sandbox.controls import json_answer, read_wanted
from bridge.sandbox.documents import ATTACHMENTS as FILES
from bridge.sandbox.errands import Errand, Reply
from bridge.sandbox.jsonapi import MEDIA_TYPE, ApiError, Issue, read_id
from bridge.sandbox.keys import STATE
from bridge.sandbox.kinds import ARCHIVES, ATTACHMENTS
from bridge.sandbox.schema import filled, list_of, one_of, optional, record, required, text
from bridge.sandbox.state import SandboxState

CALLBACK_SECONDS_MAX: Final = 10.0
DEFAULT_AGENT: Final = "System Administrator"
DEFAULT_BODY: Final = "test body"

_LINKS: Final = ("object", "string")


def _address(value: Any, pointer: str, issues: list[Issue]) -> None:
    if not isinstance(value, str) or (value and not is_address(value)):
        issues.append(Issue(pointer, "must be an http or https URL, or empty"))


_ANSWER: Final = record(
    {
        "subject": optional(text),
        "body": optional(text),
        "html_body": optional(text),
        "agent": optional(filled),
        "tags": optional(list_of(filled)),
        "attachments": optional(FILES),
        "archives": optional(FILES),
        "links": optional(one_of(_LINKS)),
    }
)
_TAGS: Final = record({"tags": required(list_of(filled))})
_CALLBACK: Final = record({"url": required(_address), "secret": optional(text)})


async def answer_errand(request: web.Request) -> web.Response:
    """Answer an errand, and send the callback where there is an address for it."""
    wanted = await read_wanted(request, _ANSWER)
    state, errand = request.app[STATE], _errand(request)
    answered = _answer(state, errand, wanted)
    callback_id, body = _new_callback(state, answered)
    return json_answer(
        {
            "callbackId": None if callback_id is None else str(callback_id),
            "answerId": str(answered.ids.answer),
            "status": await _send(state.callbacks.url, body),
            "attachments": [str(item.id) for item in answered.attachments],
            "archives": [str(item.id) for item in answered.archives],
        },
        status=HTTPStatus.CREATED,
    )


async def tag_errand(request: web.Request) -> web.Response:
    """Put tags on an errand without an answer."""
    wanted = await read_wanted(request, _TAGS)
    errand = _errand(request)
    request.app[STATE].errands.tag(errand, wanted["tags"])
    return json_answer({"id": str(errand.id), "tags": errand.tags})


async def show_callback(request: web.Request) -> web.Response:
    """Show where callbacks are sent to, and whether a secret goes with them; never which."""
    callbacks = request.app[STATE].callbacks
    return json_answer({"url": callbacks.url, "hasSecret": bool(callbacks.secret)})


async def set_callback(request: web.Request) -> web.Response:
    """Send callbacks to another address from now on, or to none."""
    wanted = await read_wanted(request, _CALLBACK)
    request.app[STATE].callbacks.set(wanted["url"], wanted.get("secret", ""))
    return await show_callback(request)


async def resend_callback(request: web.Request) -> web.Response:
    """Send a callback's bytes again, to the address of now."""
    callbacks = request.app[STATE].callbacks
    callback_id = read_id(request.match_info["id"])
    body = callbacks.find(callback_id)
    if body is None:
        detail = f"There is no callback {request.match_info['id']!r}"
        raise ApiError(HTTPStatus.NOT_FOUND, detail)
    status = await _send(callbacks.url, body)
    return json_answer({"callbackId": str(callback_id), "status": status})


def _errand(request: web.Request) -> Errand:
    errand = request.app[STATE].errands.find(read_id(request.match_info["id"]))
    if errand is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"There is no errand {request.match_info['id']!r}")
    return errand


def _answer(state: SandboxState, errand: Errand, wanted: dict[str, Any]) -> Answered:
    msg = errand.attributes()["msg"]
    reply = Reply(
        subject=wanted.get("subject", msg.get("subject", "")),
        body=wanted.get("body", DEFAULT_BODY),
        agent=wanted.get("agent", errand.agent or DEFAULT_AGENT),
        at=state.options.wall_clock(),
    )
    stored = {
        kind: tuple(state.files.store(kind, errand.workspace, wanted.get(name, ())))
        for kind, name in ((ATTACHMENTS, "attachments"), (ARCHIVES, "archives"))
    }
    state.errands.answer(errand, reply)
    if "tags" in wanted:
        state.errands.tag(errand, wanted["tags"])
    return Answered(
        errand=errand,
        reply=reply,
        ids=next(state.answer_ids),
        html_body=wanted.get("html_body"),
        attachments=stored[ATTACHMENTS],
        archives=stored[ARCHIVES],
        links_are_objects=wanted.get("links") != "string",
    )


def _new_callback(state: SandboxState, answered: Answered) -> tuple[int | None, bytes]:
    callbacks = state.callbacks
    if not callbacks.url:
        return None, b""
    callback_id = callbacks.take_id()
    body = orjson.dumps(answered.document(callback_id, callbacks.secret))
    callbacks.keep(callback_id, body)
    return callback_id, body


async def _send(url: str, body: bytes) -> int | None:
    """Return the status that the receiver gave; None: there is none, or it could not be reached."""
    if not url:
        return None
    timeout = aiohttp.ClientTimeout(total=CALLBACK_SECONDS_MAX)
    # Each on a connection of its own: one kept open may be gone by now, which would look like a
    # receiver that is down.
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(
                url,
                data=body,
                headers={hdrs.CONTENT_TYPE: MEDIA_TYPE},
                allow_redirects=False,
            ) as response,
        ):
            return response.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None
