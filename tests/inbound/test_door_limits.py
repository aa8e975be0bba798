"""The door's limits over real sockets, on a clock that only moves when it is told to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest
from aiohttp import web
from hand_clock import HandClock

from bridge.domain.errors import StoreUnavailable
from bridge.inbound import bodies
from bridge.inbound.bodies import Bodies
from bridge.inbound.connections import FIELD_BYTES_MAX, FIELDS_MAX, TARGET_BYTES_MAX
from bridge.inbound.crowd import Crowd
from bridge.inbound.problems import MEDIA_TYPE, problem
from bridge.inbound.server import Door, Listener, Place, door_runner
from bridge.ops.logs import configure, stderr

HEAD: Final = b"POST /take HTTP/1.1\r\nHost: x\r\n"
LIMIT_S: Final = 5.0


class Counted:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def cut(self, reason: str) -> None:
        self.reasons.append(reason)


class House:
    """A door with one address, which says how many bytes came."""

    def __init__(self, port: int, clock: HandClock, crowd: Crowd, counted: Counted) -> None:
        self.port = port
        self.clock = clock
        self.crowd = crowd
        self.counted = counted
        self.taken = Bodies()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.001)

    async def ask(self, raw: bytes) -> bytes:
        """Send a request as it stands, and return all that comes until the end."""
        reader, writer = await self.connect()
        writer.write(raw)
        async with asyncio.timeout(LIMIT_S):
            answer = await reader.read()
        writer.close()
        return answer


@asynccontextmanager
async def house(connections_max: int = 1000) -> AsyncIterator[House]:
    clock, counted = HandClock(), Counted()
    crowd = Crowd(clock, counted, connections_max)
    made: list[House] = []

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        try:
            with made[0].taken.holding(request) as held:
                raw = await held.read()
                return raw if isinstance(raw, web.Response) else web.Response(text=str(len(raw)))
        except StoreUnavailable:
            return problem(503, "Not now.")

    log = configure("error", "json", stderr())
    listener = Listener(door_runner(Door({"/take": take}, log, crowd)))
    (address,) = await listener.open(Place(host="127.0.0.1"))
    made.append(House(int(address.rpartition(":")[2]), clock, crowd, counted))
    try:
        yield made[0]
    finally:
        await listener.close()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def check_problem(answer: bytes, status: int) -> None:
    assert status_of(answer) == status
    assert MEDIA_TYPE.encode() in answer
    assert b"onnection: close" in answer


async def test_a_head_that_drips_is_cut_after_ten_seconds() -> None:
    async with house() as here:
        reader, writer = await here.connect()
        await here.until(lambda: len(here.crowd) == 1)
        for byte in HEAD[:9]:
            writer.write(bytes([byte]))
            await here.until(lambda: len(here.crowd._heads) == 1)  # noqa: SLF001 - what is looked at
            await here.clock.advance(1)
        await here.clock.advance(3)
        check_problem(await reader.read(), 408)
        assert here.counted.reasons == ["head"]
        writer.close()


async def test_a_body_that_drips_is_cut_after_ten_seconds() -> None:
    async with house() as here:
        reader, writer = await here.connect()
        writer.write(HEAD + b"Content-Length: 100\r\n\r\nx")
        await here.until(lambda: here.taken.bytes_in_hand == 1)
        await here.clock.advance(9)
        writer.write(b"x")
        await here.until(lambda: here.taken.bytes_in_hand == 2)
        await here.clock.advance(2)
        check_problem(await reader.read(), 408)
        assert here.counted.reasons == ["body"]
        assert here.taken.bytes_in_hand == 0
        writer.close()


async def test_a_body_that_comes_in_pieces_within_the_time_is_read() -> None:
    async with house() as here:
        reader, writer = await here.connect()
        writer.write(HEAD + b"Content-Length: 4\r\n\r\nx")
        await here.until(lambda: here.taken.bytes_in_hand == 1)
        await here.clock.advance(9)
        writer.write(b"xxx")
        assert status_of(await reader.readuntil(b"\r\n")) == 200
        writer.close()


async def test_connections_that_wait_make_room_for_who_asks() -> None:
    async with house(connections_max=10) as here:
        idle = [await here.connect() for _ in range(10)]
        await here.until(lambda: len(here.crowd) == 10)
        answer = await here.ask(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nxx")
        assert status_of(answer) == 200
        assert here.counted.reasons == ["room"]
        for _, writer in idle:
            writer.close()


async def test_connections_that_bring_a_body_make_room_for_who_asks() -> None:
    async with house(connections_max=10) as here:
        slow = [await here.connect() for _ in range(10)]
        for _, writer in slow:
            writer.write(HEAD + b"Content-Length: 100\r\n\r\nx")
        await here.until(lambda: here.taken.bytes_in_hand == 10)
        answer = await here.ask(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nxx")
        assert status_of(answer) == 200
        await here.until(lambda: here.taken.bytes_in_hand == 9)
        for _, writer in slow:
            writer.close()


async def test_what_is_announced_and_does_not_come_takes_no_room() -> None:
    async with house() as here:
        stalled = [await here.connect() for _ in range(8)]
        for _, writer in stalled:
            writer.write(HEAD + b"Content-Length: 16777216\r\n\r\nx")
        await here.until(lambda: here.taken.bytes_in_hand == 8)
        answer = await here.ask(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nxx")
        assert status_of(answer) == 200
        for _, writer in stalled:
            writer.close()


async def test_large_bodies_leave_room_for_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BYTES_IN_HAND_MAX", 1000)
    monkeypatch.setattr(bodies, "SINGLE_BYTES_MAX", 100)
    async with house() as here:
        _, writer = await here.connect()
        writer.write(HEAD + b"Content-Length: 900\r\n\r\n" + b"x" * 740)
        await here.until(lambda: here.taken.bytes_in_hand == 740)
        close = HEAD + b"Connection: close\r\nContent-Length: "
        assert status_of(await here.ask(close + b"120\r\n\r\n" + b"x" * 120)) == 503
        assert status_of(await here.ask(close + b"90\r\n\r\n" + b"x" * 90)) == 200
        assert here.taken.bytes_in_hand == 740
        writer.close()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"POST /" + b"x" * TARGET_BYTES_MAX + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (HEAD + b"X: " + b"x" * (FIELD_BYTES_MAX + 8) + b"\r\n\r\n", 431),
        (HEAD + b"X" * (FIELD_BYTES_MAX + 1) + b": x\r\n\r\n", 431),
        (HEAD + b"".join(b"X-%d: x\r\n" % n for n in range(FIELDS_MAX + 1)) + b"\r\n", 431),
        (HEAD + b"Content-Length: 16777217\r\nConnection: close\r\n\r\n", 413),
        (b"GARBAGE\r\n\r\n", 400),
        (b"BREW /take HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"DELETE /take HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        (b"POST /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (HEAD + b"Connection: close\r\nExpect: miracles\r\nContent-Length: 0\r\n\r\n", 417),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 200),
    ],
)
async def test_what_is_too_much_or_no_http_gets_a_problem(raw: bytes, status: int) -> None:
    async with house() as here:
        reader, writer = await here.connect()
        writer.write(raw)
        async with asyncio.timeout(LIMIT_S):
            head = await reader.readuntil(b"\r\n\r\n")
        assert status_of(head) == status
        assert status == 200 or MEDIA_TYPE.encode() in head
        writer.close()


async def test_a_head_that_grows_without_end_is_cut_before_it_takes_memory() -> None:
    async with house() as here:
        reader, writer = await here.connect()
        writer.write(HEAD)
        await here.until(lambda: len(here.crowd) == 1)
        field = b"X: " + b"x" * 8000 + b"\r\n"
        for _ in range(12):
            writer.write(field)
            await asyncio.sleep(0)
        await here.until(lambda: len(here.crowd) == 0)
        assert here.counted.reasons == ["head"]
        del reader
        writer.close()


async def test_requests_that_follow_each_other_at_once_are_answered_in_order() -> None:
    async with house() as here:
        one = HEAD + b"Content-Length: 1\r\n\r\nx"
        two = HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\nxx"
        answer = await here.ask(one * 40 + two)
        assert answer.count(b"HTTP/1.1 200") == 41
        assert answer.endswith(b"2")
        assert here.crowd._heads == {}  # noqa: SLF001 - what is looked at


async def test_a_kept_connection_is_served_again_and_again() -> None:
    async with house(connections_max=10) as here:
        reader, writer = await here.connect()
        for _ in range(5):
            writer.write(HEAD + b"Content-Length: 1\r\n\r\nx")
            head = await reader.readuntil(b"\r\n\r\n")
            assert status_of(head) == 200
            assert await reader.readexactly(1) == b"1"
            await here.clock.advance(60)
        writer.close()
