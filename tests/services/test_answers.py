"""Answers are kept once, matched to their calls, and sent on with their files."""

from pathlib import Path

from answer_bench import DEMO, MARKER, OTHER, AnswerBench, answer, answer_bench
from msgspec.structs import replace

from bridge.domain.outcomes import Failure, Reply
from bridge.ports import FileReading
from bridge.services.ingest import Taken
from bridge.storage.forgetting_feedback import hush
from bridge.storage.repairs import drop

TWO = {"demo": DEMO, "other": OTHER}


async def test_the_same_is_known_again_and_another_is_refused(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        same, other = answer(33, 1, 2), answer(33, 1, 2, body="It is not.")
        turned = replace(same, files=same.files[::-1], foreign_links=3)
        taken = await bench.take(same, same, turned, other)
        duplicate = [Taken.DUPLICATE] * 2
        assert taken == [Taken.ACCEPTED, *duplicate, Taken.CONFLICT]


async def test_an_answer_is_matched_by_its_errands_id(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.made(33)
        await bench.take(answer())
        await bench.turn()
        assert bench.sent_on() == [("r1", "ready", "answer:33")]


async def test_one_that_overtakes_its_errand_is_matched_by_what_it_quotes(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        marker = bench.made(None)
        await bench.take(answer(marker=marker))
        await bench.turn()
        assert bench.sent_on() == [("r1", "ready", "answer:33")]


async def test_one_that_overtakes_its_errand_and_quotes_nothing_waits(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.made(None)
        await bench.take(answer())
        await bench.turn(20)
        assert bench.sent_on() == []
        bench.do(
            lambda connection: connection.exec_driver_sql(
                "UPDATE outbox SET state = 'delivered', remote_id = '33'"
            )
        )
        await bench.turn(60)
        assert bench.sent_on() == [("r1", "ready", "answer:33")]


async def test_it_waits_an_hour_at_most(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.made(None)
        await bench.take(answer())
        await bench.turn(3700, step_s=50)
        assert bench.sent_on() == [("", "ready", "answer:33")]


async def test_what_was_first_sent_later_is_not_waited_for(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.made(None)
        bench.do(
            lambda connection: connection.exec_driver_sql(
                "UPDATE outbox SET first_us = ?", (bench.clock.now_us() + 1,)
            )
        )
        await bench.take(answer())
        await bench.turn()
        assert bench.sent_on() == [("", "ready", "answer:33")]


async def test_with_two_workspaces_an_id_alone_says_nothing(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.answers.policy = replace(bench.answers.policy, scopes=TWO)
        bench.made(33)
        await bench.take(answer(33, 1, marker=MARKER))
        await bench.turn()
        assert bench.files.asked == []
        assert bench.sent_on() == [("", "ready", "answer:33")]


async def test_with_two_workspaces_what_is_quoted_tells(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.answers.policy = replace(bench.answers.policy, scopes=TWO)
        bench.made(33)
        marker = bench.made(33, reference="r2", scope=OTHER)
        await bench.take(answer(33, 1, marker=marker))
        await bench.turn()
        assert bench.files.asked == [(OTHER, 1)]
        assert bench.sent_on() == [("r2", "ready", "answer:33")]


async def test_with_two_workspaces_the_one_that_links_name_tells(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.answers.policy = replace(bench.answers.policy, scopes=TWO)
        bench.made(33)
        bench.made(33, reference="r2", scope=OTHER)
        await bench.take(answer(33, 1, workspace="other"))
        await bench.turn()
        assert bench.files.asked == [(OTHER, 1)]
        assert bench.sent_on() == [("r2", "ready", "answer:33")]


async def test_what_can_not_be_had_now_is_asked_for_again(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.files.script = [
            FileReading(reply=Reply(failure=Failure.LOST)),
            FileReading(reply=Reply(status=503)),
            FileReading(reply=Reply(status=403)),
            FileReading(reply=Reply(status=404)),
        ]
        await bench.take(answer(33, 1))
        await bench.turn(40)
        assert len(bench.files.asked) == 5
        assert bench.meter.of("file") == [("kept",)]
        assert bench.sent_on() == [("", "ready", "answer:33")]


async def test_what_can_never_be_had_is_given_up(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.files.script = [
            FileReading(reply=Reply(status=302)),
            FileReading(reply=Reply(status=200)),
            FileReading(reply=Reply(status=200), is_too_large=True),
            *[FileReading(reply=Reply(status=404))] * 3,
            FileReading(reply=Reply(status=422)),
        ]
        await bench.take(answer(33, 1, 2, 3, 4, 5))
        await bench.turn(20)
        given_up = ["redirected", "unreadable", "too_large", "not_found", "refused"]
        assert bench.rows("SELECT error FROM answer_files ORDER BY place") == [
            (one,) for one in given_up
        ]
        assert len(bench.sent_on()) == 1


async def test_after_an_hour_it_goes_on_without_the_file(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.files.script = [FileReading(reply=Reply(status=503))] * 999
        await bench.take(answer(33, 1))
        await bench.turn(3500, step_s=50)
        assert bench.sent_on() == []
        await bench.turn(200, step_s=50)
        assert bench.rows("SELECT error FROM answer_files") == [("unavailable",)]
        assert len(bench.sent_on()) == 1


async def test_a_clock_that_is_set_forward_gives_nothing_up(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.files.script = [FileReading(reply=Reply(status=503))] * 8
        await bench.take(answer(33, 1))
        await bench.turn(5)
        day_us = 24 * 3600 * 10**6
        bench.tx(lambda tx: tx.shift(day_us))
        bench.clock.followed_us += day_us
        await bench.turn(300, step_s=5)
        assert bench.meter.of("file") == [("kept",)]


async def test_two_answers_to_one_errand_go_on_in_their_order(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.made(33)
        bench.files.script = [FileReading(reply=Reply(status=503))] * 3
        await bench.take(answer(33, 1, answer_id="1"), answer(33, answer_id="2"))
        await bench.turn()
        assert bench.sent_on() == []
        await bench.turn(60)
        assert [state for _, state, _ in bench.sent_on()] == ["ready", "blocked"]


async def test_one_that_nobody_wants_holds_no_other_back(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.made(33)
        await bench.take(answer(33, answer_id="1"))
        await bench.turn()
        bench.do(
            lambda connection: connection.exec_driver_sql(
                "UPDATE outbox SET state = 'dead' WHERE kind = 'answer'"
            )
        )
        await bench.take(answer(33, answer_id="2"), answer(33, answer_id="3"))
        await bench.turn()
        assert [state for _, state, _ in bench.sent_on()] == ["dead", "ready", "blocked"]
        [(dead,)] = bench.rows("SELECT id FROM outbox WHERE state = 'dead'")
        assert bench.do(lambda connection: drop(connection, [dead])) == 1
        assert [state for _, state, _ in bench.sent_on()] == ["ready", "blocked"]


async def test_without_an_address_an_answer_is_held_for_a_person(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        await bench.take(answer())
        await bench.turn()
        bench.tx(lambda tx: tx.adopt({"default"}, "default"))
        assert [state for _, state, _ in bench.sent_on()] == ["held"]


async def test_the_name_that_it_goes_by_comes_of_its_ids_alone(tmp_path: Path) -> None:
    names = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        async with answer_bench(tmp_path / place) as bench:
            await bench.take(*[answer(35)] if place == "there" else [], answer())
            await bench.turn()
            names += bench.rows(
                "SELECT json_extract(payload, '$.webhook_id') FROM outbox WHERE lane = 'answer:33'"
            )
    assert names[0] == names[1]


async def _forgotten(bench: AnswerBench) -> None:
    """Have an answer forgotten while its second file is on its way."""

    def forget(file_id: int) -> None:
        if file_id == 2:
            bench.do(lambda connection: hush(connection, [1], []))

    bench.files.on_file = forget
    await bench.take(answer(33, 1, 2, 3))
    await bench.turn()


async def test_what_is_forgotten_while_files_are_fetched_goes_nowhere(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        await _forgotten(bench)
        assert bench.sent_on() == []
        assert bench.rows("SELECT payload, state FROM answers") == [(None, "done")]
        assert {title for (title,) in bench.rows("SELECT title FROM answer_files")} == {""}
        await bench.fetcher.sweep()
        assert bench.files.kept == {}


async def test_a_file_stays_until_its_answer_has_left(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        await bench.take(answer(33, 1))
        await bench.turn()
        later_us = bench.clock.now_us() + 10**15
        horizons = dict.fromkeys(
            ("payload", "journal", "calls", "callbacks", "quarantine", "people", "told"), later_us
        )
        bench.tx(lambda tx: tx.purge(horizons, 100))
        await bench.fetcher.sweep()
        assert len(bench.files.kept) == 1
        bench.do(
            lambda connection: connection.exec_driver_sql(
                "UPDATE outbox SET state = 'delivered', done_us = 1 WHERE kind = 'answer'"
            )
        )
        for _ in range(3):
            bench.tx(lambda tx: tx.purge(horizons, 100))
        await bench.fetcher.sweep()
        assert bench.files.kept == {}
        bench.tx(lambda tx: tx.purge(horizons, 100))
        assert bench.rows("SELECT count(*) FROM answers") == [(0,)]
        assert bench.rows("SELECT count(*) FROM answer_files") == [(0,)]


async def test_a_file_of_two_answers_stays_until_both_are_gone(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        await bench.take(answer(33, 1, answer_id="1"), answer(34, 1, answer_id="2"))
        await bench.turn()
        assert len(bench.files.kept) == 1
        for answer_id, count in ((1, 1), (2, 0)):
            bench.do(lambda connection, of=answer_id: hush(connection, [of], []))  # type: ignore[misc]  # mypy infers no type for the default
            await bench.fetcher.sweep()
            assert len(bench.files.kept) == count


async def test_what_a_crash_left_that_no_answer_names_is_removed(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:
        await bench.take(answer(33, 1))
        await bench.turn()
        await bench.files.keep(b"left behind")
        await bench.fetcher.sweep(with_strays=True)
        assert list(bench.files.kept.values()) == [f"{DEMO} 1".encode()]


async def test_an_errand_without_an_id_is_waited_for_only_where_it_may_get_one(
    tmp_path: Path,
) -> None:
    async with answer_bench(tmp_path) as bench:
        bench.made(33)
        bench.do(lambda connection: connection.exec_driver_sql("UPDATE outbox SET remote_id = ''"))
        await bench.take(answer(34, answer_id="1"))
        await bench.turn()
        assert len(bench.sent_on()) == 1
        bench.answers.policy = replace(bench.answers.policy, is_polled=True)
        await bench.take(answer(35, answer_id="2"))
        await bench.turn(60)
        assert len(bench.sent_on()) == 1
        await bench.turn(120)
        assert len(bench.sent_on()) == 2


async def test_what_goes_wrong_for_an_hour_is_sent_on_with_what_there_is(tmp_path: Path) -> None:
    async with answer_bench(tmp_path) as bench:

        def stumble(_file_id: int) -> None:
            raise RuntimeError("a fault of the bridge's own")

        bench.files.on_file = stumble
        await bench.take(answer(33, 1))
        await bench.turn(3500, step_s=50)
        assert bench.sent_on() == []
        await bench.turn(200, step_s=50)
        assert len(bench.sent_on()) == 1
        assert bench.rows("SELECT error FROM answer_files") == [("unavailable",)]
