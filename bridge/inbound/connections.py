"""A connection to the door: what is no HTTP gets a problem, and what is slow is noticed."""

import asyncio
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from bridge.inbound.crowd import Crowd
from bridge.inbound.problems import problem, raw_problem
from bridge.inbound.shapes import BODY_BYTES_MAX

KEEPALIVE_S: Final = 75.0
# The target is a path; aiohttp tells by its limit which of the two was too long.
TARGET_BYTES_MAX: Final = 4096
FIELD_BYTES_MAX: Final = 8190
FIELDS_MAX: Final = 100
# Of a head that comes in pieces; one that comes at once is bounded by what is read at once.
HEAD_BYTES_MAX: Final = 64 * 1024
# How long what is left of a body is read after its answer: closed at once, the answer may be lost.
LINGER_S: Final = 2.0
_TOO_MANY_FIELDS: Final = "Too many headers received"
_SAID: Final = {
    400: "This is no HTTP request that can be read.",
    408: "The head of the request did not come in time.",
    414: f"The address of a request has at most {TARGET_BYTES_MAX} bytes.",
    431: f"A request has at most {FIELDS_MAX} header fields, each of {FIELD_BYTES_MAX} bytes.",
    503: "The request can't be served now; send it again later.",
}


class Connection(web.RequestHandler):
    """A connection on which even what is no HTTP gets a problem that repeats nothing of it."""

    __slots__ = ("_head_bytes", "crowd", "peer")

    def __init__(self, manager: "web.Server", *, crowd: Crowd, **given: Any) -> None:
        """Belong to a crowd."""
        super().__init__(manager, **given)
        self.crowd = crowd
        self.peer = ""
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come in, if there is room."""
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        super().connection_made(transport)
        if not self.crowd.came(self):
            self.dismiss(503)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave."""
        self.crowd.went(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and note whether a head has begun that is not whole."""
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            if self._head_bytes:
                self._head_bytes = 0
                self.crowd.ends_head(self)
            return
        # Nobody waits for a request while one is in hand: then it was of a body.
        waiter = self._waiter
        if (waiter is None and before) or (waiter is not None and waiter.done()):
            return
        if not self._head_bytes:
            self.crowd.begins_head(self)
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            self.crowd.was_cut("head")
            self.dismiss(431)

    def pause_writing(self) -> None:
        """Note that the caller doesn't take the answer."""
        super().pause_writing()
        self.crowd.is_deaf(self)

    def resume_writing(self) -> None:
        """Note that it does again."""
        super().resume_writing()
        self.crowd.hears(self)

    def dismiss(self, status: int) -> None:
        """Say why, and close; 0 closes without a word."""
        transport = self.transport
        if transport is None:
            return
        if status:
            transport.write(raw_problem(status, _SAID[status]))
            self.force_close()
        else:
            # With what was written and not taken, closing would wait for ever.
            self.force_close()
            transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp could not read."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        if status >= 500:
            status = 503
        elif isinstance(exc, LineTooLong):
            status = 414 if exc.args[1] == TARGET_BYTES_MAX else 431
        elif message == _TOO_MANY_FIELDS:
            status = 431
        answer = problem(status, _SAID.get(status, _SAID[400]))
        answer.force_close()
        return answer


class Server(web.Server):
    """Makes connections, and knows when nobody is connected."""

    def __init__(self, respond: Any, crowd: Crowd) -> None:
        """Have requests answered by `respond`."""
        super().__init__(
            respond,
            request_factory=_make_request,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGER_S,
            max_line_size=TARGET_BYTES_MAX,
            max_field_size=FIELD_BYTES_MAX,
            max_headers=FIELDS_MAX,
        )
        self.crowd = crowd
        self._connected = 0
        self._emptied = asyncio.Event()

    def __call__(self) -> web.RequestHandler:
        """Return what a new connection speaks to."""
        return Connection(self, crowd=self.crowd, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count one more."""
        super().connection_made(handler, transport)
        self._connected += 1

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Count one less."""
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


def connection_of(request: web.BaseRequest) -> Connection:
    """Return the connection that a request came by."""
    return cast("Connection", request.protocol)


def _make_request(*arguments: Any) -> web.BaseRequest:
    message, payload, protocol, writer, task = arguments
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=BODY_BYTES_MAX
    )
