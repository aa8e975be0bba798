from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from cli_site import DELIVERED, REFUSED, Site, event, filled
from sqlalchemy import Connection, text

from bridge.cli import common
from bridge.domain.deliveries import Kind, State, Tier
from bridge.ops.clock import SystemClock
from bridge.ports import Claim, Gate, Parcel
from bridge.storage.transaction import SqlTransaction

CALLS = 7
MINUTE_US = 60_000_000


def fill(site: Site) -> None:
    """Calls of which each has a create that was refused and an end that is parked behind it."""
    # The ends come later, so that no lane's ids follow each other.
    site.take(*(event("call.answered", referenceId=one, minutes=2) for one in calls()))
    site.take(*(event("call.ended", referenceId=one) for one in calls()))
    site.send(Kind.NEW_ERRAND, REFUSED)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("store"), fill)


@pytest.fixture
def site(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    # A commit takes two, so that one doesn't know what the other did.
    monkeypatch.setattr(common, "BATCH", 2)
    return Site.make(tmp_path, store, monkeypatch)


def calls() -> list[str]:
    return [f"r{number}" for number in range(CALLS)]


def rows(site: Site) -> Sequence[dict[str, object]]:
    query = text("SELECT * FROM outbox WHERE person_id = '' ORDER BY id")
    found = site.do(lambda db: [dict(row) for row in db.execute(query).mappings()])
    assert isinstance(found, list)
    return found


def dues(site: Site, kind: Kind) -> list[int]:
    return [int(str(row["due_us"])) for row in rows(site) if row["kind"] == kind]


def claim(site: Site, tier: Tier, later_us: int = 0) -> list[Parcel]:
    def take(connection: Connection) -> list[Parcel]:
        now_us = SystemClock().now_us() + later_us
        gate = Gate(route="default", kind=Kind.NEW_ERRAND)
        live_us = now_us - MINUTE_US
        wanted = Claim(gate=gate, tier=tier, limit=100, now_us=now_us, live_us=live_us)
        return SqlTransaction(connection).claim(wanted)

    found = site.do(take)
    assert isinstance(found, list)
    return found


def test_lanes_leave_at_the_rate_in_the_order_of_their_ids(site: Site) -> None:
    result = site.run("dead-letters", "replay", "--all", "--per-minute", "2", "--yes")
    assert result.stdout == "Replaying 14 of 14, the last leaves in 3 minutes.\n"
    moments = dues(site, Kind.NEW_ERRAND)
    steps = [after - before for before, after in pairwise(moments)]
    assert steps == [MINUTE_US // 2] * (CALLS - 1)


def test_what_follows_in_a_lane_is_due_with_its_head(site: Site) -> None:
    site.run("dead-letters", "replay", "--all", "--per-minute", "2", "--yes")
    assert dues(site, Kind.END_ERRAND) == dues(site, Kind.NEW_ERRAND)


def test_the_rate_holds_where_only_what_is_parked_is_named(site: Site) -> None:
    site.run("dead-letters", "replay", "--state", "parked", "--per-minute", "60", "--yes")
    moments = dues(site, Kind.NEW_ERRAND)
    assert [one - moments[0] for one in moments] == [1_000_000 * one for one in range(CALLS)]


@pytest.mark.parametrize(
    ("per_minute", "when"),
    [("1", "in 6 minutes"), ("7", "in 51 seconds"), ("360", "in 1 second"), ("1000", "now")],
)
def test_it_says_when_the_last_leaves(site: Site, per_minute: str, when: str) -> None:
    result = site.run("dead-letters", "replay", "--all", "--yes", "--per-minute", per_minute)
    assert result.stdout.endswith(f"the last leaves {when}.\n")


@pytest.mark.parametrize("per_minute", ["0", "1000001", "x"])
def test_a_rate_that_is_none_is_wrong_usage(site: Site, per_minute: str) -> None:
    result = site.run("dead-letters", "replay", "--all", "--yes", "--per-minute", per_minute)
    assert result.exit_code == 2
    assert {row["state"] for row in rows(site)} == {State.DEAD, State.PARKED}


def test_without_a_rate_all_are_due_now(site: Site) -> None:
    site.run("dead-letters", "replay", "--all", "--yes")
    now_us = SystemClock().now_us()
    assert all(one <= now_us for one in dues(site, Kind.NEW_ERRAND))


def test_every_lane_keeps_its_order(site: Site) -> None:
    site.run("dead-letters", "replay", "--all", "--yes")
    assert {(row["kind"], row["state"]) for row in rows(site)} == {
        (Kind.NEW_ERRAND, State.READY),
        (Kind.END_ERRAND, State.BLOCKED),
    }
    assert site.claim(Kind.END_ERRAND) == []
    created = site.send(Kind.NEW_ERRAND, DELIVERED)
    assert [one.reference_id for one in created] == calls()
    assert [one.reference_id for one in site.claim(Kind.END_ERRAND)] == calls()


def test_an_end_is_not_due_before_its_time_even_where_its_errand_went_early(site: Site) -> None:
    site.run("dead-letters", "replay", "--all", "--per-minute", "1", "--yes")
    created = claim(site, Tier.LATER, later_us=10 * MINUTE_US)
    assert len(created) == CALLS
    site.settle(created, DELIVERED)
    assert [one.reference_id for one in site.claim(Kind.END_ERRAND)] == ["r0"]


def test_it_stays_as_old_as_it_is_and_begins_its_tries_anew(site: Site) -> None:
    before = [row["accepted_us"] for row in rows(site)]
    site.run("dead-letters", "replay", "--all", "--yes")
    after = rows(site)
    assert [row["accepted_us"] for row in after] == before
    assert {(row["tier"], row["attempts"], row["first_us"]) for row in after} == {(1, 0, None)}


def test_a_live_call_is_claimed_before_what_is_replayed(site: Site) -> None:
    site.run("dead-letters", "replay", "--all", "--yes")
    site.take(event("call.answered", referenceId="live"))
    assert [one.reference_id for one in claim(site, Tier.LIVE)] == ["live"]
    assert claim(site, Tier.OLD) == []
    assert [one.reference_id for one in claim(site, Tier.LATER)] == calls()


def test_what_is_spread_is_not_claimed_before_its_time(site: Site) -> None:
    site.run("dead-letters", "replay", "--all", "--per-minute", "1", "--yes")
    assert [one.reference_id for one in claim(site, Tier.LATER)] == ["r0"]
    assert [one.reference_id for one in claim(site, Tier.LATER, 2 * MINUTE_US)] == ["r1", "r2"]


def test_an_end_that_stopped_by_itself_heads_its_lane(site: Site) -> None:
    site.run("dead-letters", "replay", "--all", "--yes")
    site.send(Kind.NEW_ERRAND, DELIVERED)
    site.send(Kind.END_ERRAND, REFUSED)
    site.run("dead-letters", "replay", "--all", "--per-minute", "60", "--yes")
    ends = [row for row in rows(site) if row["kind"] == Kind.END_ERRAND]
    assert {row["state"] for row in ends} == {State.READY}
    assert len({row["due_us"] for row in ends}) == CALLS
