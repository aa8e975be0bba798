import asyncio
import dataclasses
from pathlib import Path

import pytest
from bench import ROUTE, bench, document
from hand_cention import LOST
from lookup_bench import ANSWERED, ENDED, OTHERS, looking, stands

from bridge.domain.outcomes import Failure, Reply
from bridge.services.recording import DispatchPolicy
from bridge.storage import stories


async def test_an_errand_whose_answer_was_dropped_is_found_and_not_sent_again(
    tmp_path: Path,
) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["dropped"]
        await on.take(ANSWERED, ENDED)
        await on.turn(5)
        assert [parcel.kind.value for parcel in on.cention.sent] == ["new_errand", "end_errand"]
        assert stands(on) == [
            ("new_errand", "delivered", "511056"),
            ("end_errand", "delivered", ""),
        ]
        assert ("lookup", "found") in on.meter.counted


async def test_an_errand_that_never_arrived_is_sent_again_once_it_can_be_believed(
    tmp_path: Path,
) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["lost"]
        await on.take(ANSWERED)
        await on.turn(89)
        assert len(on.cention.sent) == 1
        await on.turn(20)
        first, again = on.cention.sent
        assert first.message_id == again.message_id
        assert stands(on) == [("new_errand", "delivered", "511056")]
        assert ("lookup", "absent") in on.meter.counted


