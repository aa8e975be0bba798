"""What becomes of a person whose row in the store can't be read any more."""

from pathlib import Path

from bench import Bench, bench, document
from sqlalchemy import text

from bridge.domain.contacts import Card
from bridge.storage import queries
from bridge.storage.whom import find

ADA = {"callerNumber": "+60123456789", "callerName": "Ada", "cuid": "77-01"}
EVE = {"callerNumber": "+60198765432", "callerName": "Eve"}


def spoil(on: Bench, name: str, column: str = "wanted") -> None:
    """Make the row of whom this name is wanted for one that can't be read."""
    with on.engine.begin() as connection:
        spoiled = f"UPDATE people SET {column} = x'7b22' WHERE instr(wanted, :name) > 0"  # noqa: S608 - a name of this test
        connection.execute(text(spoiled), {"name": name.encode()})


def cards(on: Bench) -> list[Card]:
    return [one.payload for one in on.sender.sent if isinstance(one.payload, Card)]


async def test_they_stop_nobody_else_and_their_own_card_goes_without_the_name(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.queued", "r1", **ADA), document("call.queued", "r2", **EVE))
        spoil(on, "Ada")
        on.start()
        await on.turn(5)
        assert sorted(cards(on), key=lambda card: card.name) == [
            Card(cuid="77-01", voice=("+60123456789",)),
            Card(name="Eve", voice=("+60198765432",)),
        ]


async def test_what_was_wanted_goes_again_where_only_what_is_confirmed_is_lost(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        on.start()
        await on.take(document("call.queued", **ADA))
        await on.turn(5)
        spoil(on, "Ada", "confirmed")
        await on.take(document("call.queued", "r2", **ADA | {"cuid": None, "callerName": None}))
        await on.turn(5)
        whole = Card(name="Ada", cuid="77-01", voice=("+60123456789",))
        assert cards(on) == [whole, whole]


async def test_who_calls_again_is_the_same_person_and_can_be_read_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.queued", **ADA))
        spoil(on, "Ada")
        (receipt,) = await on.take(document("call.answered", "r2", **ADA | {"cuid": None}))
        assert getattr(receipt, "taken", receipt) == "accepted"
        on.start()
        await on.turn(5)
        assert cards(on) == [Card(name="Ada", cuid="77-01", voice=("+60123456789",))]
        await on.take(document("call.queued", "r3", **ADA))
        await on.turn(5)
        assert len(cards(on)) == 1


async def test_their_number_under_another_cuid_is_still_somebody_elses(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.queued", **ADA))
        spoil(on, "Ada")
        await on.take(document("call.queued", "r2", **ADA | {"cuid": "88-02"}))
        on.start()
        await on.turn(5)
        assert {card.cuid: card.voice for card in cards(on)} == {
            "77-01": ("+60123456789",),
            "88-02": (),
        }


async def test_who_is_not_there_any_more_has_nothing_to_be_sent(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.queued", **ADA))
        with on.engine.begin() as connection:
            connection.execute(text("DELETE FROM people"))
        on.start()
        await on.turn(5)
        assert on.sender.sent == []


async def test_whom_nobody_can_read_can_still_be_shown_and_found(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.queued"))
        with on.engine.begin() as connection:
            connection.execute(text("UPDATE people SET wanted = x'7b22', confirmed = x'7b22'"))
        with on.engine.connect() as connection:
            (person,) = queries.people(connection, "+60123456789")
            whom = find(connection, "+60123456789", "+60123456789", [None])
        assert (person["wanted"], person["confirmed"]) == ({}, {})
        assert whom.ids == [person["id"]]


async def test_an_open_call_that_nobody_can_read_keeps_nothing_past_its_time(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("callback.requested", "r1"), document("callback.requested", "r2"))
        with on.engine.begin() as connection:
            broken = "UPDATE calls SET state = CAST('{\"known\"' AS BLOB) || state"
            connection.execute(text(f"{broken} WHERE reference_id = 'r1'"))
        on.clock.advance(40 * 86_400)
        await on.upkeep.purge()
        with on.engine.connect() as connection:
            states = connection.execute(text("SELECT state FROM calls")).scalars().all()
        assert not any(b"Ada" in state for state in states)
