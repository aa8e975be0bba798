"""Not found (404): a wrong workspace costs no delivery, whatever else goes wrong beside it."""

from pathlib import Path

from bench import Bench, bench, document

from bridge.domain.outcomes import Reply
from bridge.storage import dead_letters, queries

MISSING, BUSY = Reply(status=404), Reply(status=503)


def letters(on: Bench) -> int:
    with on.engine.connect() as connection:
        return len(dead_letters.rows(connection))


async def test_what_was_tried_for_another_reason_survives_its_first_404(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.script = [BUSY, BUSY, BUSY, BUSY, MISSING]
        on.start()
        await on.take(document("call.answered", callerNumber="anonymous"))
        await on.turn(60)
        assert len(on.sender.sent) == 6
        assert not letters(on)


async def test_failures_in_between_do_not_hide_a_wrong_workspace(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        on.sender.script = [MISSING, BUSY, MISSING, BUSY, MISSING]
        on.start()
        await on.take(document("call.answered", callerNumber="anonymous"))
        await on.turn(30)
        with on.engine.connect() as connection:
            assert [one["reason"] for one in queries.pauses(connection)] == ["404"]
        await on.turn(90)
        assert len(on.sender.sent) == 6
        assert not letters(on)
