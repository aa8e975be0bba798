import json
from pathlib import Path

import pytest
from cli_site import TOML, Site, event, prepared
from msgspec.structs import replace
from sqlalchemy import Connection

from bridge.app.oneview import agent_mark, roster_of
from bridge.domain.events import Agent, CallEvent, EventType
from bridge.domain.presence import There
from bridge.ports import Pause
from bridge.services.presence_folding import PresenceFolder, PresencePolicy
from bridge.settings import load_settings
from bridge.storage.engine import open_engine
from bridge.storage.schema import digest_key
from bridge.storage.transaction import SqlTransaction

ONEVIEW = """
[oneview]
base_url = "https://oneview.example/cs-chat-ticket"
[[agents]]
device_id = 1000
extension_id = 1000
email = "ann@example.com"
token = "token-a"
[[agents]]
device_id = 1001
extension_id = 1001
email = "bob@example.com"
token = "token-b"
"""
NOW_US = 1_790_000_000_000_000


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture
def site(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site.make(tmp_path, empty, monkeypatch)
    made.write(TOML + ONEVIEW)
    return made


def take_a_call(tmp_path: Path) -> None:
    settings = load_settings(config=tmp_path / "bridge.toml", secrets_dir=None, environ={})
    engine = open_engine(settings.store.url)
    key = digest_key(engine)
    answered = CallEvent(
        source="aventa",
        event_id="e",
        type=EventType.CALL_ANSWERED,
        occurred_us=NOW_US,
        route="default",
        reference_id="call-7",
        agent=Agent(1000, 1000),
    )
    with engine.begin() as connection:
        presence = SqlTransaction(connection).presence()
        PresenceFolder(PresencePolicy(roster=roster_of(settings, key))).fold(
            presence, [answered], NOW_US
        )
        mark = agent_mark(key, "ann@example.com")
        known = presence.presences([mark])[mark]
        presence.save_presences(
            [replace(known, seen=There("online"), seen_us=NOW_US, error="401", refused=401)]
        )
    engine.dispose()


def test_agents_are_listed_with_their_calls_and_what_keeps_them(site: Site, tmp_path: Path) -> None:
    take_a_call(tmp_path)
    ann, bob = site.read("agents", "list")
    assert (ann["email"], ann["desk"], ann["presence"]) == (
        "ann@example.com",
        "1000/1000",
        "on_call",
    )
    assert (ann["calls"], ann["status"]) == (["call-7"], "online")
    assert ann["error"] == "the token is refused (401)"
    assert (bob["presence"], bob["calls"], bob["status"]) == ("free", [], "")
    shown = site.run("agents", "list").stdout
    for word in ("ann@example", "call-7", "401"):
        assert word in shown
    assert "token-a" not in shown


def test_without_one_view_there_is_nobody_to_list(
    tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = Site.make(tmp_path, empty, monkeypatch).run("agents", "list")
    assert result.exit_code != 0
    assert "oneview.base_url: is not set" in result.stderr


def test_an_event_that_is_replayed_from_quarantine_counts_for_presence(site: Site) -> None:
    said = event("call.answered", deviceId=1000, extensionId=1000)
    site.refuse(json.dumps(said).encode())
    assert site.run("quarantine", "replay", "a").exit_code == 0
    ann = site.read("agents", "list")[0]
    assert (ann["presence"], ann["calls"]) == ("on_call", ["r1"])


def test_a_pause_of_an_agents_tickets_is_one_views_word(site: Site) -> None:
    def pause(connection: Connection) -> None:
        pauses = [
            Pause(
                route="oneview:abc",
                kind=None,
                reason="401",
                since_us=NOW_US,
                probe_us=NOW_US,
                token_mark="x",
            )
        ]
        SqlTransaction(connection).save_pauses(pauses)

    site.do(pause)
    (route,) = [one for one in site.read("routes", "list") if one["name"] == "oneview:abc"]
    assert [one["reason"] for one in route["pauses"]] == ["401"]
    assert "One View" in site.run("routes", "list").stdout
    assert site.run("routes", "resume", "oneview:abc").exit_code == 0
