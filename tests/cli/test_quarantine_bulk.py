import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cli_site import NAME, Site, event, filled
from sqlalchemy import text
from typer.testing import CliRunner

from bridge.cli import common
from bridge.cli.shell import app
from bridge.ops.clock import SystemClock

Editor = Callable[[str], None]


def fill(site: Site) -> None:
    """Refusals `a` to `c`, one a day, that can all be taken in now."""
    differences: dict[str, dict[str, Any]] = {
        "a": {},
        "b": {"source": "aventa-flat", "status": 409},
        "c": {"event_type": "call.ended"},
    }
    for day, (name, given) in enumerate(differences.items(), start=1):
        received_us = round(datetime(2026, 11, day, tzinfo=UTC).timestamp() * 1e6)
        document = event("call.answered", referenceId=f"r-{name}")
        if "source" in given:
            document = flat(document)
        site.refuse(json.dumps(document).encode(), id=name, received_us=received_us, **given)


def flat(document: dict[str, Any]) -> dict[str, Any]:
    """Return an event as the phone system of the hook `aventa-flat` spells it."""
    return {
        "id": document["eventId"],
        "event": "answered",
        "time": document["occurredAt"],
        "call_id": document["referenceId"],
        "caller_name": document["callerName"],
        "called": document["destNumber"],
        "queue": document["queueName"],
        "queue_no": document["queueNumber"],
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("store"), fill)


