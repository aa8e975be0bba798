"""Answers whose head came and whose body did not, from a server that writes bytes as told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.domain.outcomes import Failure
from bridge.ops.clock import SystemClock
from bridge.wire.exchange import Answer, Exchange, open_session

SIZED = b"Content-Length: 1000\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
PACKED = b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\n"
ID = b'{"data": {"id": "13"}}'
# What comes after the status line, and whether the connection is closed then; else nothing more
# comes.
BROKEN = {
    "stalled at once": (SIZED, False),
    "stalled on the way": (SIZED + b'{"data"', False),
    "cut": (SIZED + b'{"data"', True),
    "cut in a chunk": (CHUNKED + b'7\r\n{"dat', True),
    "no chunk": (CHUNKED + b"zz\r\n{}", False),
    "not packed": (PACKED + b"not gzip!", False),
}
broken = pytest.mark.parametrize(("rest", "is_cut"), list(BROKEN.values()), ids=list(BROKEN))


@asynccontextmanager
async def upstream(said: bytes, *, is_cut: bool) -> AsyncIterator[str]:
    """Serve one request with these bytes; the connection stays open unless `is_cut`."""
    over, done = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, end, rest = said.partition(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head + end)
            # aiohttp gives up a head that comes together with a wrong chunk; so it comes first.
            for _ in range(20):
                await asyncio.sleep(0)
            writer.write(rest)
            await writer.drain()
            if not is_cut:
                await over.wait()
            writer.close()
            await writer.wait_closed()
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        over.set()
        await done.wait()
        server.close()
        await server.wait_closed()


async def ask(status: str, rest: bytes, *, is_cut: bool, method: str = "POST") -> Answer:
    said = f"HTTP/1.1 {status}\r\nRetry-After: 7\r\n".encode() + rest
    async with upstream(said, is_cut=is_cut) as url, open_session() as session:
        exchange = Exchange(session, SystemClock())
        return await exchange.request(method, url, headers={}, timeout_s=0.2)


@broken
async def test_a_success_without_its_body_is_a_success_without_an_id(
    rest: bytes, *, is_cut: bool
) -> None:
    answer = await ask("201 Created", rest, is_cut=is_cut)
    assert (answer.reply.status, answer.reply.failure) == (201, None)
    assert (answer.is_good, answer.document) == (True, None)


@broken
@pytest.mark.parametrize("status", ["422 Unprocessable", "503 Unavailable"])
async def test_a_refusal_without_its_body_keeps_its_status_and_what_its_head_says(
    status: str, rest: bytes, *, is_cut: bool
) -> None:
    reply = (await ask(status, rest, is_cut=is_cut)).reply
    assert (reply.status, reply.failure, reply.detail) == (int(status[:3]), None, "")
    assert reply.retry_after_s == 7.0


@pytest.mark.parametrize("rest", [SIZED + ID, CHUNKED + b"16\r\n" + ID + b"\r\n"])
async def test_what_came_of_a_body_whole_enough_to_be_read_is_read(rest: bytes) -> None:
    answer = await ask("201 Created", rest, is_cut=False)
    assert answer.document == {"data": {"id": "13"}}


@broken
async def test_what_was_to_be_read_is_lost_without_its_body(rest: bytes, *, is_cut: bool) -> None:
    answer = await ask("200 OK", rest, is_cut=is_cut, method="GET")
    assert (answer.reply.status, answer.reply.failure) == (0, Failure.LOST)


async def test_a_request_to_read_that_is_refused_keeps_its_status() -> None:
    answer = await ask("403 Forbidden", SIZED, is_cut=True, method="GET")
    assert (answer.reply.status, answer.reply.failure) == (403, None)


async def test_head_and_body_share_one_time_out() -> None:
    answer = await ask("201 Created", SIZED, is_cut=False)
    assert 0.19 < answer.reply.seconds < 0.39


async def test_a_head_that_is_none_is_lost() -> None:
    async with upstream(b"garbage\r\n\r\n", is_cut=True) as url, open_session() as session:
        exchange = Exchange(session, SystemClock())
        answer = await exchange.request("POST", url, headers={}, timeout_s=0.2)
    assert answer.reply.failure is Failure.LOST


async def test_whoever_is_cancelled_while_a_body_comes_is_cancelled() -> None:
    said = b"HTTP/1.1 201 Created\r\n" + SIZED
    async with upstream(said, is_cut=False) as url, open_session() as session:
        exchange = Exchange(session, SystemClock())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(
                exchange.request("POST", url, headers={}, timeout_s=5.0), timeout=0.1
            )
