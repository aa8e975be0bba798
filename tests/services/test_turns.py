"""Who leaves first: live before old, retries within their share, the breaker, wrong workspaces."""

import asyncio
from pathlib import Path

from bench import GUIDE, ROUTE, Bench, bench, document
from msgspec.structs import replace
from sqlalchemy import text

from bridge.domain.errors import StoreUnavailable
from bridge.domain.outcomes import Failure, Reply
from bridge.domain.routes import RouteTable
from bridge.ports import Parcel
from bridge.services.breaker import BreakerState
from bridge.services.channels import Upstream
from bridge.storage import dead_letters, queries, stories

AWAY = Reply(failure=Failure.NOT_CONNECTED)


def call(name: str) -> dict[str, object]:
    return document("call.answered", name, callerNumber="anonymous")


def breaker_of(on: Bench) -> BreakerState:
    (channel,) = on.dispatcher.channels
    return channel.breaker.state


async def backlog(on: Bench, count: int) -> None:
    """Keep calls that are old by the time anything leaves."""
    for start in range(0, count, 250):
        await on.take(*(call(f"old{start + one}") for one in range(min(250, count - start))))
    on.clock.advance(120)


async def test_a_new_calls_errand_leaves_before_a_backlog(tmp_path: Path) -> None:
    async with bench(tmp_path, per_minute=600) as on:
        await backlog(on, 500)
        on.start()
        await on.turn(5)
        waits = []
        for number in range(20):
            took_s = on.clock.passed_s
            await on.take(call(f"new{number}"))
            while not any(one.reference_id == f"new{number}" for one in on.sender.sent):
                await on.turn(0.1, step_s=0.1)
            waits.append(on.clock.passed_s - took_s)
            await on.turn(1)
        assert max(waits) <= 1.0


async def test_the_backlog_goes_on_while_more_calls_come_than_may_leave(tmp_path: Path) -> None:
    async with bench(tmp_path, per_minute=60) as on:
        await backlog(on, 100)
        on.start()
        for number in range(120):
            await on.take(call(f"a{number}"), call(f"b{number}"))
            await on.turn(1)
        old = sum(one.reference_id.startswith("old") for one in on.sender.sent)
        assert len(on.sender.sent) >= 110
        assert 0.09 * len(on.sender.sent) <= old <= 0.2 * len(on.sender.sent)


async def test_of_those_that_came_a_moment_ago_the_newest_leaves_first(tmp_path: Path) -> None:
    async with bench(tmp_path, per_minute=60) as on:
        for number in range(10):
            on.clock.advance(0.1)
            await on.take(call(f"r{number}"))
        on.start()
        await on.turn(3)
        first = [one.reference_id for one in on.sender.sent]
        assert first[0] in {"r9", "r0"}
        assert "r8" in first


async def test_retries_take_a_tenth_while_first_attempts_wait_and_then_all(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, per_minute=600) as on:
        await backlog(on, 300)
        with on.engine.begin() as connection:
            half = "UPDATE outbox SET tier = 1, attempts = 3, first_us = due_us WHERE id % 2"
            connection.execute(text(half))
        on.start()
        while len(on.sender.sent) < 100:
            await on.turn(0.1, step_s=0.1)
        retried = [one.attempts > 1 for one in on.sender.sent[:100]]
        assert 8 <= sum(retried) <= 12
        before_s = on.clock.passed_s
        while len(on.sender.sent) < 300:
            await on.turn(0.1, step_s=0.1)
        assert on.clock.passed_s - before_s <= 200 / 10 * 1.1


