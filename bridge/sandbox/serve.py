"""Serves the sandbox on a socket: in the running event loop, or in a thread of its own."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from random import SystemRandom
from types import TracebackType
from typing import Final, Self

from aiohttp import web

LOOPBACK: Final = "127.0.0.1"
BACKLOG: Final = 1024
STOP_SECONDS_MAX: Final = 10.0
# Outgoing connections get ports from 32768 on (ip(7), ip_local_port_range).
_LASTING_PORTS: Final = range(20_000, 32_000)
_PORTS_TRIED_MAX: Final = 100


def listen(port: int, *, host: str = LOOPBACK) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        OSError: the port is taken, or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setblocking(False)  # noqa: FBT003 - the standard library's only way
    return listener


def listen_near(port: int, *, host: str = LOOPBACK) -> socket.socket:
    """Return a listening socket on the port where it is free, else on another one."""
    try:
        return listen(port, host=host)
    except OSError:
        return listen(0, host=host)


def free_port(preferred: int, *, host: str = LOOPBACK) -> int:
    """Return the preferred port where it is free, else another one that is free now."""
    with listen_near(preferred, host=host) as listener:
        port: int = listener.getsockname()[1]
    return port


def lasting_port(preferred: int) -> int:
    """Return a port that stays free while nobody listens on it, between one daemon and the next.

    The preferred one where it is free; else one that is never given to an outgoing connection.

    Raises:
        OSError: there is none.
    """
    others = SystemRandom().sample(_LASTING_PORTS, _PORTS_TRIED_MAX)
    for port in (preferred, *others) if preferred else others:
        with contextlib.suppress(OSError), listen(port):
            return port
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def base_url(listener: socket.socket) -> str:
    """Return the address that a listening socket is reached at."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def serving(app: web.Application, listener: socket.socket) -> AsyncIterator[str]:
    """Serve an application in this event loop; gives its address."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        url = base_url(listener)
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        yield url
    finally:
        await runner.cleanup()
        listener.close()


@contextlib.contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """Give an event that SIGINT and SIGTERM set, within the running event loop."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class BackgroundServer:
    """An application in a thread with an event loop of its own, as a context manager.

    Attributes:
        url: the address that it is reached at.
    """

    def __init__(self, app: web.Application, listener: socket.socket) -> None:
        self.url = base_url(listener)
        self._app = app
        self._listener = listener
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)

    def __enter__(self) -> Self:
        """Start it, and wait until it answers.

        Raises:
            Exception: whatever kept it from starting.
        """
        self._thread.start()
        self._ready.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it, and wait until it has."""
        self._ready.result().call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_SECONDS_MAX)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _serve(self) -> None:
        async with serving(self._app, self._listener):
            self._ready.set_result(asyncio.get_running_loop())
            await self._stop.wait()
