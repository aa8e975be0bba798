"""The least that keeps anything: one table, no index, a commit a group, on a thread of its own.

What a bridge on this interpreter can't do without, if it promises to lose nothing: what came is on
disk before the answer, and what left is marked before it leaves and once it has.
"""

import asyncio
import queue
import sqlite3
import threading
from pathlib import Path
from typing import Final

_CAME: Final = "INSERT INTO kept (body) VALUES (?)"
_LEFT: Final = "INSERT INTO done (body) VALUES (?)"
_Job = tuple[str, bytes, "asyncio.Future[None]"]


class Least:
    """Keeps bodies; each coroutine returns when it is on disk."""

    def __init__(self, folder: Path) -> None:
        """Open a store of its own, and start the thread; to be called from the loop."""
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        path = folder / "least.db"
        threading.Thread(target=self._run, args=(path,), daemon=True).start()

    async def came(self, body: bytes) -> None:
        """Keep what came in."""
        await self._keep(_CAME, body)

    async def left(self, body: bytes) -> None:
        """Note what came of it."""
        await self._keep(_LEFT, body)

    def _keep(self, statement: str, body: bytes) -> "asyncio.Future[None]":
        kept = self._loop.create_future()
        self._jobs.put((statement, body, kept))
        return kept

    def _run(self, path: Path) -> None:
        store = sqlite3.connect(path, isolation_level=None)
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("PRAGMA synchronous = FULL")
        for name in ("kept", "done"):
            store.execute(f"CREATE TABLE IF NOT EXISTS {name} (id INTEGER PRIMARY KEY, body BLOB)")
        while True:
            jobs = [self._jobs.get()]
            while not self._jobs.empty():
                jobs.append(self._jobs.get())
            store.execute("BEGIN IMMEDIATE")
            for statement, body, _ in jobs:
                store.execute(statement, (body,))
            store.execute("COMMIT")
            self._loop.call_soon_threadsafe(_tell, jobs)


def _tell(jobs: list[_Job]) -> None:
    for _, _, kept in jobs:
        if not kept.done():
            kept.set_result(None)
