"""As little HTTP/1.1 as a load needs: whoever measures shares the processors with what it measures.

Requests one after the other on connections that are kept alive, bodies with a length.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from bench_process import BenchError

_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length:"
_EMPTY: Final = (b"GET ", b"HEAD ")


class Message(NamedTuple):
    """A request or an answer: its first line, and its body."""

    start: bytes
    body: bytes

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.start[9:12])


class Reader:
    """Puts messages together from what comes, in whatever pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are complete now.

        Raises:
            ValueError: a body has no length.
        """
        buffer = self._rest + data if self._rest else data
        found: list[Message] = []
        at = 0
        while (end := buffer.find(_END, at)) >= 0:
            head = buffer[at:end]
            body_at = end + len(_END)
            next_at = body_at + _length(head)
            if next_at > len(buffer):
                break
            found.append(Message(head.partition(b"\r\n")[0], buffer[body_at:next_at]))
            at = next_at
        self._rest = buffer[at:]
        return found


def _length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(_LENGTH)
    if at >= 0:
        return int(lower[at + len(_LENGTH) :].partition(b"\r\n")[0])
    if head.startswith(_EMPTY) or b" 204 " in head[:16]:
        return 0
    raise ValueError(f"a message without a length: {head[:200]!r}")


def post(url: str, body: bytes, content_type: str = "application/json") -> bytes:
    """Return a whole request."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """The client's end of a connection: one request at a time."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._answer: asyncio.Future[Message] | None = None
        self._transport: Any = None

    @classmethod
    async def open(cls, url: str) -> "Connection":
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(cls, parts.hostname or "", parts.port or 80)
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for message in self._reader.feed(data):
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BenchError(f"a connection was lost: {exc}"))

    async def exchange(self, request: bytes) -> Message:
        """Send a request, and return the answer.

        Raises:
            BenchError: the connection is lost.
        """
        if self._transport is None:
            raise BenchError("a connection was closed by the other end")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    async def post(self, request: bytes) -> Message:
        """Send a request that must be accepted.

        Raises:
            BenchError: it isn't.
        """
        answer = await self.exchange(request)
        if not 200 <= answer.status < 300:
            raise BenchError(f"refused: {answer.start!r} {answer.body[:300]!r}")
        return answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connections(url: str, count: int) -> Sequence[Connection]:
    """Return so many open connections."""
    return await asyncio.gather(*(Connection.open(url) for _ in range(count)))
