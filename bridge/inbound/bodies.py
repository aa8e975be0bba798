"""Reading bodies, a bounded amount of them at a time, and keeping those that are refused."""

import uuid
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from bridge.domain.errors import Issue, StoreUnavailable
from bridge.inbound.problems import problem
from bridge.inbound.shapes import BODY_BYTES_MAX
from bridge.ports import Refusal, Transaction

# Bodies that are read at the same time, in bytes; an event's objects take several times as much.
BYTES_IN_HAND_MAX: Final = 64 * 1024 * 1024
QUARANTINE_BYTES_MAX: Final = 256 * 1024


class Bodies:
    """What is being read at one address."""

    def __init__(self, bytes_max: int | None = None) -> None:
        """Begin with nothing in hand; `bytes_max` are read at a time."""
        self._bytes_max = bytes_max
        self.bytes_in_hand = 0

    def holding(self, request: web.BaseRequest) -> "Held":
        """Return what makes room for a request's body for as long as it is entered.

        Raises:
            StoreUnavailable: there is none now.
        """
        announced = BODY_BYTES_MAX if request.content_length is None else request.content_length
        bytes_max = self._bytes_max or BYTES_IN_HAND_MAX
        if self.bytes_in_hand and self.bytes_in_hand + announced > bytes_max:
            raise StoreUnavailable("too much is in flight")
        return Held(self, announced)


class Held:
    """Room for one body."""

    __slots__ = ("_announced", "_bodies")

    def __init__(self, bodies: Bodies, announced: int) -> None:
        """Hold so many bytes."""
        self._bodies = bodies
        self._announced = announced

    def __enter__(self) -> None:
        """Take the room."""
        self._bodies.bytes_in_hand += self._announced

    def __exit__(self, *_: object) -> None:
        """Leave it to others."""
        self._bodies.bytes_in_hand -= self._announced


async def read_body(request: web.BaseRequest) -> bytes | web.Response:
    """Return a request's body, or the answer to one that can't be read."""
    content = request.content
    try:
        is_plain = (request.content_length or BODY_BYTES_MAX) < BODY_BYTES_MAX
        if is_plain and content.is_eof() and "Content-Encoding" not in request.headers:
            # All of it came with the head, as it does with what is small.
            return content.read_nowait()
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return problem(413, f"A request holds at most {BODY_BYTES_MAX // 2**20} MiB.")
    except (web.RequestPayloadError, web.HTTPBadRequest):
        return problem(400, "The body's transfer or content encoding can't be read.")


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
