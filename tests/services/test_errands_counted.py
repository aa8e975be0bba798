"""Which deliveries count for the objective, once each."""

from pathlib import Path

from bench import Bench, bench, document

from bridge.domain.outcomes import Reply
from bridge.ports import Parcel
from bridge.storage import dead_letters, repairs

CALL = (document("call.answered"), document("call.ended"))


def counted(on: Bench) -> list[str]:
    """Return how errands were counted."""
    return [one[1] for one in on.meter.counted if one[0] == "prompt"]


async def test_a_call_counts_once_by_its_errand(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.start()
        await on.take(*CALL)
        await on.turn(10)
        assert on.sender.kinds().count("end_errand") == 1
        assert counted(on) == ["prompt"]


async def test_an_errand_that_is_tried_again_after_a_failure_is_excused(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        began_s = on.clock.passed_s

        def answer(_parcel: Parcel) -> Reply:
            is_well = on.clock.passed_s > began_s + 5
            return Reply(status=201, remote_id="1") if is_well else Reply(status=503)

        on.sender.answer = answer
        on.start()
        await on.take(document("call.answered", callerNumber="anonymous"))
        await on.turn(60)
        assert counted(on) == ["excused"]


async def test_what_a_person_sends_again_is_not_counted(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.script = [Reply(status=422)]
        on.start()
        await on.take(document("call.answered", callerNumber="anonymous"))
        await on.turn(10)
        assert counted(on) == []
        with on.engine.begin() as connection:
            [letter] = dead_letters.rows(connection)
            repairs.replay(connection, [letter["id"]], on.clock.now_us())
        on.clock.advance(60.0)
        await on.turn(10)
        assert on.sender.kinds() == ["new_errand"] * 2
        assert counted(on) == []
