import asyncio
from pathlib import Path

import pytest
from bench import ROUTE, document, gate
from offer_bench import OfferBench, answered, ended, hang, offering, queued, some_steps

from bridge.domain.deliveries import Kind, Tier
from bridge.domain.outcomes import Reply
from bridge.ports import Parcel
from bridge.services.breaker import OPEN_AFTER, BreakerState
from bridge.services.channels import Upstream
from bridge.services.dispatch import OFFER_ROUTES_MAX
from bridge.services.ingest import Receipt, Taken
from bridge.services.recording import DispatchPolicy
from bridge.storage import repairs

DEFAULT = {"default"}


def fail_upstream(on: OfferBench) -> None:
    """Have the upstream fail so often that its breaker opens."""
    for _ in range(OPEN_AFTER):
        on.dispatcher.was_read(ROUTE.scope, "errand", Reply(status=503))
    assert not on.dispatcher.is_well(ROUTE.scope)


def breaker(on: OfferBench) -> BreakerState:
    return on.channel.breaker.state


async def test_what_an_event_causes_is_claimed_in_the_commit_that_keeps_it(
    tmp_path: Path,
) -> None:
    async with offering(tmp_path) as on:
        hang(on)
        before = on.commits
        await on.take(answered())
        assert on.commits == before + 1
        assert on.states() == {"new_errand r1": "sending"}
        await some_steps()
        assert on.sent() == ["new_errand r1"]


