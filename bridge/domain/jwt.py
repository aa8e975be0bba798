"""What an access token says of itself: a JSON Web Token (RFC 7519), read without its key.

Only Cention can tell whether a token is genuine. What it claims is good enough to warn of one that
expires, or that was made without the claim it needs.
"""

import base64
import binascii
import json
import math
from typing import Any, Final

from msgspec import Struct

_LENGTH_MAX: Final = 64 * 1024
# What every JSON reader takes for a whole number (RFC 8259 §6); a later expiry is none.
_SECONDS_MAX: Final = 2**53 - 1
# Where issuers list what a token is good for. Cention's pages name the claims (Administration →
# API → Access Tokens), but not the place where its tokens keep them.
_CLAIM_LISTS: Final = ("claims", "scope", "permissions")


class TokenClaims(Struct, frozen=True):
    """What a token is good for, and until when (Unix seconds; None: for ever, or not said)."""

    claims: tuple[str, ...] = ()
    expires_at: int | None = None


def read_claims(token: str) -> TokenClaims | None:
    """Return what a token claims; None where it is no JSON Web Token. Never raises."""
    payload = read_payload(token)
    if payload is None:
        return None
    claims: list[str] = []
    for name in _CLAIM_LISTS:
        claims.extend(_listed(payload.get(name), separator=" " if name == "scope" else ","))
    return TokenClaims(tuple(dict.fromkeys(claims)), _expiry(payload.get("exp")))


def read_payload(token: str) -> dict[str, Any] | None:
    """Return all that a token says; None where it is no JSON Web Token. Never raises."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _LENGTH_MAX:
        return None
    return _payload(parts[1])


def _payload(text: str) -> dict[str, Any] | None:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        payload = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _listed(value: object, *, separator: str) -> list[str]:
    """Return the claims in a list, a table of switches, or a text (RFC 8693 §4.2 for `scope`)."""
    if isinstance(value, str):
        value = value.split(separator)
    elif isinstance(value, dict):
        value = [name for name, is_given in value.items() if is_given]
    if not isinstance(value, list):
        return []
    texts = (item.strip() for item in value if isinstance(item, str))
    return [text for text in texts if text and text.isprintable()]


def _expiry(value: object) -> int | None:
    """Return a NumericDate (RFC 7519 §2), which may have a fraction, in whole seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return max(int(value), 0) if value <= _SECONDS_MAX else None
