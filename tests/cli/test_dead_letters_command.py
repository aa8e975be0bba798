from pathlib import Path
from typing import Any

import pytest
from cli_site import DELIVERED, LOST, NAME, NUMBER, REFUSED, Site, event, prepared
from sqlalchemy import text
from typer.testing import Result

from bridge.cli import common
from bridge.domain.deliveries import Kind
from bridge.storage import engine


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture
def site(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, empty, monkeypatch)


@pytest.fixture
def stopped(site: Site) -> Site:
    """A call whose errand was refused, so that its end is parked behind it."""
    site.take(event("call.answered", minutes=2), event("call.ended"))
    site.send(Kind.NEW_ERRAND, REFUSED)
    return site


def ids(site: Site, *args: str) -> dict[str, int]:
    return {one["kind"]: one["id"] for one in site.read("dead-letters", "list", *args)}


def outbox(site: Site) -> dict[str, Any]:
    story = site.read("trace", "r1")["deliveries"]
    return {one["kind"]: one for one in story}


class TestList:
    def test_it_shows_what_stopped_and_what_waits_behind(self, stopped: Site) -> None:
        create, end = stopped.read("dead-letters", "list")
        assert (create["kind"], create["state"], create["attempts"]) == ("new_errand", "dead", 1)
        assert create["accepted_at"].endswith("Z")
        assert (end["kind"], end["state"], end["attempts"]) == ("end_errand", "parked", 0)
        shown = stopped.run("dead-letters", "list").stdout
        assert "new_errand" in shown
        assert "422: from: ***89 of" in shown

    def test_numbers_that_the_upstream_quotes_are_masked(self, stopped: Site) -> None:
        assert NUMBER[1:] not in stopped.run("dead-letters", "list", "--json").stdout

    def test_a_kind_and_a_limit_narrow_it(self, stopped: Site) -> None:
        assert list(ids(stopped, "--kind", "end_errand")) == ["end_errand"]
        assert list(ids(stopped, "--limit", "1")) == ["new_errand"]

    def test_an_unknown_kind_is_wrong_usage(self, stopped: Site) -> None:
        assert stopped.run("dead-letters", "list", "--kind", "fax").exit_code == 2

    def test_none_is_said_in_words_and_is_an_empty_array(self, site: Site) -> None:
        assert site.run("dead-letters", "list").stdout == "There are no dead letters.\n"
        assert site.read("dead-letters", "list") == []


class TestShow:
    def test_it_tells_every_attempt_in_the_upstreams_own_words(self, site: Site) -> None:
        site.take(event("call.answered"))
        site.send(Kind.NEW_ERRAND, LOST)
        site.run("dead-letters", "replay", "--yes", "--all")
        site.send(Kind.NEW_ERRAND, REFUSED)
        found = site.read("dead-letters", "show", ids(site)["new_errand"], "--reveal")
        assert [(one["outcome"], one["status"]) for one in found["tries"]] == [
            ("in_doubt", 0),
            ("dead", 422),
        ]
        assert found["tries"][1]["detail"] == REFUSED.detail
        assert found["payload"]["name"] == NAME
        assert found["accepted_at"].endswith("Z")

    def test_it_hides_who_called_unless_asked(self, stopped: Site) -> None:
        number = ids(stopped)["new_errand"]
        for form in ([], ["--json"]):
            shown = stopped.run("dead-letters", "show", number, *form).stdout
            assert NAME not in shown
            assert NUMBER[1:] not in shown
            assert "of (hidden) is not wanted" in shown
        assert NAME in stopped.run("dead-letters", "show", number, "--reveal").stdout

    def test_what_was_never_tried_says_so(self, stopped: Site) -> None:
        shown = stopped.run("dead-letters", "show", ids(stopped)["end_errand"]).stdout
        assert "It was not tried." in shown

    def test_a_card_is_shown_as_it_is_wanted(self, site: Site) -> None:
        site.take(event("call.queued"))
        site.send(Kind.CONTACT_CARD, REFUSED)
        number = ids(site)["contact_card"]
        assert site.read("dead-letters", "show", number)["payload"]["voice"] == ["***89"]
        assert site.read("dead-letters", "show", number, "--reveal")["payload"]["name"] == NAME

    def test_one_that_is_not_there_is_one_line(self, site: Site) -> None:
        result = site.run("dead-letters", "show", "99")
        assert result.exit_code == 1
        assert result.stderr.startswith("There is no delivery 99")


