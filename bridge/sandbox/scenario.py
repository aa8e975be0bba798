"""What a demo is to run: how many calls, and what goes wrong meanwhile."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.sandbox.presets import LATE_EFFECT_SECONDS, MIXED

FAULT_RATE: Final = 0.2
REQUESTS_PER_MINUTE: Final = 1000
IN_FLIGHT_MAX: Final = 32
# As far under the limit as the daemon's own default is under Cention's.
DAEMON_SHARE: Final = 0.95
# Later than anything that `mixed` does late, with room for a busy machine.
SETTLE_SECONDS: Final = LATE_EFFECT_SECONDS + 3.0


@dataclass(frozen=True, kw_only=True)
class Faults:
    """A preset, and the share of the requests to the sandbox that it strikes.

    `kinds` are the types of request that it strikes, as `c3_new_errands`; none: all.
    """

    preset: str = MIXED
    rate: float = FAULT_RATE
    kinds: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return it as the sandbox takes it."""
        document: dict[str, Any] = {"preset": self.preset, "rate": self.rate}
        return {**document, "kinds": list(self.kinds)} if self.kinds else document


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What to run.

    Attributes:
        calls: how many; 0 to go on until stopped.
        rate: calls a second.
        seed: makes the same callers, and the same chances of faults and kills.
        faults: what strikes until all has arrived; None: nothing.
        kills: how often the daemon is killed while calls are posted; needs `calls`.
        requests_per_minute: what the sandbox takes in any 60 seconds.
        in_flight_max: how many requests the daemon has under way at a time.
        settle_seconds: after how long the daemon believes that an errand in doubt was not made.
        folder: where the daemon's store and log are kept; None: they are not.
    """

    calls: int
    rate: float
    seed: int
    faults: Faults | None = None
    kills: int = 0
    requests_per_minute: int = REQUESTS_PER_MINUTE
    in_flight_max: int = IN_FLIGHT_MAX
    settle_seconds: float = SETTLE_SECONDS
    folder: Path | None = None

    @property
    def is_hard(self) -> bool:
        """Whether anything is to go wrong."""
        return self.faults is not None or self.kills > 0

    @property
    def leaves_doubt(self) -> bool:
        """Whether the answer to a request may be lost after it was done."""
        return self.kills > 0 or (self.faults is not None and self.faults.preset == MIXED)

    def daemon_settings(self) -> dict[str, str]:
        """Return what the daemon is told, by the names of its environment."""
        per_minute = max(1, int(self.requests_per_minute * DAEMON_SHARE))
        settings = {
            "CENTION__REQUESTS_PER_MINUTE": str(per_minute),
            "DELIVERY__IN_FLIGHT_MAX": str(self.in_flight_max),
        }
        if self.leaves_doubt:
            settings["DELIVERY__IN_DOUBT"] = "reconcile"
            settings["DELIVERY__SETTLE_SECONDS"] = str(self.settle_seconds)
        return settings
