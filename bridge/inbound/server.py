"""The HTTP door: routes, listening sockets, and an orderly close."""

import asyncio
import contextlib
import socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bridge.inbound.events import EventsEndpoint
from bridge.inbound.problems import problem
from bridge.inbound.shapes import BODY_BYTES_MAX
from bridge.ports import Log

KEEPALIVE_S: Final = 75.0
BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen: a host and port, or a socket's path."""

    host: str = ""
    port: int = 0
    path: str = ""


def create_app(events: EventsEndpoint, log: Log) -> web.Application:
    """Return the application that phone systems talk to."""
    app = web.Application(middlewares=[_errors(log)], client_max_size=BODY_BYTES_MAX)
    app.router.add_post("/v1/events", events.post)
    return app


def _errors(log: Log) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn every error into a problem document; a fault of ours is a 503, never a 500."""
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as error:
            allow = ", ".join(sorted(error.allowed_methods))
            return problem(405, f"This address takes {allow}.", headers={"Allow": allow})
        except web.HTTPNotFound:
            return problem(404, "Nothing is at this address; events go to POST /v1/events.")
        except web.HTTPException as error:
            return problem(error.status, error.reason)
        except Exception as error:
            # The last line: nothing may become a 500.
            log.error("a request failed", exc_info=error)  # noqa: TRY400 - texts may quote callers
            return problem(503, "The request can't be served now; send it again later.")

    return middleware


class Listener:
    """One application on its sockets."""

    def __init__(self, app: web.Application, shutdown_s: float = 10.0) -> None:
        """Prepare to serve; `shutdown_s` bounds how long answers in hand may take at the end."""
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=shutdown_s,
        )
        self._sites: list[web.BaseSite] = []
        self._path = ""

    async def open(self, place: Place, passed: Sequence[socket.socket] = ()) -> list[str]:
        """Listen on the sockets passed by systemd, else at the place; return the addresses.

        Raises:
            OSError: the place can't be listened on.
        """
        await self._runner.setup()
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


def _address(of: object) -> str:
    if isinstance(of, tuple):
        host, port = of[0], of[1]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return f"unix:{of}"
