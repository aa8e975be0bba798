"""The single writer: what arrives while a commit runs shares the next one, and one fsync.

It runs on a thread of its own, with a connection of its own. Handlers are pure of everything but
the transaction they get, so a group that fails can be rolled back and done again item by item.
"""

import asyncio
import itertools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from bridge.domain.errors import StoreUnavailable
from bridge.ports import Handler, ItemT, ResultT
from bridge.storage.failures import is_passing, said_by
from bridge.storage.transaction import SqlTransaction

GROUP_MAX: Final = 1000
PENDING_MAX: Final = 20_000


@dataclass(slots=True)
class _Job:
    handler: Handler[Any, Any]
    items: Sequence[Any]
    future: asyncio.Future[list[Any]]
    results: list[Any] = field(default_factory=list)
    error: Exception | None = None


class SharedCommit:
    """A `Writer` on an SQL engine. `on_commit` is told each commit's item count and seconds."""

    def __init__(
        self,
        engine: Engine,
        *,
        pending_max: int = PENDING_MAX,
        on_commit: Callable[[int, float], None] | None = None,
    ) -> None:
        """Prepare the writer; `start` sets it to work."""
        self._engine = engine
        self._pending_max = pending_max
        self._on_commit = on_commit
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._pending = 0
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; to be called from the event loop that will submit."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
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
        """
        if self._is_closed or self._loop is None:
            raise StoreUnavailable("the store is closing")
        if self._pending and self._pending + len(items) > self._pending_max:
            raise StoreUnavailable("too much is in flight")
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        # A result that nobody waits for any more is no fault to be reported.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._pending += len(items)
        self._queue.put(_Job(handler, items, future))
        # Whoever waits may be cancelled; the job goes on, and its future with it.
        return await asyncio.shield(future)

    def _run(self) -> None:
        is_open = True
        while is_open:
            job = self._queue.get()
            jobs: list[_Job] = []
            count = 0
            while job is not None:
                jobs.append(job)
                count += len(job.items)
                if count >= GROUP_MAX:
                    break
                try:
                    job = self._queue.get_nowait()
                except queue.Empty:
                    break
            is_open = job is not None
            if jobs:
                self._work_off(jobs)

    def _work_off(self, jobs: list[_Job]) -> None:
        started = time.perf_counter()
        try:
            with self._engine.connect() as connection:
                self._commit(connection, jobs)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            for job in jobs:
                job.error = _unavailable(error)
        count = sum(len(job.items) for job in jobs)
        if self._on_commit is not None:
            self._on_commit(count, time.perf_counter() - started)
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._resolve, jobs, count)
            except RuntimeError:
                return  # the loop is gone, and all who waited with it

    def _commit(self, connection: Connection, jobs: list[_Job]) -> None:
        try:
            with connection.begin():
                transaction = SqlTransaction(connection)
                for handler, group in _by_handler(jobs):
                    items = [item for job in group for item in job.items]
                    results = iter(handler(transaction, items))
                    for job in group:
                        job.results = list(itertools.islice(results, len(job.items)))
        except DBAPIError as error:
            if is_passing(error):
                raise
            self._commit_singly(connection, jobs)
        except Exception:  # noqa: BLE001 - one bad item must not fail its neighbours
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
            savepoint.rollback()
            if isinstance(error, DBAPIError) and is_passing(error):
                raise
            return error
        savepoint.commit()
        return result

    def _resolve(self, jobs: list[_Job], count: int) -> None:
        self._pending -= count
        for job in jobs:
            if job.future.done():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.results)


def _by_handler(jobs: list[_Job]) -> list[tuple[Handler[Any, Any], list[_Job]]]:
    groups: dict[Handler[Any, Any], list[_Job]] = {}
    for job in jobs:
        groups.setdefault(job.handler, []).append(job)
    return list(groups.items())


def _unavailable(error: Exception) -> StoreUnavailable:
    said = said_by(error) if isinstance(error, DBAPIError) else type(error).__name__
    failure = StoreUnavailable(f"the store can't be written: {said}")
    failure.__cause__ = error
    return failure
