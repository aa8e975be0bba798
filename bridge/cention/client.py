"""Sending to Cention: one request, one reply, nothing raised."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from msgspec.structs import replace

from bridge.cention.documents import MEDIA_TYPE, TYPES, render
from bridge.domain.answers import OnwardAnswer
from bridge.domain.deliveries import TicketWork
from bridge.domain.outcomes import Failure, Reply
from bridge.domain.routes import RouteTable, is_outlet
from bridge.ports import Parcel
from bridge.wire.exchange import Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class CentionOptions:
    """Where to send, and with which token. `tokens` is by route name."""

    routes: RouteTable
    tokens: Mapping[str, str]
    cuid_label: str = "cuid"
    timeout_s: float = 30.0


class CentionSender:
    """A `ports.Sender` for Cention. `options` can be replaced while running."""

    def __init__(self, exchange: Exchange, options: CentionOptions) -> None:
        """Send over this exchange."""
        self._exchange = exchange
        self.options = options

    def token_mark(self, route: str) -> str:
        """Return what tells the route's token and place from any other, without giving it away."""
        return _mark(self.options.routes.named(route).scope, self._token(route))

    def sharing(self, route: str, status: int) -> Sequence[str]:
        """Return the routes that a refusal of this one is about too, itself included."""
        names = {one.name for one in self.options.routes.all()} | {route}
        if status == 404:
            scope = self.options.routes.named(route).scope
            return sorted(one for one in names if self.options.routes.named(one).scope == scope)
        token = self._token(route)
        return sorted(one for one in names if self._token(one) == token)

    def _token(self, route: str) -> str:
        if is_outlet(route):
            return self.options.tokens.get(route, "")
        return self.options.tokens.get(route) or self.options.tokens.get("default", "")

    async def send(self, parcel: Parcel) -> Reply:
        """Post a parcel's document to the workspace that it was claimed for. Raises nothing."""
        payload = parcel.payload
        if isinstance(payload, OnwardAnswer | TicketWork) or not self._token(parcel.route):
            # Not for Cention; or its rule has gone from the settings a moment ago.
            return Reply(failure=Failure.NOT_CONNECTED)
        scope = parcel.scope or self.options.routes.named(parcel.route).scope
        answer = await self._exchange.request(
            "POST",
            f"{scope}/capi/json/{TYPES[parcel.kind]}",
            headers={
                "Authorization": f"Bearer {self._token(parcel.route)}",
                "Content-Type": MEDIA_TYPE,
                "Accept": MEDIA_TYPE,
            },
            body=orjson.dumps(render(payload, self.options.cuid_label)),
            timeout_s=self.options.timeout_s,
            trace=parcel.trace,
        )
        remote_id = _remote_id(answer.document) if answer.is_good else ""
        return replace(answer.reply, remote_id=remote_id)


@lru_cache(maxsize=256)
def _mark(scope: str, token: str) -> str:
    return hashlib.sha256(f"{scope}\0{token}".encode()).hexdigest()[:16]


def _remote_id(document: Any) -> str:
    try:
        value = document["data"]["id"]
    except (TypeError, KeyError):
        return ""
    return str(value)[:64] if isinstance(value, str | int) else ""
