"""Cention's signed administration API: one request, one answer, nothing raised.

Source: the vendor's page "Cention Organization, Area, Routing and Tag API". It shows the header
once with a doubled word, `Authorization: Authorization CENTION1-…`, which is taken for a slip; and
it names no media type for what is sent: JSON (both assumed).
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import orjson
from msgspec import Struct

from bridge.domain.centre_outcomes import Told
from bridge.domain.centre_signing import StructSigning, signed_text
from bridge.domain.centre_values import Kind
from bridge.wire.exchange import DETAIL_CHARS_MAX, Answer, Exchange

SCHEME: Final = "CENTION1-HMAC-SHA256"
MEDIA_TYPE: Final = "application/json"
_TIMEOUT_S: Final = 30.0
_PATHS: Final = {
    Kind.ORGANIZATION: "/v1/org",
    Kind.AREA: "/v1/area",
    Kind.TAG: "/v1/tag",
    Kind.KEYWORD: "/v1/routing/keywords",
    Kind.AUTOTAG: "/v1/routing/autotags",
    Kind.SIP: "/v1/routing/sip",
}


class AdministrationOptions(Struct, frozen=True, kw_only=True):
    """Where to send, and what to sign with. `scope` is `<base URL>/s/<workspace>`."""

    scope: str
    workspace: str
    key_id: str
    key_secret: str
    struct_signing: StructSigning = "values"

    def __repr__(self) -> str:
        """Return no secret."""
        return f"AdministrationOptions({self.scope!r})"


def signature(secret: str, text: str) -> str:
    """Return HMAC-SHA256 of a text in hexadecimal."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class AdministrationClient:
    """A `ports.provisioning.Administration`."""

    def __init__(self, exchange: Exchange, options: AdministrationOptions) -> None:
        """Send over this exchange."""
        self._exchange = exchange
        self._options = options

    async def create(self, kind: Kind, body: Mapping[str, Any]) -> Told:
        """Make something."""
        return await self._request("POST", _PATHS[kind], body)

    async def update(self, kind: Kind, remote_id: int, body: Mapping[str, Any]) -> Told:
        """Change the fields that are in the body: the page leaves what is omitted as it is."""
        return await self._request("PUT", f"{_PATHS[kind]}/{remote_id}", body)

    async def delete(self, kind: Kind, remote_id: int) -> Told:
        """Delete something."""
        return await self._request("DELETE", f"{_PATHS[kind]}/{remote_id}", {})

    async def _request(self, method: str, path: str, body: Mapping[str, Any]) -> Told:
        options = self._options
        text = signed_text(options.key_id, options.workspace, path, body, options.struct_signing)
        headers = {
            "Authorization": f"{SCHEME} {options.key_id},{signature(options.key_secret, text)}",
            "Accept": MEDIA_TYPE,
        }
        if body:
            headers["Content-Type"] = MEDIA_TYPE
        answer = await self._exchange.request(
            method,
            f"{options.scope}{path}",
            headers=headers,
            body=orjson.dumps(body) if body else None,
            timeout_s=_TIMEOUT_S,
        )
        return _told(answer)


def _told(answer: Answer) -> Told:
    reply = answer.reply
    document = answer.document if isinstance(answer.document, dict) else {}
    error = document.get("error")
    return Told(
        status=reply.status,
        failure=reply.failure,
        error=str(error)[:DETAIL_CHARS_MAX] if error else reply.detail,
        document=document,
        retry_after_s=reply.retry_after_s,
        detail=reply.detail if reply.failure is not None else "",
    )
