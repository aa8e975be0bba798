"""Who may post: bearer tokens, or signatures of Standard Webhooks; several at once, to rotate."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

TOLERANCE_S: Final = 300
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the scheme's own prefix, no secret


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Lets in whoever has one of the tokens or signs with one of the secrets.

    With neither configured everybody is let in: the settings allow that on loopback only.
    """

    tokens: Sequence[str] = field(default=(), repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)

    def admits(self, headers: Mapping[str, str], body: bytes, now_s: float) -> bool:
        """Say whether a request may come in. Every comparison takes constant time."""
        if not self.tokens and not self.secrets:
            return True
        return self._has_token(headers) or self._is_signed(headers, body, now_s)

    def may_admit(self, headers: Mapping[str, str]) -> bool:
        """Say, before the body is read, whether it could be let in at all."""
        return not self.tokens or bool(self.secrets) or self._has_token(headers)

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            return False
        offered = hashlib.sha256(given.strip().encode("utf-8", "surrogateescape")).digest()
        matches = [
            hmac.compare_digest(offered, hashlib.sha256(token.encode()).digest())
            for token in self.tokens
        ]
        return any(matches)

    def _is_signed(self, headers: Mapping[str, str], body: bytes, now_s: float) -> bool:
        """Check a signature of Standard Webhooks (its specification, "Verifying signatures")."""
        message_id = headers.get("webhook-id", "")
        timestamp = headers.get("webhook-timestamp", "")
        signatures = headers.get("webhook-signature", "")
        if not (self.secrets and message_id and signatures):
            return False
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            return False
        if abs(now_s - int(timestamp)) > TOLERANCE_S:
            return False
        content = f"{message_id}.{timestamp}.".encode("utf-8", "surrogateescape") + body
        offered = [
            value.encode("utf-8", "surrogateescape")
            for version, _, value in (one.partition(",") for one in signatures.split(" "))
            if version == "v1"
        ]
        matches = [
            hmac.compare_digest(_sign(secret, content), value)
            for secret in self.secrets
            for value in offered
        ]
        return any(matches)


def _sign(secret: str, content: bytes) -> bytes:
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest())
