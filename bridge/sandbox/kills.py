"""When the daemon of a demo is killed: drawn beforehand from a seeded random source. Pure."""

from dataclasses import dataclass
from random import Random
from typing import Final

# One kill in so many hits the daemon while it is starting again after the one before.
IN_START_SHARE: Final = 0.25
# A start takes about as long.
START_SECONDS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One `kill -9`.

    Attributes:
        after_calls: how many calls have to have begun.
        in_start_seconds: how long after the start that followed the kill before; None where the
            daemon is to be at work.
    """

    after_calls: int
    in_start_seconds: float | None = None


def plan_kills(random: Random, *, kills: int, calls: int) -> list[Kill]:
    """Return so many kills in their order, spread by chance over the calls (1 or more)."""
    in_start = [index > 0 and random.random() < IN_START_SHARE for index in range(kills)]
    moments = sorted(random.randint(1, calls) for one in in_start if not one)
    plan: list[Kill] = []
    for one in in_start:
        if one:
            seconds = random.uniform(0.0, START_SECONDS)
            plan.append(Kill(after_calls=plan[-1].after_calls, in_start_seconds=seconds))
        else:
            plan.append(Kill(after_calls=moments.pop(0)))
    return plan