async def test_an_errand_that_appears_late_is_found_and_not_doubled(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = [80.0]
        await on.take(ANSWERED)
        await on.turn(200)
        assert len(on.cention.sent) == 1
        assert stands(on) == [("new_errand", "delivered", "511056")]


async def test_what_of_others_was_changed_is_changed_afterwards(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        others = {on.cention.make(OTHERS) for _ in range(30)}
        on.cention.creates = ["lost", "dropped"]
        await on.take(ANSWERED)
        others |= {on.cention.make(OTHERS) for _ in range(30)}
        await on.turn(300)
        assert others <= on.cention.dirty
        assert len(on.cention.markers()) == 61


async def test_others_errands_are_read_once_however_often_is_looked(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        for _ in range(25):
            on.cention.make(OTHERS)
        on.cention.creates = ["lost"] * 3
        await on.take(ANSWERED)
        await on.turn(400)
        reads = [one for one in on.cention.asked if one.startswith("errand/")]
        assert len(reads) == len(set(reads))


async def test_errands_that_were_there_before_are_not_read(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        await on.take(document("call.answered", "r0", callerNumber="anonymous"))
        await on.turn(1)
        on.cention.dirty.update(range(400000, 400050))
        on.cention.bodies.update(dict.fromkeys(range(400000, 400050), OTHERS))
        on.cention.creates = ["dropped"]
        await on.take(ANSWERED)
        await on.turn(5)
        assert [one for one in on.cention.asked if one.startswith("errand/")] == ["errand/511057"]


async def test_what_was_read_and_not_put_back_before_a_crash_is_put_back_at_the_start(
    tmp_path: Path,
) -> None:
    async with looking(tmp_path) as on:
        others = [on.cention.make(OTHERS) for _ in range(5)]
        hangs = asyncio.Event()

        async def mark(*_: object) -> None:
            await hangs.wait()

        on.cention.mark = mark  # type: ignore[method-assign,assignment]  # it never answers
        on.cention.creates = ["lost"]
        await on.take(ANSWERED)
        await on.turn(3)
        assert not on.cention.dirty
        bodies = on.cention.bodies
    async with looking(tmp_path) as on:
        on.cention.bodies = bodies
        await on.turn(2)
        assert on.cention.dirty >= set(others)


async def test_the_errand_itself_is_found_though_a_crash_came_between_reading_and_noting(
    tmp_path: Path,
) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["dropped"]

        def crash(_errand_id: int) -> None:
            raise asyncio.CancelledError

        on.cention.on_errand = crash
        await on.take(ANSWERED)
        await on.turn(3)
        assert not on.cention.dirty
        before = on.cention
    async with looking(tmp_path, is_running=False) as on:
        on.cention.bodies = before.bodies
        on.start()
        on.look_up()
        await on.turn(10)
        assert not on.cention.sent
        assert stands(on) == [("new_errand", "delivered", "511056")]


async def test_what_was_sending_at_a_crash_is_looked_up(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.gate = asyncio.Event()
        on.start()
        await on.take(ANSWERED)
        await on.turn()
        (parcel,) = on.sender.sent
    async with looking(tmp_path, is_running=False) as on:
        on.cention.make(f"text\nref: {parcel.message_id}")
        on.start()
        on.look_up()
        await on.turn(10)
        assert not on.cention.sent
        assert stands(on) == [("new_errand", "delivered", "511056")]


async def test_a_look_that_fails_in_passing_decides_nothing(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = [85.0]
        failing = [Reply(status=503), LOST, Reply(status=401), Reply(status=500)]
        on.cention.refusals = {"list": failing * 20}
        await on.take(ANSWERED)
        await on.turn(400)
        assert len(on.cention.sent) == 1
        on.cention.refusals = {}
        await on.turn(120)
        assert stands(on) == [("new_errand", "delivered", "511056")]


@pytest.mark.parametrize("refused", ["list", "errand"])
async def test_a_look_that_is_refused_for_good_holds_it_for_a_person(
    tmp_path: Path, refused: str
) -> None:
    async with looking(tmp_path) as on:
        on.cention.make(OTHERS)
        on.cention.creates = ["lost"]
        on.cention.refusals = {refused: [Reply(status=403)] * 1000}
        await on.take(ANSWERED, ENDED)
        await on.turn(200)
        assert [state for _, state, _ in stands(on)] == ["held", "parked"]
        assert len(on.cention.sent) == 1


async def test_an_errand_that_is_found_counts_though_another_cannot_be_read(
    tmp_path: Path,
) -> None:
    async with looking(tmp_path) as on:
        on.cention.make(OTHERS)
        on.cention.creates = ["dropped"]
        on.cention.refusals = {"errand": [Reply(status=404)]}
        await on.take(ANSWERED)
        await on.turn(10)
        assert stands(on) == [("new_errand", "delivered", "511057")]


async def test_where_others_read_the_same_lists_absence_proves_nothing(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.reconciler.policy = dataclasses.replace(on.reconciler.policy, is_exclusive=False)
        on.cention.creates = ["lost"]
        await on.take(ANSWERED)
        await on.turn(200)
        assert [state for _, state, _ in stands(on)] == ["held"]
        assert len(on.cention.sent) == 1


async def test_where_others_read_the_same_lists_everything_read_is_put_back(
    tmp_path: Path,
) -> None:
    async with looking(tmp_path) as on:
        on.reconciler.policy = dataclasses.replace(on.reconciler.policy, is_exclusive=False)
        on.cention.creates = ["dropped"]
        await on.take(ANSWERED)
        await on.turn(10)
        assert stands(on) == [("new_errand", "delivered", "511056")]
        assert on.cention.dirty == {511056}


async def test_what_cannot_be_put_back_is_tried_again_and_said(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        errand = on.cention.make(OTHERS)
        on.cention.creates = ["lost"]
        on.cention.refusals = {"mark": [Reply(status=403)] * 3}
        await on.take(ANSWERED)
        await on.turn(1)
        assert errand not in on.cention.dirty
        await on.turn(400)
        assert errand in on.cention.dirty
        assert any("can't be put on the list" in said for said, _ in on.log.said)


async def test_a_jump_of_the_clock_makes_no_absence_believed(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = [60.0]
        await on.take(ANSWERED)
        await on.turn(5)
        on.clock.followed_us += 86_400_000_000
        await on.turn(100)
        assert len(on.cention.sent) == 1
        assert stands(on) == [("new_errand", "delivered", "511056")]


async def test_two_in_doubt_at_once_are_told_apart(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["dropped", "lost", "dropped"]
        for name in ("r1", "r2", "r3"):
            await on.take(document("call.answered", name, callerNumber="anonymous"))
            await on.turn()
        await on.turn(200)
        assert len(on.cention.markers()) == len(set(on.cention.markers())) == 3
        assert [state for name in ("r1", "r2", "r3") for _, state, _ in stands(on, name)] == [
            "delivered"
        ] * 3


async def test_an_errand_found_while_another_was_looked_for_is_known_again(
    tmp_path: Path,
) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["lost", "dropped"]
        await on.take(ANSWERED)
        await on.turn(40)
        sends = on.cention.send

        async def slow(parcel: object) -> Reply:
            reply = await sends(parcel)  # type: ignore[arg-type]  # a parcel
            await on.clock.sleep(40)
            return reply

        on.cention.send = slow  # type: ignore[method-assign]  # answers come late
        await on.take(document("call.answered", "r2", callerNumber="anonymous"))
        await on.turn(300)
        assert len(set(on.cention.markers())) == len(on.cention.markers()) == 2


async def test_another_policy_settles_what_was_being_looked_up(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["lost"]
        await on.take(ANSWERED)
        await on.turn(5)
        on.dispatcher.reconfigure(DispatchPolicy(in_doubt="hold"), on.upstreams)
        await on.dispatcher.review()
        assert [state for _, state, _ in stands(on)] == ["held"]


async def test_reading_waits_for_leave_as_everything_does(tmp_path: Path) -> None:
    policy = DispatchPolicy(in_doubt="reconcile")
    async with bench(tmp_path, policy=policy, per_minute=30, sender=lambda on: on.cention) as on:
        on.start()
        on.look_up()
        on.cention.creates = ["dropped"]
        await on.take(ANSWERED)
        for number in range(60):
            await on.take(document("call.answered", f"x{number}", callerNumber="anonymous"))
        moments: list[float] = []
        for _ in range(180):
            before = len(on.cention.sent) + len(on.cention.asked)
            await on.turn(1)
            after = len(on.cention.sent) + len(on.cention.asked)
            moments += [on.clock.passed_s] * (after - before)
        assert max(sum(at <= one < at + 60 for one in moments) for at in moments) <= 30
        assert len(set(on.cention.markers())) == len(on.cention.markers()) == 61


async def test_every_attempt_and_look_up_is_kept_for_a_person(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["dropped"]
        await on.take(ANSWERED)
        await on.turn(5)
        with on.engine.connect() as connection:
            (row,) = stories.story(connection, "r1")["deliveries"]
        assert [one["outcome"] for one in row["tries"]] == ["in_doubt", "found"]
        assert row["tries"][0]["detail"] == Failure.LOST.value
        assert ROUTE.scope not in str(row["tries"])
