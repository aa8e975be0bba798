"""One request to an upstream and what came back: a status or how it failed, nothing raised."""

import asyncio
import email.utils
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import orjson
from msgspec import Struct
from msgspec.structs import replace

from bridge import __version__
from bridge.domain.outcomes import Failure, Reply
from bridge.ports import NO_TRACER, Clock, Span, Tracer

REPLY_BYTES_MAX: Final = 256 * 1024
# Reading megabytes takes long enough for others to notice.
LARGE_BYTES: Final = 1024 * 1024
DETAIL_CHARS_MAX: Final = 500
CONNECT_TIMEOUT_S: Final = 10.0
# Shorter than any usual server keeps an idle connection, so that a request is not sent into one
# that is just being closed: a create lost that way would be in doubt.
KEEPALIVE_S: Final = 4.0
# Errors that come before the first byte of the request has left.
_NOT_CONNECTED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_ON_THE_WAY: Final = (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError)


class Answer(Struct, frozen=True, gc=False, omit_defaults=True):
    """A reply, and the JSON document that came with it; None where none did.

    `is_cut` says that there was more of it than was to be read.
    """

    reply: Reply
    document: Any = None
    is_cut: bool = False

    @property
    def is_good(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.reply.status < 300


class Exchange:
    """Sends requests over a session."""

    def __init__(
        self, session: aiohttp.ClientSession, clock: Clock, tracer: Tracer = NO_TRACER
    ) -> None:
        """Send over this session."""
        self._session = session
        self._clock = clock
        self._tracer = tracer

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        body: bytes | None = None,
        bytes_max: int = REPLY_BYTES_MAX,
        trace: str | None = None,
    ) -> Answer:
        """Send one request; of its answer no more than `bytes_max` are read.

        Once a status has come, it stands, whatever becomes of the body. Only where the body is what
        was asked for (GET) a good answer without all of it is lost. Where it is a part of a
        `trace`, it says so to whoever gets it (W3C Trace Context).
        """
        started_s = self._clock.monotonic()
        response: aiohttp.ClientResponse | None = None
        content = bytearray()
        broken: Exception | None = None
        with self._tracer.sending(method, url, trace) as span:
            if span.traceparent is not None:
                headers = {**headers, "traceparent": span.traceparent}
            try:
                async with self._clock.timeout(timeout_s):
                    response = await self._session.request(
                        method, url, data=body, headers=headers, allow_redirects=False
                    )
                    broken = await _read_on(response, content, bytes_max)
            except (*_ON_THE_WAY, ValueError) as error:
                broken = error
            if response is None:
                answer = Answer(_failed(broken or TimeoutError()))
            else:
                answer = await self._answer(response, content, broken, bytes_max)
            _tell(span, answer.reply)
        seconds = self._clock.monotonic() - started_s
        return replace(answer, reply=replace(answer.reply, seconds=seconds))

    async def _answer(
        self,
        response: aiohttp.ClientResponse,
        content: bytearray,
        error: Exception | None,
        bytes_max: int,
    ) -> Answer:
        if error is not None and response.method == "GET" and 200 <= response.status < 300:
            return Answer(Reply(failure=Failure.LOST, detail=_reason(error)))
        is_large = len(content) > LARGE_BYTES
        document = await asyncio.to_thread(_read, content) if is_large else _read(content)
        reply = Reply(
            status=response.status,
            retry_after_s=retry_after(response.headers.get("Retry-After"), self._clock.now_us()),
            detail="" if response.status < 300 else errors_of(document),
        )
        return Answer(reply, document, is_cut=error is None and len(content) >= bytes_max)


def _tell(span: Span, reply: Reply) -> None:
    if reply.status:
        span.answered(reply.status)
    elif reply.failure is not None:
        span.fail(reply.failure.value)


def _failed(error: Exception) -> Reply:
    """Return what comes of a request that got no status.

    Errors of other kinds say that there is no such address, or that a header can't be sent.
    """
    has_left = isinstance(error, _ON_THE_WAY) and not isinstance(error, _NOT_CONNECTED)
    failure = Failure.LOST if has_left else Failure.NOT_CONNECTED
    return Reply(failure=failure, detail=_reason(error))


async def _read_on(
    response: aiohttp.ClientResponse, content: bytearray, bytes_max: int
) -> Exception | None:
    """Add to the content what of the body is worth reading; return what broke it off, if anything.

    A time-out breaks in from outside, and leaves what was read by then.
    """
    try:
        async with response:
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) >= bytes_max:
                    break
    except Exception as error:  # noqa: BLE001 - a wrong encoding isn't even aiohttp's own error
        return error
    return None


class _Lost(aiohttp.ClientError):
    """The connection was lost; its cause says how."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a GET whose connection was lost again by itself.

    Such a request would leave outside the pace, and nobody would know that the first one may still
    take effect, after what the answer to the second has said.

    Raises:
        _Lost: the connection was lost; after no other error of aiohttp's it is left at that.
    """
    try:
        return await handler(request)
    except _NOT_CONNECTED:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Lost from error


def open_session() -> aiohttp.ClientSession:
    """Return a session fit for talking to upstreams; how much is in flight is dispatch's to say.

    It must be closed.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        headers={"User-Agent": f"aventa-bridge/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=[_send_once],
    )


def _reason(error: BaseException) -> str:
    """Name an error without its text, which may hold the address and more."""
    if isinstance(error, _Lost) and error.__cause__ is not None:
        error = error.__cause__
    code = getattr(getattr(error, "os_error", error), "errno", None)
    words = os.strerror(code) if isinstance(code, int) and code > 0 else ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _read(content: bytearray) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def errors_of(document: Any) -> str:
    """Return what a JSON:API error document says, in one line for a person.

    Source: JSON:API 1.0, "Error Objects".
    """
    errors = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list):
        return ""
    said = []
    for error in errors[:10]:
        if not isinstance(error, dict):
            continue
        source = error.get("source")
        pointer = source.get("pointer") if isinstance(source, dict) else None
        words = [str(error[key]) for key in ("title", "detail") if error.get(key)]
        said.append(": ".join([*words[:2], *([str(pointer)] if pointer else [])]))
    return "; ".join(said)[:DETAIL_CHARS_MAX]


def retry_after(value: str | None, now_us: int) -> float | None:
    """Read Retry-After, which is seconds or a date (RFC 9110 §10.2.3); None: absent or unreadable.

    Returns:
        Seconds from now, never negative.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    now = datetime.fromtimestamp(now_us / 1e6, tz=UTC)
    return max(0.0, (moment - now).total_seconds())
