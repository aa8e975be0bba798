import asyncio
import dataclasses
from pathlib import Path

from bench import ROUTE, document
from hand_cention import LOST
from lookup_bench import ANSWERED, ENDED, OTHERS, looking, stands
from sqlalchemy import text

from bridge.domain.outcomes import Reply
from bridge.services.channels import Upstream


async def test_a_lost_reading_request_that_takes_effect_late_is_made_good(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        errand = on.cention.make(OTHERS)
        on.cention.creates = ["dropped"]
        on.cention.refusals = {f"errand/{errand}": [LOST], "errand": [LOST]}
        await on.take(ANSWERED)
        await on.turn(3)
        assert [state for _, state, _ in stands(on)] == ["delivered"]
        assert errand in on.cention.dirty
        await on.turn(10)
        on.cention.dirty.discard(errand)
        await on.turn(120)
        assert errand in on.cention.dirty


async def test_what_a_crash_interrupted_is_put_back_again_once_it_can_be_late_no_more(
    tmp_path: Path,
) -> None:
    async with looking(tmp_path) as on:
        errand = on.cention.make(OTHERS)

        def crash(_errand_id: int) -> None:
            raise asyncio.CancelledError

        on.cention.on_errand = crash
        on.cention.creates = ["lost"]
        await on.take(ANSWERED)
        await on.turn(3)
        bodies = on.cention.bodies
    async with looking(tmp_path) as on:
        on.cention.bodies = bodies
        on.cention.next_id = 511100
        await on.turn(5)
        assert errand in on.cention.dirty
        on.cention.dirty.discard(errand)
        await on.turn(120)
        assert errand in on.cention.dirty


async def test_one_that_cannot_be_read_any_more_is_a_dead_letter_and_stops_no_other(
    tmp_path: Path,
) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["lost", "dropped"]
        await on.take(ANSWERED, ENDED)
        await on.turn(1)
        with on.engine.begin() as connection:
            connection.execute(text("UPDATE outbox SET payload = x'7b7d' WHERE id = 1"))
        await on.take(document("call.answered", "r2", callerNumber="anonymous"))
        await on.turn(200)
        assert [state for _, state, _ in stands(on)] == ["dead", "parked"]
        assert [state for _, state, _ in stands(on, "r2")] == ["delivered"]


async def test_one_errand_that_never_can_be_read_keeps_no_other_from_being_found(
    tmp_path: Path,
) -> None:
    async with looking(tmp_path) as on:
        on.cention.broken[on.cention.make(OTHERS)] = Reply(status=500)
        on.cention.creates = ["dropped"]
        await on.take(ANSWERED)
        await on.turn(10)
        assert stands(on) == [("new_errand", "delivered", "511057")]


async def test_what_one_unreadable_errand_hides_is_held_after_many_looks(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.cention.broken[on.cention.make(OTHERS)] = Reply(status=500)
        on.cention.creates = ["lost"]
        await on.take(ANSWERED, ENDED)
        await on.turn(200)
        assert [state for _, state, _ in stands(on)] == ["doubtful", "blocked"]
        await on.turn(1200)
        assert [state for _, state, _ in stands(on)] == ["held", "parked"]
        assert len(on.cention.sent) == 1


async def test_a_token_that_may_not_read_any_more_leaves_it_to_a_person_in_the_end(
    tmp_path: Path,
) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["lost"]
        on.cention.refusals = {"list": [Reply(status=401)] * 1000}
        await on.take(ANSWERED)
        await on.turn(2000)
        assert [state for _, state, _ in stands(on)] == ["held"]


async def test_an_upstream_that_is_away_for_a_night_makes_nobody_look(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["dropped"]
        on.cention.refusals = {"list": [LOST] * 100_000}
        await on.take(ANSWERED)
        await on.turn(1, step_s=0.1)
        await on.turn(8 * 3600, step_s=60)
        assert [state for _, state, _ in stands(on)] == ["doubtful"]
        on.cention.refusals = {}
        await on.turn(120)
        assert stands(on) == [("new_errand", "delivered", "511056")]


async def test_an_errand_is_looked_for_where_it_was_sent(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["lost"]
        await on.take(ANSWERED)
        await on.turn(3)
        elsewhere = "https://cention.example/s/other"
        upstreams = [
            Upstream(elsewhere, frozenset({"default"}), 1_000_000),
            Upstream(ROUTE.scope, frozenset({"before"}), 1_000_000),
        ]
        policy = on.dispatcher.recorder.policy
        on.dispatcher.reconfigure(policy, upstreams)
        routes = {one.scope: one.routes for one in upstreams}
        on.reconciler.policy = dataclasses.replace(on.reconciler.policy, routes=routes)
        await on.turn(200)
        assert set(on.cention.scopes) == {ROUTE.scope}
        assert [parcel.scope for parcel in on.cention.sent] == [ROUTE.scope, elsewhere]


async def test_one_whose_workspace_is_gone_is_held(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["lost"]
        await on.take(ANSWERED)
        await on.turn(3)
        elsewhere = Upstream("https://cention.example/s/other", frozenset({"default"}), 1_000_000)
        on.dispatcher.reconfigure(on.dispatcher.recorder.policy, [elsewhere])
        routes = {elsewhere.scope: elsewhere.routes}
        on.reconciler.policy = dataclasses.replace(on.reconciler.policy, routes=routes)
        await on.turn(200)
        assert [state for _, state, _ in stands(on)] == ["held"]


async def test_a_workspace_that_was_gone_for_a_while_is_read_again(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.cention.creates = ["dropped"]
        on.cention.refusals = {"list": [Reply(status=429, retry_after_s=60)]}
        await on.take(ANSWERED)
        await on.turn(3)
        policy = on.dispatcher.recorder.policy
        on.dispatcher.reconfigure(policy, [])
        await on.turn(1)
        on.dispatcher.reconfigure(policy, on.upstreams)
        await on.turn(200)
        assert [state for _, state, _ in stands(on)] in (["delivered"], ["held"])


async def test_an_id_that_was_none_does_not_hide_later_errands(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        on.cention.next_id = 20261122090000
        await on.take(document("call.answered", "r0", callerNumber="anonymous"))
        await on.turn(1)
        on.cention.next_id = 511056
        await on.take(document("call.answered", "r2", callerNumber="anonymous"))
        await on.turn(1)
        on.cention.creates = ["dropped"]
        await on.take(ANSWERED)
        await on.turn(200)
        assert len(set(on.cention.markers())) == len(on.cention.markers()) == 3


async def test_one_errand_that_cannot_be_put_back_keeps_no_other_off(tmp_path: Path) -> None:
    async with looking(tmp_path) as on:
        others = [on.cention.make(OTHERS) for _ in range(30)]
        on.cention.unmarkable = {others[7]}
        on.cention.creates = ["lost"]
        await on.take(ANSWERED)
        await on.turn(5)
        assert set(others) - on.cention.dirty == {others[7]}
        asked = on.cention.asked.count("mark")
        await on.turn(600)
        assert on.cention.asked.count("mark") == asked
