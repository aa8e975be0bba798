import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_site import DELIVERED, NAME, REFUSED, Site, event, filled
from sqlalchemy import text
from typer.testing import CliRunner, Result

from bridge.cli.shell import app
from bridge.domain.deliveries import EndErrand, Kind, NewErrand

FILE = {"content_type": "audio/wav", "name": "voice.wav", "content": "UklGRg=="}
OTHER = {"content_type": "text/plain", "name": "note.txt", "content": "aGkhIQ=="}
Editor = Callable[[str], None]


def fill(site: Site) -> None:
    """A call with two files whose errand was refused, and whose end is parked behind it."""
    site.take(event("call.answered", minutes=2, attachments=[FILE, OTHER]), event("call.ended"))
    site.send(Kind.NEW_ERRAND, REFUSED)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("store"), fill)


@pytest.fixture
def site(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    return Site.make(tmp_path, store, monkeypatch)


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """Let the person's editor be a shell script that gets the file as `$1`."""

    def set_to(script: str) -> None:
        file = tmp_path / "an editor.sh"
        file.write_text(script)
        monkeypatch.setenv("EDITOR", f"sh -eu '{file}'")
        monkeypatch.delenv("VISUAL", raising=False)

    return set_to


def number(site: Site, kind: str = "new_errand") -> int:
    [found] = [row["id"] for row in site.read("dead-letters", "list", "--kind", kind)]
    assert isinstance(found, int)
    return found


def payload(site: Site, kind: str = "new_errand") -> Any:
    query = text("SELECT payload FROM outbox WHERE kind = :kind")
    return json.loads(site.do(lambda db: db.execute(query, {"kind": kind}).scalar()))


def shown(site: Site, kind: str = "new_errand") -> dict[str, Any]:
    found = site.read("dead-letters", "show", number(site, kind), "--reveal")["payload"]
    assert isinstance(found, dict)
    return found


def replay_with(site: Site, document: object, kind: str = "new_errand") -> Result:
    file = site.folder / "changed.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return site.run("dead-letters", "replay", number(site, kind), "--with", file)


def kept(site: Site) -> list[Path]:
    return sorted((site.folder / "temporary").iterdir())


class TestWith:
    def test_what_was_changed_is_sent(self, site: Site) -> None:
        result = replay_with(site, {**shown(site), "name": "Grace Hopper"})
        assert (result.exit_code, result.stdout) == (0, "Replaying 2 of 2, the last leaves now.\n")
        [parcel] = site.send(Kind.NEW_ERRAND, DELIVERED)
        assert isinstance(parcel.payload, NewErrand)
        assert parcel.payload.name == "Grace Hopper"
        assert site.states() == {"new_errand": "delivered", "end_errand": "ready"}

    def test_what_show_prints_may_be_given_back_as_it_is(self, site: Site) -> None:
        before = payload(site)
        assert replay_with(site, shown(site)).exit_code == 0
        assert payload(site) == before
        assert payload(site)["attachments"] == [FILE, OTHER]

    def test_standard_input_will_do(self, site: Site) -> None:
        document = json.dumps({**shown(site), "subject": "Changed"})
        arguments = ["dead-letters", "replay", str(number(site)), "--with", "-"]
        result = CliRunner().invoke(app, [*arguments, "--config", str(site.config)], input=document)
        assert result.exit_code == 0
        assert payload(site)["subject"] == "Changed"

    def test_what_another_command_prints_will_do(self, site: Site) -> None:
        pipe, other_end = os.pipe()
        os.write(other_end, json.dumps({**shown(site), "subject": "Changed"}).encode())
        os.close(other_end)
        path = f"/dev/fd/{pipe}"
        result = site.run("dead-letters", "replay", number(site), "--with", path)
        os.close(pipe)
        assert result.exit_code == 0
        assert payload(site)["subject"] == "Changed"

    def test_a_file_may_go_or_be_replaced(self, site: Site) -> None:
        document = shown(site)
        document["attachments"] = [
            document["attachments"][1],
            {**FILE, "name": "new.wav", "content": "AAAA"},
        ]
        assert replay_with(site, document).exit_code == 0
        assert payload(site)["attachments"] == [
            OTHER,
            {**FILE, "name": "new.wav", "content": "AAAA"},
        ]

    def test_files_of_one_size_are_told_apart_by_name(self, site: Site) -> None:
        document = shown(site)
        assert len({one["content"] for one in document["attachments"]}) == 1
        document["attachments"].reverse()
        assert replay_with(site, document).exit_code == 0
        assert payload(site)["attachments"] == [OTHER, FILE]

    def test_an_end_can_be_changed_and_takes_its_errand_along(self, site: Site) -> None:
        agent = {"device_id": 7, "extension_id": 8}
        result = replay_with(site, {**shown(site, "end_errand"), "agent": agent}, "end_errand")
        assert result.exit_code == 0
        site.send(Kind.NEW_ERRAND, DELIVERED)
        [parcel] = site.claim(Kind.END_ERRAND)
        assert isinstance(parcel.payload, EndErrand)
        assert parcel.payload.agent.device_id == 7

    def test_that_it_was_edited_is_told_among_its_attempts(self, site: Site) -> None:
        delivery = number(site)
        replay_with(site, {**shown(site), "name": "Grace"})
        tries = site.read("dead-letters", "show", delivery)["tries"]
        assert [(one["outcome"], one["is_request"]) for one in tries] == [
            ("dead", True),
            ("edited", False),
        ]
        assert "by hand: edited" in site.run("dead-letters", "show", delivery).stdout

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"subject": 5}, "/subject: must be a string"),
            ({"subjekt": "x"}, "/subjekt: is no field of it"),
            (
                {"integration": {"agent": {"device_id": "x", "extension_id": 1}}},
                "/integration/agent/device_id: must be an integer",
            ),
            ({"message_id": "aventa-other"}, "/message_id: is what the errand is known by"),
            ({"integration": None}, "/integration/reference_id: is what the errand is known by"),
            ({"body": "Called."}, "/body: has to end with the line `ref: aventa-"),
            (
                {"attachments": [{**FILE, "content": "(99 bytes)"}]},
                "/attachments/0/content: must be base64",
            ),
            ({"attachments": [{"name": "x"}]}, "/attachments/0/content_type: is required"),
            ({"attachments": 1}, "/attachments: must be an array"),
        ],
    )
    def test_what_is_wrong_is_named_and_nothing_is_changed(
        self, site: Site, change: dict[str, Any], said: str
    ) -> None:
        before = payload(site)
        result = replay_with(site, {**shown(site), **change})
        assert result.exit_code == 1
        assert said in result.stderr
        assert result.stderr.endswith("was left as it is\n")
        assert payload(site) == before
        assert site.states() == {"new_errand": "dead", "end_errand": "parked"}

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("{", "the text: The body is not JSON"),
            ('{"name": "a", "name": "b"}', "the text: An object has the same key twice."),
            ("[]", "the text: must be an object"),
            ("{}", "/message_id: is required"),
        ],
    )
    def test_what_is_no_payload_is_named(self, site: Site, content: str, said: str) -> None:
        result = replay_with(site, content)
        assert result.exit_code == 1
        assert said in result.stderr

    def test_an_ends_reference_may_not_change(self, site: Site) -> None:
        changed = {**shown(site, "end_errand"), "reference_id": "r2"}
        result = replay_with(site, changed, "end_errand")
        assert (result.exit_code, "/reference_id: is what" in result.stderr) == (1, True)

    def test_a_contact_card_cannot_be_edited(self, site: Site) -> None:
        site.send(Kind.CONTACT_CARD, REFUSED)
        result = site.run(
            "dead-letters", "replay", number(site, "contact_card"), "--with", site.config
        )
        assert result.exit_code == 1
        assert "worked out when it is sent" in result.stderr

    def test_what_has_not_stopped_cannot_be_edited(self, site: Site) -> None:
        delivery = number(site)
        site.run("dead-letters", "replay", delivery)
        result = site.run("dead-letters", "replay", delivery, "--with", site.config)
        said = f"{delivery}: is no such dead letter\n"
        assert (result.exit_code, result.stderr) == (1, said)

    def test_what_an_older_release_kept_unreadably_says_so(self, site: Site) -> None:
        site.do(lambda db: db.execute(text("UPDATE outbox SET payload = '{'")))
        result = replay_with(site, {})
        assert (result.exit_code, "can't be read" in result.stderr) == (1, True)

    @pytest.mark.parametrize(
        "args",
        [
            ["--all", "--with", "{file}"],
            ["1", "2", "--with", "{file}"],
            ["1", "--kind", "new_errand", "--edit"],
            ["1", "--edit", "--with", "{file}"],
            ["1", "--with", "{file}.not"],
        ],
    )
    def test_it_is_about_one_and_one_file(self, site: Site, args: list[str]) -> None:
        arguments = [one.format(file=site.config) for one in args]
        assert site.run("dead-letters", "replay", *arguments).exit_code == 2


