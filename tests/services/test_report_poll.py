"""Polling reports: what became of errands is learned, and told once."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from report_bench import (
    ANSWERED,
    EVERY_S,
    LOST,
    OPEN,
    SCOPE,
    WITHIN,
    report_bench,
    without_sla,
)

from bridge.domain.deliveries import ClosingAnswer
from bridge.domain.outcomes import Reply
from bridge.domain.reports import LOOKS_MAX, Rating
from bridge.services.reading import BrokenOff
from bridge.storage.forgetting_feedback import hush

CLOSING = ClosingAnswer(user_type="cention", user_id="17")


async def test_what_became_of_an_errand_is_told_once(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33)
        bench.cention.change(33, OPEN)
        await bench.poll()
        assert bench.meter.of("sla") == []
        bench.cention.change(33, ANSWERED)
        await bench.poll()
        bench.cention.change(33, replace(ANSWERED, tags=("Billing", "Late")))
        await bench.poll()
        assert bench.meter.of("answered") == [("default", "EHS", 600.0)]
        assert bench.meter.of("sla") == [("default", "EHS", WITHIN)]
        assert bench.meter.of("tag") == [("Billing",)]
        followed = (await bench.followed(33))[33]
        assert followed.origin.reference_id == "r33"
        assert followed.tags == ("Billing", "Late")


async def test_errands_of_others_are_not_read(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33)
        for errand_id in (31, 33, 35):
            bench.cention.change(errand_id, OPEN)
        await bench.poll(times=3)
        assert bench.cention.asked.count("33") == 1
        assert not {"31", "35"} & set(bench.cention.asked)
        assert bench.cention.dirty == {31, 35}


async def test_an_errand_that_does_not_change_is_not_read_again(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33)
        bench.cention.change(33, OPEN)
        await bench.poll(times=5)
        assert bench.cention.asked.count("33") == 1


async def test_an_sla_that_is_worked_out_is_asked_for_alone(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33)
        bench.cention.change(33, without_sla(ANSWERED))
        await bench.poll()
        assert bench.meter.of("sla") == []
        bench.cention.reports[33] = ANSWERED
        await bench.poll(times=2)
        assert [one for one in bench.cention.asked if one.startswith("33")] == ["33", "33 sla"]
        assert bench.meter.of("sla") == [("default", "EHS", WITHIN)]
        assert bench.meter.of("answered") == [("default", "EHS", 600.0)]
        assert bench.meter.of("tag") == [("Billing",)]


async def test_an_sla_that_stays_away_is_asked_for_less_and_less_often(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33)
        bench.cention.change(33, without_sla(ANSWERED))
        await bench.poll(times=16)
        # After 1, 2, 4 and 8 minutes.
        assert bench.cention.asked.count("33 sla") == 4
        await bench.poll(times=LOOKS_MAX * 2, step_s=3600.0)
        assert bench.cention.asked.count("33 sla") == LOOKS_MAX - 1


async def test_what_changes_while_only_the_sla_is_asked_for_is_read_too(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33)
        bench.cention.change(33, without_sla(OPEN))
        await bench.poll()

        def answer(errand_id: int) -> None:
            # Between the list and the reading.
            bench.cention.on_read = lambda _: None
            bench.cention.change(errand_id, ANSWERED)

        bench.cention.on_read = answer
        await bench.poll()
        assert (await bench.followed(33))[33].is_done
        assert bench.meter.of("answered") == [("default", "EHS", 600.0)]


async def test_an_errand_that_is_gone_is_followed_no_more(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33)
        bench.cention.change(33, OPEN)
        bench.cention.refusals["33"] = [Reply(status=404)] * 9
        await bench.poll(times=7)
        # At once, then after 1 and 2 minutes.
        assert bench.cention.asked.count("33") == 3
        assert (await bench.intents()) == []
        assert bench.meter.of("report") == [("unreadable",), ("unreadable",), ("gone",)]


async def test_an_errand_that_is_gone_for_a_moment_is_followed_on(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33)
        bench.cention.change(33, ANSWERED)
        bench.cention.refusals["33"] = [Reply(status=404)] * 2
        await bench.poll(times=5)
        assert (await bench.followed(33))[33].is_done


async def test_a_report_that_holds_nothing_is_asked_for_again(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33)
        bench.cention.change(33, ANSWERED)
        bench.cention.refusals["33"] = [Reply(status=200)]
        await bench.poll()
        assert bench.meter.of("report") == [("unreadable",)]
        await bench.poll()
        assert (await bench.followed(33))[33].is_done


async def test_a_reading_that_was_lost_loses_no_report(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33)
        bench.cention.change(33, ANSWERED)
        bench.cention.refusals["33"] = [LOST]
        # Whoever waits between two tries waits for the clock.
        bench.clock.sleep = _at_once  # type: ignore[assignment]
        await bench.poll(times=4)
        assert (await bench.followed(33))[33].is_done
        assert bench.meter.of("answered") == [("default", "EHS", 600.0)]
        assert (await bench.intents()) == []
        assert bench.cention.dirty == set()


async def _at_once(_seconds: float) -> None:
    pass


async def test_a_token_that_is_refused_ends_the_poll(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        for errand_id in range(33, 60):
            await bench.made(errand_id)
            bench.cention.change(errand_id, ANSWERED)
            bench.cention.refusals[f"{errand_id}"] = [Reply(status=401)]
        with pytest.raises(BrokenOff):
            await bench.poll()
        asked = [one for one in bench.cention.asked if one.isdecimal()]
        assert len(asked) <= 20
        # Once it is right, nothing is missing.
        bench.cention.refusals.clear()
        await bench.poll(times=2)
        assert len(bench.meter.of("answered")) == 27
        assert bench.cention.dirty == set()


async def test_errands_that_may_not_be_read_keep_no_others_from_it(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        for errand_id in range(33, 73):
            await bench.made(errand_id)
            bench.cention.change(errand_id, ANSWERED)
            if errand_id < 53:
                bench.cention.refusals[f"{errand_id}"] = [Reply(status=403)] * 99
        bench.cention.rate(3, Rating(stars=5))
        await bench.poll(times=6)
        assert len(bench.meter.of("answered")) == 20
        assert bench.meter.of("rating") == [(5,)]
        # At once, and after 1 and 2 minutes; the next is after 4.
        assert bench.cention.asked.count("33") == 3


async def test_a_change_seen_just_before_the_poll_broke_off_is_read_later(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33)
        await bench.made(34)
        bench.cention.change(33, without_sla(OPEN))
        await bench.poll()

        def answer(errand_id: int) -> None:
            if errand_id == 33:
                bench.cention.on_read = lambda _: None
                bench.cention.change(33, ANSWERED)

        bench.cention.on_read = answer
        bench.cention.change(34, OPEN)
        bench.cention.refusals["34"] = [Reply(status=401)]
        with pytest.raises(BrokenOff):
            await bench.poll()
        await bench.poll(times=2)
        assert (await bench.followed(33))[33].is_done


async def test_what_was_forgotten_is_not_written_back(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33)
        bench.cention.change(33, replace(OPEN, subject="Call of Ada"))
        await bench.poll()

        def forget(_errand_id: int) -> None:
            bench.cention.on_read = lambda _: None
            with bench.engine.begin() as connection:
                hush(connection, [], [("reports", SCOPE, 33)])

        bench.cention.on_read = forget
        bench.cention.change(33, replace(ANSWERED, subject="Call of Ada"))
        await bench.poll(times=2)
        followed = (await bench.followed(33))[33]
        assert followed.report is None
        assert followed.is_done


async def test_where_others_read_the_list_everything_is_put_back(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        bench.is_exclusive = False
        await bench.made(33)
        bench.cention.change(33, OPEN)
        bench.cention.rate(3, Rating(stars=5))
        await bench.poll(times=41)
        assert bench.cention.dirty == {33}
        assert bench.cention.rated_dirty == {3}
        # At once, then after 5, 10, 20 and 40 minutes.
        assert bench.cention.asked.count("33") == 5
        bench.cention.change(33, ANSWERED)
        await bench.poll()
        # Somebody else has read it meanwhile.
        bench.cention.dirty.clear()
        await bench.poll(times=60)
        assert (await bench.followed(33))[33].is_done


async def test_an_errand_whose_answer_had_no_id_is_known_by_its_marker(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        name = await bench.made(None, reference="nameless")
        bench.cention.change(31, OPEN)
        bench.cention.bodies[31] = "Where is it?"
        bench.cention.change(33, ANSWERED)
        bench.cention.bodies[33] = f"Call<br />ref: {name}"
        await bench.poll(times=2)
        assert (await bench.followed(33))[33].origin.reference_id == "nameless"
        assert bench.cention.asked.count("body 31") == 1
        assert bench.cention.dirty == {31}


async def test_an_errand_that_came_answered_says_nothing_of_agents(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        await bench.made(33, answer=CLOSING)
        bench.cention.change(33, ANSWERED)
        await bench.poll()
        assert (await bench.followed(33))[33].is_done
        assert bench.meter.of("answered") == bench.meter.of("sla") == []


async def test_ratings_are_kept_and_counted_once(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        bench.cention.rate(3, Rating(stars=5, message="Great"))
        bench.cention.rate(4, Rating(stars=2))
        bench.cention.rated_dirty.add(9)
        await bench.poll(times=2)
        bench.cention.rate(4, Rating(stars=3))
        await bench.poll()
        assert sorted(bench.meter.of("rating")) == [(2,), (5,)]
        known = await bench.tx(lambda tx: tx.kept_ratings(SCOPE, [3, 4, 9]))
        assert known == {3, 4}


async def test_a_workspace_without_ratings_is_asked_once_an_hour(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        bench.cention.refusals["ratings"] = [Reply(status=404)] * 9
        await bench.poll(times=120)
        assert bench.cention.asked.count("ratings") == 2


async def test_ratings_give_way_too(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        for rating_id in range(3, 53):
            bench.cention.rate(rating_id, Rating(stars=5))
        is_finished = await bench.poller.poll(
            every_s=EVERY_S, is_exclusive=True, is_in_the_way=lambda: True
        )
        assert not is_finished
        assert len(bench.cention.rated_dirty) == 30


async def test_a_rating_that_can_never_be_read_is_given_up(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        bench.cention.rate(3, Rating(stars=5))
        bench.cention.refusals["r3"] = [Reply(status=422)] * 9
        await bench.poll(times=2)
        bench.cention.rated_dirty.clear()
        await bench.poll(times=4)
        assert bench.cention.asked.count("r3") == 3
        assert await bench.tx(lambda tx: tx.open_ratings(SCOPE)) == []


async def test_what_is_in_the_way_goes_first(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        for errand_id in range(33, 83):
            await bench.made(errand_id)
            bench.cention.change(errand_id, OPEN)
        is_finished = await bench.poller.poll(
            every_s=EVERY_S, is_exclusive=True, is_in_the_way=lambda: True
        )
        assert not is_finished
        assert len(bench.cention.dirty) == 30


async def test_a_list_that_is_refused_breaks_the_poll_off(tmp_path: Path) -> None:
    async with report_bench(tmp_path) as bench:
        bench.cention.refusals["list"] = [Reply(status=403)]
        with pytest.raises(BrokenOff, match="403"):
            await bench.poll()
