"""What `doctor` finds out over the network. Nothing that is asked for changes anything there."""

import asyncio
import email.utils
import os
import socket
import ssl
import time
from datetime import UTC
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from bridge.app.measured import AnswerFacts, EndpointFacts
from bridge.cention.documents import MEDIA_TYPE
from bridge.cention.reading import LIST
from bridge.wire.exchange import open_session

CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0
_PORTS: Final = {"http": 80, "https": 443}


def endpoint(url: str, context: ssl.SSLContext | None = None) -> EndpointFacts:
    """Go the way to an address step by step: its name, a connection, TLS. Nothing is sent."""
    split = urlsplit(url)
    host, is_tls = split.hostname or "", split.scheme == "https"
    port = split.port or _PORTS.get(split.scheme, 443)
    facts: dict[str, Any] = {"host": host, "port": port, "is_tls": is_tls}
    started_s = time.monotonic()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return _facts(facts, dns_error=_reason(error))
    facts |= {
        "addresses": len({one[4][0] for one in found}),
        "dns_ms": (time.monotonic() - started_s) * 1000,
    }
    started_s = time.monotonic()
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_S)
    except OSError as error:
        return _facts(facts, connect_error=_reason(error))
    facts["connect_ms"] = (time.monotonic() - started_s) * 1000
    with connection:
        if not is_tls:
            return _facts(facts)
        try:
            with (context or ssl.create_default_context()).wrap_socket(
                connection, server_hostname=host
            ) as secured:
                certificate = secured.getpeercert() or {}
        except ssl.SSLCertVerificationError as error:
            return _facts(facts, tls_error=f"the certificate is refused: {error.verify_message}")
        except OSError as error:
            return _facts(facts, tls_error=f"no TLS: {_reason(error)}")
    until = certificate.get("notAfter")
    expires = float(ssl.cert_time_to_seconds(until)) if isinstance(until, str) else None
    return _facts(facts, expires_at=expires)


def _facts(facts: dict[str, Any], **more: Any) -> EndpointFacts:
    return EndpointFacts(**facts, **more)


def _reason(error: Exception) -> str:
    """Name an error without its text, which may hold more than belongs here."""
    code = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror):
        return str(error.strerror or "unknown name")
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_S:.0f} s"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return os.strerror(code) if isinstance(code, int) and code > 0 else type(error).__name__


def ask(upstream: str, scope: str, token: str, *, needs_lists: bool) -> AnswerFacts:
    """Ask Cention for its list of changed errands, which stays as it is.

    Reading an errand takes it off the list, reading the list takes nothing off (the vendor's page
    "Cention Errand Report").
    """
    return asyncio.run(_ask(upstream, scope, token, needs_lists=needs_lists))


async def _ask(upstream: str, scope: str, token: str, *, needs_lists: bool) -> AnswerFacts:
    started_s, at = time.monotonic(), time.time()
    status, media_type, date, error = 0, "", None, ""
    headers = {"Authorization": f"Bearer {token}", "Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
    try:
        async with (
            asyncio.timeout(ANSWER_S),
            open_session() as session,
            session.get(
                f"{scope}/capi/json/{LIST}", headers=headers, allow_redirects=False
            ) as response,
        ):
            # Of the list itself nothing is read: it may be long.
            status, date = response.status, response.headers.get("Date")
            media_type = response.content_type if "Content-Type" in response.headers else ""
    except TimeoutError:
        error = f"no answer within {ANSWER_S:.0f} s"
    except (aiohttp.ClientError, OSError, ValueError) as raised:
        inner = getattr(raised, "os_error", raised)
        error = _reason(inner) if isinstance(inner, OSError) else type(raised).__name__
    seconds = time.monotonic() - started_s
    return AnswerFacts(
        upstream=upstream,
        status=status,
        media_type=media_type,
        error=error,
        seconds=seconds,
        date=unix_time(date),
        at=at + seconds / 2,
        needs_lists=needs_lists,
    )


def unix_time(date: str | None) -> float | None:
    """Read a `Date` (RFC 9110 §5.6.7); None where it is none."""
    try:
        moment = email.utils.parsedate_to_datetime(date or "")
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
