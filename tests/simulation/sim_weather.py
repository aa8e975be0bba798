"""What goes wrong when: faults by chance at each request, and windows of time with a trouble."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.outcomes import Failure, Reply

# After which of these the request may have had its effect all the same.
UNCLEAR: Final = ("reset", "timeout", "408", "500", "502", "504")
FAULTS: Final = (
    "not_connected",
    "answer_lost",
    "no_id",
    "duplicated",
    "slow",
    "425",
    "429",
    "429_after",
    "503",
    "503_after",
    *UNCLEAR,
)
OUTAGES: Final = ("refusing", "hanging", "failing", "busy")
CLIENT_TIMEOUT_S: Final = 30.0
_LOST: Final = Reply(failure=Failure.LOST, detail="the answer never came")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A trouble from `start_s` to `end_s`; `where` is the scope or token that it strikes."""

    what: str
    start_s: float
    end_s: float
    where: str = ""
    kind: str = ""


class Strike(Struct, frozen=True):
    """What becomes of one request.

    `reply` None: the good one. `effect_s` is after how long it takes effect, None: never. `wait_s`
    is after how long the answer comes, `twice` that the request arrives a second time.
    """

    name: str
    wait_s: float
    reply: Reply | None = None
    effect_s: float | None = 0.0
    arrives: bool = True
    twice: bool = False


@dataclass(slots=True)
class Weather:
    """Draws what becomes of each request. `late_max_s` is how late an effect may come."""

    chance: Random
    rates: Mapping[str, float]
    windows: tuple[Window, ...]
    late_max_s: float
    is_over: bool = False
    struck: Counter[str] = field(default_factory=Counter)

    def during(self, what: str, now_s: float, where: str = "", kind: str = "") -> bool:
        """Say whether a trouble of this kind is on, and count that it struck."""
        for one in self.windows:
            if one.what != what or self.is_over or not one.start_s <= now_s < one.end_s:
                continue
            if one.where in {"", where} and one.kind in {"", kind}:
                self.struck[what] += 1
                return True
        return False

    def draw(self, now_s: float, where: str, *, is_read: bool) -> Strike:
        """Say what becomes of a request that leaves now."""
        wait_s = 0.02 + self.chance.random() ** 3 * 0.4
        calm = Strike("", wait_s)
        if self.is_over:
            return calm
        for outage in OUTAGES:
            if self.during(outage, now_s, where):
                return self._outage(outage, wait_s, is_read=is_read)
        roll = self.chance.random()
        for name in FAULTS:
            roll -= self.rates.get(name, 0.0)
            if roll < 0:
                self.struck[name] += 1
                return self._strike(name, wait_s, is_read=is_read)
        return calm

    def _outage(self, name: str, wait_s: float, *, is_read: bool) -> Strike:
        if name == "refusing":
            return self._strike("not_connected", wait_s, is_read=is_read)
        if name == "hanging":
            return replace(self._strike("timeout", wait_s, is_read=is_read), effect_s=None)
        if name == "failing":
            return replace(self._strike("502", wait_s, is_read=is_read), effect_s=None)
        return self._strike("503", wait_s, is_read=is_read)

    def _strike(self, name: str, wait_s: float, *, is_read: bool) -> Strike:
        if name == "not_connected":
            reply = Reply(failure=Failure.NOT_CONNECTED, detail="refused")
            return Strike(name, wait_s, reply, effect_s=None, arrives=False)
        if name == "answer_lost":
            return Strike(name, wait_s, _LOST)
        if name in {"no_id", "duplicated"}:
            return Strike(name, wait_s, twice=name == "duplicated" and not is_read)
        if name == "slow":
            return Strike(name, 1.0 + self.chance.random() * (CLIENT_TIMEOUT_S - 2.0))
        if name in UNCLEAR:
            if name == "timeout":
                wait_s = CLIENT_TIMEOUT_S
            reply = Reply(status=int(name)) if name.isdigit() else _LOST
            return Strike(name, wait_s, reply, effect_s=self._effect_s())
        status, _, has_after = name.partition("_")
        after_s = float(self.chance.randrange(1, 20)) if has_after else None
        return Strike(name, wait_s, Reply(status=int(status), retry_after_s=after_s), effect_s=None)

    def _effect_s(self) -> float | None:
        """Return when a request takes effect of which nobody hears; None: never."""
        roll = self.chance.random()
        if roll < 0.35:
            return None
        if roll < 0.65:
            return 0.0
        return self.chance.random() * self.late_max_s
