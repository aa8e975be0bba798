import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from bridge.cli.check import check

TOML = """
[cention]
base_url = "https://api.cention.example"
workspace = "demo"
token = "secret-token"
device_id = 1
extension_id = 2
[[routes]]
name = "sales"
queue_names = ["Sales"]
workspace = "sales"
[[rules]]
name = "missed"
on = ["call.abandoned"]
do = ["send_watemplate"]
token = "secret-wa"
user_id = "17"
watemplate = { elementname = "m", namespace = "ns", params = [{ who = "{{ caller }}" }] }
"""
API = "https://api.cention.example/s"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("BRIDGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "bridge.toml"
    path.write_text(TOML)
    return path


def event(kind: str, number: int = 1, **given: Any) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(seconds=60 - number)
    return {
        "eventId": f"e{number}",
        "eventType": kind,
        "occurredAt": at.isoformat(),
        "referenceId": "r1",
        "callerNumber": "+60123456789",
        "callerName": "Ada",
        "destNumber": "60374571234",
        "queueName": "EHS",
        "queueNumber": "1",
        **given,
    }


def play(config: Path, content: object, *args: str) -> Result:
    file = config.with_name("event.json")
    text = content if isinstance(content, str) else json.dumps(content)
    file.write_text(text)
    app = typer.Typer()
    app.command()(check)
    return CliRunner().invoke(app, ["--config", str(config), "--event", str(file), *args])


def played(config: Path, content: object) -> list[dict[str, Any]]:
    result = play(config, content, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["events"]
    return found


def test_an_event_shows_its_route_its_rule_and_what_would_leave(config: Path) -> None:
    answered = event("call.answered", queueName="Sales", deviceId=1, extensionId=2)
    (scene,) = played(config, answered)
    assert (scene["route"], scene["rule"], scene["status"]) == (
        "sales",
        "default-errand",
        "accepted",
    )
    assert [(one["kind"], one["url"]) for one in scene["requests"]] == [
        ("new_errand", f"{API}/sales/capi/json/c3_new_errands"),
        ("contact_card", f"{API}/sales/capi/json/c3_contact_cards"),
    ]
    errand = scene["requests"][0]["document"]["data"]["attributes"]
    assert errand["msg"]["name"] == "Ada"
    assert errand["integrationData"]["queueName"] == "Sales"


def test_the_events_of_a_call_are_played_one_after_the_other(config: Path) -> None:
    scenes = played(
        config, [event("call.queued"), event("call.answered", 2), event("call.ended", 3)]
    )
    assert [[one["kind"] for one in scene["requests"]] for scene in scenes] == [
        ["contact_card"],
        ["new_errand"],
        ["end_errand"],
    ]


def test_what_has_to_wait_is_shown_with_its_times(config: Path) -> None:
    first, later = played(config, event("call.abandoned"))
    assert (first["rule"], first["requests"]) == ("missed", [])
    (message,) = later["requests"]
    assert (later["status"], message["kind"]) == ("later", "watemplate")
    attributes = message["document"]["data"]["attributes"]
    assert attributes["watemplate"]["params"] == [{"who": "Ada"}]
    assert message["due_at"] < message["expires_at"]


def test_a_call_that_ends_unanswered_shows_what_comes_of_it_later(config: Path) -> None:
    first, later = played(config, event("call.ended"))
    assert first["requests"] == []
    assert [one["kind"] for one in later["requests"]] == ["watemplate"]


def test_why_a_message_is_not_sent_is_shown(config: Path) -> None:
    (scene,) = played(config, event("call.abandoned", callerNumber="+60374571234"))
    assert scene["unsent"] == ["not_mobile"]


def test_an_event_that_would_be_refused_is_told_why_and_exits_with_1(config: Path) -> None:
    result = play(config, [event("call.queued"), event("call.nonsense", 2)])
    assert result.exit_code == 1
    assert "call.queued e1: route default, rule default-waiting" in result.stdout
    assert "  /eventType: must be one of " in result.stdout
    told = json.loads(play(config, [event("call.nonsense")], "--json").stdout)
    assert (told["ok"], told["events"][0]["status"]) == (False, "rejected")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "the file: "),
        ("[]", "holds 0 events; use 1 to 10,000"),
        ('{"a": 1, "a": 2}', "the same key twice"),
    ],
)
def test_a_file_that_holds_no_event_is_told_in_a_line(
    config: Path, content: str, line: str
) -> None:
    result = play(config, content)
    assert result.exit_code == 2
    assert line in result.stderr
    assert "Traceback" not in result.output


def test_a_file_that_is_not_there_is_told_in_a_line(config: Path) -> None:
    app = typer.Typer()
    app.command()(check)
    missing = config.with_name("missing.json")
    result = CliRunner().invoke(app, ["--config", str(config), "--event", str(missing)])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


def test_lines_and_cloud_events_are_read_too(config: Path) -> None:
    lines = "\n".join(json.dumps(event("call.queued", number)) for number in (1, 2))
    assert len(played(config, lines)) == 2
    cloud = {"specversion": "1.0", "id": "c1", "data": event("call.queued")}
    assert played(config, cloud)[0]["eventId"] == "c1"
    assert [one["eventId"] for one in played(config, [cloud])] == ["c1"]


def test_a_person_reads_every_request_whole(config: Path) -> None:
    result = play(config, [event("call.answered", deviceId=1, extensionId=2), event("call.ended")])
    assert result.exit_code == 0
    assert f"  POST {API}/demo/capi/json/c3_new_errands (token of route default)" in result.stdout
    assert '"callReason"' not in result.stdout
    assert "call.ended e1: rejected" not in result.stdout


def test_the_same_id_with_other_content_is_told(config: Path) -> None:
    result = play(config, [event("call.answered"), event("call.ended")])
    assert "call.ended e1: conflict" in result.stdout


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_token_is_shown(config: Path, form: list[str]) -> None:
    shown = play(config, [event("call.answered"), event("call.abandoned", 2)], *form).output
    assert "secret" not in shown


def test_the_routes_and_their_tokens_are_shown_beside(config: Path) -> None:
    assert "messages of a rule" in play(config, event("call.queued")).stdout
    told = json.loads(play(config, event("call.queued"), "--json").stdout)
    names = [route["name"] for route in told["routes"]]
    assert names == ["sales", "default", "watemplate:missed"]


def test_nothing_is_kept(config: Path, tmp_path: Path) -> None:
    play(config, event("call.answered"))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["bridge.toml", "event.json"]
