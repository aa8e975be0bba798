import asyncio
from pathlib import Path

import pytest
from bench import GUIDE, ROUTE, Bench, bench, document
from msgspec.structs import replace
from sqlalchemy import text

from bridge.domain.outcomes import Failure, Reply
from bridge.domain.routes import RouteTable
from bridge.ports import Parcel
from bridge.services.recording import DispatchPolicy
from bridge.storage import dead_letters, repairs, stories

CALL = (document("call.answered", callerNumber="anonymous"), document("call.ended"))


def states(on: Bench) -> dict[str, str]:
    """Return each delivery's kind and state."""
    with on.engine.connect() as connection:
        story = stories.story(connection, "r1")
    return {row["kind"]: row["state"] for row in story["deliveries"]}


async def test_create_leaves_before_end_and_the_end_only_once_it_is_delivered(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        on.sender.gate = asyncio.Event()
        on.start()
        await on.take(*CALL)
        await on.turn(5)
        assert on.sender.kinds() == ["new_errand"]
        on.sender.gate.set()
        await on.turn()
        assert on.sender.kinds() == ["new_errand", "end_errand"]
        assert states(on) == {"new_errand": "delivered", "end_errand": "delivered"}


async def test_a_claim_is_on_disk_as_sending_before_anything_leaves(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.gate = asyncio.Event()
        on.start()
        await on.take(CALL[0])
        await on.turn()
        assert len(on.sender.sent) == 1
        assert states(on) == {"new_errand": "sending"}


async def test_what_could_not_be_connected_is_tried_again_later(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.script = [Reply(failure=Failure.NOT_CONNECTED)] * 2
        on.start()
        await on.take(CALL[0])
        await on.turn(10)
        assert on.sender.kinds() == ["new_errand"] * 3
        assert [parcel.attempts for parcel in on.sender.sent] == [1, 2, 3]
        assert states(on) == {"new_errand": "delivered"}


async def test_a_refused_create_is_a_dead_letter_and_parks_its_end(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.script = [Reply(status=422, detail="Unprocessable: bad")]
        on.start()
        await on.take(*CALL)
        await on.turn(10)
        assert on.sender.kinds() == ["new_errand"]
        assert states(on) == {"new_errand": "dead", "end_errand": "parked"}
        with on.engine.connect() as connection:
            (create, _) = dead_letters.rows(connection)
        assert create["error"] == "422: Unprocessable: bad"


async def test_an_end_that_comes_after_its_create_died_is_parked_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.script = [Reply(status=422)]
        on.start()
        await on.take(CALL[0])
        await on.turn()
        await on.take(CALL[1])
        await on.turn(5)
        assert states(on) == {"new_errand": "dead", "end_errand": "parked"}


@pytest.mark.parametrize(
    ("in_doubt", "state", "sent"),
    [("resend", "delivered", 2), ("hold", "held", 1), ("reconcile", "doubtful", 1)],
)
async def test_a_create_in_doubt_goes_by_the_policy(
    tmp_path: Path, in_doubt: str, state: str, sent: int
) -> None:
    policy = DispatchPolicy(in_doubt=in_doubt)  # type: ignore[arg-type]  # by parameters
    async with bench(tmp_path, policy=policy) as on:
        on.sender.script = [Reply(failure=Failure.LOST)]
        on.start()
        await on.take(CALL[0])
        await on.turn(10)
        assert states(on) == {"new_errand": state}
        assert len(on.sender.sent) == sent


async def test_what_is_found_sending_at_a_start_is_in_doubt(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.gate = asyncio.Event()
        on.start()
        await on.take(CALL[0])
        await on.turn()
    policy = DispatchPolicy(in_doubt="hold")
    async with bench(tmp_path, policy=policy) as on:
        await on.dispatcher.recover()
        assert states(on) == {"new_errand": "held"}


async def test_a_restart_goes_on_where_it_left_off(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(*CALL)
    async with bench(tmp_path) as on:
        await on.dispatcher.recover()
        on.start()
        await on.turn(2)
        assert on.sender.kinds() == ["new_errand", "end_errand"]


async def test_a_401_pauses_the_route_and_a_probe_opens_it_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.script = [Reply(status=401)]
        on.start()
        await on.take(CALL[0])
        await on.turn()
        await on.take(document("call.answered", "r2", callerNumber="anonymous"))
        await on.turn(30)
        assert len(on.sender.sent) == 1
        await on.turn(40)
        assert states(on) == {"new_errand": "delivered"}
        assert len(on.sender.sent) == 3
        assert on.sender.sent[1].attempts == 1


async def test_a_403_pauses_that_kind_only(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.answer = lambda parcel: Reply(
            status=403 if parcel.kind.value == "contact_card" else 201
        )
        on.start()
        await on.take(document("call.answered"), document("call.ended"))
        await on.turn(30)
        assert sorted(on.sender.kinds()) == ["contact_card", "end_errand", "new_errand"]


async def test_a_new_token_opens_the_gate_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.script = [Reply(status=401)]
        on.start()
        await on.take(CALL[0])
        await on.turn(5)
        on.sender.token = "t2"
        await on.dispatcher.review()
        await on.turn(2)
        assert states(on) == {"new_errand": "delivered"}


async def test_a_429_holds_everything_back_and_costs_no_attempt(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.script = [Reply(status=429, retry_after_s=20)]
        on.start()
        await on.take(CALL[0])
        await on.turn()
        await on.take(document("call.answered", "r2", callerNumber="anonymous"))
        await on.turn(18)
        assert len(on.sender.sent) == 1
        await on.turn(5)
        assert [parcel.attempts for parcel in on.sender.sent] == [1, 1, 1]


async def test_no_minute_sees_more_requests_than_the_limit(tmp_path: Path) -> None:
    async with bench(tmp_path, per_minute=30) as on:
        on.start()
        for number in range(110):
            await on.take(document("call.answered", f"r{number}", callerNumber="anonymous"))
        moments: list[float] = []
        for _ in range(200):
            before = len(on.sender.sent)
            await on.turn(1)
            moments += [on.clock.passed_s] * (len(on.sender.sent) - before)
        assert max(sum(at <= one < at + 60 for one in moments) for at in moments) <= 30
        assert len(moments) >= 0.95 * 100


async def test_a_card_says_what_is_new_when_it_is_sent_and_nothing_twice(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.queued"))
        await on.take(document("call.queued", "r2", contact={"email": ["ada@example.org"]}))
        on.start()
        await on.turn(2)
        await on.take(document("call.queued", "r3"))
        await on.turn(5)
        assert on.sender.kinds() == ["contact_card"]
        assert on.meter.counted.count(("contact", "created")) == 1
        assert on.meter.counted.count(("contact", "unchanged")) == 1


async def test_what_becomes_known_while_a_card_is_under_way_follows_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.gate = asyncio.Event()
        on.start()
        await on.take(document("call.queued"))
        await on.turn()
        await on.take(document("call.queued", "r2", contact={"email": ["ada@example.org"]}))
        await on.turn()
        assert len(on.sender.sent) == 1
        on.sender.gate.set()
        await on.turn(2)
        assert len(on.sender.sent) == 2


async def test_a_card_that_is_refused_never_blocks_the_errand(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.answer = lambda parcel: Reply(
            status=422 if parcel.kind.value == "contact_card" else 201
        )
        on.start()
        await on.take(document("call.answered"), document("call.ended"))
        await on.turn(5)
        assert states(on) == {"new_errand": "delivered", "end_errand": "delivered"}


async def test_an_end_that_is_not_sent_yet_takes_the_newest_agent(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        answered, ended = CALL
        await on.take(answered, ended | {"deviceId": 1, "extensionId": 1})
        later = document("call.ended", eventId="again", deviceId=2, extensionId=2)
        await on.take(later | {"occurredAt": "2026-09-21T14:13:21Z"})
        on.start()
        await on.turn(2)
        assert on.sender.sent[1].payload.agent.device_id == 2  # type: ignore[union-attr]  # an end


async def test_stopping_leaves_what_hangs_as_sending(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.gate = asyncio.Event()
        on.start()
        await on.take(CALL[0])
        await on.turn()
        await on.stop()
        assert states(on) == {"new_errand": "sending"}


async def test_what_waits_at_a_route_that_is_gone_leaves_by_the_default(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        sales = replace(ROUTE, name="sales", queue_names=frozenset({"EHS"}))
        guide = replace(GUIDE, routes=RouteTable((sales,), ROUTE))
        on.ingest.policy = replace(on.ingest.policy, guide=guide)
        await on.take(*CALL)
        await on.dispatcher.recover()
        on.start()
        await on.turn(2)
        assert [parcel.route for parcel in on.sender.sent] == ["default", "default"]


async def test_an_end_whose_errand_left_by_a_route_that_is_gone_still_leaves(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        sales = replace(ROUTE, name="sales", queue_names=frozenset({"EHS"}))
        before = on.ingest.policy
        on.ingest.policy = replace(before, guide=replace(GUIDE, routes=RouteTable((sales,), ROUTE)))
        await on.take(CALL[0])
        await on.dispatcher.recover()
        on.ingest.policy = before
        on.start()
        await on.take(CALL[1])
        await on.turn(2)
        assert on.sender.kinds() == ["new_errand", "end_errand"]


async def test_cards_that_hang_hold_up_no_errand(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        hangs = asyncio.Event()
        answers = on.sender.send

        async def send(parcel: Parcel) -> Reply:
            if parcel.kind.value == "contact_card":
                await hangs.wait()
            return await answers(parcel)

        on.sender.send = send  # type: ignore[method-assign]  # an upstream of which cards hang
        on.start()
        for number in range(60):
            caller = f"+467012345{number:02}"
            await on.take(document("call.queued", f"r{number}", callerNumber=caller))
        await on.turn(3)
        await on.take(document("call.answered", "late", callerNumber="anonymous"))
        await on.turn(1)
        assert on.sender.kinds() == ["new_errand"]
        hangs.set()
        await on.turn(3)
        assert on.sender.kinds().count("contact_card") == 60


async def test_a_clock_that_was_ahead_and_is_set_right_keeps_nothing_waiting(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        on.clock.passed_s += 86_400
        await on.take(CALL[0] | {"occurredAt": "2026-09-22T14:13:20Z"})
        on.clock.passed_s -= 86_400
        on.start()
        await on.turn(3)
        assert states(on) == {"new_errand": "delivered"}


async def test_a_late_401_of_the_old_token_does_not_stop_the_new_one(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.gate = asyncio.Event()
        on.sender.script = [Reply(status=401)]
        on.start()
        await on.take(CALL[0])
        await on.turn()
        on.sender.token = "t2"
        on.sender.gate.set()
        await on.turn(2)
        assert states(on) == {"new_errand": "delivered"}


async def test_a_gate_shut_by_hand_lets_no_probe_through(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.script = [Reply(status=401)]
        on.start()
        await on.take(CALL[0])
        await on.turn()
        with on.engine.begin() as connection:
            repairs.pause(connection, "default", None, on.clock.now_us())
        await on.turn(200)
        assert len(on.sender.sent) == 1
        with on.engine.begin() as connection:
            repairs.resume(connection, "default")
        await on.turn(2)
        assert states(on) == {"new_errand": "delivered"}


async def test_a_shut_route_is_probed_with_one_delivery_at_a_time(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.answer = lambda _parcel: Reply(status=401)
        on.start()
        await on.take(document("call.answered"))
        await on.turn()
        before = len(on.sender.sent)
        await on.turn(61)
        assert len(on.sender.sent) == before + 1


async def test_a_dead_letter_of_a_route_that_is_gone_is_replayed_by_the_default(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        sales = replace(ROUTE, name="sales", queue_names=frozenset({"EHS"}))
        guide = replace(GUIDE, routes=RouteTable((sales,), ROUTE))
        on.ingest.policy = replace(on.ingest.policy, guide=guide)
        await on.take(CALL[0])
        with on.engine.begin() as connection:
            connection.execute(text("UPDATE outbox SET state = 'dead'"))
        await on.dispatcher.recover()
        with on.engine.begin() as connection:
            (row,) = dead_letters.rows(connection)
            repairs.replay(connection, [row["id"]], on.clock.now_us())
        on.start()
        await on.turn(3)
        assert states(on) == {"new_errand": "delivered"}
