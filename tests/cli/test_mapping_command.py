"""`mapping`, and what else commands know of hooks."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_site import TOML, Site, event, prepared
from sqlalchemy import text

MAPPING = """
description = "our own"
[[ignore]]
when = "kind == 'ping'"
reason = "a sign of life"
[[events]]
when = "kind"
[events.fields]
eventType = { expression = "kind", table = "kinds" }
referenceId = "ref"
callerNumber = "plus(number)"
destNumber = { value = "+60374571234" }
queueName = { expression = "queue", default = "EHS" }
queueNumber = { value = "1" }
agentId = "header('X-Agent')"
[[replies]]
when = "kind == 'answered'"
content_type = "text/xml"
body = "<Response/>"
[tables.kinds]
answered = "call.answered"
ended = "call.ended"
"""
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture
def site(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site.make(tmp_path, empty, monkeypatch)
    put(site, MAPPING)
    return site


def put(site: Site, mapping: str) -> None:
    folder = site.folder / "mappings"
    folder.mkdir(exist_ok=True)
    (folder / "own.toml").write_text(mapping)


def body(site: Site, content: str) -> Path:
    path = site.folder / "body"
    path.write_text(content)
    return path


def events(site: Site) -> list[Any]:
    query = text("SELECT source, reference_id, event_type FROM events ORDER BY id")
    return [tuple(row) for row in site.do(lambda connection: list(connection.execute(query)))]


class TestTest:
    def test_it_shows_field_by_field_what_a_body_becomes(self, site: Site) -> None:
        shown = site.run("mapping", "test", "own", body(site, "kind=answered&ref=7")).stdout
        lines = [" ".join(line.split()) for line in shown.splitlines()]
        assert lines[0] == "event 1 of 1, by events.0 (kind)"
        assert "referenceId 7 ref" in lines
        assert "eventType call.answered kind, by table kinds" in lines
        assert "queueName EHS queue: the body has none" in lines
        assert "callerNumber - plus(number): the body has none" in lines
        assert "taken, by route default" in lines
        assert "the answer: text/xml, as the mapping wants it" in lines

    def test_headers_are_given(self, site: Site) -> None:
        file = body(site, '{"kind": "answered", "ref": 7}')
        said = site.read("mapping", "test", "own", file, "--header", "x-agent: a@x.example")
        assert said["events"][0]["event"]["agentId"] == "a@x.example"
        assert said["events"][0]["route"] == "default"
        assert said["reply"] == "text/xml"

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            ("ref=7", "refused: no entry of the mapping fits\n  events.0 does not fit: kind: is"),
            ("kind=late&ref=7", "not in table kinds"),
            ("kind=late&ref=7", "refused: /eventType is required"),
            ("kind=answered", "refused: /referenceId is required"),
            ("kind=%ff", "refused: the body: the form is not UTF-8"),
            ("{", "refused: "),
        ],
    )
    def test_it_says_why_not(self, site: Site, content: str, why: str) -> None:
        ended = site.run("mapping", "test", "own", body(site, content))
        assert ended.exit_code == 1
        assert why in ended.stdout

    def test_what_is_ignored_is_no_failure(self, site: Site) -> None:
        ended = site.run("mapping", "test", "own", body(site, "kind=ping"))
        assert (ended.exit_code, ended.stdout) == (0, "ignored: a sign of life\n")

    def test_a_hook_of_another_name_is_known_by_it(self, site: Site) -> None:
        site.write(f'{TOML}[[hooks]]\nname = "desk"\nmapping = "own"\n')
        said = site.read("mapping", "test", "desk", body(site, "kind=ended&ref=7"))
        assert said["events"][0]["event"]["eventType"] == "call.ended"

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (("own", "nowhere"), "can't be read"),
            (("sipgat-io", "bridge.toml"), "no mapping sipgat-io, did you mean sipgate-io?"),
            (("own", "bridge.toml", "--header", "Content-Type: text/plain"), "is no type that"),
            (("own", "bridge.toml", "--header", "X"), "write NAME:VALUE"),
        ],
    )
    def test_what_can_not_be_tried_is_said(
        self, site: Site, arguments: tuple[str, ...], why: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(site.folder)
        ended = site.run("mapping", "test", *arguments)
        assert ended.exit_code == 2
        assert why in ended.stderr

    def test_a_wrong_mapping_is_told_line_by_line(self, site: Site) -> None:
        put(site, MAPPING.replace("plus(", "pluss("))
        ended = site.run("mapping", "test", "own", body(site, "kind=ended&ref=7"))
        assert ended.exit_code == 2
        assert "own.toml: events.0.fields.callerNumber.expression: there is no" in ended.stderr


def test_mappings_are_listed_with_their_hooks(site: Site) -> None:
    site.write(f'{TOML}[[hooks]]\nname = "desk"\nmapping = "own"\n')
    rows = {row["name"]: row for row in site.read("mapping", "list")}
    assert rows["own"]["hooks"] == ["/v1/hooks/desk", "/v1/hooks/own"]
    assert rows["own"]["description"] == "our own"
    assert rows["own"]["path"].endswith("own.toml")
    assert rows["sipgate-io"]["path"] is None
    assert "our own" in site.run("mapping", "list").stdout


def test_a_mapping_is_shown_to_be_copied(site: Site) -> None:
    assert site.run("mapping", "show", "own").stdout == MAPPING
    assert "[tables.agents]" in site.run("mapping", "show", "sipgate-io").stdout
    assert site.run("mapping", "show", "nobody").exit_code == 2


def test_check_names_the_hooks(site: Site) -> None:
    site.write(f'{TOML}[[hooks]]\nname = "desk"\nmapping = "own"\nauth_tokens = ["x"]\n')
    sources = {one["source"]: one for one in site.read("check")["sources"]}
    assert sources["desk"]["mapping"] == sources["own"]["mapping"] == "own"
    assert sources["desk"]["credentials"] == {"auth_tokens": 1}
    assert sources["own"]["credentials"] == sources["aventa"]["credentials"] == {}
    assert "source desk: asks for 1 auth_tokens" in site.run("check").stdout


class TestReplay:
    def refuse(self, site: Site, content: bytes, source: str = "own") -> None:
        site.refuse(content, id="abc", source=source, content_type=FORM)

    def test_a_refused_body_is_mapped_again(self, site: Site) -> None:
        self.refuse(site, b"kind=answered&ref=7")
        ended = site.run("quarantine", "replay", "abc")
        assert (ended.exit_code, ended.stdout) == (0, "1 refusal taken in.\n")
        assert events(site) == [("own", "7", "call.answered")]
        assert site.read("quarantine", "list") == []

    def test_the_mapping_of_now_counts(self, site: Site) -> None:
        self.refuse(site, b"kind=late&ref=7")
        ended = site.run("quarantine", "replay", "abc")
        assert ended.exit_code == 1
        assert "/eventType: is required" in ended.stderr
        put(site, f'{MAPPING}late = "call.abandoned"\n')
        assert site.run("quarantine", "replay", "abc").exit_code == 0
        assert events(site) == [("own", "7", "call.abandoned")]

    def test_a_hook_that_is_gone_is_said(self, site: Site) -> None:
        self.refuse(site, b"kind=answered&ref=7", source="gone")
        ended = site.run("quarantine", "replay", "abc")
        assert ended.exit_code == 1
        assert "came from gone, which is no hook any more" in ended.stderr


class TestForget:
    def test_a_form_that_names_somebody_is_forgotten_with_them(self, site: Site) -> None:
        site.refuse(b"kind=late&who=a%40x.example", id="abc", source="own", content_type=FORM)
        site.refuse(b"kind=late&number=%2B60123456789", id="bcd", source="own", content_type=FORM)
        site.refuse(b"kind=late&number=%2B60123456788", id="cde", source="own", content_type=FORM)
        for value in ("a@x.example", "+60123456789"):
            assert site.run("contacts", "forget", value, "--yes").exit_code == 0
        assert [one["id"][0] for one in site.read("quarantine", "list")] == ["c"]


class TestTrace:
    def test_a_reference_that_two_systems_have_wants_a_source(self, site: Site) -> None:
        site.refuse(b"kind=answered&ref=r1", id="abc", source="own", content_type=FORM)
        site.run("quarantine", "replay", "abc")
        assert site.read("trace", "own:r1")["events"][0]["source"] == "own"
        site.take(event("call.answered"))
        ended = site.run("trace", "r1")
        assert ended.exit_code == 2
        assert "is known to aventa, own; say which by --source" in ended.stderr
        for source in ("aventa", "own"):
            (found,) = site.read("trace", "r1", "--source", source)["events"]
            assert found["source"] == source
        assert json.dumps(site.read("trace", "own:r1")["deliveries"]).count("own:r1") >= 1

    def test_what_was_refused_of_a_form_is_found(self, site: Site) -> None:
        site.refuse(b"kind=late&ref=r7", id="abc", source="own", content_type=FORM)
        site.refuse(b"kind=late&ref=r77", id="def", source="own", content_type=FORM)
        assert len(site.read("trace", "r7")["refused"]) == 1
