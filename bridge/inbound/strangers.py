"""What becomes of whoever may not post: counted, told of now and then, and answered all alike."""

from typing import Final, Protocol

from aiohttp import web

from bridge.inbound.auth import Doorkeeper
from bridge.inbound.peers import kind_of
from bridge.inbound.problems import problem
from bridge.inbound.signatures import Knock
from bridge.ports import Clock, Log

# Each source is told of once in so long: strangers are not to fill the log.
TOLD_EVERY_S: Final = 60.0
# Whatever the cause: what is known here is not for whoever tries.
_UNAUTHORISED: Final = "A valid bearer token or webhook signature is needed."


class AuthMeter(Protocol):
    """What is counted of refusals."""

    def refused(self, source: str, reason: str) -> None:
        """Count one."""
        ...


class Strangers:
    """Refuses requests at every address that asks for authentication."""

    def __init__(self, log: Log, clock: Clock, meter: AuthMeter | None = None) -> None:
        """Stand on these ports."""
        self._log = log
        self._clock = clock
        self._meter = meter
        self._told: dict[str, tuple[float, int]] = {}

    def refuse(self, source: str, keeper: Doorkeeper, knock: Knock) -> web.Response:
        """Return the answer, which is the same whatever the cause, byte for byte."""
        reason = keeper.reason(knock, self._clock.now_us() / 1e6).value
        if self._meter is not None:
            self._meter.refused(source, reason)
        now_s = self._clock.monotonic()
        told_s, untold = self._told.get(source, (float("-inf"), 0))
        if now_s - told_s < TOLD_EVERY_S:
            self._told[source] = told_s, untold + 1
        else:
            self._told[source] = now_s, 0
            self._log.warning(
                "authentication refused",
                source=source,
                reason=reason,
                peer=kind_of(keeper.origins.address_of(knock)),
                untold=untold,
            )
        return problem(401, _UNAUTHORISED)
