"""Load on an address: whole calls as fast as they are taken, calls by the clock, and batches."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Final

import uvloop
from bench_events import Call
from bench_http import Connection, connections, post
from bench_process import BenchError

CONNECTIONS: Final = 64
NDJSON: Final = "application/x-ndjson"
END_AFTER_S: Final = 0.5


def run_calls(url: str, some: Sequence[Call]) -> float:
    """Post the two events of each call, 64 calls at a time; return when the first left."""
    pairs = [(post(url, one.answered), post(url, one.ended)) for one in some]
    return uvloop.run(_run_calls(url, pairs))


async def _run_calls(url: str, pairs: Sequence[tuple[bytes, bytes]]) -> float:
    waiting = iter(pairs)
    opened = await connections(url, CONNECTIONS)
    started_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for connection in opened:
            group.create_task(_post_calls(connection, waiting))
    for connection in opened:
        connection.close()
    return started_s


async def _post_calls(connection: Connection, waiting: Iterator[tuple[bytes, bytes]]) -> None:
    for answered, ended in waiting:
        await connection.post(answered)
        await connection.post(ended)


def run_batches(url: str, bodies: Sequence[bytes], size: int, over: int) -> float:
    """Post batches over so many connections; return the seconds until all were accepted.

    Raises:
        BenchError: not every event was.
    """
    requests = [post(url, body, NDJSON) for body in bodies]
    return uvloop.run(_run_batches(url, requests, size, over))


async def _run_batches(url: str, requests: Sequence[bytes], size: int, over: int) -> float:
    waiting = iter(requests)
    opened = await connections(url, over)
    started_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for connection in opened:
            group.create_task(_post_batches(connection, waiting, size))
    took_s = time.monotonic() - started_s
    for connection in opened:
        connection.close()
    return took_s


async def _post_batches(connection: Connection, waiting: Iterator[bytes], size: int) -> None:
    for request in waiting:
        answer = await connection.post(request)
        if answer.body.count(b'"accepted"') != size:
            raise BenchError(f"not all of a batch were accepted: {answer.body[:300]!r}")


def run_paced(url: str, some: Sequence[Call], per_second: float) -> dict[str, float]:
    """Begin a call every so often, whatever the answers; return when each was sent, by reference.

    Its end follows half a second later. Times are those of the monotonic clock.
    """
    return uvloop.run(_Paced(url, per_second).run(some))


class _Paced:
    def __init__(self, url: str, per_second: float) -> None:
        self._url, self._per_second = url, per_second
        self._idle: list[Connection] = []
        self._sent_s: dict[str, float] = {}

    async def run(self, some: Sequence[Call]) -> dict[str, float]:
        self._idle.extend(await connections(self._url, CONNECTIONS))
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        async with asyncio.TaskGroup() as group:
            for index, one in enumerate(some):
                await asyncio.sleep(started_s + index / self._per_second - loop.time())
                group.create_task(self._call(one))
        for connection in self._idle:
            connection.close()
        return self._sent_s

    async def _call(self, one: Call) -> None:
        answered, ended = post(self._url, one.answered), post(self._url, one.ended)
        self._sent_s[one.reference] = time.monotonic()
        await self._post(answered)
        await asyncio.sleep(END_AFTER_S)
        await self._post(ended)

    async def _post(self, request: bytes) -> None:
        connection = self._idle.pop() if self._idle else await Connection.open(self._url)
        await connection.post(request)
        self._idle.append(connection)
