"""What seldom happens to a delivery, a look-up or a setting, and what becomes of it."""

import asyncio
from pathlib import Path

import pytest
from bench import GUIDE, ROUTE, Bench, bench, document, gate
from hand_cention import LOST
from msgspec.structs import replace
from sqlalchemy import text

from bridge.domain.deliveries import Kind, Tier
from bridge.domain.outcomes import Reply
from bridge.domain.retry import RetryPolicy
from bridge.ports import Parcel, Report
from bridge.services.channels import Channel, Upstream, UpstreamGone, upstreams_of
from bridge.services.ingest import Receipt
from bridge.services.limiter import Pace
from bridge.services.recording import DispatchPolicy
from bridge.storage import queries, stories

ANSWERED = document("call.answered", callerNumber="anonymous")
ENDED = document("call.ended", callerNumber="anonymous")
RECONCILE = DispatchPolicy(in_doubt="reconcile")


def states(on: Bench, reference: str = "r1") -> list[str]:
    with on.engine.connect() as connection:
        story = stories.story(connection, reference)
    return [row["state"] for row in story["deliveries"]]


def run(on: Bench, sql: str) -> None:
    with on.engine.begin() as connection:
        connection.execute(text(sql))


class TestUpstreams:
    def test_routes_that_share_a_workspace_are_one_upstream(self) -> None:
        made = upstreams_of({"a": ["x", "y"], "b": ["z"]}, 950, {"b": "sales"})
        assert made == [
            Upstream("a", frozenset({"x", "y"}), 950),
            Upstream("b", frozenset({"z"}), 950, "sales"),
        ]
        assert upstreams_of({}, 950) == []

    async def test_another_limit_begins_as_after_a_start(self, tmp_path: Path) -> None:
        async with bench(tmp_path, per_minute=600) as on:
            on.clock.advance(60)
            (channel,) = on.dispatcher.channels
            assert channel.room(on.clock.monotonic(), 32) == 8
            (upstream,) = on.upstreams
            on.dispatcher.reconfigure(DispatchPolicy(), [upstream])
            assert channel.room(on.clock.monotonic(), 32) == 8
            on.dispatcher.reconfigure(DispatchPolicy(), [replace(upstream, per_minute=300)])
            assert list(on.dispatcher.channels) == [channel]
            assert channel.room(on.clock.monotonic(), 32) == 0

    async def test_a_reader_who_has_given_up_takes_nobodys_turn(self) -> None:
        channel = Channel(Upstream("s", frozenset({"default"}), 600), Pace(600, 0.0))
        gone, waits = channel.queue_reader(), channel.queue_reader()
        gone.cancel()
        assert channel.is_readers_turn
        channel.admit_reader(60.0)
        assert waits.done()
        assert not channel.has_readers
        assert channel.turns == 1

    async def test_readers_of_an_upstream_that_is_gone_are_sent_away(self) -> None:
        channel = Channel(Upstream("s", frozenset({"default"}), 600), Pace(600, 0.0))
        given_up, waits = channel.queue_reader(), channel.queue_reader()
        given_up.cancel()
        channel.close()
        assert isinstance(waits.exception(), UpstreamGone)
        assert not channel.has_readers

    async def test_a_reader_goes_with_the_room_that_others_leave(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as on:
            on.start()
            await on.turn(1)
            (channel,) = on.dispatcher.channels
            await on.take(ANSWERED)
            # Somebody else's turn, who needs less than there is.
            reading = channel.queue_reader()
            assert not channel.is_readers_turn
            await on.turn()
            assert reading.done()
            assert on.sender.kinds() == ["new_errand"]

    async def test_what_was_read_at_an_upstream_that_is_gone_is_still_counted(
        self, tmp_path: Path
    ) -> None:
        async with bench(tmp_path) as on:
            on.dispatcher.was_read("gone", "c3_dirty_errand_list", Reply(status=200))
            assert on.meter.counted == [("read", "c3_dirty_errand_list", 200)]


class TestCards:
    async def test_a_card_of_somebody_who_is_forgotten_is_not_sent(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as on:
            await on.take(document("call.queued"))
            run(on, "DELETE FROM people")
            on.start()
            await on.turn(2)
            assert on.sender.sent == []
            with on.engine.connect() as connection:
                assert queries.figures(connection).pending == {}

    async def test_a_card_that_comes_back_for_somebody_forgotten_is_done(
        self, tmp_path: Path
    ) -> None:
        async with bench(tmp_path) as on:
            on.sender.gate = asyncio.Event()
            on.start()
            await on.take(document("call.queued"))
            await on.turn()
            run(on, "DELETE FROM people")
            on.sender.gate.set()
            await on.turn(2)
            assert len(on.sender.sent) == 1
            assert not [one for one in on.meter.counted if one[0] == "contact"]
            with on.engine.connect() as connection:
                assert queries.figures(connection).pending == {}
                assert connection.execute(text("SELECT count(*) FROM people")).scalar() == 0


class TestGates:
    async def test_a_shut_gate_where_nothing_waits_keeps_its_probe(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as on:
            on.sender.script = [Reply(status=401)]
            on.start()
            await on.take(ANSWERED)
            await on.turn(1)
            run(on, "DELETE FROM outbox")
            on.clock.advance(120)
            on.dispatcher.wake([gate(Kind.NEW_ERRAND)], Tier)
            await on.turn(2)
            # So whatever comes next is tried at once.
            await on.take(document("call.answered", "r2", callerNumber="anonymous"))
            await on.turn(2)
            assert [one.reference_id for one in on.sender.sent] == ["r1", "r2"]


class TestIntake:
    async def test_an_end_that_nobody_could_understand_is_counted(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as on:
            nobody = {"deviceId": None, "extensionId": None}
            await on.take(ANSWERED | nobody | {"eventId": "a"})
        async with bench(tmp_path) as on:
            alone = {"callerNumber": "anonymous", "deviceId": None, "extensionId": None}
            await on.take(document("call.answered", "r2", **alone))
            await on.take(document("call.ended", "r2", **alone))
            assert on.meter.counted.count(("end_skipped", 1)) == 1
            assert len(states(on, "r2")) == 1

    async def test_what_contradicts_itself_is_held_where_a_site_wants_that(
        self, tmp_path: Path
    ) -> None:
        async with bench(tmp_path) as on:
            on.ingest.policy = replace(on.ingest.policy, conflict="hold", guide=GUIDE)
            await on.take(document("call.queued", cuid="c1"))
            (receipt,) = await on.take(document("call.queued", "r2", cuid="c2"))
            assert isinstance(receipt, Receipt)
            assert receipt.effect.contact == "conflict"
            with on.engine.connect() as connection:
                (person,) = queries.people(connection, "+60123456789")
                assert queries.people(connection, "c2") == []
            assert person["wanted"]["cuid"] == "c1"


class TestLookUps:
    async def test_the_highest_errand_is_known_after_a_restart(self, tmp_path: Path) -> None:
        async with bench(tmp_path, policy=RECONCILE, sender=lambda on: on.cention) as on:
            on.start()
            await on.take(ANSWERED)
            await on.turn(2)
        async with bench(tmp_path, policy=RECONCILE, sender=lambda on: on.cention) as on:
            assert on.dispatcher.recorder.highest_id(ROUTE.scope) == 0
            await on.dispatcher.recover()
            assert on.dispatcher.recorder.highest_id(ROUTE.scope) == 511056

    async def test_a_refused_token_ends_a_look_at_once_and_a_later_one_finds_it(
        self, tmp_path: Path
    ) -> None:
        async with bench(tmp_path, policy=RECONCILE, sender=lambda on: on.cention) as on:
            for _ in range(30):
                on.cention.make("of others")
            on.cention.creates = ["dropped"]
            on.cention.refusals = {"errand": [Reply(status=401)]}
            on.start()
            on.look_up()
            await on.take(ANSWERED)
            await on.turn()
            tried = [one for one in on.cention.asked if one.startswith("errand/")]
            assert 0 < len(tried) < 20
            assert "a look-up broke off" in [what for what, _ in on.log.said]
            await on.turn(30)
            assert states(on) == ["delivered"]
            assert len(on.cention.sent) == 1

    async def test_an_errand_that_is_not_there_and_was_tried_long_enough_is_a_dead_letter(
        self, tmp_path: Path
    ) -> None:
        retry = RetryPolicy(give_up_after_s=1, attempts_min=1)
        policy = replace(RECONCILE, retry=retry)
        async with bench(tmp_path, policy=policy, sender=lambda on: on.cention) as on:
            on.cention.creates = ["lost"]
            on.start()
            on.look_up()
            await on.take(ANSWERED, ENDED)
            await on.turn(200)
            assert states(on) == ["dead", "parked"]
            assert len(on.cention.sent) == 1
            assert on.meter.counted.count(("delivery", "new_errand", "dead")) == 1

    async def test_a_fault_in_one_look_is_told_and_the_next_one_finds_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with bench(tmp_path, policy=RECONCILE, sender=lambda on: on.cention) as on:

            async def fail(_scope: str) -> Report:
                raise ValueError

            on.cention.creates = ["dropped"]
            on.start()
            on.look_up()
            with monkeypatch.context() as patch:
                patch.setattr(on.cention, "changed", fail)
                await on.take(ANSWERED)
                await on.turn(3)
                assert "a look-up failed" in [what for what, _ in on.log.said]
            await on.turn(62)
            assert states(on) == ["delivered"]

    async def test_what_is_settled_otherwise_while_it_is_looked_for_is_left_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with bench(tmp_path, policy=RECONCILE, sender=lambda on: on.cention) as on:
            goes_on, changed = asyncio.Event(), on.cention.changed

            async def hang(scope: str) -> Report:
                await goes_on.wait()
                return await changed(scope)

            monkeypatch.setattr(on.cention, "changed", hang)
            on.cention.creates = ["dropped"]
            on.start()
            on.look_up()
            await on.take(ANSWERED, ENDED)
            await on.turn(2)
            assert states(on) == ["doubtful", "blocked"]
            on.dispatcher.reconfigure(DispatchPolicy(in_doubt="hold"), on.upstreams)
            await on.dispatcher.review()
            on.reconciler.wake()
            await on.turn(1)
            goes_on.set()
            await on.turn(3)
            assert states(on) == ["held", "parked"]
            assert not [one for one in on.meter.counted if one[0] == "lookup"]
            assert "a look-up failed" not in [what for what, _ in on.log.said]


async def test_an_errand_lost_under_hold_is_never_looked_up(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=DispatchPolicy(in_doubt="hold")) as on:

        def lose(_parcel: Parcel) -> Reply:
            return LOST

        on.sender.answer = lose
        on.start()
        on.look_up()
        await on.take(ANSWERED)
        await on.turn(100)
        assert states(on) == ["held"]
        assert on.cention.asked == []
