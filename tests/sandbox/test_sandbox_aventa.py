import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from random import Random
from typing import Any

import phonenumbers
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from bridge.sandbox.aventa import (
    CallScript,
    Posted,
    RunOptions,
    RunStatistics,
    Timing,
    run_calls,
)
from bridge.sandbox.calls import QUEUES, Call

START = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
ANSWERED = ["call.queued", "call.answered", "call.ended"]


def seeded(seed: int = 1) -> Random:
    return Random(seed)  # noqa: S311 - made-up calls, no secrets


def make_calls(count: int, *, seed: int = 1, answered_only: bool = False) -> list[Call]:
    script = CallScript(seeded(seed), started_at=START, answered_only=answered_only)
    return [script.make(START + timedelta(seconds=number)) for number in range(count)]


def types(call: Call) -> list[str]:
    return [event["eventType"] for event in call.events]


class TestScript:
    def test_every_number_is_valid(self) -> None:
        for queue in QUEUES:
            assert phonenumbers.is_valid_number(phonenumbers.parse(f"+{queue.dest_number}"))
        numbers = {call.events[0]["callerNumber"] for call in make_calls(20_000)} - {"anonymous"}
        assert len(numbers) > 5_000
        regions = Counter(
            phonenumbers.region_code_for_number(phonenumbers.parse(number)) for number in numbers
        )
        assert set(regions) == {"SE", "NO", "MY"}
        for number in numbers:
            parsed = phonenumbers.parse(number)
            assert phonenumbers.is_valid_number(parsed), number
            assert phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE

    def test_the_same_seed_and_start_make_the_same_calls(self) -> None:
        assert make_calls(50) == make_calls(50)
        assert make_calls(50) != make_calls(50, seed=2)

    def test_calls_of_another_start_are_others_even_with_the_same_seed(self) -> None:
        later = CallScript(seeded(), started_at=START + timedelta(seconds=1))
        assert later.make(START).reference_id != make_calls(1)[0].reference_id

    def test_a_call_has_the_fields_of_the_contract(self) -> None:
        for call in make_calls(500):
            for number, event in enumerate(call.events, 1):
                assert event["eventId"] == f"{call.reference_id}-{number}"
                assert event["referenceId"] == call.reference_id
                assert all(event[name] for name in ("destNumber", "queueName", "queueNumber"))
                assert ("deviceId" in event) == ("extensionId" in event)
                has_agent = event["eventType"] not in {"call.queued", "call.abandoned"}
                assert ("deviceId" in event) == has_agent
                assert None not in event.values()
                assert "" not in event.values()

    def test_events_are_in_order_and_the_call_ends_now(self) -> None:
        for number, call in enumerate(make_calls(200)):
            times = [datetime.fromisoformat(event["occurredAt"]) for event in call.events]
            assert all(earlier < later for earlier, later in pairwise(times))
            assert times[-1] == START + timedelta(seconds=number)

    def test_times_are_given_in_utc(self) -> None:
        script = CallScript(seeded(), started_at=START)
        call = script.make(START.astimezone(timezone(timedelta(hours=8))))
        assert call.events[-1]["occurredAt"] == "2026-03-01T09:30:00.000Z"

    def test_a_time_without_zone_is_refused(self) -> None:
        naive = START.replace(tzinfo=None)
        with pytest.raises(ValueError, match="time zone"):
            CallScript(seeded(), started_at=naive)
        with pytest.raises(ValueError, match="time zone"):
            CallScript(seeded(), started_at=START).make(naive)

    def test_calls_are_answered_abandoned_or_transferred(self) -> None:
        kinds = Counter(tuple(types(call)) for call in make_calls(1000))
        assert set(kinds) == {
            ("call.queued", "call.answered", "call.ended"),
            ("call.queued", "call.abandoned"),
            ("call.queued", "call.answered", "call.transferred", "call.ended"),
        }
        assert kinds.most_common(1)[0][0] == tuple(ANSWERED)

    def test_every_call_is_answered_where_only_those_are_wanted(self) -> None:
        assert all(types(call) == ANSWERED for call in make_calls(1000, answered_only=True))

    def test_the_end_names_the_agent_that_the_call_was_transferred_to(self) -> None:
        transferred = [call for call in make_calls(500) if len(call.events) == 4]
        for call in transferred:
            assert call.events[3]["deviceId"] == call.events[2]["deviceId"]
        assert any(call.events[1]["deviceId"] != call.events[2]["deviceId"] for call in transferred)

    def test_callers_return_withhold_their_number_and_have_cuids(self) -> None:
        firsts = [call.events[0] for call in make_calls(2000)]
        numbers = Counter(event["callerNumber"] for event in firsts)
        assert 50 < numbers.pop("anonymous") < 300
        assert any(count > 1 for count in numbers.values())
        cuids: dict[str, set[str | None]] = {}
        for event in firsts:
            if event["callerNumber"] != "anonymous":
                cuids.setdefault(event["callerNumber"], set()).add(event.get("cuid"))
        assert all(len(known) == 1 for known in cuids.values())
        assert {None} in cuids.values()
        assert any(None not in known for known in cuids.values())
        assert not any("cuid" in event for event in firsts if event["callerNumber"] == "anonymous")

    def test_some_calls_have_a_reason_a_comment_or_a_recording(self) -> None:
        answers = [call.events[1] for call in make_calls(200, answered_only=True)]
        reasons = [event.get("extraData", {}) for event in answers]
        assert any(reason.get("callReason") for reason in reasons)
        assert any(reason.get("comment") for reason in reasons)
        assert any(not reason for reason in reasons)
        assert any(event.get("link", "").startswith("https://") for event in answers)


