"""Virtual time: an event loop that jumps to its next timer, and a clock on it.

Nothing waits for real, nothing does real input or output, and what is due at the same time runs in
the order in which it was asked for. So the same seed gives the same run, to the last step.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import Context, ContextVar
from random import Random
from typing import Any, Final, Protocol, TypeVar

ValueT = TypeVar("ValueT")
START_US: Final = 1_790_000_000_000_000
# Turns of the loop without any time passing: so many are no work, but a circle.
SPINS_MAX: Final = 100_000
# Far more than any scenario takes.
TURNS_MAX: Final = 2_000_000
LAST_WAIT_S: Final = 60.0
# What a turn of the loop takes at least: time never stands still.
TURN_S: Final = 1e-6


def dice(seed: int, name: str) -> Random:
    """Return a source of chance of its own for a purpose, so that one doesn't disturb another."""
    return Random(f"{seed}/{name}")  # noqa: S311 - a simulation, not cryptography


class Owner(Protocol):
    """A process: it owns the tasks that its tasks begin."""

    tasks: dict[asyncio.Task[Any], None]


OWNER: Final[ContextVar[Owner | None]] = ContextVar("OWNER", default=None)


class Stalled(Exception):  # noqa: N818 - a state of the world, not a fault of the loop
    """Nothing will ever happen any more, or everything happens at once for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop that has all the time in the world."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._spins = 0
        self.turns = 0
        # Where the loop asks for input; there is never any.
        self._selector = self

    def time(self) -> float:
        """Return virtual seconds since the start."""
        return self._now_s

    def select(self, timeout_s: float | None) -> list[Any]:
        """Let time pass until the next timer.

        Raises:
            Stalled: there is none, or time doesn't pass.
        """
        if timeout_s is None:
            raise Stalled("nothing is waited for, and nothing is ready")
        self._now_s += max(timeout_s, TURN_S)
        self.turns += 1
        if self.turns > TURNS_MAX:
            raise Stalled(f"{TURNS_MAX} turns, and no end")
        if timeout_s > 0:
            self._spins = 0
        else:
            self._spins += 1
            if self._spins > SPINS_MAX:
                raise Stalled(f"{SPINS_MAX} turns without a rest")
        return []

    def skip(self, seconds: float) -> None:
        """Let time pass while nothing runs, as on a machine that was suspended."""
        self._now_s += seconds

    def create_task(
        self,
        coro: Any,
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        """Begin a task, and note which process it belongs to."""
        task: asyncio.Task[Any] = super().create_task(coro, name=name, context=context)
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is not None:
            owner.tasks[task] = None
            task.add_done_callback(lambda done: owner.tasks.pop(done, None))
        return task

    def _process_events(self, event_list: list[Any]) -> None:
        """Do nothing: there is no input."""

    def _write_to_self(self) -> None:
        """Do nothing: there are no other threads."""


class SimClock:
    """A `ports.Clock` in virtual time, set by the machine's clock when it is made.

    `set_us` says by how much somebody has set the machine's clock by now; `step` is called before
    each wait, and may end the process.
    """

    def __init__(
        self, loop: VirtualLoop, set_us: Callable[[], int], step: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._set_us = set_us
        self._followed_us = set_us()
        self._step = step

    def now_us(self) -> int:
        """Return the time in microseconds since 1970."""
        return START_US + round(self._loop.time() * 1e6) + self._followed_us

    def drift_us(self) -> int:
        """Return by how much the machine's clock was set, since it was followed."""
        return self._set_us() - self._followed_us

    def follow(self, drift_us: int) -> None:
        """Move `now_us` on by so much."""
        self._followed_us += drift_us

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        self._step("sleep")
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Return a context that raises TimeoutError when it lasts longer."""
        return asyncio.timeout(seconds)


class Trace:
    """Every step of a run: its digest, and the steps themselves where somebody wants them."""

    def __init__(self, loop: VirtualLoop, show: Callable[[str], None] | None = None) -> None:
        self._loop = loop
        self._show = show
        self._digest = hashlib.blake2b(digest_size=16)
        self.steps = 0

    def __call__(self, *said: object) -> None:
        """Note a step."""
        self.steps += 1
        line = f"{self._loop.time():12.6f}  " + " ".join(map(str, said))
        self._digest.update(line.encode())
        if self._show is not None:
            self._show(line)

    @property
    def digest(self) -> str:
        """What tells this run from any other."""
        return self._digest.hexdigest()


def run_virtual(loop: VirtualLoop, main: Coroutine[Any, Any, ValueT]) -> ValueT:
    """Run until `main` is done, then end whatever is left."""
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=LAST_WAIT_S))
        loop.close()
