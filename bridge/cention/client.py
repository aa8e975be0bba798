"""Sending to Cention: one request, one reply, nothing raised."""

import asyncio
import email.utils
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import orjson

from bridge import __version__
from bridge.cention.documents import MEDIA_TYPE, TYPES, render
from bridge.domain.outcomes import Failure, Reply
from bridge.domain.routes import RouteTable
from bridge.ports import Clock, Parcel

REPLY_BYTES_MAX: Final = 256 * 1024
DETAIL_CHARS_MAX: Final = 500
CONNECT_TIMEOUT_S: Final = 10.0
# Shorter than any usual server keeps an idle connection, so that a request is not sent into one
# that is just being closed: a create lost that way would be in doubt.
KEEPALIVE_S: Final = 4.0
# Errors that come before the first byte of the request has left.
_NOT_CONNECTED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@dataclass(frozen=True, slots=True, kw_only=True)
class CentionOptions:
    """Where to send, and with which token. `tokens` is by route name."""

    routes: RouteTable
    tokens: Mapping[str, str]
    cuid_label: str = "cuid"
    timeout_s: float = 30.0


class CentionSender:
    """A `ports.Sender` for Cention. `options` can be replaced while running."""

    def __init__(
        self, session: aiohttp.ClientSession, clock: Clock, options: CentionOptions
    ) -> None:
        """Send over this session."""
        self._session = session
        self._clock = clock
        self.options = options

    def token_mark(self, route: str) -> str:
        """Return what tells the route's token from any other without giving it away."""
        return hashlib.sha256(self._token(route).encode()).hexdigest()[:16]

    def sharing(self, route: str) -> Sequence[str]:
        """Return the routes that use the same token as this one, itself included."""
        token = self._token(route)
        names = {one.name for one in self.options.routes.all()} | {route}
        return sorted(name for name in names if self._token(name) == token)

    def _token(self, route: str) -> str:
        return self.options.tokens.get(route) or self.options.tokens.get("default", "")

    async def send(self, parcel: Parcel) -> Reply:
        """Post a parcel's document to where its route leads. Raises nothing."""
        route = self.options.routes.named(parcel.route)
        url = f"{route.scope}/capi/json/{TYPES[parcel.kind]}"
        body = orjson.dumps(render(parcel.payload, self.options.cuid_label))
        headers = {
            "Authorization": f"Bearer {self._token(parcel.route)}",
            "Content-Type": MEDIA_TYPE,
            "Accept": MEDIA_TYPE,
        }
        started_s = self._clock.monotonic()
        try:
            async with self._clock.timeout(self.options.timeout_s):
                reply = await self._post(url, body, headers)
        except _NOT_CONNECTED as error:
            reply = Reply(failure=Failure.NOT_CONNECTED, detail=_reason(error))
        except (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            reply = Reply(failure=Failure.LOST, detail=_reason(error))
        except ValueError as error:
            # No such address, or a header that can't be sent: nothing has left.
            reply = Reply(failure=Failure.NOT_CONNECTED, detail=_reason(error))
        return _timed(reply, self._clock.monotonic() - started_s)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False
        ) as response:
            content = await _content(response)
            document = _read(content)
            return Reply(
                status=response.status,
                remote_id=_remote_id(document) if response.status < 300 else "",
                retry_after_s=retry_after(
                    response.headers.get("Retry-After"), self._clock.now_us()
                ),
                detail="" if response.status < 300 else errors_of(document),
            )


async def _content(response: aiohttp.ClientResponse) -> bytes:
    """Return the answer's body, as far as it is worth reading.

    Raises:
        aiohttp.ClientError: it broke off, and its status doesn't say that all is well.
    """
    content = bytearray()
    try:
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) >= REPLY_BYTES_MAX:
                break
    except aiohttp.ClientError:
        if not 200 <= response.status < 300:
            raise
    return bytes(content)


def open_session() -> aiohttp.ClientSession:
    """Return a session fit for talking to Cention; how much is in flight is dispatch's to say.

    It must be closed.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        headers={"User-Agent": f"aventa-bridge/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _timed(reply: Reply, seconds: float) -> Reply:
    return Reply(
        status=reply.status,
        failure=reply.failure,
        remote_id=reply.remote_id,
        retry_after_s=reply.retry_after_s,
        detail=reply.detail,
        seconds=seconds,
    )


def _reason(error: BaseException) -> str:
    """Name an error without its text, which may hold the address and more."""
    code = getattr(getattr(error, "os_error", error), "errno", None)
    words = os.strerror(code) if isinstance(code, int) and code > 0 else ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _read(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _remote_id(document: Any) -> str:
    try:
        value = document["data"]["id"]
    except (TypeError, KeyError):
        return ""
    return str(value)[:64] if isinstance(value, str | int) else ""


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
