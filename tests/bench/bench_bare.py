"""Bare aiohttp, to measure the bridge against: all of the transport and none of the promises.

python bench_bare.py app          answers 202 to whatever it reads
python bench_bare.py server       the same on aiohttp's low-level server
python bench_bare.py forward URL  answers 202, then sends what the event asks for, keeps nothing
python bench_bare.py least URL FOLDER   the same, but what came and what left is on disk
python bench_bare.py client URL --calls 1000   sends what so many calls ask for
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import uvloop
from aiohttp import web
from bench_events import calls, documents
from bench_least import Least
from bench_process import LOOPBACK, Child, python
from bench_upstream import WORKSPACE_PATH

IN_FLIGHT_MAX: Final = 64
PATH: Final = "/v1/events"
_ACCEPTED: Final = b'{"status":"accepted"}'
_HEADERS: Final = {
    "Authorization": "Bearer token",
    "Content-Type": "application/vnd.api+json",
    "Accept": "application/vnd.api+json",
}
Handle = Callable[[Any], Awaitable[web.StreamResponse]]


class Bare(Child):
    """A bare server, as whoever measures sees it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        """Start it, and wait until it listens."""
        super().__init__(python(Path(__file__), *arguments), folder / f"bare-{arguments[0]}.log")
        self.url = self.line("ready")["url"] + PATH


async def answer(request: web.BaseRequest) -> web.Response:
    """Read the body, and say that it is accepted."""
    await request.read()
    return _accepted()


def _accepted() -> web.Response:
    return web.Response(status=202, body=_ACCEPTED, content_type="application/json")


class Forwarder:
    """Sends what events ask for, a bounded number at a time."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, store: Least | None = None
    ) -> None:
        self._session = session
        self._store = store
        self._url = f"{url}{WORKSPACE_PATH}"
        self._room = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer at once, or once it is on disk; what leaves, leaves later."""
        came = await request.read()
        if self._store is not None:
            await self._store.came(came)
        for kind, body in documents(orjson.loads(came)):
            task = asyncio.create_task(self._forward(kind, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return _accepted()

    async def _forward(self, kind: str, body: bytes) -> None:
        await self.send(kind, body)
        if self._store is not None:
            await self._store.left(body)

    async def send(self, kind: str, body: bytes) -> None:
        async with (
            self._room,
            self._session.post(f"{self._url}/{kind}", data=body, headers=_HEADERS) as response,
        ):
            orjson.loads(await response.read())


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    )


def _say(**told: object) -> None:
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


async def _serve(runner: web.BaseRunner) -> None:
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0, backlog=1024).start()
    _say(event="ready", url=f"http://{LOOPBACK}:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


def _app(handle: Handle) -> web.BaseRunner:
    app = web.Application()
    app.router.add_post(PATH, handle)
    return web.AppRunner(app, access_log=None)


async def _forward(url: str, folder: Path | None = None) -> None:
    store = None if folder is None else Least(folder)
    async with _session() as session:
        await _serve(_app(Forwarder(session, url, store).handle))


async def _run_client(url: str, count: int) -> None:
    """Send all, and say how long it took."""
    ready = [
        document
        for call in calls("client", count)
        for body in (call.answered, call.ended)
        for document in documents(orjson.loads(body))
    ]
    async with _session() as session:
        forwarder = Forwarder(session, url)
        waiting = iter(ready)
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT_MAX):
                group.create_task(_send_each(forwarder, waiting))
        _say(event="done", seconds=time.monotonic() - started)


async def _send_each(forwarder: Forwarder, waiting: Iterable[tuple[str, bytes]]) -> None:
    for kind, body in waiting:
        await forwarder.send(kind, body)


def main() -> None:
    parser = argparse.ArgumentParser(description="Bare aiohttp, to measure against.")
    parser.add_argument("what", choices=("app", "server", "forward", "least", "client"))
    parser.add_argument("url", nargs="?", default="", help="of the upstream")
    parser.add_argument("folder", nargs="?", type=Path, help="of what is kept")
    parser.add_argument("--calls", type=int, default=1000)
    options = parser.parse_args()
    if options.what == "app":
        uvloop.run(_serve(_app(answer)))
    elif options.what == "server":
        uvloop.run(_serve_low_level())
    elif options.what in {"forward", "least"}:
        uvloop.run(_forward(options.url, options.folder))
    else:
        uvloop.run(_run_client(options.url, options.calls))


async def _serve_low_level() -> None:
    await _serve(web.ServerRunner(web.Server(answer, access_log=None)))


if __name__ == "__main__":
    main()
