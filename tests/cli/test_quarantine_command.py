import json
from pathlib import Path
from typing import Any

import pytest
from cli_site import NAME, TOML, Site, event, prepared
from sqlalchemy import text

from bridge.cli import common

LOCAL = event("call.answered", destNumber="03-7457 1234")
WITHOUT_REGION = TOML.replace('default_region = "MY"', "")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture
def site(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, empty, monkeypatch)


def body(document: Any) -> bytes:
    return json.dumps(document).encode()


def left(site: Site) -> list[str]:
    return [one["id"][0] for one in site.read("quarantine", "list")]


def events(site: Site) -> list[str]:
    query = text("SELECT event_id FROM events ORDER BY id")
    found = site.do(lambda connection: list(connection.execute(query).scalars()))
    assert isinstance(found, list)
    return found


class TestList:
    def test_it_tells_why_and_when_without_the_bodies(self, site: Site) -> None:
        number = site.refuse(body(LOCAL))
        [row] = site.read("quarantine", "list")
        assert row["id"] == number
        assert row["issues"] == [{"pointer": "/destNumber", "detail": "is no MSISDN"}]
        assert row["received_at"].endswith("Z")
        assert "body" not in row
        shown = site.run("quarantine", "list").stdout
        assert "/destNumber: is no MSISDN" in shown
        assert NAME not in shown

    def test_a_limit_shows_the_oldest(self, site: Site) -> None:
        site.refuse(b"1", id="b", received_us=2)
        site.refuse(b"2", id="c", received_us=1)
        assert [one["id"][0] for one in site.read("quarantine", "list", "--limit", "1")] == ["c"]

    def test_an_empty_one_says_so(self, site: Site) -> None:
        assert site.run("quarantine", "list").stdout == "The quarantine is empty.\n"
        assert site.read("quarantine", "list") == []


class TestShow:
    def test_the_body_is_shown_as_it_came(self, site: Site) -> None:
        site.refuse(body(LOCAL), id="abc")
        shown = site.run("quarantine", "show", "ab", "--reveal").stdout
        assert body(LOCAL).decode() in shown
        assert "/destNumber: is no MSISDN" in shown
        assert site.read("quarantine", "show", "ab", "--reveal")["body"] == body(LOCAL).decode()

    def test_a_body_that_is_no_utf_8_is_shown_with_escapes(self, site: Site) -> None:
        site.refuse(b"caf\xe9")
        assert "caf\\xe9" in site.run("quarantine", "show", "a", "--reveal").stdout
        found = site.read("quarantine", "show", "a", "--reveal")
        assert (found["body"], found["is_utf8"]) == ("caf\\xe9", False)

    def test_what_steers_a_terminal_is_escaped(self, site: Site) -> None:
        site.refuse(b"one\n\x1b[2Jtwo")
        assert "one\n\\x1b[2Jtwo\n" in site.run("quarantine", "show", "a", "--reveal").stdout

    def test_nothing_of_a_caller_is_told_without_being_asked_for(self, site: Site) -> None:
        site.refuse(body(LOCAL), id="abc")
        veiled = json.loads(site.read("quarantine", "show", "ab")["body"])
        assert veiled["eventType"] == json.loads(body(LOCAL))["eventType"]
        assert veiled["callerNumber"].startswith("***")
        assert NAME not in site.run("quarantine", "show", "ab").stdout
        site.refuse(b"one", id="b")
        assert "3 bytes that are no JSON" in site.run("quarantine", "show", "b").stdout

    def test_a_cut_body_says_so(self, site: Site) -> None:
        site.refuse(b"{", is_cut=True)
        assert "too large" in site.run("quarantine", "show", "a").stdout

    @pytest.mark.parametrize(
        ("beginning", "said"),
        [
            ("x", "x: is not in quarantine\n"),
            ("", ": is not in quarantine\n"),
            ("a", "a: several begin so; give more of the id\n"),
            ("a%", "a%: is not in quarantine\n"),
        ],
    )
    def test_an_id_has_to_mean_one(self, site: Site, beginning: str, said: str) -> None:
        site.refuse(b"1", id="ab")
        site.refuse(b"2", id="ac")
        result = site.run("quarantine", "show", beginning)
        assert (result.exit_code, result.stderr) == (1, said)


