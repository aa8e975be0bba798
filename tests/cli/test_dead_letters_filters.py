from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_site import LOST, NUMBER, REFUSED, Site, event, filled
from sqlalchemy import text

from bridge.cli import common
from bridge.domain.deliveries import Kind
from bridge.domain.outcomes import Reply

ELSE = Reply(status=400, detail="100% wrong", seconds=0.01)


def fill(site: Site) -> None:
    """Call `r1` was refused and has an end, `r2` is in doubt, `r3` of sales was refused otherwise.

    They were accepted one, two and three days into November.
    """
    site.take(event("call.answered", minutes=2), event("call.ended"))
    site.send(Kind.NEW_ERRAND, REFUSED)
    site.take(event("call.answered", referenceId="r2"))
    site.send(Kind.NEW_ERRAND, LOST)
    site.take(event("call.answered", referenceId="r3", queueName="Sales"))
    site.send(Kind.NEW_ERRAND, ELSE, "sales")
    for day in (1, 2, 3):
        accepted(site, f"r{day}", datetime(2026, 11, day, tzinfo=UTC))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("store"), fill)


@pytest.fixture
def site(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, store, monkeypatch)


def accepted(site: Site, call: str, moment: datetime) -> None:
    change = text("UPDATE outbox SET accepted_us = :at WHERE reference_id = :call")
    given = {"at": round(moment.timestamp() * 1e6), "call": call}
    site.do(lambda connection: connection.execute(change, given))


def listed(site: Site, *args: str) -> list[str]:
    rows = site.read("dead-letters", "list", *args)
    return [f"{one['reference_id']} {one['state']}" for one in rows]


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (["--all"], ["r1 dead", "r1 parked", "r2 held", "r3 dead"]),
        (["--kind", "end_errand"], ["r1 parked"]),
        (["--route", "sales"], ["r3 dead"]),
        (["--reference", "r2"], ["r2 held"]),
        (["--state", "dead"], ["r1 dead", "r3 dead"]),
        (["--state", "held"], ["r2 held"]),
        (["--state", "parked"], ["r1 parked"]),
        (["--error", "IS NOT wanted"], ["r1 dead"]),
        (["--error", "0% wrong"], ["r3 dead"]),
        (["--error", "%"], ["r3 dead"]),
        (["--before", "2026-11-02"], ["r1 dead", "r1 parked"]),
        (["--after", "2026-11-02T00:00:00Z"], ["r2 held", "r3 dead"]),
        (["--after", "2026-11-02 08:00+08:00", "--before", "2026-11-02T00:00:01Z"], ["r2 held"]),
        (["--state", "dead", "--route", "default"], ["r1 dead"]),
        (["--state", "dead", "--limit", "1"], ["r1 dead"]),
    ],
)
def test_a_filter_narrows_the_list(site: Site, args: list[str], found: list[str]) -> None:
    assert listed(site, *args) == found


def test_a_replay_takes_what_the_filter_means(site: Site) -> None:
    result = site.run("dead-letters", "replay", "--route", "sales", "--yes")
    assert (result.exit_code, result.stdout) == (0, "Replaying 1 of 4, the last leaves now.\n")
    assert listed(site) == ["r1 dead", "r1 parked", "r2 held"]


def test_a_replay_of_what_is_parked_takes_along_what_it_waits_for(site: Site) -> None:
    result = site.run("dead-letters", "replay", "--state", "parked", "--yes")
    assert result.stdout == "Replaying 2 of 4, the last leaves now.\n"
    assert listed(site) == ["r2 held", "r3 dead"]


def test_a_drop_takes_what_the_filter_means(site: Site) -> None:
    result = site.run("dead-letters", "drop", "--error", "100% wrong", "--yes")
    assert (result.exit_code, result.stdout) == (0, "1 delivery dropped.\n")
    assert listed(site) == ["r1 dead", "r1 parked", "r2 held"]


@pytest.mark.parametrize("command", ["list", "replay", "drop"])
def test_where_none_is_meant_that_is_said(site: Site, command: str) -> None:
    result = site.run("dead-letters", command, "--reference", "r9")
    said = "There are no dead letters of which all this is true.\n"
    assert (result.exit_code, result.stdout) == (0, said)


@pytest.mark.parametrize("command", ["replay", "drop"])
def test_where_there_are_none_at_all_that_is_said(site: Site, command: str) -> None:
    site.run("dead-letters", "drop", "--all", "--yes")
    result = site.run("dead-letters", command, "--all")
    assert (result.exit_code, result.stdout) == (0, "There are no dead letters.\n")


@pytest.mark.parametrize("command", ["replay", "drop"])
def test_many_are_not_touched_where_nobody_can_be_asked(site: Site, command: str) -> None:
    result = site.run("dead-letters", command, "--state", "dead")
    assert result.exit_code == 2
    assert "say --yes" in result.stderr
    assert len(listed(site)) == 4


def test_a_replay_of_many_asks_first(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "at_terminal", lambda: True)
    refused = site.run("dead-letters", "replay", "--state", "dead", answer="n\n")
    assert refused.exit_code == 1
    assert "Replay 2 deliveries and what stopped with them?" in refused.stderr
    assert len(listed(site)) == 4
    assert site.run("dead-letters", "replay", "--state", "dead", answer="y\n").exit_code == 0
    assert listed(site) == ["r2 held"]


def test_named_ones_are_replayed_without_asking(site: Site) -> None:
    [number] = [one["id"] for one in site.read("dead-letters", "list", "--reference", "r2")]
    assert site.run("dead-letters", "replay", number).exit_code == 0
    assert len(listed(site)) == 3


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--before", "soon"], "is no time"),
        (["--after", "2026-13-01"], "is no time"),
        (["--state", "ready"], "ready"),
        (["--kind", "fax"], "fax"),
        (["--error", ""], "is empty"),
    ],
)
def test_what_no_filter_can_be_is_wrong_usage(site: Site, args: list[str], said: str) -> None:
    result = site.run("dead-letters", "list", *args)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_time_may_be_copied_from_the_list(site: Site) -> None:
    shown = "2026-11-02 00:00:00.000"
    assert shown in site.run("dead-letters", "list").stdout.replace("│", "")
    assert listed(site, "--after", shown) == ["r2 held", "r3 dead"]


def test_filtered_lists_mask_numbers_as_ever(site: Site) -> None:
    shown = site.run("dead-letters", "list", "--error", NUMBER).stdout
    assert "***89" in shown
    assert NUMBER not in shown
