"""The HTTP door: routes, listening sockets, and an orderly close."""

import asyncio
import contextlib
import socket
import ssl
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from bridge.inbound.connections import Server, connection_of
from bridge.inbound.crowd import Crowd
from bridge.inbound.problems import problem
from bridge.inbound.sites import TlsSite, bind_tcp
from bridge.ports import Log

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
    # Who may connect to a socket's path: only who may write to it.
    mode: int = 0o600


Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Door:
    """What phone systems talk to: answers by path and method, and every error is a problem.

    It stands on aiohttp's low-level server: a handful of fixed paths needs no router.
    """

    def __init__(
        self,
        posts: Mapping[str, Respond],
        log: Log,
        crowd: Crowd,
        find: Callable[[str], Respond | None] = lambda _path: None,
    ) -> None:
        """Answer those in the crowd: POST at these paths, and where somebody is to be found."""
        self._posts = posts
        self._find = find
        self._log = log
        self.crowd = crowd
        self._is_leaving = False

    def leave(self) -> None:
        """Say with each answer from now on that it is the connection's last."""
        self._is_leaving = True

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request. A fault of ours is a 503, never a 500."""
        connection = connection_of(request)
        self.crowd.asks(connection)
        answer = await self._safe_answer(request)
        self.crowd.answered(connection)
        if self._is_leaving or answer.status == 408:
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


class _DoorRunner(web.ServerRunner):
    def __init__(self, door: Door) -> None:
        server = Server(door.answer, door.crowd)
        super().__init__(server, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
        self._door = door
        self._of = server

    async def cleanup(self) -> None:
        """Let nobody in, answer those who are, and close."""
        for site in list(self.sites):
            await site.stop()
        self._door.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self._of.empty()
        await super().cleanup()
        self._door.crowd.close()


def door_runner(door: Door) -> web.BaseRunner:
    """Return what runs the door. To be called from the event loop."""
    return _DoorRunner(door)


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
            bound = await asyncio.to_thread(_bind, place)
            self._sites.append(web.SockSite(self._runner, bound, backlog=BACKLOG))
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
    """Return a socket at a path that only those find open who may: its rights are set first."""
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(place.path)
        Path(place.path).chmod(place.mode)
    except OSError:
        bound.close()
        raise
    return bound


def _address(of: object, scheme: str = "http") -> str:
    if isinstance(of, tuple):
        host, port = of[0], of[1]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    return f"unix:{of}"
