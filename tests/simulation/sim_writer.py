"""The simulated store's `ports.Writer`: shared commits that a crash may fall into anywhere.

As the SQL one: what arrives while a commit runs shares the next; a group that fails is rolled back
and done again item by item, so that one that fails does so alone; a store that is full or away
fails them all.
"""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sim_loop import VirtualLoop
from sim_rows import Rows
from sim_store import SimTransaction

from bridge.domain.errors import StoreUnavailable
from bridge.ports import Handler, ItemT, ResultT

GROUP_MAX: Final = 1000
PENDING_MAX: Final = 20_000


class Host(Protocol):
    """The process that a part belongs to. `step` may end it: by `asyncio.CancelledError`."""

    is_alive: bool
    number: int

    def step(self, what: str) -> None:
        """Say where the process is; it may end here."""
        ...

    def now_us(self) -> int:
        """Return the time as the process knows it."""
        ...

    def committed(self, items: int) -> None:
        """Say that a commit is on disk, though nobody has heard of it yet."""
        ...

    def refused(self) -> None:
        """Say that a commit failed."""
        ...


class Disk(Protocol):
    """What the disk does just now."""

    def is_full(self) -> bool:
        """Say whether nothing can be written."""
        ...

    def commit_s(self) -> float:
        """Return how long a commit takes."""
        ...


@dataclass(slots=True)
class _Job:
    handler: Handler[Any, Any]
    items: Sequence[Any]
    future: asyncio.Future[list[Any]]
    results: list[Any] = field(default_factory=list)


class SimWriter:
    """A process's writer on the simulated store."""

    def __init__(self, rows: Rows, loop: VirtualLoop, host: Host, disk: Disk) -> None:
        self._rows = rows
        self._loop = loop
        self._host = host
        self._disk = disk
        self._jobs: list[_Job] = []
        self._pending = 0
        self._is_busy = False

    async def submit(self, handler: Handler[ItemT, ResultT], item: ItemT) -> ResultT:
        """Have an item handled in the next commit."""
        (result,) = await self.submit_all(handler, [item])
        if isinstance(result, Exception):
            raise result
        return result

    async def submit_all(
        self, handler: Handler[ItemT, ResultT], items: Sequence[ItemT]
    ) -> list[ResultT | Exception]:
        """Have many items handled in the same commit."""
        self._host.step("submit")
        if self._pending and self._pending + len(items) > PENDING_MAX:
            raise StoreUnavailable("too much is in flight")
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._pending += len(items)
        self._jobs.append(_Job(handler, items, future))
        if not self._is_busy:
            self._is_busy = True
            self._loop.call_soon(self._begin)
        # Whoever waits may be cancelled; the job goes on without its future.
        results = await future
        self._host.step("submitted")
        return results

    def _begin(self) -> None:
        """Handle what waits, and leave the transaction open until the disk has it."""
        if not self._host.is_alive:
            return
        jobs: list[_Job] = []
        count = 0
        while self._jobs and count < GROUP_MAX:
            jobs.append(self._jobs.pop(0))
            count += len(jobs[-1].items)
        is_full = self._disk.is_full()
        if not is_full:
            self._handle(jobs)
        self._loop.call_later(self._disk.commit_s(), self._finish, jobs, is_full)

    def _handle(self, jobs: list[_Job]) -> None:
        try:
            for handler, group in _by_handler(jobs):
                items = [item for job in group for item in job.items]
                handled = zip(items, handler(SimTransaction(self._rows), items), strict=True)
                results = iter([result for _, result in handled])
                for job in group:
                    job.results = list(itertools.islice(results, len(job.items)))
        except Exception:  # noqa: BLE001 - one bad item must not fail its neighbours
            self._rows.roll_back()
            for job in jobs:
                job.results = [self._handle_one(job.handler, item) for item in job.items]

    def _handle_one(self, handler: Handler[Any, Any], item: Any) -> Any:
        savepoint = self._rows.mark()
        try:
            (result,) = handler(SimTransaction(self._rows), [item])
        except Exception as error:  # noqa: BLE001 - it is the answer to its item
            self._rows.roll_back(savepoint)
            return error
        return result

    def _finish(self, jobs: list[_Job], is_full: bool) -> None:  # noqa: FBT001 - a callback's argument
        if not self._host.is_alive:
            return
        try:
            self._host.step("commit")
            if is_full:
                self._rows.roll_back()
                self._host.refused()
            elif self._rows.commit():
                self._host.committed(sum(len(job.items) for job in jobs))
            self._host.step("committed")
        except asyncio.CancelledError:
            return
        for job in jobs:
            self._pending -= len(job.items)
            if job.future.done():
                continue
            if is_full:
                job.future.set_exception(StoreUnavailable("the disk is full"))
            else:
                job.future.set_result(job.results)
        if self._jobs:
            self._loop.call_soon(self._begin)
        else:
            self._is_busy = False


def _by_handler(jobs: list[_Job]) -> list[tuple[Handler[Any, Any], list[_Job]]]:
    groups: dict[Handler[Any, Any], list[_Job]] = {}
    for job in jobs:
        groups.setdefault(job.handler, []).append(job)
    return list(groups.items())