@pytest.fixture
def site(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, store, monkeypatch)


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """Let the person's editor be a shell script that gets the file as `$1`."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def set_to(script: str) -> None:
        file = tmp_path / "editor.sh"
        file.write_text(script)
        monkeypatch.setenv("VISUAL", f"sh -eu '{file}'")

    return set_to


def left(site: Site, *args: str) -> str:
    return "".join(one["id"][0] for one in site.read("quarantine", "list", *args))


def names(site: Site) -> list[str]:
    query = text("SELECT payload FROM events ORDER BY id")
    found = site.do(lambda db: list(db.execute(query).scalars()))
    return [json.loads(one)["callerName"] for one in found]


class TestFilters:
    @pytest.mark.parametrize(
        ("args", "found"),
        [
            (["--all"], "abc"),
            (["--source", "aventa-flat"], "b"),
            (["--status", "422"], "ac"),
            (["--type", "call.ended"], "c"),
            (["--before", "2026-11-02"], "a"),
            (["--after", "2026-11-02T00:00:00Z"], "bc"),
            (["--status", "422", "--after", "2026-11-02"], "c"),
        ],
    )
    def test_a_filter_narrows_the_list(self, site: Site, args: list[str], found: str) -> None:
        assert left(site, *args) == found

    def test_a_replay_takes_what_the_filter_means(self, site: Site) -> None:
        result = site.run("quarantine", "replay", "--status", "422", "--yes")
        assert (result.exit_code, result.stdout) == (0, "2 refusals taken in.\n")
        assert left(site) == "b"

    def test_a_drop_takes_what_the_filter_means(self, site: Site) -> None:
        result = site.run("quarantine", "drop", "--before", "2026-11-03", "--yes")
        assert (result.exit_code, result.stdout) == (0, "2 refusals dropped.\n")
        assert left(site) == "c"

    @pytest.mark.parametrize("command", ["list", "replay", "drop"])
    def test_where_none_is_meant_that_is_said(self, site: Site, command: str) -> None:
        result = site.run("quarantine", command, "--status", "413")
        said = "The quarantine holds none of which all this is true.\n"
        assert (result.exit_code, result.stdout) == (0, said)

    @pytest.mark.parametrize("command", ["replay", "drop"])
    def test_an_empty_one_says_so(self, site: Site, command: str) -> None:
        site.run("quarantine", "drop", "--all", "--yes")
        result = site.run("quarantine", command, "--all")
        assert (result.exit_code, result.stdout) == (0, "The quarantine is empty.\n")

    @pytest.mark.parametrize("command", ["replay", "drop"])
    def test_many_are_not_touched_where_nobody_can_be_asked(self, site: Site, command: str) -> None:
        result = site.run("quarantine", command, "--status", "422")
        assert (result.exit_code, "say --yes" in result.stderr) == (2, True)
        assert left(site) == "abc"

    def test_a_replay_of_many_asks_first(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(common, "at_terminal", lambda: True)
        refused = site.run("quarantine", "replay", "--all", answer="n\n")
        assert (refused.exit_code, "Replay 3 refusals?" in refused.stderr) == (1, True)
        assert site.run("quarantine", "replay", "--all", answer="y\n").exit_code == 0
        assert left(site) == ""

    def test_ids_and_a_filter_are_not_for_the_same_command(self, site: Site) -> None:
        assert site.run("quarantine", "drop", "a", "--status", "422", "--yes").exit_code == 2
        assert left(site) == "abc"


class TestPace:
    def test_they_are_taken_in_at_the_rate(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now_s = 0.0
        waits: list[float] = []

        async def sleep(_clock: SystemClock, seconds: float) -> None:
            nonlocal now_s
            waits.append(seconds)
            now_s += seconds

        monkeypatch.setattr(SystemClock, "sleep", sleep)
        monkeypatch.setattr(SystemClock, "monotonic", lambda _clock: now_s)
        result = site.run("quarantine", "replay", "--all", "--per-minute", "2", "--yes")
        assert result.stdout == "3 refusals taken in.\n"
        assert waits == [30.0, 30.0]

    def test_without_a_rate_none_waits(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(SystemClock, "sleep")
        assert site.run("quarantine", "replay", "--all", "--yes").exit_code == 0


class TestEdit:
    def test_what_was_edited_is_taken_in(self, site: Site, editor: Editor) -> None:
        editor(f"sed -i 's/{NAME}/Grace Hopper/' \"$1\"")
        result = site.run("quarantine", "replay", "b", "--edit")
        assert (result.exit_code, result.stdout) == (0, "1 refusal taken in.\n")
        assert names(site) == ["Grace Hopper"]
        assert left(site) == "ac"
        assert not list((site.folder / "temporary").iterdir())

    def test_what_is_wrong_stays_as_it_came_and_the_edited_text_is_kept(
        self, site: Site, editor: Editor
    ) -> None:
        editor('echo "{}" > "$1"')
        result = site.run("quarantine", "replay", "a", "--edit")
        assert result.exit_code == 1
        assert "/eventId: is required" in result.stderr
        assert "is kept: mend it, and use --with " in result.stderr
        [file] = (site.folder / "temporary").glob("*/edited.json")
        assert file.read_text() == "{}\n"
        assert NAME in site.read("quarantine", "show", "a", "--reveal")["body"]
        assert names(site) == []

    def test_left_unchanged_it_does_nothing(self, site: Site, editor: Editor) -> None:
        editor("true")
        result = site.run("quarantine", "replay", "a", "--edit")
        said = "Nothing was edited, so nothing was done.\n"
        assert (result.exit_code, result.stderr, left(site)) == (1, said, "abc")

    def test_a_file_stands_in_the_bodys_place(self, site: Site) -> None:
        file = site.folder / "body.json"
        file.write_text(json.dumps(event("call.answered", callerName="Grace")))
        assert site.run("quarantine", "replay", "a", "--with", file).exit_code == 0
        assert names(site) == ["Grace"]

    def test_standard_input_will_do(self, site: Site) -> None:
        document = json.dumps(event("call.answered", callerName="Grace"))
        arguments = ["quarantine", "replay", "a", "--with", "-", "--config", str(site.config)]
        assert CliRunner().invoke(app, arguments, input=document).exit_code == 0
        assert names(site) == ["Grace"]

    def test_a_cut_body_can_be_replaced_by_the_whole(self, site: Site) -> None:
        site.refuse(b"{", id="d", is_cut=True)
        file = site.folder / "body.json"
        file.write_text(json.dumps(event("call.answered", callerName="Grace")))
        assert site.run("quarantine", "replay", "d", "--with", file).exit_code == 0
        assert names(site) == ["Grace"]

    @pytest.mark.parametrize(
        "args",
        [
            ["--all", "--edit"],
            ["a", "b", "--edit"],
            ["a", "--edit", "--with", "{file}"],
            ["a", "--with", "{file}.not"],
        ],
    )
    def test_it_is_about_one_and_one_file(self, site: Site, args: list[str]) -> None:
        arguments = [one.format(file=site.config) for one in args]
        assert site.run("quarantine", "replay", *arguments).exit_code == 2

    def test_one_that_is_not_there_is_one_line(self, site: Site) -> None:
        result = site.run("quarantine", "replay", "x", "--with", site.config)
        assert (result.exit_code, result.stderr) == (1, "x: is not in quarantine\n")
