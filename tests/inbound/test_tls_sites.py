import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector, web

from bridge.inbound.server import Listener, Place
from bridge.inbound.sites import TlsSite, bind_tcp
from bridge.wire.tls import server_context

TLS = Path(__file__).parents[1] / "data" / "tls"


def context() -> ssl.SSLContext:
    return server_context(str(TLS / "localhost.crt"), str(TLS / "localhost.key"))


async def _answer(_request: web.BaseRequest) -> web.Response:
    return web.Response(text="here")


async def get(url: str) -> str:
    trusting = ssl.create_default_context(cafile=TLS / "localhost.crt")
    trusting.check_hostname = False
    async with (
        ClientSession(connector=TCPConnector(ssl=trusting)) as session,
        session.get(url) as reply,
    ):
        return await reply.text()


async def test_every_address_of_a_host_is_listened_on() -> None:
    sockets = await bind_tcp("localhost", 0)
    found = await asyncio.get_running_loop().getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)
    assert {one.family for one in sockets} == {one[0] for one in found}
    for one in sockets:
        one.close()


async def test_a_port_that_is_taken_is_an_error_of_the_system_as_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        await bind_tcp("127.0.0.1", taken.getsockname()[1])


async def test_a_path_that_cannot_be_had_is_an_error_of_the_system_too(tmp_path: Path) -> None:
    listener = Listener(web.ServerRunner(web.Server(_answer)))
    with pytest.raises(FileNotFoundError):
        await listener.open(Place(path=str(tmp_path / "none" / "s")), (), context())
    await listener.close()


async def test_where_no_descriptor_is_left_the_old_certificate_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener = Listener(web.ServerRunner(web.Server(_answer)))
    sockets = [*await bind_tcp("127.0.0.1", 0), *await bind_tcp("127.0.0.1", 0)]
    urls = await listener.open(Place(), sockets, context())
    left = iter([sockets[0].dup()])

    def another(_site: TlsSite) -> socket.socket:
        for one in left:
            return one
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(TlsSite, "another_socket", another)
    with pytest.raises(OSError, match="Too many"):
        await listener.renew(context())
    for url in urls:
        assert url.startswith("https://")
        assert await get(url) == "here"
    await listener.close()
