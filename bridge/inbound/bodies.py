"""Reading bodies, a bounded amount of them at a time, and keeping those that are refused."""

import uuid
from collections.abc import Sequence
from typing import Final, Self

from aiohttp import web

from bridge.domain.errors import Issue, StoreUnavailable
from bridge.inbound.connections import connection_of
from bridge.inbound.crowd import BODY_S_MAX
from bridge.inbound.problems import problem
from bridge.inbound.shapes import BODY_BYTES_MAX, SINGLE_BYTES_MAX
from bridge.ports import Refusal, Transaction

# Bodies that are in hand at the same time, in bytes; an event's objects take several times as much.
BYTES_IN_HAND_MAX: Final = 64 * 1024 * 1024
# What large ones leave to those that are not: who brings megabytes slowly holds up no single event.
KEPT_FREE: Final = 0.25
QUARANTINE_BYTES_MAX: Final = 256 * 1024


class Bodies:
    """What is in hand at one address. Bytes count as they come, not as they are announced."""

    def __init__(self, bytes_max: int | None = None) -> None:
        """Begin with nothing in hand; `bytes_max` are held at a time."""
        self._bytes_max = bytes_max
        self.bytes_in_hand = 0

    def holding(self, request: web.BaseRequest) -> "Held":
        """Return what holds a request's body for as long as it is entered."""
        return Held(self, request)

    def has_room(self, more: int, of_one: int) -> bool:
        """Say whether so many more bytes may come of a body that has so many then."""
        bytes_max = self._bytes_max or BYTES_IN_HAND_MAX
        if of_one > SINGLE_BYTES_MAX:
            bytes_max = int(bytes_max * (1 - KEPT_FREE))
        others = self.bytes_in_hand + more - of_one
        return not others or others + of_one <= bytes_max


class Held:
    """One request's body."""

    __slots__ = ("_bodies", "_request", "_size")

    def __init__(self, bodies: Bodies, request: web.BaseRequest) -> None:
        """Hold nothing yet."""
        self._bodies = bodies
        self._request = request
        self._size = 0

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the room to others."""
        self._bodies.bytes_in_hand -= self._size

    async def read(self) -> bytes | web.Response:
        """Return the body, or the answer to one that can't be read.

        Raises:
            StoreUnavailable: there is no room for it now.
        """
        request = self._request
        content = request.content
        try:
            is_plain = (request.content_length or BODY_BYTES_MAX) < BODY_BYTES_MAX
            if is_plain and content.is_eof() and "Content-Encoding" not in request.headers:
                # All of it came with the head, as it does with what is small.
                raw = content.read_nowait()
                self._count(len(raw))
                return raw
            return await self._read_slowly(request)
        except TimeoutError:
            connection_of(request).crowd.was_cut("body")
            return problem(408, f"The body has to come within {BODY_S_MAX:.0f} seconds.")
        except (web.RequestPayloadError, web.HTTPBadRequest):
            return problem(400, "The body's transfer or content encoding can't be read.")

    async def _read_slowly(self, request: web.BaseRequest) -> bytes | web.Response:
        connection = connection_of(request)
        if (request.content_length or 0) > BODY_BYTES_MAX:
            return _too_large()
        body = bytearray()
        connection.crowd.begins_body(connection)
        try:
            async with connection.crowd.clock.timeout(BODY_S_MAX):
                while chunk := await request.content.readany():
                    if self._size + len(chunk) > BODY_BYTES_MAX:
                        return _too_large()
                    self._count(len(chunk))
                    body += chunk
        finally:
            connection.crowd.ends_body(connection)
        return bytes(body)

    def _count(self, more: int) -> None:
        if not self._bodies.has_room(more, self._size + more):
            raise StoreUnavailable("too much is in flight")
        self._size += more
        self._bodies.bytes_in_hand += more


def _too_large() -> web.Response:
    return problem(413, f"A request holds at most {BODY_BYTES_MAX // 2**20} MiB.")


def refusal(  # noqa: PLR0913 - what a refusal is made of, each by name
    *,
    source: str,
    received_us: int,
    status: int,
    content_type: str,
    issues: Sequence[Issue],
    body: bytes,
    event_id: str = "",
    event_type: str = "",
) -> Refusal:
    """Return what is kept of something that was refused, cut to size."""
    return Refusal(
        id=uuid.uuid4().hex,
        source=source,
        received_us=received_us,
        status=status,
        content_type=header_text(content_type),
        event_id=event_id,
        event_type=event_type,
        issues=tuple((issue.pointer, issue.detail) for issue in issues),
        body=body[:QUARANTINE_BYTES_MAX],
        is_cut=len(body) > QUARANTINE_BYTES_MAX,
    )


def keep_refusals(tx: Transaction, refusals: Sequence[Refusal]) -> list[None]:
    """Keep what was refused, within a commit."""
    tx.add_refusals(refusals)
    return [None] * len(refusals)


def header_text(header: str) -> str:
    """Return a header such that it can be kept: it may hold bytes that are no text."""
    return header[:128].encode(errors="replace").decode()


def peer_of(request: web.BaseRequest) -> str:
    """Return whom a request comes from, for a log line."""
    return request.remote or "unix"
