"""Access tokens as Cention's Administration → API → Access Tokens makes them.

A token is a JSON Web Token (RFC 7519) signed with HS256 (RFC 7518 §3.2). Its claims say what it may
be used for, by the names of the vendor's pages, and it decides the area that an errand lands in.
"""

import base64
import binascii
import functools
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

CREATE_ERRAND: Final = "Create Errand"
CONTACT_CARDS: Final = "Access and create customer contacts"
ERRAND_DATA: Final = "Access to errand data"
GET_ATTACHMENT: Final = "Get attachment"
ALL_CLAIMS: Final = (CREATE_ERRAND, CONTACT_CARDS, ERRAND_DATA, GET_ATTACHMENT)

_HEADER: Final = {"alg": "HS256", "typ": "JWT"}


class TokenError(ValueError):
    """The token is none, or was not signed with this key."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says; `expires_at` is Unix seconds, None for one that never expires."""

    claims: frozenset[str]
    area: str
    expires_at: float | None


def make_token(
    key: bytes,
    *,
    claims: Iterable[str] = ALL_CLAIMS,
    area: str = "demo",
    expires_at: float | None = None,
) -> str:
    """Return a signed token; `expires_at` is Unix seconds (cut to whole ones)."""
    payload: dict[str, Any] = {"claims": list(claims), "area": area}
    if expires_at is not None:
        payload["exp"] = int(expires_at)
    signed = f"{_encode(orjson.dumps(_HEADER))}.{_encode(orjson.dumps(payload))}"
    return f"{signed}.{_encode(_sign(key, signed))}"


@functools.lru_cache(maxsize=1024)
def read_token(key: bytes, text: str) -> Token:
    """Return what a token says. Whether it has expired is the caller's to check.

    Raises:
        TokenError: it is malformed, of another algorithm, or signed with another key.
    """
    parts = text.split(".")
    if len(parts) != 3:
        raise TokenError("is no JSON Web Token")
    header = _decode_object(parts[0])
    # Whatever the token says of itself, only the algorithm that is expected is believed.
    if header.get("alg") != "HS256":
        raise TokenError("is not signed with HS256")
    if not hmac.compare_digest(_decode(parts[2]), _sign(key, f"{parts[0]}.{parts[1]}")):
        raise TokenError("has a wrong signature")
    payload = _decode_object(parts[1])
    claims, area, expires_at = payload.get("claims"), payload.get("area"), payload.get("exp")
    if not isinstance(claims, list) or not all(isinstance(claim, str) for claim in claims):
        raise TokenError("has no list of claims")
    if isinstance(expires_at, bool) or not isinstance(expires_at, int | float | None):
        raise TokenError("has an expiry that is no number")
    return Token(frozenset(claims), area if isinstance(area, str) else "", expires_at)


def _sign(key: bytes, signed: str) -> bytes:
    return hmac.digest(key, signed.encode(), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise TokenError("is not base64url") from error


def _decode_object(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(_decode(text))
    except orjson.JSONDecodeError as error:
        raise TokenError("is not JSON inside") from error
    if not isinstance(value, dict):
        raise TokenError("is no JSON object inside")
    return value