class TestEdit:
    def test_the_editor_gets_what_show_prints_and_what_it_leaves_is_sent(
        self, site: Site, editor: Editor
    ) -> None:
        expected = shown(site)
        copy = site.folder / "copy.json"
        editor(f"cp \"$1\" '{copy}'; sed -i 's/{NAME}/Grace Hopper/' \"$1\"")
        result = site.run("dead-letters", "replay", number(site), "--edit")
        assert (result.exit_code, result.stderr) == (0, "")
        assert json.loads(copy.read_text()) == expected
        assert payload(site)["name"] == "Grace Hopper"
        assert payload(site)["attachments"] == [FILE, OTHER]
        assert kept(site) == []

    def test_what_is_wrong_is_kept_for_its_owner_and_said_where(
        self, site: Site, editor: Editor
    ) -> None:
        editor('mv "$1" "$1~"; echo \'{"name": 5}\' > "$1"; chmod 644 "$1"')
        before = payload(site)
        result = site.run("dead-letters", "replay", number(site), "--edit")
        assert result.exit_code == 1
        assert "/name: must be a string" in result.stderr
        [folder] = kept(site)
        file = folder / "edited.json"
        assert f"use --with {file}" in result.stderr
        assert file.read_text() == '{"name": 5}\n'
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert payload(site) == before

    def test_nobody_else_can_read_it_meanwhile(self, site: Site, editor: Editor) -> None:
        copy = site.folder / "mode"
        editor(f"stat -c %a \"$1\" > '{copy}'")
        site.run("dead-letters", "replay", number(site), "--edit")
        assert copy.read_text() == "600\n"

    @pytest.mark.parametrize("script", ["true", ': > "$1"', 'rm "$1"', 'echo >> "$1"'])
    def test_an_editor_left_without_a_change_does_nothing(
        self, site: Site, editor: Editor, script: str
    ) -> None:
        editor(script)
        result = site.run("dead-letters", "replay", number(site), "--edit")
        said = "Nothing was edited, so nothing was done.\n"
        assert (result.exit_code, result.stderr) == (1, said)
        assert site.states()["new_errand"] == "dead"
        assert kept(site) == []

    def test_an_editor_that_fails_does_nothing(self, site: Site, editor: Editor) -> None:
        editor('echo x > "$1"; exit 3')
        result = site.run("dead-letters", "replay", number(site), "--edit")
        assert result.exit_code == 1
        assert "ended with 3" in result.stderr
        assert "is kept" in result.stderr
        assert site.states()["new_errand"] == "dead"

    def test_an_editor_that_is_not_there_says_what_to_do(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VISUAL", "no-such-editor-here")
        result = site.run("dead-letters", "replay", number(site), "--edit")
        assert result.exit_code == 1
        assert "set $EDITOR" in result.stderr
        assert kept(site) == []

    def test_one_that_is_replayed_meanwhile_is_left_alone(self, site: Site, editor: Editor) -> None:
        delivery = number(site)
        change = site.folder / "change.py"
        change.write_text(
            "import sqlite3, sys\n"
            "with sqlite3.connect(sys.argv[1]) as store:\n"
            "    store.execute(\"UPDATE outbox SET state = 'ready'\")\n"
        )
        editor(f"sed -i 's/{NAME}/Grace/' \"$1\"; '{sys.executable}' '{change}' '{site.store}'")
        result = site.run("dead-letters", "replay", delivery, "--edit")
        assert result.exit_code == 1
        assert "has changed meanwhile" in result.stderr
        assert payload(site)["name"] == NAME
