"""The HTTP door: routes, listening sockets, and an orderly close."""

import asyncio
import contextlib
import socket
import ssl
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from bridge.inbound.problems import problem
from bridge.inbound.shapes import BODY_BYTES_MAX
from bridge.inbound.sites import TlsSite, bind_tcp
from bridge.ports import Log

KEEPALIVE_S: Final = 75.0
BACKLOG: Final = 1024
# How long answers in hand may take when the daemon stops.
SHUTDOWN_S: Final = 10.0
# How long who is connected by then may still ask: what is on its way would else be lost with the
# connection, and a connection that nobody has used yet was taken from the next daemon's queue.
LAST_WORDS_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen: a host and port, or a socket's path."""

    host: str = ""
    port: int = 0
    path: str = ""


Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Door:
    """What phone systems talk to: answers by path and method, and every error is a problem.

    It stands on aiohttp's low-level server: a handful of fixed paths needs no router.
    """

    def __init__(
        self,
        posts: Mapping[str, Respond],
        log: Log,
        find: Callable[[str], Respond | None] = lambda _path: None,
    ) -> None:
        """Answer POST at these paths, and at those where somebody is to be found."""
        self._posts = posts
        self._find = find
        self._log = log
        self._is_leaving = False

    def leave(self) -> None:
        """Say with each answer from now on that it is the connection's last."""
        self._is_leaving = True

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request. A fault of ours is a 503, never a 500."""
        answer = await self._safe_answer(request)
        if self._is_leaving:
            answer.force_close()
        return answer

    async def _safe_answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except web.HTTPException as error:
            return problem(error.status, error.reason)
        except Exception as error:  # noqa: BLE001 - the last line: nothing may become a 500
            self._log.error("a request failed", exc_info=error)
            return problem(503, "The request can't be served now; send it again later.")

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        respond = self._posts.get(request.path) or self._find(request.path)
        if respond is None:
            return problem(404, "Nothing is at this address; events go to POST /v1/events.")
        if request.method != "POST":
            return problem(405, "This address takes POST.", headers={"Allow": "POST"})
        expected = request.headers.get("Expect")
        if expected is not None:
            if expected.lower() != "100-continue":
                return problem(417, "Of expectations, only 100-continue can be met.")
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # What follows is measured as the answer, which hasn't begun.
            request.writer.output_size = 0
        return await respond(request)


class _Connection(web.RequestHandler):
    """A connection on which even what is no HTTP gets a problem that repeats nothing of it."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp could not read."""
        del exc, message
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        if status >= 500:
            answer = problem(503, "The request can't be served now; send it again later.")
        else:
            answer = problem(status, "This is no HTTP request that can be read.")
        answer.force_close()
        return answer


class _Server(web.Server):
    def __init__(self, door: Door) -> None:
        super().__init__(
            door.answer,
            request_factory=_make_request,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
        )
        self.door = door
        self._connected = 0
        self._emptied = asyncio.Event()

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._connected += 1

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        self._connected -= 1
        if not self._connected:
            self._emptied.set()

    async def empty(self) -> None:
        """Wait until nobody is connected."""
        # Who was let in just now is counted in the next turn of the loop.
        await asyncio.sleep(0)
        while self._connected:
            self._emptied.clear()
            await self._emptied.wait()


class _DoorRunner(web.ServerRunner):
    def __init__(self, server: _Server) -> None:
        super().__init__(server, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
        self._of = server

    async def cleanup(self) -> None:
        """Let nobody in, answer those who are, and close."""
        for site in list(self.sites):
            await site.stop()
        self._of.door.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self._of.empty()
        await super().cleanup()


def _make_request(*arguments: Any) -> web.BaseRequest:
    message, payload, protocol, writer, task = arguments
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=BODY_BYTES_MAX
    )


def door_runner(door: Door) -> web.BaseRunner:
    """Return what runs the door. To be called from the event loop."""
    return _DoorRunner(_Server(door))


def admin_runner(app: web.Application) -> web.BaseRunner:
    """Return what runs the admin address."""
    return web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)


class Listener:
    """A runner on its sockets."""

    def __init__(self, runner: web.BaseRunner) -> None:
        """Prepare to serve what the runner runs."""
        self._runner = runner
        self._sites: list[web.BaseSite] = []
        self._path = ""

    async def open(
        self,
        place: Place,
        passed: Sequence[socket.socket] = (),
        tls: ssl.SSLContext | None = None,
    ) -> list[str]:
        """Listen on the sockets passed by systemd, else at the place; return the addresses.

        With `tls`, nothing else than TLS is spoken, on sockets passed as well.

        Raises:
            OSError: the place can't be listened on.
        """
        await self._runner.setup()
        if tls is not None:
            return await self._open_tls(passed or await self._bound(place), tls)
        for one in passed:
            self._sites.append(web.SockSite(self._runner, one, backlog=BACKLOG))
        if not passed and place.path:
            self._path = place.path
            await asyncio.to_thread(_remove_stale, place.path)
            self._sites.append(web.UnixSite(self._runner, place.path, backlog=BACKLOG))
        elif not passed:
            self._sites.append(web.TCPSite(self._runner, place.host, place.port, backlog=BACKLOG))
        for site in self._sites:
            await site.start()
        return [_address(one) for one in self._runner.addresses]

    async def _bound(self, place: Place) -> list[socket.socket]:
        if not place.path:
            return await bind_tcp(place.host, place.port)
        self._path = place.path
        await asyncio.to_thread(_remove_stale, place.path)
        return [await asyncio.to_thread(_bind, place)]

    async def _open_tls(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext) -> list[str]:
        self._sites.extend(TlsSite(self._runner, one, tls, BACKLOG) for one in sockets)
        for site in self._sites:
            await site.start()
        return [_address(one, "https") for one in self._runner.addresses]

    async def renew(self, tls: ssl.SSLContext) -> None:
        """Serve new connections with another certificate; those that are there go on.

        The sockets stay open all the while, and who waits in their queues is served.

        Raises:
            OSError: the machine has no more descriptors; all is as before.
        """
        before = [site for site in self._sites if isinstance(site, TlsSite)]
        after: list[web.BaseSite] = []
        try:
            for site in before:
                new = TlsSite(self._runner, site.another_socket(), tls, BACKLOG)
                await new.start()
                after.append(new)
        except OSError:
            for one in after:
                await one.stop()
            raise
        self._sites = after
        for old in before:
            await old.stop()

    async def stop_accepting(self) -> None:
        """Take no new connections; those that are there go on."""
        for site in list(self._sites):
            await site.stop()
        self._sites.clear()

    async def close(self) -> None:
        """Answer what is in hand, then close."""
        await self._runner.cleanup()
        if self._path:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(Path(self._path).unlink)


def _remove_stale(path: str) -> None:
    """Remove a socket that a killed daemon left behind; never anything else."""
    place = Path(path)
    if place.exists() and stat.S_ISSOCK(place.stat().st_mode):
        place.unlink()


def _bind(place: Place) -> socket.socket:
    """Return a socket at a path."""
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(place.path)
    except OSError:
        bound.close()
        raise
    return bound


def _address(of: object, scheme: str = "http") -> str:
    if isinstance(of, tuple):
        host, port = of[0], of[1]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    return f"unix:{of}"
