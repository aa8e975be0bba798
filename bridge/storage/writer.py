"""The single writer: what arrives while a commit runs shares the next one, and one fsync.

It runs on a thread of its own, with a connection of its own. Handlers are pure of everything but
the transaction they get, so a group that fails can be rolled back and done again item by item.

What `failures` makes of the store's errors is acted upon here. Where the store can't be written
now, all who wait are told so, and the next commit is tried anew. Where it must not be written any
more, nothing is. A fault of a handler is the answer to its item, and ends nothing.
"""

import asyncio
import contextlib
import itertools
import math
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from bridge.domain.errors import StoreBroken, StoreError, StoreUnavailable
from bridge.ports import Handler, ItemT, ResultT
from bridge.storage.checkpoints import Checkpoints
from bridge.storage.failures import ending, is_passing, said_by
from bridge.storage.transaction import SqlTransaction

GROUP_MAX: Final = 1000
PENDING_MAX: Final = 20_000


@dataclass(slots=True)
class _Job:
    handler: Handler[Any, Any]
    items: Sequence[Any]
    future: asyncio.Future[list[Any]]
    results: list[Any] = field(default_factory=list)


class SharedCommit:
    """A `Writer` on an SQL engine.

    `on_commit` is told each commit's item count and seconds, on the writer's thread; `on_broken` is
    told on the loop's that there is a `failure`.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        pending_max: int = PENDING_MAX,
        on_commit: Callable[[int, float], None] | None = None,
        on_broken: Callable[[], None] | None = None,
    ) -> None:
        """Prepare the writer; `start` sets it to work."""
        self._engine = engine
        self._pending_max = pending_max
        self._on_commit = on_commit
        self._on_broken = on_broken
        self._checkpoints = Checkpoints(engine.url.database or "")
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._pending = 0
        self._is_closed = False
        self._is_over = False
        self._failure: StoreError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        # The writer's alone, from one commit to the next.
        self._connection: Connection | None = None

    @property
    def failure(self) -> StoreError | None:
        """Why nothing is written any more, as `failures.ending` says it; None while all is well."""
        return self._failure

    def start(self) -> None:
        """Start the thread; to be called from the event loop that will submit."""
        self._loop = loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="writer", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Finish what was submitted, then stop."""
        if self._thread is None or self._is_closed:
            return
        self._is_closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    async def submit(self, handler: Handler[ItemT, ResultT], item: ItemT) -> ResultT:
        """Have an item handled in the next commit; see `ports.Writer`.

        Raises:
            StoreUnavailable: it can't be kept now.
            StoreBroken: it can't be kept by this process any more.
        """
        (result,) = await self.submit_all(handler, [item])
        if isinstance(result, Exception):
            raise result
        return result

    async def submit_all(
        self, handler: Handler[ItemT, ResultT], items: Sequence[ItemT]
    ) -> list[ResultT | Exception]:
        """Have many items handled in the same commit; see `ports.Writer`.

        Raises:
            StoreUnavailable: they can't be kept now.
            StoreBroken: they can't be kept by this process any more.
        """
        if self._failure is not None:
            raise StoreBroken(str(self._failure))
        if self._is_closed or self._loop is None:
            raise StoreUnavailable("the store is closing")
        if self._pending and self._pending + len(items) > self._pending_max:
            raise StoreUnavailable("too much is in flight")
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._pending += len(items)
        self._queue.put(_Job(handler, items, future))
        # Whoever waits may be cancelled, and the future with them; the job goes on.
        return await future

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        tell = partial(_tell, loop)
        may_go_on = True
        jobs: list[_Job] = []
        try:
            while may_go_on and not self._is_over:
                jobs = self._waiting(GROUP_MAX, block=True)
                may_go_on = not jobs or self._work_off(jobs, tell)
        except Exception as error:  # noqa: BLE001 - without its thread, nobody would be answered
            said = type(error).__name__
            tell(self._refuse, jobs, StoreBroken(f"the store's writer has failed: {said}"))
        self._hang_up()

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _hang_up(self) -> None:
        """Leave the connection, whatever state it is in; the next commit opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # What is wrong with it was said by whatever failed on it.
            with contextlib.suppress(Exception):
                connection.close()

    def _waiting(self, items_max: float, *, block: bool) -> list[_Job]:
        """Take the jobs that wait, up to so many items; if `block`, wait for the first."""
        jobs: list[_Job] = []
        count = 0
        with contextlib.suppress(queue.Empty):
            while count < items_max:
                job = self._queue.get(block=block and not jobs)
                if job is None:
                    self._is_over = True
                    break
                jobs.append(job)
                count += len(job.items)
        return jobs

    def _work_off(self, jobs: list[_Job], tell: Callable[..., None]) -> bool:
        """Handle jobs and have them answered; say whether there may be further ones."""
        started = time.perf_counter()
        is_kept = is_due = False
        try:
            connection = self._connected()
            self._commit(connection, jobs)
            # It is on disk: nothing that fails from here on is an answer to those who waited.
            is_kept = True
            tell(self._resolve, jobs)
            is_due = self._checkpoints.committed(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            # What came meanwhile would only wait as long for the same.
            refused = [] if is_kept else [*jobs, *self._waiting(math.inf, block=False)]
            tell(self._refuse, refused, error)
            self._hang_up()
            if not is_kept or ending(error) is not None:
                return ending(error) is None
        if self._on_commit is not None:
            count = sum(len(job.items) for job in jobs)
            self._on_commit(count, time.perf_counter() - started)
        return not is_due or self._checkpoint(tell)

    def _checkpoint(self, tell: Callable[..., None]) -> bool:
        try:
            self._checkpoints.make(self._connected())
        except Exception as error:  # noqa: BLE001 - it failed nobody, and what may pass comes again
            tell(self._refuse, [], error)
            self._hang_up()
            return ending(error) is None
        return True

    def _commit(self, connection: Connection, jobs: list[_Job]) -> None:
        try:
            with connection.begin():
                transaction = SqlTransaction(connection)
                for handler, group in _by_handler(jobs):
                    items = [item for job in group for item in job.items]
                    handled = zip(items, handler(transaction, items), strict=True)
                    results = iter([result for _, result in handled])
                    for job in group:
                        job.results = list(itertools.islice(results, len(job.items)))
        except Exception as error:
            if _is_about_store(error):
                raise
            # One bad item must not fail its neighbours.
            self._commit_singly(connection, jobs)

    def _commit_singly(self, connection: Connection, jobs: list[_Job]) -> None:
        with connection.begin():
            transaction = SqlTransaction(connection)
            for job in jobs:
                job.results = [
                    self._handle_one(connection, transaction, job.handler, item)
                    for item in job.items
                ]

    @staticmethod
    def _handle_one(
        connection: Connection, transaction: SqlTransaction, handler: Handler[Any, Any], item: Any
    ) -> Any:
        savepoint = connection.begin_nested()
        try:
            (result,) = handler(transaction, [item])
        except Exception as error:
            if _is_about_store(error):
                raise
            savepoint.rollback()
            return error
        savepoint.commit()
        return result

    def _resolve(self, jobs: list[_Job]) -> None:
        for job in jobs:
            self._pending -= len(job.items)
            if not job.future.done():
                job.future.set_result(job.results)

    def _refuse(self, jobs: list[_Job], error: Exception) -> None:
        final = ending(error)
        if final is not None:
            self._failure = final
            jobs = [*jobs, *self._waiting(math.inf, block=False)]
        for job in jobs:
            self._pending -= len(job.items)
            if not job.future.done():
                job.future.set_exception(_refusal(error))
        if final is not None and self._on_broken is not None:
            self._on_broken()


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[..., None], *arguments: Any) -> None:
    # Where the loop is gone, so are all who waited.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(what, *arguments)


def _by_handler(jobs: list[_Job]) -> list[tuple[Handler[Any, Any], list[_Job]]]:
    groups: dict[Handler[Any, Any], list[_Job]] = {}
    for job in jobs:
        groups.setdefault(job.handler, []).append(job)
    return list(groups.items())


def _is_about_store(error: Exception) -> bool:
    """Say whether an error concerns all that is written, and not only what was just handled."""
    return is_passing(error) or ending(error) is not None


def _refusal(error: Exception) -> StoreUnavailable:
    final = ending(error)
    if final is not None:
        return StoreBroken(str(final))
    is_said = isinstance(error, DBAPIError | sqlite3.Error | StoreUnavailable)
    said = said_by(error) if is_said else type(error).__name__
    failure = StoreUnavailable(f"the store can't be written: {said}")
    failure.__cause__ = error
    return failure
