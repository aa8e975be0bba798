"""What is planted in files, settings and arguments is in no complaint of a command."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cli_site import REFUSED, Site, event, prepared
from typer.testing import Result

from bridge.domain.deliveries import Kind

PLANTED = re.compile(r"kanari|704447771", re.IGNORECASE)
PERSON: dict[str, Any] = {
    "callerNumber": "+46704447771",
    "callerName": "Kanarina",
    "extraData": {"callReason": "kanariesjuka"},
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture
def site(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, empty, monkeypatch)


def check(result: Result, code: int) -> None:
    """Check that a command complained, and repeated nothing."""
    said = result.stdout + result.stderr
    assert result.exit_code == code, said
    assert said
    assert not PLANTED.search(said), said


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Kanarina", }',
        '{"name": "Kanarina", "name": "Kanarina"}',
        '"Kanarina"',
        '{"message_id": "kanarina", "name": 7}',
        '{"attachments": [{"content": "kanarina!", "name": "Kanarina"}]}',
        "kanarina\x00",
    ],
)
def test_an_edit_that_is_none_is_not_repeated(site: Site, tmp_path: Path, text: str) -> None:
    site.take(event("call.answered", **PERSON))
    site.send(Kind.NEW_ERRAND, REFUSED)
    [stopped] = site.read("dead-letters", "list")
    edited = tmp_path / "edited.json"
    edited.write_text(text)
    check(site.run("dead-letters", "replay", stopped["id"], "--with", str(edited), "--yes"), 1)


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"eventId": "e1", "referenceId": "r1", **PERSON}).encode(),
        b'{"callerName": "Kanarina", "+46704447771": }',
        b"kanarina \xff +46704447771",
        b'{"outcome": "Kanarina ringde +46704447771", "agentId": ["Kanarina"], "+46704447771": 1}',
        b'{"queueName": {"Kanarina": [7]}, "queueNumber": "+46704447771", "deviceId": "kanari"}',
        b'{"eventId": "+46704447771", "data": {"referenceId": {"Kanarina": "Kanarina"}}}',
        b'[["Kanarina"], {"data": {"contact": {"email": ["kanarina@example.com"]}}}]',
    ],
)
def test_what_is_in_quarantine_is_veiled(site: Site, body: bytes, form: list[str]) -> None:
    refused = site.refuse(body)
    for command in (["show", refused], ["list"]):
        check(site.run("quarantine", *command, *form), 0)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({**event("call.answered", **PERSON), "destNumber": "Kanarina"}),
        json.dumps({**event("call.answered", **PERSON), "outcome": "kanarina"}),
        '{"callerName": "Kanarina", }',
        '{"callerName": "Kanarina", "callerName": "Kanarina"}',
        "kanarina",
        "",
    ],
)
def test_an_event_that_is_refused_is_not_repeated(site: Site, tmp_path: Path, body: str) -> None:
    file = tmp_path / "event.json"
    file.write_text(body)
    result = site.run("check", "--event", str(file), "--config", str(site.config))
    check(result, result.exit_code or 1)


@pytest.mark.parametrize(
    "toml",
    [
        '[cention]\ntoken = "kanarina"\nrequests_per_minute = "kanarina"\n',
        '[http]\nauth_tokens = "kanarina"\nsigning_secrets = ["kanarina"]\nlisten = "kanarina"\n',
        '[callbacks]\nsecret = ["kanarina"]\nforward_url = "kanarina"\nforward_secret = "kanari"\n',
        '[[routes]]\nname = "kanari kanari"\ntoken = 7\n',
        '[contacts]\nshared_numbers = ["kanarina"]\n',
        '[reports]\nenabled = "kanarina"\ntoken = ["kanarina"]\n',
        'token = "kanarina',
        '[http]\nauth_tokens = ["kanarina" "kanarina"]\n',
    ],
)
def test_no_mistake_in_the_settings_repeats_a_value(site: Site, toml: str) -> None:
    site.config.write_text(toml)
    for command in (["check"], ["trace", "r1"]):
        result = site.run(*command, "--config", str(site.config))
        assert result.exit_code == 2
        check(result, 2)


def test_nor_does_one_in_a_secret_file_or_in_the_environment(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "http.signing_secrets").write_text("kanarina\n")
    (secrets / "cention.token").write_bytes(b"kanarina\xff\x00\n")
    monkeypatch.setenv("BRIDGE_CENTION__REQUESTS_PER_MINUTE", "kanarina")
    monkeypatch.setenv("BRIDGE_ROUTES", '[{"name": "kanarina"')
    result = site.run("check", "--config", str(site.config), "--secrets-dir", str(secrets))
    check(result, 2)
