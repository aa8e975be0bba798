"""Who sends what: answers go where the site has them sent on to, all else to Cention."""

from collections.abc import Sequence

from bridge.domain.deliveries import Kind
from bridge.domain.outcomes import Reply
from bridge.domain.routes import ONWARD_ROUTE
from bridge.ports import Parcel, Sender


class Senders:
    """A `ports.Sender` that leaves each parcel to who is for it."""

    def __init__(self, cention: Sender, onward: Sender) -> None:
        """Send by these two."""
        self._cention = cention
        self._onward = onward

    async def send(self, parcel: Parcel) -> Reply:
        """Send it once and say what came back. Raises nothing."""
        sender = self._onward if parcel.kind is Kind.ANSWER else self._cention
        return await sender.send(parcel)

    def sharing(self, route: str, status: int) -> Sequence[str]:
        """Return the routes that a refusal of this one is about too, itself included."""
        return self._of(route).sharing(route, status)

    def token_mark(self, route: str) -> str:
        """Return what tells the route's token and place from any other, without giving it away."""
        return self._of(route).token_mark(route)

    def _of(self, route: str) -> Sender:
        return self._onward if route == ONWARD_ROUTE else self._cention
