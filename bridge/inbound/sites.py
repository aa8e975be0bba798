"""Listening sockets that speak TLS, and can be handed from one certificate to the next."""

import asyncio
import socket
import ssl
from typing import Any, Final

from aiohttp import web

# Whoever has connected and says nothing is no request yet, and is counted nowhere.
HANDSHAKE_S: Final = 10.0


class TlsSite(web.BaseSite):
    """A listening socket on which TLS is spoken."""

    __slots__ = ("_sock",)

    def __init__(
        self, runner: web.BaseRunner, sock: socket.socket, tls: ssl.SSLContext, backlog: int
    ) -> None:
        """Prepare to serve what the runner runs, on a socket that is this site's own from now."""
        super().__init__(runner, ssl_context=tls, backlog=backlog)
        self._sock = sock

    @property
    def name(self) -> str:
        """What it is called where a site is named."""
        return "https"

    async def start(self) -> None:
        """Take connections."""
        await super().start()
        loop, server = asyncio.get_running_loop(), self._runner.server
        assert server is not None, "the runner is set up before any site"  # noqa: S101 - an invariant
        make = loop.create_server
        if self._sock.family == socket.AF_UNIX:
            make = loop.create_unix_server  # type: ignore[assignment]  # alike, but for the host
        self._server = await make(
            server,
            sock=self._sock,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=HANDSHAKE_S,
        )

    def another_socket(self) -> socket.socket:
        """Return the same listening socket once more, for another site.

        Raises:
            OSError: there are no more descriptors.
        """
        return self._sock.dup()


async def bind_tcp(host: str, port: int) -> list[socket.socket]:
    """Return sockets bound to all addresses of a host, as asyncio would bind them.

    Raises:
        OSError: one of them can't be had.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((one[0], one[4]) for one in found):
            sockets.append(_bind(family, address))
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


def _bind(family: socket.AddressFamily, address: Any) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
    except OSError:
        one.close()
        raise
    return one
