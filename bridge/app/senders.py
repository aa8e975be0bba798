"""Who sends what: answers go on to the site, tickets to One View, all else to Cention."""

from collections.abc import Sequence

from bridge.domain.deliveries import Kind
from bridge.domain.outcomes import Reply
from bridge.domain.routes import ONWARD_ROUTE, is_oneview
from bridge.ports import Parcel, Sender


class Senders:
    """A `ports.Sender` that leaves each parcel to who is for it."""

    def __init__(self, cention: Sender, onward: Sender, oneview: Sender | None = None) -> None:
        """Send by these; without One View nothing is sent there."""
        self._cention = cention
        self._onward = onward
        self._oneview = oneview

    async def send(self, parcel: Parcel) -> Reply:
        """Send it once and say what came back. Raises nothing."""
        if parcel.kind is Kind.ANSWER:
            return await self._onward.send(parcel)
        return await self._of(parcel.route).send(parcel)

    def sharing(self, route: str, status: int) -> Sequence[str]:
        """Return the routes that a refusal of this one is about too, itself included."""
        return self._of(route).sharing(route, status)

    def token_mark(self, route: str) -> str:
        """Return what tells the route's token and place from any other, without giving it away."""
        return self._of(route).token_mark(route)

    def _of(self, route: str) -> Sender:
        if route == ONWARD_ROUTE:
            return self._onward
        if self._oneview is not None and is_oneview(route):
            return self._oneview
        return self._cention
