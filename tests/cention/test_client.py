import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge.cention.client import CentionOptions, CentionSender
from bridge.domain.contacts import Card
from bridge.domain.deliveries import Kind, NewErrand
from bridge.domain.outcomes import Failure, Reply
from bridge.domain.routes import Route, RouteTable
from bridge.ops.clock import SystemClock
from bridge.ports import Parcel
from bridge.wire.exchange import Exchange, errors_of, open_session, retry_after

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
PARCEL = Parcel(
    id=1,
    key="k",
    lane="l",
    kind=Kind.CONTACT_CARD,
    route="default",
    source="aventa",
    reference_id="r1",
    accepted_us=0,
    first_us=0,
    attempts=1,
    payload=Card(name="Ada", voice=("+60123456789",)),
)


@asynccontextmanager
async def sender_to(base_url: str, timeout_s: float = 5.0) -> AsyncIterator[CentionSender]:
    route = Route(name="default", base_url=base_url, workspace="demo")
    async with open_session() as session:
        yield CentionSender(
            Exchange(session, SystemClock()),
            CentionOptions(
                routes=RouteTable((), route), tokens={"default": "tok"}, timeout_s=timeout_s
            ),
        )


async def reply_to(answer: Answer, timeout_s: float = 5.0) -> Reply:
    """Return what the sender makes of an upstream's answer."""
    app = web.Application()
    app.router.add_post("/s/demo/capi/json/c3_contact_cards", answer)
    async with TestServer(app) as server, sender_to(str(server.make_url("")), timeout_s) as sender:
        sender.options = CentionOptions(
            routes=RouteTable(
                (),
                Route(
                    name="default",
                    base_url=str(server.make_url("")).rstrip("/"),
                    workspace="demo",
                ),
            ),
            tokens={"default": "tok"},
            timeout_s=timeout_s,
        )
        return await sender.send(PARCEL)


async def test_a_request_has_the_vendors_headers_to_the_letter() -> None:
    seen: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        seen.update(request.headers)
        return web.json_response({"data": {"type": "c3_contact_cards", "id": "13"}}, status=201)

    reply = await reply_to(answer)
    assert (reply.status, reply.remote_id) == (201, "13")
    assert seen["Content-Type"] == seen["Accept"] == "application/vnd.api+json"
    assert seen["Authorization"] == "Bearer tok"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"data": []}', b'{"data": {"id": null}}'])
async def test_a_success_that_cannot_be_read_is_still_a_success(body: bytes) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=200, body=body)

    reply = await reply_to(answer)
    assert (reply.status, reply.failure, reply.remote_id) == (200, None, "")


async def test_a_redirect_is_not_followed() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})

    assert (await reply_to(answer)).status == 302


async def test_the_upstreams_own_words_are_kept_for_a_person() -> None:
    async def answer(_request: web.Request) -> web.Response:
        errors = [{"title": "Bad", "detail": "voice", "source": {"pointer": "/data"}}]
        return web.json_response({"errors": errors}, status=422)

    assert (await reply_to(answer)).detail == "Bad: voice: /data"


async def test_a_connection_that_breaks_after_the_request_is_lost() -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    assert (await reply_to(answer)).failure is Failure.LOST


async def test_an_answer_that_takes_too_long_is_lost() -> None:
    over = asyncio.Event()

    async def answer(_request: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    reply = await asyncio.ensure_future(reply_to(answer, timeout_s=0.05))
    over.set()
    assert reply.failure is Failure.LOST


async def test_nobody_there_is_not_connected() -> None:
    async with TestServer(web.Application()) as server:
        address = f"http://127.0.0.1:{server.port}"
    async with sender_to(address) as sender:
        reply = await sender.send(PARCEL)
    assert reply.failure is Failure.NOT_CONNECTED
    assert "127.0.0.1" not in reply.detail


async def test_a_mark_tells_tokens_apart_without_giving_them_away() -> None:
    async with sender_to("http://127.0.0.1:1") as sender:
        mark = sender.token_mark("default")
        assert sender.token_mark("unknown") == mark
        assert "tok" not in mark
        sender.options = CentionOptions(routes=sender.options.routes, tokens={"default": "new"})
        assert sender.token_mark("default") != mark


async def test_routes_with_the_same_token_are_told_together() -> None:
    routes = [
        Route(name=name, base_url="http://127.0.0.1:1", workspace="demo")
        for name in ("default", "sales", "night")
    ]
    async with sender_to("http://127.0.0.1:1") as sender:
        sender.options = CentionOptions(
            routes=RouteTable(routes[1:], routes[0]), tokens={"default": "a", "sales": "b"}
        )
        assert sender.sharing("night", 401) == ["default", "night"]
        assert sender.sharing("sales", 403) == ["sales"]


async def test_routes_to_the_same_workspace_are_told_together() -> None:
    routes = [
        Route(name=name, base_url="http://127.0.0.1:1", workspace=workspace)
        for name, workspace in (("default", "demo"), ("sales", "demo"), ("night", "other"))
    ]
    async with sender_to("http://127.0.0.1:1") as sender:
        sender.options = CentionOptions(
            routes=RouteTable(routes[1:], routes[0]), tokens={"default": "a", "sales": "b"}
        )
        assert sender.sharing("sales", 404) == ["default", "sales"]
        assert sender.token_mark("night") != sender.token_mark("default")


NOW_US = 1_790_000_000_000_000  # 2026-09-21T14:13:20Z


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("Mon, 21 Sep 2026 14:14:20 GMT", 60.0),
        ("Mon, 21 Sep 2026 14:12:20 GMT", 0.0),
        ("Mon, 21 Sep 2026 14:14:20", 60.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    value: str | None, seconds: float | None
) -> None:
    assert retry_after(value, NOW_US) == seconds


@given(st.text())
def test_no_retry_after_makes_it_stumble(value: str) -> None:
    found = retry_after(value, NOW_US)
    assert found is None or found >= 0


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(
            ["errors", "title", "detail", "source", "pointer", "x"]), inner),
    )
)  # fmt: skip
def test_no_error_document_makes_it_stumble(document: object) -> None:
    assert isinstance(errors_of(document), str)


async def test_a_message_whose_rule_is_gone_leaves_with_nobody_elses_token() -> None:
    asked = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        return web.Response(status=201)

    app = web.Application()
    app.router.add_post("/s/demo/capi/json/c3_new_errands", answer)
    parcel = replace(
        PARCEL,
        kind=Kind.WATEMPLATE,
        route="watemplate:gone",
        payload=NewErrand(message_id="m", name="n", sender="+60", subject="", body=""),
    )
    async with TestServer(app) as server, sender_to(str(server.make_url(""))) as sender:
        assert (await sender.send(parcel)).failure is Failure.NOT_CONNECTED
        sender.options = dataclasses.replace(
            sender.options, tokens={**sender.options.tokens, "watemplate:gone": "wa"}
        )
        assert (await sender.send(parcel)).status == 201
    assert [one.headers["Authorization"] for one in asked] == ["Bearer wa"]