class TestReplay:
    def test_the_lane_starts_again_with_its_head(self, stopped: Site) -> None:
        result = stopped.run("dead-letters", "replay", ids(stopped)["new_errand"])
        assert (result.exit_code, result.stdout) == (0, "Replaying 2 of 2, the last leaves now.\n")
        assert stopped.states() == {"new_errand": "ready", "end_errand": "blocked"}
        assert not stopped.claim(Kind.END_ERRAND)
        stopped.send(Kind.NEW_ERRAND, DELIVERED)
        assert stopped.states() == {"new_errand": "delivered", "end_errand": "ready"}

    def test_an_end_takes_along_the_errand_that_it_waits_for(self, stopped: Site) -> None:
        stopped.run("dead-letters", "replay", "--yes", "--all", "--kind", "end_errand")
        assert stopped.states() == {"new_errand": "ready", "end_errand": "blocked"}

    def test_an_end_whose_errand_is_there_goes_by_itself(self, site: Site) -> None:
        site.take(event("call.answered", minutes=2), event("call.ended"))
        site.send(Kind.NEW_ERRAND, DELIVERED)
        site.send(Kind.END_ERRAND, REFUSED)
        site.run("dead-letters", "replay", ids(site)["end_errand"])
        assert site.states() == {"new_errand": "delivered", "end_errand": "ready"}

    def test_one_that_stops_again_parks_what_waits(self, stopped: Site) -> None:
        stopped.run("dead-letters", "replay", "--yes", "--all")
        stopped.send(Kind.NEW_ERRAND, REFUSED)
        assert stopped.states() == {"new_errand": "dead", "end_errand": "parked"}

    def test_it_begins_its_tries_anew(self, stopped: Site) -> None:
        stopped.run("dead-letters", "replay", "--yes", "--all")
        create = outbox(stopped)["new_errand"]
        assert (create["attempts"], create["first_at"]) == (0, None)
        assert len(create["tries"]) == 1

    def test_a_held_one_is_sent_again(self, site: Site) -> None:
        site.take(event("call.answered", minutes=2), event("call.ended"))
        site.send(Kind.NEW_ERRAND, LOST)
        assert site.states() == {"new_errand": "held", "end_errand": "parked"}
        site.run("dead-letters", "replay", "--yes", "--all")
        assert site.states() == {"new_errand": "ready", "end_errand": "blocked"}

    def test_ids_that_have_not_stopped_are_named_and_the_others_go(self, stopped: Site) -> None:
        result = stopped.run("dead-letters", "replay", ids(stopped)["new_errand"], "999")
        assert result.exit_code == 1
        assert result.stderr == "999: is no such dead letter\n"
        assert stopped.states()["new_errand"] == "ready"

    @pytest.mark.parametrize(
        "args", [[], ["1", "--all"], ["1", "--kind", "new_errand"], ["x"], ["0"]]
    )
    def test_it_wants_ids_or_else_a_filter_or_all(self, stopped: Site, args: list[str]) -> None:
        result = stopped.run("dead-letters", "replay", *args)
        assert result.exit_code == 2
        assert stopped.states()["new_errand"] == "dead"

    def test_many_are_done_in_several_commits(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(common, "BATCH", 2)
        site.take(*(event("call.answered", referenceId=f"r{number}") for number in range(5)))
        site.send(Kind.NEW_ERRAND, REFUSED)
        result = site.run("dead-letters", "replay", "--yes", "--all")
        assert result.stdout == "Replaying 5 of 5, the last leaves now.\n"


class TestDrop:
    def test_what_waits_behind_goes_too(self, stopped: Site) -> None:
        result = stopped.run("dead-letters", "drop", ids(stopped)["new_errand"], "--yes")
        assert (result.exit_code, result.stdout) == (0, "2 deliveries dropped.\n")
        assert stopped.states() == {}

    def test_what_it_waits_for_stays(self, stopped: Site) -> None:
        stopped.run("dead-letters", "drop", "--all", "--kind", "end_errand", "--yes")
        assert stopped.states() == {"new_errand": "dead"}

    def test_an_end_that_comes_later_is_not_sent(self, site: Site) -> None:
        site.take(event("call.answered", minutes=2))
        site.send(Kind.NEW_ERRAND, REFUSED)
        site.run("dead-letters", "drop", "--all", "--yes")
        site.take(event("call.ended"))
        assert site.states() == {}

    def test_an_end_that_changes_later_stays_dropped(self, site: Site) -> None:
        site.take(event("call.answered", minutes=3), event("call.ended", minutes=2))
        site.send(Kind.NEW_ERRAND, DELIVERED)
        site.send(Kind.END_ERRAND, REFUSED)
        site.run("dead-letters", "drop", "--all", "--yes")
        site.take(event("call.ended", eventId="later", deviceId=2000))
        assert site.states() == {"new_errand": "delivered"}

    def test_a_second_answer_makes_no_errand_in_its_place(self, stopped: Site) -> None:
        stopped.run("dead-letters", "drop", "--all", "--yes")
        stopped.take(event("call.answered", eventId="again"))
        assert stopped.states() == {}

    def test_a_callback_whose_errand_is_dropped_is_open_no_more(self, site: Site) -> None:
        site.take(event("callback.requested", minutes=9))
        site.send(Kind.NEW_ERRAND, REFUSED)
        site.run("dead-letters", "drop", "--all", "--yes")
        query = text("SELECT is_open FROM calls")
        assert site.do(lambda connection: connection.execute(query).scalar()) == 0
        site.take(event("outbound.ended", relatedReferenceId="r1", dialedNumber=NUMBER))
        assert site.states() == {}

    def test_a_card_is_wanted_again_with_the_next_event(self, site: Site) -> None:
        site.take(event("call.queued"))
        site.send(Kind.CONTACT_CARD, REFUSED)
        site.run("dead-letters", "drop", "--all", "--yes")
        site.take(event("call.abandoned"))
        assert len(site.claim(Kind.CONTACT_CARD)) == 1

    def test_its_attempts_are_not_told_of_the_next_delivery(self, stopped: Site) -> None:
        stopped.run("dead-letters", "drop", "--all", "--yes")
        stopped.take(event("call.answered", referenceId="r2"))
        [fresh] = stopped.read("trace", "r2")["deliveries"]
        assert fresh["tries"] == []
        count = stopped.do(lambda db: db.execute(text("SELECT count(*) FROM attempts")).scalar())
        assert count == 0

    def test_it_asks_first(self, stopped: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        assert stopped.run("dead-letters", "drop", "--all").exit_code == 2
        monkeypatch.setattr(common, "at_terminal", lambda: True)
        assert stopped.run("dead-letters", "drop", "--all", answer="n\n").exit_code == 1
        assert stopped.states() != {}
        assert stopped.run("dead-letters", "drop", "--all", answer="y\n").exit_code == 0
        assert stopped.states() == {}


@pytest.mark.parametrize("command", ["list", "show", "replay", "drop"])
def test_the_help_has_an_example(site: Site, command: str) -> None:
    shown = site.run("dead-letters", command, "--help").stdout
    assert f"Example: aventa-bridge dead-letters {command}" in shown


class TestStore:
    def test_one_that_is_not_there_is_one_line(self, site: Site) -> None:
        site.store.unlink()
        result = site.run("dead-letters", "list")
        assert result.exit_code == 2
        assert result.stderr.startswith("store.url: there is no store at")
        assert result.stderr.count("\n") == 1
        assert site.run("dead-letters", "replay", "--yes", "--all").exit_code == 2
        assert not site.store.exists()

    @pytest.mark.parametrize(
        ("statement", "said"),
        [
            ("UPDATE alembic_version SET version_num = '9999'", "install the release that made it"),
            ("DROP TABLE alembic_version", "start `run` once"),
            ("DELETE FROM meta", "start `run` once"),
        ],
    )
    def test_one_of_another_release_is_refused(self, site: Site, statement: str, said: str) -> None:
        site.do(lambda connection: connection.execute(text(statement)))
        for command in (("list",), ("replay", "--yes", "--all")):
            result = site.run("dead-letters", *command)
            assert result.exit_code == 2
            assert said in result.stderr
            assert result.stderr.count("\n") == 1

    def test_a_file_that_is_no_store_is_one_line(self, site: Site) -> None:
        site.store.write_bytes(b"not a database at all" * 1000)
        result = site.run("dead-letters", "list")
        assert (result.exit_code, result.stderr) == (
            2,
            "store.url: the file is no SQLite database\n",
        )

    def test_wrong_settings_are_a_line_each(self, site: Site) -> None:
        site.config.write_text("x = 1\ny = 2\n")
        result = site.run("dead-letters", "list")
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 2

    def test_cention_need_not_be_in_the_settings(self, site: Site) -> None:
        site.write('[store]\nurl = "sqlite:///{store}"\n')
        assert site.run("dead-letters", "list").exit_code == 0

    def test_one_that_another_holds_too_long_is_one_line(
        self, stopped: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine, "_BUSY_TIMEOUT_MS", 1)

        def run(_connection: object) -> Result:
            return stopped.run("dead-letters", "replay", "--yes", "--all")

        result = stopped.do(run)
        assert result.exit_code == 1
        assert result.stderr == "store.url: the store can't be used now: database is locked\n"
        assert stopped.states()["new_errand"] == "dead"
