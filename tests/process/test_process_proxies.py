"""Addresses that may post, seen through proxies that are named."""

import json
from collections.abc import Iterator

import pytest
from aiohttp import ClientSession, web
from process_callbacks import callback
from process_client import JSON, Reply, event
from process_daemon import Site, running_site

from bridge.sandbox.serve import BackgroundServer, listen

pytestmark = pytest.mark.process
NEAR = "192.0.2.7"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(
        tmp_path_factory.mktemp("behind"),
        HTTP__AUTH_TOKENS='["t"]',
        HTTP__ALLOWED_ADDRESSES='["192.0.2.0/24"]',
        HTTP__TRUSTED_PROXIES='["127.0.0.1"]',
    ) as site:
        yield site


@pytest.fixture(scope="module")
def proxy(behind: Site) -> Iterator[str]:
    """A proxy on this machine that says whom a request comes from, as nginx is told to."""
    (url,) = next(one for one in behind.daemon.log() if one["event"] == "ready")["events"]

    async def pass_on(request: web.Request) -> web.Response:
        said = request.headers.getall("X-Forwarded-For", [])
        headers = {
            "X-Forwarded-For": ", ".join([*said, request.headers["X-Pretended-Peer"]]),
            "Content-Type": request.content_type,
            "Authorization": request.headers.get("Authorization", ""),
        }
        async with (
            ClientSession() as session,
            session.post(url + request.path, data=await request.read(), headers=headers) as reply,
        ):
            return web.Response(status=reply.status, body=await reply.read())

    app = web.Application()
    app.router.add_post("/{path:.*}", pass_on)
    with BackgroundServer(app, listen(0)) as server:
        yield server.url


def post(behind: Site, forwarded: str, token: str) -> Reply:
    headers: dict[str, str | bytes] = {"Content-Type": JSON, "Authorization": f"Bearer {token}"}
    if forwarded:
        headers["X-Forwarded-For"] = forwarded
    body = json.dumps(event("call.queued")).encode()
    return behind.daemon.events.request("POST", "/v1/events", body, headers)


async def test_behind_a_proxy_whoever_is_allowed_is_let_in_and_nobody_else(proxy: str) -> None:
    async with ClientSession() as session:
        for peer, said, status in (
            (NEAR, "", 202),
            (NEAR, "203.0.113.9", 202),
            ("203.0.113.9", "", 401),
            ("203.0.113.9", NEAR, 401),
            ("unknown", NEAR, 401),
        ):
            headers = {"X-Pretended-Peer": peer, "Authorization": "Bearer t"}
            if said:
                headers["X-Forwarded-For"] = said
            one = event("call.queued")
            async with session.post(f"{proxy}/v1/events", json=one, headers=headers) as reply:
                assert reply.status == status, (peer, said)


def test_an_address_is_not_enough_and_a_token_neither(behind: Site) -> None:
    assert post(behind, NEAR, "t").status == 202
    assert post(behind, NEAR, "u").status == 401
    assert post(behind, "", "t").status == 401
    assert behind.daemon.metric("bridge_auth_refused_total", source="aventa", reason="address") >= 1


def test_callbacks_from_beyond_the_proxy_are_not_taken_for_this_machines(behind: Site) -> None:
    body = json.dumps(callback("1")).encode()
    for forwarded, is_near in (("203.0.113.9", False), ("127.0.0.1", True), ("", True)):
        headers: dict[str, str | bytes] = {"Content-Type": JSON}
        if forwarded:
            headers["X-Forwarded-For"] = forwarded
        reply = behind.daemon.events.request("POST", "/v1/cention/callbacks", body, headers)
        assert (reply.status == 401) is not is_near, (forwarded, reply)