@dataclass
class Time:
    """A clock that only waits move on."""

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)

    @property
    def timing(self) -> Timing:
        return Timing(
            sleep=self.sleep,
            clock=lambda: self.seconds,
            now=lambda: START + timedelta(seconds=self.seconds),
            random=seeded(),
        )


class Bridge:
    """Takes events as the bridge does, or as the test says."""

    def __init__(self) -> None:
        self.url = ""
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[web.Response | Exception] = []
        self.active = 0
        self.active_max = 0
        self.two_active = asyncio.Event()
        self.hold: asyncio.Event | None = None

    async def take(self, request: web.Request) -> web.Response:
        event = await request.json()
        self.headers.append(dict(request.headers))
        self.active += 1
        self.active_max = max(self.active_max, self.active)
        if self.active >= 2:
            self.two_active.set()
        if self.hold is not None:
            await self.hold.wait()
        self.active -= 1
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            if answer.status != 200:
                return answer
        self.events.append(event)
        status = 200 if len({item["eventId"] for item in self.events}) < len(self.events) else 202
        return web.json_response({"eventId": event["eventId"]}, status=status)


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    fake = Bridge()
    app = web.Application()
    app.router.add_post("/v1/events", fake.take)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/v1/events"))
        yield fake


async def run(
    url: str,
    time: Time,
    on_posted: Callable[[Posted], None] | None = None,
    **options: Any,
) -> RunStatistics:
    script = CallScript(seeded(), started_at=START, answered_only=True)
    async with ClientSession() as session:
        return await run_calls(
            session,
            script,
            RunOptions(**{"url": url, "calls": 3, "rate": 2.0, **options}),
            on_posted=on_posted,
            timing=time.timing,
        )