class TestReplay:
    def test_what_is_valid_now_is_taken_and_leaves_the_quarantine(self, site: Site) -> None:
        site.write(WITHOUT_REGION)
        site.refuse(body(LOCAL))
        refused = site.run("quarantine", "replay", "a")
        assert refused.exit_code == 1
        assert "/destNumber: is no MSISDN" in refused.stderr
        assert left(site) == ["a"]
        site.write(TOML)
        result = site.run("quarantine", "replay", "a")
        assert (result.exit_code, result.stdout) == (0, "1 refusal taken in.\n")
        assert left(site) == []
        assert site.states() == {"new_errand": "ready"}

    def test_what_was_kept_meanwhile_is_taken_once(self, site: Site) -> None:
        said = event("call.answered")
        site.take(said)
        site.refuse(body(said))
        assert site.run("quarantine", "replay", "--yes", "--all").exit_code == 0
        assert left(site) == []
        assert len(events(site)) == 1

    def test_a_conflict_stays_one(self, site: Site) -> None:
        site.take(event("call.answered"))
        site.refuse(body(event("call.answered", callerName="Somebody else")))
        result = site.run("quarantine", "replay", "--yes", "--all")
        assert result.exit_code == 1
        assert "/eventId: an event with this id and other content" in result.stderr
        assert left(site) == ["a"]

    def test_a_cut_body_stays(self, site: Site) -> None:
        site.refuse(body(LOCAL), is_cut=True)
        result = site.run("quarantine", "replay", "a")
        assert result.exit_code == 1
        assert "was cut" in result.stderr
        assert left(site) == ["a"]

    def test_one_that_fails_holds_up_no_other(self, site: Site) -> None:
        site.refuse(b"{", id="b", received_us=1)
        site.refuse(body(LOCAL), id="c")
        result = site.run("quarantine", "replay", "--yes", "--all")
        assert result.exit_code == 1
        assert result.stdout == "1 refusal taken in.\n"
        assert result.stderr.startswith("b000")
        assert "The body is not JSON" in result.stderr
        assert left(site) == ["b"]

    @pytest.mark.parametrize(
        ("content_type", "content"),
        [
            ("application/json; charset=utf-8", body([LOCAL])),
            ("application/x-ndjson", body(LOCAL) + b"\n"),
            (
                "application/cloudevents+json",
                body({"specversion": "1.0", "id": "e", "data": LOCAL}),
            ),
            (
                "application/cloudevents-batch+json",
                body([{"specversion": "1.0", "id": "e", "data": LOCAL}]),
            ),
            # One cloud event of several is kept as JSON.
            ("application/json", body({"specversion": "1.0", "id": "e", "data": LOCAL})),
        ],
    )
    def test_every_shape_is_read(self, site: Site, content_type: str, content: bytes) -> None:
        site.refuse(content, content_type=content_type)
        assert site.run("quarantine", "replay", "a").exit_code == 0
        assert len(events(site)) == 1

    def test_of_a_batch_all_have_to_be_taken(self, site: Site) -> None:
        site.refuse(body([LOCAL, event("call.ended", destNumber="12")]))
        assert site.run("quarantine", "replay", "a").exit_code == 1
        assert left(site) == ["a"]
        assert events(site) == ["r1-call.answered"]

    @pytest.mark.parametrize(
        ("content_type", "content", "said"),
        [
            ("text/plain", b"{}", "came as a type that holds no events"),
            ("application/json", b"[]", "holds no event"),
            ("application/json", b"[1]", "must be a JSON object"),
            ("application/cloudevents-batch+json", b"{}", "must be an array of CloudEvents"),
        ],
    )
    def test_what_holds_no_event_says_why(
        self, site: Site, content_type: str, content: bytes, said: str
    ) -> None:
        site.refuse(content, content_type=content_type)
        result = site.run("quarantine", "replay", "a")
        assert result.exit_code == 1
        assert said in result.stderr

    def test_it_needs_to_know_where_contacts_are_filed(self, site: Site) -> None:
        site.write('[store]\nurl = "sqlite:///{store}"\n')
        site.refuse(body(LOCAL))
        result = site.run("quarantine", "replay", "a")
        assert result.exit_code == 2
        assert [line.partition(":")[0] for line in result.stderr.splitlines()] == [
            "cention.base_url",
            "cention.workspace",
        ]

    def test_it_does_without_the_token(self, site: Site) -> None:
        site.write(TOML.replace('token = "cention-token"', ""))
        site.refuse(body(LOCAL))
        assert site.run("quarantine", "replay", "a").exit_code == 0

    def test_ids_that_mean_none_are_named_and_the_others_go(self, site: Site) -> None:
        site.refuse(body(LOCAL))
        result = site.run("quarantine", "replay", "a", "x")
        assert result.exit_code == 1
        assert result.stderr == "x: is not in quarantine\n"
        assert left(site) == []

    @pytest.mark.parametrize("args", [[], ["a", "--all"]])
    def test_it_wants_ids_or_all(self, site: Site, args: list[str]) -> None:
        assert site.run("quarantine", "replay", *args).exit_code == 2


class TestDrop:
    def test_it_removes_for_good(self, site: Site) -> None:
        site.refuse(b"1", id="b")
        site.refuse(b"2", id="c")
        result = site.run("quarantine", "drop", "b", "--yes")
        assert (result.exit_code, result.stdout) == (0, "1 refusal dropped.\n")
        assert left(site) == ["c"]

    def test_it_asks_first(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        site.refuse(b"1")
        assert site.run("quarantine", "drop", "--all").exit_code == 2
        monkeypatch.setattr(common, "at_terminal", lambda: True)
        assert site.run("quarantine", "drop", "--all", answer="n\n").exit_code == 1
        assert left(site) == ["a"]
        assert site.run("quarantine", "drop", "--all", answer="y\n").exit_code == 0
        assert left(site) == []


@pytest.mark.parametrize("command", ["list", "show", "replay", "drop"])
def test_the_help_has_an_example(site: Site, command: str) -> None:
    shown = site.run("quarantine", command, "--help").stdout
    assert f"Example: aventa-bridge quarantine {command}" in shown