async def test_a_retry_leaves_when_its_time_has_come_and_not_a_poll_later(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        on.sender.script = [AWAY]
        on.start()
        await on.take(call("r1"))
        await on.turn()
        assert len(on.sender.sent) == 1
        await on.turn(0.3, step_s=0.05)
        assert len(on.sender.sent) == 2


async def test_an_upstream_that_is_away_is_asked_now_and_then_only(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.answer = lambda _parcel: AWAY
        on.start()
        await on.take(*(call(f"r{number}") for number in range(200)))
        await on.turn(1)
        assert breaker_of(on) is not BreakerState.CLOSED
        before = len(on.sender.sent)
        await on.turn(60)
        assert 5 <= len(on.sender.sent) - before <= 60
        assert ("breaker", "cention", 2) in on.meter.counted
        said = [fields["state"] for event, fields in on.log.said if event == "circuit breaker"]
        assert said == ["open"]


async def test_once_it_is_back_everything_leaves(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.answer = lambda _parcel: AWAY
        on.start()
        await on.take(*(call(f"r{number}") for number in range(50)))
        await on.turn(30)
        on.sender.answer = None
        before = len(on.sender.sent)
        await on.turn(60)
        assert len({one.reference_id for one in on.sender.sent[before:]}) == 50
        assert breaker_of(on) is BreakerState.CLOSED
        assert on.meter.counted[-1] != ("breaker", "cention", 2)


async def test_an_upstream_that_is_away_holds_up_no_other(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        other = replace(ROUTE, name="sales", workspace="other", queue_names=frozenset({"Sales"}))
        guide = replace(GUIDE, routes=RouteTable((other,), ROUTE))
        on.ingest.policy = replace(on.ingest.policy, guide=guide)
        upstreams = [*on.upstreams, Upstream(other.scope, frozenset({"sales"}), 1_000_000, "two")]
        on.dispatcher.reconfigure(on.dispatcher.recorder.policy, upstreams)
        on.sender.answer = lambda parcel: (
            AWAY if parcel.route == "default" else Reply(status=201, remote_id="1")
        )
        on.start()
        await on.take(*(call(f"r{number}") for number in range(50)))
        await on.turn(3)
        await on.take(call("s1") | {"queueName": "Sales"})
        await on.turn()
        assert on.sender.sent[-1].reference_id == "s1"


async def test_while_it_is_open_what_may_be_repeated_is_the_probe(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.answer = lambda _parcel: AWAY
        on.start()
        await on.take(*(call(f"r{number}") for number in range(20)))
        await on.take(document("call.queued", "q1"))
        await on.turn(1)
        before = len(on.sender.sent)
        await on.turn(4)
        assert {one.kind.value for one in on.sender.sent[before:]} == {"contact_card"}


async def test_a_wrong_workspace_is_paused_and_nothing_becomes_a_dead_letter(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        on.sender.answer = lambda _parcel: Reply(status=404)
        on.start()
        await on.take(*(call(f"r{number}") for number in range(20)))
        await on.turn(30)
        with on.engine.connect() as connection:
            assert {(one["reason"], one["kind"]) for one in queries.pauses(connection)} == {
                ("404", "*")
            }
            assert not dead_letters.rows(connection)
        sent = len(on.sender.sent)
        on.sender.answer = None
        await on.turn(100)
        assert len({one.reference_id for one in on.sender.sent[sent:]}) == 20
        with on.engine.connect() as connection:
            assert not queries.pauses(connection)


async def test_one_that_is_not_found_among_others_that_are_is_a_dead_letter(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        on.sender.answer = lambda parcel: Reply(
            status=404 if parcel.reference_id == "lost" else 201, remote_id="1"
        )
        on.start()
        await on.take(call("lost"))
        for number in range(20):
            await on.take(call(f"r{number}"))
            await on.turn(1)
        with on.engine.connect() as connection:
            (letter,) = dead_letters.rows(connection)
            assert not queries.pauses(connection)
        assert letter["reference_id"] == "lost"
        assert letter["attempts"] == 3


async def test_what_cannot_be_read_any_more_is_set_aside_and_stops_nothing(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        await on.take(call("r1"), document("call.ended", "r1"))
        with on.engine.begin() as connection:
            broken = "UPDATE outbox SET payload = x'7b7d' WHERE kind = 'new_errand'"
            connection.execute(text(broken))
        on.start()
        await on.take(call("r2"))
        await on.turn(3)
        with on.engine.connect() as connection:
            states = [row["state"] for row in stories.story(connection, "r1")["deliveries"]]
        assert states == ["dead", "parked"]
        assert [one.reference_id for one in on.sender.sent] == ["r2"]


async def test_gates_take_turns_however_many_leave_at_a_time(tmp_path: Path) -> None:
    async with bench(tmp_path, per_minute=480) as on:
        other = replace(ROUTE, name="sales", queue_names=frozenset({"Sales"}))
        guide = replace(GUIDE, routes=RouteTable((other,), ROUTE))
        on.ingest.policy = replace(on.ingest.policy, guide=guide)
        upstreams = [Upstream(ROUTE.scope, frozenset({"default", "sales"}), 480)]
        on.dispatcher.reconfigure(on.dispatcher.recorder.policy, upstreams)
        for number in range(200):
            await on.take(call(f"a{number}"), call(f"b{number}") | {"queueName": "Sales"})
        on.clock.advance(120)
        on.start()
        await on.turn(20)
        routes = [one.route for one in on.sender.sent]
        assert min(routes.count("default"), routes.count("sales")) >= 0.4 * len(routes)


async def test_cards_wait_for_errands_but_not_for_ever(tmp_path: Path) -> None:
    async with bench(tmp_path, per_minute=60) as on:
        for number in range(40):
            caller = f"+467012345{number:02}"
            await on.take(document("call.queued", f"q{number}", callerNumber=caller))
        for number in range(40):
            await on.take(call(f"r{number}"))
        on.start()
        while len(on.sender.sent) < 30:
            await on.turn(1)
        kinds = on.sender.kinds()[:30]
        assert 2 <= kinds.count("contact_card") <= 4


async def test_a_reader_gets_its_turn_however_many_leave_at_a_time(tmp_path: Path) -> None:
    async with bench(tmp_path, per_minute=480) as on:
        await backlog(on, 500)
        on.start()
        await on.turn(1)
        reading = asyncio.ensure_future(on.dispatcher.leave_to_read(ROUTE.scope))
        await on.turn(4)
        assert reading.done()


async def test_a_request_that_could_not_even_be_put_together_stops_nothing(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:

        def fail(parcel: Parcel) -> Reply:
            if parcel.reference_id == "odd" and parcel.attempts == 1:
                raise TypeError
            return Reply(status=201, remote_id="1")

        on.sender.answer = fail
        on.start()
        await on.take(call("odd"), call("r1"))
        await on.turn(5)
        assert [one.reference_id for one in on.sender.sent].count("odd") == 2


async def test_the_pause_of_a_route_that_is_gone_goes_too(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        with on.engine.begin() as connection:
            mark = on.sender.token_mark("sales")
            row = f"('sales', '*', '401', 1, 1, '{mark}')"
            connection.execute(text(f"INSERT INTO pauses VALUES {row}"))  # noqa: S608 - our own
        await on.dispatcher.review()
        with on.engine.connect() as connection:
            assert not queries.pauses(connection)


async def test_new_settings_are_applied_to_what_waits_as_soon_as_the_store_can_be_written(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        sales = replace(ROUTE, name="sales", queue_names=frozenset({"EHS"}))
        before = on.ingest.policy
        guide = replace(GUIDE, routes=RouteTable((sales,), ROUTE))
        on.ingest.policy = replace(before, guide=guide)
        await on.take(call("r1"))
        on.ingest.policy = before
        submits = on.writer.submit

        async def refuse(*_: object) -> None:
            raise StoreUnavailable

        on.writer.submit = refuse  # type: ignore[method-assign,assignment]  # a full disk
        on.dispatcher.reconfigure(on.dispatcher.recorder.policy, on.upstreams)
        on.start()
        on.clock.advance(0)
        for _ in range(20):
            await asyncio.sleep(0)
        on.writer.submit = submits  # type: ignore[method-assign]  # there is room again
        await on.turn(5)
        assert [one.route for one in on.sender.sent] == ["default"]