async def test_all_that_one_commit_causes_leaves_with_it(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        hang(on)
        before = on.commits
        await on.take(answered(), answered("r2"), queued(1))
        assert on.commits == before + 1
        assert on.states() == {"new_errand r1": "sending", "new_errand r2": "sending"}
        assert on.cards() == {"sending": 1}


async def test_a_call_leaves_once_and_its_create_before_its_end(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        on.start()
        hanging = hang(on)
        await on.take(answered(), ended())
        await on.turn(5)
        assert on.sent() == ["new_errand r1"]
        assert on.states() == {"new_errand r1": "sending", "end_errand r1": "blocked"}
        hanging.set()
        await on.turn(5)
        assert on.sent() == ["new_errand r1", "end_errand r1"]
        assert set(on.states().values()) == {"delivered"}


async def test_an_end_that_comes_later_is_claimed_with_its_commit_too(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        await on.take(answered())
        await on.turn()
        assert on.states() == {"new_errand r1": "delivered"}
        hang(on)
        before = on.commits
        await on.take(ended())
        assert on.commits == before + 1
        assert on.states()["end_errand r1"] == "sending"


async def test_the_dispatcher_is_not_told_of_what_has_left_already(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        await on.take(answered(), ended(), queued(1))
        assert on.told == []


async def test_events_that_share_a_commit_share_the_offer_of_the_first(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        hang(on)
        async with on.held():
            taking = [asyncio.create_task(on.take(answered(f"r{number}"))) for number in range(3)]
        await asyncio.gather(*taking)
        assert set(on.states().values()) == {"sending"}
        assert on.told == []
        assert len(on.sender.sent) == 3


async def test_an_event_that_comes_twice_leaves_once(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        on.start()
        receipts = [
            *await on.take(answered(), answered()),
            *await on.take(answered()),
            *await on.take(answered(callerName="Eve")),
        ]
        await on.turn(3)
        assert [one.taken for one in receipts if isinstance(one, Receipt)] == [
            Taken.ACCEPTED,
            Taken.DUPLICATE,
            Taken.DUPLICATE,
            Taken.CONFLICT,
        ]
        assert on.sent() == ["new_errand r1"]


async def test_many_who_come_at_once_leave_once_each_and_each_create_before_its_end(
    tmp_path: Path,
) -> None:
    async with offering(tmp_path, policy=DispatchPolicy(in_flight_max=7)) as on:
        on.start()
        names = [f"r{number}" for number in range(40)]
        await asyncio.gather(*(on.take(answered(name)) for name in names))
        await asyncio.gather(*(on.take(ended(name), answered(f"{name}x")) for name in names))
        await on.turn(10)
        sent = on.sent()
        assert len(sent) == len(set(sent)) == 120
        for name in names:
            assert sent.index(f"new_errand {name}") < sent.index(f"end_errand {name}")
        assert set(on.states().values()) == {"delivered"}


async def test_a_large_batch_leaves_whole(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        on.start()
        await on.take(*(answered(f"r{number}") for number in range(300)))
        await on.turn(10)
        assert len(on.sent()) == len(set(on.sent())) == 300


async def test_what_there_is_no_room_for_is_told_and_leaves_as_room_is_made(
    tmp_path: Path,
) -> None:
    async with offering(tmp_path, policy=DispatchPolicy(in_flight_max=2)) as on:
        hanging = hang(on)
        await on.take(*(answered(f"r{number}") for number in range(5)))
        assert sorted(on.states().values()) == ["ready"] * 3 + ["sending"] * 2
        assert set(on.told) == {gate(Kind.NEW_ERRAND)}
        await on.take(answered("late"))
        assert on.states()["new_errand late"] == "ready"
        on.start()
        hanging.set()
        await on.turn()
        assert len(on.sent()) == len(set(on.sent())) == 6


async def test_of_what_an_event_causes_only_what_may_still_wait_is_told(tmp_path: Path) -> None:
    async with offering(tmp_path, policy=DispatchPolicy(in_flight_max=2)) as on:
        hang(on)
        await on.take(document("call.answered"))
        assert on.states() == {"new_errand r1": "sending"}
        assert on.cards() == {"sending": 1}
        assert on.told == [gate(Kind.CONTACT_CARD)]


async def test_what_is_heard_of_while_a_commit_runs_leaves_right_after_it(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        on.start()
        await on.turn(2)
        with on.engine.begin() as connection:
            repairs.pause(connection, "default", None, on.clock.now_us())
        await on.take(answered())
        await on.turn(120, step_s=60)
        with on.engine.begin() as connection:
            repairs.resume(connection, "default")
        async with on.held():
            taking = asyncio.create_task(on.take(queued(1, callerNumber="anonymous")))
            await some_steps()
            on.dispatcher.wake([gate(Kind.NEW_ERRAND)], [Tier.OLD])
        await taking
        await on.turn()
        assert on.sent() == ["new_errand r1"]


async def test_nothing_is_claimed_while_the_rate_leaves_no_room(tmp_path: Path) -> None:
    async with offering(tmp_path, per_minute=30) as on:
        assert on.dispatcher.offer(DEFAULT) is None
        await on.take(answered())
        assert on.states() == {"new_errand r1": "ready"}
        assert on.told == [gate(Kind.NEW_ERRAND)]
        on.start()
        await on.turn(3)
        assert on.sent() == ["new_errand r1"]


async def test_no_minute_sees_more_requests_than_the_limit_with_offers(tmp_path: Path) -> None:
    async with offering(tmp_path, per_minute=30) as on:
        on.start()
        moments: list[float] = []
        for number in range(100):
            before = len(on.sender.sent)
            await on.take(answered(f"r{number}"))
            await on.turn(1)
            moments += [on.clock.passed_s] * (len(on.sender.sent) - before)
        assert max(sum(at <= one < at + 60 for one in moments) for at in moments) <= 30
        assert len(moments) >= 0.95 * 30 * 100 / 60 - 1


async def test_a_429_to_what_was_offered_holds_the_next_back(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        on.sender.script = [Reply(status=429, retry_after_s=20)]
        on.start()
        await on.take(answered())
        await on.turn()
        await on.take(answered("r2"))
        await on.turn(18)
        assert on.sent() == ["new_errand r1"]
        await on.turn(5)
        assert set(on.states().values()) == {"delivered"}


async def test_nothing_is_claimed_while_the_breaker_is_open_or_half_open(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        fail_upstream(on)
        await on.take(answered())
        assert breaker(on) is BreakerState.OPEN
        on.clock.advance(10)
        await on.take(answered("r2"))
        assert breaker(on) is BreakerState.HALF_OPEN
        assert set(on.states().values()) == {"ready"}
        assert on.sent() == []
        on.start()
        await on.turn(2)
        assert sorted(on.sent()) == ["new_errand r1", "new_errand r2"]
        hang(on)
        await on.take(answered("r3"))
        assert on.states()["new_errand r3"] == "sending"


async def test_one_claim_is_under_way_at_a_time(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        offer = on.dispatcher.offer(DEFAULT)
        assert offer is not None
        assert on.dispatcher.offer(DEFAULT) is None
        await on.take(answered())
        assert on.states() == {"new_errand r1": "ready"}
        on.dispatcher.taken_up(offer, None)
        again = on.dispatcher.offer(DEFAULT)
        assert again is not None
        assert again.wanted.hot >= offer.wanted.hot
        on.dispatcher.taken_up(again, None)
        on.start()
        await on.turn()
        assert on.sent() == ["new_errand r1"]


async def test_no_offer_is_made_while_the_dispatcher_claims_by_itself(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        on.start()
        await on.turn(2)
        async with on.held():
            on.dispatcher.wake([gate(Kind.NEW_ERRAND)])
            await some_steps()
            taking = asyncio.create_task(on.take(answered()))
            await some_steps()
            assert on.dispatcher.offer(DEFAULT) is None
        await taking
        await on.turn()
        assert on.sent() == ["new_errand r1"]


async def test_no_offer_is_made_when_it_is_the_turn_of_whoever_waits_to_read(
    tmp_path: Path,
) -> None:
    async with offering(tmp_path) as on:
        reading = asyncio.create_task(on.dispatcher.leave_to_read(ROUTE.scope))
        await some_steps()
        await on.take(answered())
        assert on.states() == {"new_errand r1": "ready"}
        on.start()
        await on.turn()
        assert reading.done()
        assert on.sent() == ["new_errand r1"]


@pytest.mark.parametrize(
    ("count", "state"), [(OFFER_ROUTES_MAX, "sending"), (OFFER_ROUTES_MAX + 1, "ready")]
)
async def test_an_offer_is_made_for_events_of_a_few_routes_only(
    tmp_path: Path, count: int, state: str
) -> None:
    async with offering(tmp_path) as on:
        names = [f"queue{number}" for number in range(count)]
        on.split(*names)
        hang(on)
        await on.take(*(answered(f"r-{name}", queueName=name) for name in names))
        assert list(on.states().values()) == [state] * count
        on.start()
        await on.turn()
        assert sorted(one.route for one in on.sender.sent) == names


async def test_an_event_of_a_route_that_no_upstream_has_is_kept_and_claimed_by_none(
    tmp_path: Path,
) -> None:
    async with offering(tmp_path) as on:
        on.split("sales")
        on.lead(Upstream(ROUTE.scope, frozenset(DEFAULT), 1_000_000))
        await on.take(answered(queueName="sales"))
        assert on.states() == {"new_errand r1": "ready"}
        assert not on.channel.is_claiming


async def test_events_of_two_upstreams_in_one_commit_all_leave_once(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        on.split("sales")
        on.lead(
            Upstream(ROUTE.scope, frozenset(DEFAULT), 1_000_000),
            Upstream("elsewhere", frozenset({"sales"}), 1_000_000),
        )
        on.clock.advance(1)
        on.start()
        await on.turn()
        await on.take(answered(), answered("r2", queueName="sales"))
        await on.turn()
        scopes = sorted((one.route, one.scope) for one in on.sender.sent)
        assert scopes == [("default", ROUTE.scope), ("sales", "elsewhere")]


async def test_a_shut_gate_keeps_its_deliveries(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        on.start()
        await on.turn(2)
        with on.engine.begin() as connection:
            repairs.pause(connection, "default", None, on.clock.now_us())
        await on.take(answered(), queued(1))
        await on.turn(5)
        assert on.states() == {"new_errand r1": "ready"}
        assert on.cards() == {"ready": 1}
        assert on.sent() == []
        with on.engine.begin() as connection:
            repairs.resume(connection, "default")
        await on.turn(2)
        assert sorted(on.sent()) == ["contact_card", "new_errand r1"]


async def test_a_gate_that_is_shut_for_cards_lets_errands_through(tmp_path: Path) -> None:
    async with offering(tmp_path) as on:
        with on.engine.begin() as connection:
            repairs.pause(connection, "default", Kind.CONTACT_CARD, on.clock.now_us())
        hang(on)
        await on.take(answered(), queued(1))
        assert on.states() == {"new_errand r1": "sending"}
        assert on.cards() == {"ready": 1}


async def test_a_route_that_was_refused_is_probed_by_no_more_than_one_offer(
    tmp_path: Path,
) -> None:
    async with offering(tmp_path) as on:
        on.sender.answer = lambda _parcel: Reply(status=401)
        on.start()
        await on.take(answered())
        await on.turn()
        for number in range(5):
            await on.take(answered(f"r{number + 2}"))
            await on.turn(1)
        assert len(on.sender.sent) == 1
        await on.turn(61)
        await on.take(*(answered(f"s{number}") for number in range(5)))
        await on.turn(1)
        assert len(on.sender.sent) == 2


async def test_cards_keep_within_their_share_and_hold_up_no_errand(tmp_path: Path) -> None:
    async with offering(tmp_path, policy=DispatchPolicy(in_flight_max=8)) as on:
        hanging = asyncio.Event()
        answers = on.sender.send

        async def send(parcel: Parcel) -> Reply:
            if parcel.kind is Kind.CONTACT_CARD:
                await hanging.wait()
            return await answers(parcel)

        on.sender.send = send  # type: ignore[method-assign]  # an upstream of which cards hang
        on.start()
        for number in range(5):
            await on.take(queued(2 * number), queued(2 * number + 1))
            assert on.cards()["sending"] == 2
        await on.turn(2)
        assert on.cards() == {"sending": 2, "ready": 8}
        await on.take(answered(), queued(99))
        assert on.cards() == {"sending": 2, "ready": 9}
        await on.turn()
        assert on.sent() == ["new_errand r1"]
        hanging.set()
        await on.turn(2)
        assert on.cards() == {"delivered": 11}
        assert on.sent().count("contact_card") == 11
