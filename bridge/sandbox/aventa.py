"""A simulated Aventa phone system: posts whole calls to the bridge at a steady rate."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from random import Random
from typing import Any, Final

import aiohttp
import orjson
import tenacity

from bridge.sandbox.calls import Call, CallScript

__all__ = [
    "Call",
    "CallScript",
    "Posted",
    "RunOptions",
    "RunStatistics",
    "Timing",
    "run_calls",
]

LATENCIES_KEPT_MAX: Final = 100_000
FAILURES_KEPT_MAX: Final = 20
BACKOFF_SECONDS_MIN: Final = 0.2
BACKOFF_SECONDS_MAX: Final = 5.0
RETRY_AFTER_SECONDS_MAX: Final = 30.0
DETAIL_CHARS_MAX: Final = 300

_LATER: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What to post where.

    Attributes:
        url: the bridge's events URL.
        calls: how many whole calls; 0: until cancelled.
        rate: calls a second.
        token: the bearer token, None where the bridge asks for none.
        concurrency: calls that are being posted at the same time, at most.
        attempts: how often one event is tried while the bridge can't be reached or says 503.
        gap_seconds: the pause between the events of a call.
        timeout_seconds: for one request.
    """

    url: str
    calls: int
    rate: float
    token: str | None = None
    concurrency: int = 64
    attempts: int = 10
    gap_seconds: float = 0.0
    timeout_seconds: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Where time comes from: waits, monotonic seconds, the present, and jitter."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    random: Random = field(default_factory=Random)


@dataclass(slots=True)
class RunStatistics:
    """What has been posted so far; latencies are those of the answers, in seconds."""

    calls_started: int = 0
    calls_posted: int = 0
    calls_failed: int = 0
    events_posted: int = 0
    events_duplicate: int = 0
    retries: int = 0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT_MAX))
    failures: deque[str] = field(default_factory=lambda: deque(maxlen=FAILURES_KEPT_MAX))


@dataclass(frozen=True, slots=True)
class Posted:
    """One event that the bridge has accepted, and how long its answer took.

    Attributes:
        event: as it was posted.
        latency_seconds: from the request that was accepted to its answer.
        ends_call: whether it was the last of its call.
        statistics: of the whole run, this event included.
    """

    event: dict[str, Any]
    latency_seconds: float
    ends_call: bool
    statistics: RunStatistics


class _LaterError(Exception):
    """The event can't be taken now; another try may go better."""

    def __init__(self, reason: str, retry_after_seconds: float = 0.0) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(reason)


class _RefusedError(Exception):
    """The bridge will not take the event however often it is posted."""


async def run_calls(
    session: aiohttp.ClientSession,
    script: CallScript,
    options: RunOptions,
    *,
    on_posted: Callable[[Posted], None] | None = None,
    timing: Timing | None = None,
) -> RunStatistics:
    """Post whole calls; the order of events within a call is kept, calls don't wait for each other.

    Each call begins on time by the rate, unless `concurrency` calls are being posted already. An
    event that can't be posted ends its call, and the run goes on.

    Args:
        session: for the requests.
        script: makes the calls up.
        options: what to post where.
        on_posted: told of each event when it has been accepted.
        timing: where time comes from; by default the real one.

    Returns:
        What was posted, and what went wrong.
    """
    run = _Run(session, options, on_posted, Timing() if timing is None else timing)
    slots = asyncio.Semaphore(options.concurrency)
    clock, started = run.timing.clock, run.timing.clock()

    async def post_call(call: Call) -> None:
        try:
            await run.post_call(call)
        finally:
            slots.release()

    async with asyncio.TaskGroup() as group:
        while options.calls == 0 or run.statistics.calls_started < options.calls:
            wait_seconds = started + run.statistics.calls_started / options.rate - clock()
            if wait_seconds > 0:
                await run.timing.sleep(wait_seconds)
            await slots.acquire()
            run.statistics.calls_started += 1
            group.create_task(post_call(script.make(run.timing.now())))
    return run.statistics


class _Run:
    def __init__(
        self,
        session: aiohttp.ClientSession,
        options: RunOptions,
        on_posted: Callable[[Posted], None] | None,
        timing: Timing,
    ) -> None:
        self.timing = timing
        self.statistics = RunStatistics()
        self._session = session
        self._options = options
        self._on_posted = on_posted
        self._timeout = aiohttp.ClientTimeout(total=options.timeout_seconds)
        self._headers = {"Content-Type": "application/json"}
        if options.token is not None:
            self._headers["Authorization"] = f"Bearer {options.token}"

    async def post_call(self, call: Call) -> None:
        for number, event in enumerate(call.events, 1):
            if number > 1 and self._options.gap_seconds > 0:
                await self.timing.sleep(self._options.gap_seconds)
            try:
                latency_seconds = await self._post_patiently(event)
            except (_LaterError, _RefusedError) as error:
                self.statistics.calls_failed += 1
                self.statistics.failures.append(f"{event['eventId']}: {error}")
                return
            ends_call = number == len(call.events)
            self.statistics.events_posted += 1
            self.statistics.calls_posted += ends_call
            self.statistics.latencies.append(latency_seconds)
            if self._on_posted is not None:
                self._on_posted(Posted(event, latency_seconds, ends_call, self.statistics))

    async def _post_patiently(self, event: dict[str, Any]) -> float:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_LaterError),
            stop=tenacity.stop_after_attempt(self._options.attempts),
            wait=self._wait_seconds,
            before_sleep=self._count_retry,
            sleep=self.timing.sleep,
            reraise=True,
        )
        return await retrying(self._post, event)

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        error = None if state.outcome is None else state.outcome.exception()
        asked = error.retry_after_seconds if isinstance(error, _LaterError) else 0.0
        ceiling = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_MIN * 2.0**state.attempt_number)
        # Half of it is left to chance, so that calls which failed together don't return together.
        own = ceiling * (0.5 + 0.5 * self.timing.random.random())
        return max(min(asked, RETRY_AFTER_SECONDS_MAX), own)

    def _count_retry(self, _: tenacity.RetryCallState) -> None:
        self.statistics.retries += 1

    async def _post(self, event: dict[str, Any]) -> float:
        started = self.timing.clock()
        try:
            async with self._session.post(
                self._options.url,
                data=orjson.dumps(event),
                headers=self._headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                body = await response.read()
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
            raise _LaterError(f"{type(error).__name__}: {error}") from error
        except aiohttp.ClientError as error:
            raise _RefusedError(f"{type(error).__name__}: {error}") from error
        latency_seconds = self.timing.clock() - started
        if response.status in _LATER:
            retry_after = response.headers.get("Retry-After", "")
            raise _LaterError(
                f"HTTP {response.status}", float(retry_after) if retry_after.isdecimal() else 0.0
            )
        if response.status not in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
            shown = body.decode(errors="replace")[:DETAIL_CHARS_MAX]
            raise _RefusedError(f"HTTP {response.status}: {shown}")
        self.statistics.events_duplicate += response.status == HTTPStatus.OK
        return latency_seconds
