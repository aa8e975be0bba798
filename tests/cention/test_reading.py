import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.cention.reading import CentionReader, ReadingOptions
from bridge.domain.markers import find_marker
from bridge.domain.outcomes import Failure
from bridge.ops.clock import SystemClock
from bridge.sandbox.cention import create_app
from bridge.sandbox.tokens import make_token
from bridge.wire.exchange import Exchange, open_session

MARKER = "aventa-0123456789abcdef0123456789abcdef"
TOKEN = make_token(b"sandbox")


@asynccontextmanager
async def reader_of(app: web.Application) -> AsyncIterator[tuple[CentionReader, str, TestServer]]:
    server = TestServer(app)
    async with server, open_session() as session:
        scope = f"{str(server.make_url('')).rstrip('/')}/s/demo"
        exchange = Exchange(session, SystemClock())
        options = ReadingOptions(tokens={scope: TOKEN}, timeout_s=5.0)
        yield CentionReader(exchange, options), scope, server


async def make_errand(server: TestServer, body: str) -> int:
    async with open_session() as session:
        answer = await session.post(
            server.make_url("/s/demo/capi/json/c3_new_errands"),
            headers={
                "Authorization": f"Bearer {TOKEN}",
                "Content-Type": "application/vnd.api+json",
                "Accept": "application/vnd.api+json",
            },
            data=json.dumps(
                {
                    "data": {
                        "type": "c3_new_errands",
                        "attributes": {
                            "msg": {
                                "message_id": "m",
                                "name": "Ada",
                                "from": "+46701234567",
                                "subject": "Call",
                                "body": body,
                            }
                        },
                    }
                }
            ),
        )
        assert answer.status == 201, await answer.text()
        return int(json.loads(await answer.read())["data"]["id"])


async def test_a_new_errand_is_listed_read_and_put_back() -> None:
    async with reader_of(create_app()) as (reader, scope, server):
        errand_id = await make_errand(server, f"Call <now>\nref: {MARKER}")
        assert (await reader.changed(scope)).ids == (errand_id,)
        body = (await reader.errand(scope, errand_id)).body
        assert body is not None
        assert find_marker(body) == MARKER
        assert (await reader.changed(scope)).ids == ()
        assert (await reader.mark(scope, [errand_id])).reply.status == 200
        assert (await reader.changed(scope)).ids == (errand_id,)


async def test_an_errand_that_is_not_there_says_so() -> None:
    async with reader_of(create_app()) as (reader, scope, _):
        report = await reader.errand(scope, 4711)
        assert (report.reply.status, report.body) == (404, None)


async def test_another_workspace_is_read_with_no_token() -> None:
    async with reader_of(create_app()) as (reader, scope, _):
        assert (await reader.changed(scope.replace("demo", "other"))).reply.status == 404


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answering(text: str, status: int = 200) -> web.Application:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=text, status=status)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    return app


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "<html>",
        '{"data": null}',
        '{"data": {"attributes": {}}}',
        '{"data": {"attributes": {"errands": "34"}}}',
        '{"data": {"attributes": {"errands": ["34"]}}}',
        '{"data": {"attributes": {"errands": [true]}}}',
        '{"data": {"attributes": {"errands": [-1]}}}',
        '{"data": {"attributes": {"errands": [9223372036854775808]}}}',
    ],
)
async def test_a_list_that_is_none_is_not_taken_for_an_empty_one(document: str) -> None:
    async with reader_of(answering(document)) as (reader, scope, _):
        report = await reader.changed(scope)
        assert (report.reply.status, report.ids) == (200, None)


async def test_an_empty_list_may_be_null() -> None:
    async with reader_of(answering('{"data": {"attributes": {"errands": null}}}')) as site:
        reader, scope, _ = site
        assert (await reader.changed(scope)).ids == ()


@pytest.mark.parametrize("basic", [None, {}, {"data": {}}, {"data": {"body": 7}}])
async def test_a_report_without_a_body_cannot_be_read(basic: Any) -> None:
    document = json.dumps({"data": {"attributes": {"basic": basic}}})
    async with reader_of(answering(document)) as (reader, scope, _):
        assert (await reader.errand(scope, 1)).body is None


async def test_an_errand_without_a_text_has_an_empty_one() -> None:
    document = json.dumps({"data": {"attributes": {"basic": {"data": {"body": None}}}}})
    async with reader_of(answering(document)) as (reader, scope, _):
        assert (await reader.errand(scope, 1)).body == ""


async def test_an_error_is_told_in_the_upstreams_words() -> None:
    error = json.dumps({"errors": [{"status": "403", "title": "No claim"}]})
    async with reader_of(answering(error, 403)) as (reader, scope, _):
        report = await reader.changed(scope)
        assert (report.reply.status, report.reply.detail, report.ids) == (403, "No claim", None)


async def test_nobody_there_is_a_reply_as_well() -> None:
    async with open_session() as session:
        reader = CentionReader(Exchange(session, SystemClock()), ReadingOptions(tokens={}))
        report = await reader.changed("http://127.0.0.1:1/s/demo")
        assert report.reply.failure is Failure.NOT_CONNECTED
        assert report.ids is None


async def test_a_read_whose_connection_was_lost_is_not_sent_again_unseen() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        assert request.transport is not None
        if len(asked) > 1:
            request.transport.abort()
        return web.json_response({"data": {"attributes": {"errands": []}}})

    app = web.Application()
    app.router.add_get("/s/demo/capi/json/{kind}", answer)
    async with reader_of(app) as (reader, scope, _):
        # The second goes over the connection of the first, as most do.
        assert (await reader.changed(scope)).reply.status == 200
        reply = (await reader.changed(scope)).reply
    assert reply.failure is Failure.LOST
    assert reply.detail == "ServerDisconnectedError"
    assert len(asked) == 2
