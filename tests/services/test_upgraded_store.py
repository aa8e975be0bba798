"""The services on a store that the release of the first schema left behind, killed at work."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from bench import Bench, bench, document
from hand_cention import LOST
from sqlalchemy import text

from bridge.domain.deliveries import NewErrand
from bridge.domain.outcomes import Reply
from bridge.ports import Parcel, Sender
from bridge.services.recording import DispatchPolicy
from bridge.storage import dead_letters, queries, repairs, stories

FIRST_STORE = Path(__file__).parents[1] / "data" / "store_0001.sql"
# By then it had come so far, in seconds.
LEFT_AT_S = 154.0
WAITED = ("r-again", "r-lost", "r-new", "r-refused", "r-refused-later", "r-retry", "r-sending")
STOPPED = ("r-dead", "r-held")


@asynccontextmanager
async def upgraded(
    folder: Path, policy: DispatchPolicy, *, is_by_hand: bool = False
) -> AsyncIterator[Bench]:
    """Go on with the old store under another token, which opens the gate that a 401 had shut."""
    with closing(sqlite3.connect(folder / "bridge.db")) as connection:
        connection.executescript(FIRST_STORE.read_text(encoding="ascii"))

    def cention(on: Bench) -> Sender:
        return on.cention

    async with bench(folder, policy=policy, sender=cention if is_by_hand else None) as on:
        on.clock.advance(LEFT_AT_S + 60)
        on.sender.token = on.cention.token = "t2"
        yield on


def sent(on: Bench) -> dict[str, list[str]]:
    """Return what was sent of each call, in order; of cards, whose they are."""
    found: dict[str, list[str]] = {}
    for parcel in on.sender.sent:
        name = parcel.reference_id or getattr(parcel.payload, "name", "")
        found.setdefault(name, []).append(parcel.kind.value)
    return found


async def test_what_waited_leaves_once_and_in_order(tmp_path: Path) -> None:
    async with upgraded(tmp_path, DispatchPolicy(in_doubt="resend")) as on:
        await on.dispatcher.recover()
        on.start()
        await on.turn(60)
        assert sent(on) == {
            **{reference: ["new_errand", "end_errand"] for reference in WAITED},
            "r-open": ["new_errand"],
            "r-ending": ["end_errand"],
            "r-end-retry": ["end_errand"],
            "Bob": ["contact_card"],
            "Carol": ["contact_card"],
        }
        with on.engine.connect() as connection:
            figures = queries.figures(connection)
        assert figures.pending == {}
        assert figures.dead_letters == len(STOPPED)
        # What a hand had shut stays shut.
        assert figures.pauses == [("sales", "*")]


async def test_a_persons_replay_of_what_had_stopped_leaves_in_order_too(tmp_path: Path) -> None:
    async with upgraded(tmp_path, DispatchPolicy()) as on:
        with on.engine.begin() as connection:
            letters = dead_letters.ids(connection)
            assert repairs.replay(connection, letters, on.clock.now_us()) == len(letters)
        await on.dispatcher.recover()
        on.start()
        await on.turn(10)
        assert all(sent(on)[one] == ["new_errand", "end_errand"] for one in STOPPED)


async def test_a_create_that_was_on_its_way_is_found_below_all_that_came_since(
    tmp_path: Path,
) -> None:
    policy = DispatchPolicy(in_doubt="reconcile")
    async with upgraded(tmp_path, policy, is_by_hand=True) as on:
        await on.dispatcher.recover()
        with on.engine.connect() as connection:
            story = stories.story(connection, "r-sending")
        (errand, _end) = story["deliveries"]
        assert errand["state"] == "doubtful"
        # The errands that the old store knows have lower ids.
        on.cention.next_id = 511100
        there = on.cention.make(errand["payload"]["body"])
        on.start()
        await on.turn(10)
        assert on.cention.next_id > there + 1
        on.look_up()
        await on.turn(10)
        made = [
            one.payload.message_id
            for one in on.cention.sent
            if isinstance(one.payload, NewErrand) and one.reference_id == "r-sending"
        ]
        assert made == []
        with on.engine.connect() as connection:
            story = stories.story(connection, "r-sending")
        states = [(one["state"], one["remote_id"]) for one in story["deliveries"]]
        assert states == [("delivered", str(there)), ("delivered", "")]


async def test_what_was_tried_before_the_upgrade_is_looked_for_among_all_errands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = DispatchPolicy(in_doubt="reconcile")
    async with upgraded(tmp_path, policy, is_by_hand=True) as on:
        answers = on.cention.send

        async def send(parcel: Parcel) -> Reply:
            if parcel.reference_id == "r-lost":
                return LOST
            return await answers(parcel)

        monkeypatch.setattr(on.cention, "send", send)
        with on.engine.begin() as connection:
            story = stories.story(connection, "r-lost")
            # It is due only when others have long been made.
            later_us = on.clock.now_us() + 20_000_000
            # Nothing else is looked for, which would find it by the way.
            connection.execute(text("DELETE FROM outbox WHERE reference_id = 'r-sending'"))
            connection.execute(
                text("UPDATE outbox SET due_us = :at WHERE reference_id = 'r-lost'"),
                {"at": later_us},
            )
        on.cention.next_id = 511100
        there = on.cention.make(story["deliveries"][0]["payload"]["body"])
        await on.dispatcher.recover()
        on.start()
        await on.turn(15)
        assert on.cention.next_id > there + 1
        on.look_up()
        await on.turn(20)
        with on.engine.connect() as connection:
            (errand, _end) = stories.story(connection, "r-lost")["deliveries"]
        assert (errand["state"], errand["remote_id"]) == ("delivered", str(there))
        assert errand["attempts"] == 2


async def test_what_comes_after_the_upgrade_gets_numbers_of_its_own(tmp_path: Path) -> None:
    async with upgraded(tmp_path, DispatchPolicy()) as on:
        with on.engine.connect() as connection:
            highest = connection.execute(text("SELECT max(id) FROM outbox")).scalar_one()
        await on.dispatcher.recover()
        on.start()
        await on.turn(60)
        on.clock.advance(3600)
        await on.upkeep.archive()
        await on.take(document("call.answered", "r-later", callerNumber="anonymous"))
        with on.engine.connect() as connection:
            (row,) = stories.story(connection, "r-later")["deliveries"]
        assert row["id"] > highest


async def test_an_event_that_was_kept_before_the_upgrade_is_a_duplicate(tmp_path: Path) -> None:
    async with upgraded(tmp_path, DispatchPolicy()) as on:
        known = document("call.answered", "r-open", callerName="", callerNumber="anonymous")
        await on.take(known)
        assert on.meter.counted == [("event", "call.answered", "duplicate")]


async def test_the_calls_of_before_are_gone_on_with(tmp_path: Path) -> None:
    async with upgraded(tmp_path, DispatchPolicy()) as on:
        await on.dispatcher.recover()
        on.start()
        await on.take(
            document("call.ended", "r-open", callerNumber="anonymous"),
            document("outbound.ended", "o1", relatedReferenceId="r-callback"),
        )
        await on.turn(10)
        assert sent(on)["r-open"] == ["new_errand", "end_errand"]
        # Its errand was made before the upgrade.
        assert sent(on)["r-callback"] == ["end_errand"]
        await on.upkeep.close_calls()
        assert ("call", "abandoned") in on.meter.counted
