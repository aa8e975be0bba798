"""Whether a run is over, from one snapshot to the next. Pure."""

from enum import Enum, auto
from typing import Final

from bridge.sandbox.figures import Snapshot

# Longer than the daemon's gauges may be behind, or a look-up takes to say anything new.
STILL_SECONDS: Final = 3.0
GIVE_UP_SECONDS: Final = 15.0
# The daemon tries at least once in that time to put back what it has read.
PUT_BACK_SECONDS: Final = 75.0
# Many times what the first retries of a request and a look-up together wait.
STALL_SECONDS: Final = 120.0


class Stage(Enum):
    """How far a run is whose calls have all been posted.

    `ARRIVED`: as many errands as calls were made and ended, nothing waits, and others' errands are
    as they were. `QUIET`: nothing waits or moves any more, and that is not so. `STALLED`: something
    waits, and nothing moves.
    """

    WAITING = auto()
    ARRIVED = auto()
    QUIET = auto()
    STALLED = auto()


class Patience:
    """Watches a run.

    Args:
        calls: how many errands, and ends of them, are to arrive.
        still_seconds: how long nothing may have moved for it to have arrived: with faults,
            something may still be on its way.
    """

    def __init__(self, calls: int, *, still_seconds: float = 0.0) -> None:
        self._calls = calls
        self._still_seconds = still_seconds
        self._movement: tuple[object, ...] | None = None
        self._moved_at = 0.0

    def look(self, snapshot: Snapshot, now: float) -> Stage:
        """Return how far it is; now is monotonic seconds."""
        if snapshot.movement != self._movement:
            self._movement, self._moved_at = snapshot.movement, now
        still_seconds = now - self._moved_at
        is_idle = snapshot.pending == 0 and snapshot.late_effects == 0
        has_arrived = min(snapshot.errands_created, snapshot.errands_ended) >= self._calls
        is_whole = has_arrived and not snapshot.others_cleared
        if is_idle and is_whole and still_seconds >= self._still_seconds:
            return Stage.ARRIVED
        patience_seconds = PUT_BACK_SECONDS if snapshot.others_cleared else GIVE_UP_SECONDS
        if is_idle and still_seconds >= patience_seconds:
            return Stage.QUIET
        return Stage.STALLED if still_seconds >= STALL_SECONDS else Stage.WAITING