class TestRun:
    async def test_whole_calls_are_posted_in_the_order_of_their_events(
        self, bridge: Bridge
    ) -> None:
        statistics = await run(bridge.url, Time(), calls=20)

        assert (statistics.calls_posted, statistics.events_posted) == (20, 60)
        assert (statistics.calls_failed, statistics.retries) == (0, 0)
        assert len(statistics.latencies) == 60
        by_call: dict[str, list[str]] = {}
        for event in bridge.events:
            by_call.setdefault(event["referenceId"], []).append(event["eventType"])
        assert len(by_call) == 20
        assert all(kinds == ANSWERED for kinds in by_call.values())
        assert "Authorization" not in bridge.headers[0]

    async def test_calls_begin_at_the_rate_and_events_after_the_gap(self, bridge: Bridge) -> None:
        time = Time()
        await run(bridge.url, time, calls=3, rate=4.0)
        assert time.waits == pytest.approx([0.25, 0.25])
        time = Time()
        await run(bridge.url, time, calls=1, gap_seconds=1.5)
        assert time.waits == [1.5, 1.5]

    async def test_a_token_is_sent(self, bridge: Bridge) -> None:
        await run(bridge.url, Time(), calls=1, token="secret")
        assert {headers["Authorization"] for headers in bridge.headers} == {"Bearer secret"}
        assert {headers["Content-Type"] for headers in bridge.headers} == {"application/json"}

    async def test_progress_is_told_of_each_event(self, bridge: Bridge) -> None:
        seen: list[tuple[str, bool, int]] = []

        def on_posted(posted: Posted) -> None:
            assert posted.latency_seconds >= 0
            seen.append(
                (posted.event["eventType"], posted.ends_call, posted.statistics.events_posted)
            )

        await run(bridge.url, Time(), on_posted, calls=1)

        assert seen == list(zip(ANSWERED, [False, False, True], [1, 2, 3], strict=True))

    async def test_no_more_calls_than_allowed_are_posted_at_once(self, bridge: Bridge) -> None:
        bridge.hold = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(run(bridge.url, Time(), calls=10, concurrency=2))
            await bridge.two_active.wait()
            bridge.hold.set()
        assert running.result().calls_posted == 10
        assert bridge.active_max == 2

    async def test_503_is_tried_again_after_what_it_asks_for(self, bridge: Bridge) -> None:
        time = Time()
        bridge.answers = [web.Response(status=503, headers={"Retry-After": "7"})]
        statistics = await run(bridge.url, time, calls=1)
        assert (statistics.calls_posted, statistics.retries) == (1, 1)
        assert time.waits == [7.0]

    async def test_a_lost_answer_is_tried_again_and_may_be_a_duplicate(
        self, bridge: Bridge
    ) -> None:
        time = Time()
        bridge.answers = [ConnectionError(), web.Response(status=429)]
        statistics = await run(bridge.url, time, calls=1)
        assert (statistics.calls_posted, statistics.retries) == (1, 2)
        first, second = time.waits
        assert 0 < first < second <= 1

    async def test_who_cannot_be_reached_is_given_up_in_the_end(self, unused_tcp_port: int) -> None:
        time = Time()
        url = f"http://127.0.0.1:{unused_tcp_port}/v1/events"
        statistics = await run(url, time, calls=2, attempts=4)
        assert (statistics.calls_posted, statistics.calls_failed) == (0, 2)
        assert statistics.retries == 6
        assert len(statistics.failures) == 2
        assert "ClientConnectorError" in statistics.failures[0]

    async def test_a_refused_event_ends_its_call_and_the_run_goes_on(self, bridge: Bridge) -> None:
        bridge.answers = [web.Response(status=422, text="/destNumber is no MSISDN")]
        statistics = await run(bridge.url, Time(), calls=2, concurrency=1)
        assert (statistics.calls_posted, statistics.calls_failed) == (1, 1)
        assert len(bridge.events) == 3
        [failure] = statistics.failures
        assert failure.endswith("-1: HTTP 422: /destNumber is no MSISDN")

    async def test_a_wrong_url_is_not_tried_again(self) -> None:
        statistics = await run("http://", Time(), calls=1)
        assert (statistics.calls_failed, statistics.retries) == (1, 0)

    async def test_without_a_number_of_calls_it_goes_on_until_cancelled(
        self, bridge: Bridge
    ) -> None:
        enough = asyncio.Event()

        def on_posted(posted: Posted) -> None:
            if posted.statistics.calls_posted >= 5:
                enough.set()

        running = asyncio.create_task(run(bridge.url, Time(), on_posted, calls=0))
        await enough.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
