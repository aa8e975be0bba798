"""Sending answers on, signed by Standard Webhooks: one request, one reply, nothing raised.

Source: the specification of Standard Webhooks 1.0, "Webhook headers" and "Signature scheme".
Whoever takes one knows it again by `webhook-id`, however often it is sent.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson
from standardwebhooks.webhooks import Webhook

from bridge.domain.answers import OnwardAnswer
from bridge.domain.outcomes import Failure, Reply
from bridge.onward.documents import answered
from bridge.ports import Clock, Parcel
from bridge.wire.exchange import Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class OnwardOptions:
    """Where answers are sent on to, and the `whsec_…` secret that they are signed with."""

    url: str = ""
    secret: str = field(default="", repr=False)
    timeout_s: float = 30.0


class OnwardSender:
    """A `ports.Sender` for answers. `options` can be replaced while running."""

    def __init__(self, exchange: Exchange, clock: Clock, options: OnwardOptions) -> None:
        """Send over this exchange."""
        self._exchange = exchange
        self._clock = clock
        self.options = options

    async def send(self, parcel: Parcel) -> Reply:
        """Post an answer. Raises nothing."""
        options, payload = self.options, parcel.payload
        if not isinstance(payload, OnwardAnswer) or not options.url:
            return Reply(failure=Failure.NOT_CONNECTED)
        body = orjson.dumps(answered(payload))
        # By the machine's clock, as whoever checks it goes by theirs.
        at = datetime.fromtimestamp(self._clock.now_us() / 1e6, tz=UTC)
        signature = Webhook(options.secret).sign(payload.webhook_id, at, body.decode())
        answer = await self._exchange.request(
            "POST",
            options.url,
            headers={
                "Content-Type": "application/json",
                "webhook-id": payload.webhook_id,
                "webhook-timestamp": str(int(at.timestamp())),
                "webhook-signature": signature,
            },
            body=body,
            timeout_s=options.timeout_s,
            trace=parcel.trace,
        )
        return answer.reply

    def sharing(self, route: str, _status: int) -> Sequence[str]:
        """Return the routes that a refusal of this one is about too: itself alone."""
        return [route]

    def token_mark(self, _route: str) -> str:
        """Return what tells address and secret from any other, without giving them away."""
        told = f"{self.options.url}\0{self.options.secret}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]
