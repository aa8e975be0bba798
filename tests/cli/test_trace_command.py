from pathlib import Path

import pytest
from cli_site import AWAY, CUID, DELIVERED, NAME, NUMBER, REFUSED, Site, event, prepared

from bridge.domain.deliveries import Kind
from bridge.ops.clock import SystemClock
from bridge.storage.transaction import SqlTransaction

ADDRESS = "ada@example.com"
SECRETS = (NUMBER[1:], "345 6789", NAME, CUID, ADDRESS, "broken tooth", "pbx.example", "hush.wav")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture
def site(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, empty, monkeypatch)


@pytest.fixture
def told(site: Site) -> Site:
    """A call with much said in it: answered, ended, and the end refused."""
    site.take(
        event("call.queued", minutes=3, cuid=CUID, contact={"email": [ADDRESS]}),
        event(
            "call.answered",
            minutes=2,
            link="https://pbx.example/1",
            extraData={"callReason": "broken tooth", "age": 44},
            attachments=[{"content_type": "audio/wav", "name": "hush.wav", "content": "AAAA"}],
        ),
        event("call.ended"),
    )
    site.send(Kind.NEW_ERRAND, DELIVERED)
    site.send(Kind.END_ERRAND, REFUSED)
    return site


def test_the_story_is_told_in_the_order_in_which_it_happened(told: Site) -> None:
    result = told.run("trace", "r1")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "Call r1 (aventa), route default"
    words = (
        *("• call.queued", "agent 1000/1000", "• call.answered", "• call.ended"),
        *("✓ new_errand 2 delivered 201", "errand 77", "✗ end_errand 4 refused for good 422"),
    )
    places = [next(i for i, line in enumerate(lines[3:]) if word in line) for word in words]
    assert places == sorted(places)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_nothing_tells_who_called(told: Site, form: list[str]) -> None:
    shown = told.run("trace", "r1", *form).stdout
    assert "***89" in shown
    assert not [secret for secret in SECRETS if secret in shown]
    assert "422" in shown
    assert "is not wanted" in shown


def test_reveal_shows_everything(told: Site) -> None:
    shown = told.run("trace", "r1", "--reveal", "--json").stdout
    assert not [secret for secret in SECRETS if secret not in shown]
    table = told.run("trace", "r1", "--reveal").stdout
    assert "reason broken tooth" in table
    assert f"name {NAME}" in table


def test_what_is_attached_is_told_by_its_size(told: Site) -> None:
    story = told.read("trace", "r1", "--reveal")
    [attached] = story["events"][1]["payload"]["attachments"]
    assert attached == {"content_type": "audio/wav", "name": "hush.wav", "content": "(3 bytes)"}


def test_scripts_get_times_in_rfc_3339_and_every_attempt(told: Site) -> None:
    story = told.read("trace", "r1")
    assert [one["event_type"] for one in story["events"]] == [
        "call.queued",
        "call.answered",
        "call.ended",
    ]
    create, end = story["deliveries"]
    assert (create["state"], create["remote_id"], create["attempts"]) == ("delivered", "77", 1)
    assert create["done_at"].endswith("Z")
    assert end["done_at"] is None
    assert [one["outcome"] for one in end["tries"]] == ["dead"]
    assert end["tries"][0]["at"].endswith("Z")


def test_a_call_nobody_knows_is_one_line(site: Site) -> None:
    result = site.run("trace", "r2")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "r2: nothing is known of this call\n"


def test_what_waits_at_a_shut_gate_says_so(site: Site) -> None:
    site.take(event("call.answered"))
    site.send(Kind.NEW_ERRAND, AWAY)
    site.run("routes", "pause", "default")
    shown = site.run("trace", "r1").stdout
    assert "No errand yet: it waits, tried 1 time: default is paused since " in shown
    assert "somebody paused it; last said 503" in shown
    assert site.read("trace", "r1")["deliveries"][0]["paused"] == "by hand"


def test_a_finished_delivery_is_not_paused(told: Site) -> None:
    told.run("routes", "pause", "default")
    assert [one["paused"] for one in told.read("trace", "r1")["deliveries"]] == [None, None]


def test_the_story_stays_the_same_when_deliveries_move_aside(told: Site) -> None:
    before = told.read("trace", "r1", "--reveal"), told.run("trace", "r1").stdout
    later_us = SystemClock().now_us() + 10**9
    moved = told.do(lambda connection: SqlTransaction(connection).archive(later_us, 100))
    assert moved == 1
    assert (told.read("trace", "r1", "--reveal"), told.run("trace", "r1").stdout) == before


def test_an_outbound_call_leads_to_the_call_that_it_belongs_to(site: Site) -> None:
    site.take(
        event("callback.requested", minutes=5),
        event("outbound.ended", referenceId="out9", relatedReferenceId="r1", dialedNumber=NUMBER),
    )
    result = site.run("trace", "out9")
    assert result.stdout.splitlines()[:2] == [
        "out9 is an outbound call that belongs to r1.",
        "Call r1 (aventa), route default",
    ]
    assert site.read("trace", "out9")["reference_id"] == "r1"


def test_what_steers_a_terminal_is_escaped(site: Site) -> None:
    site.take(event("call.queued", callerName="\x1b[31mred"))
    shown = site.run("trace", "r1", "--reveal").stdout
    assert "\x1b" not in shown
    assert "\\x1b[31mred" in shown


def test_a_name_that_looks_like_markup_is_shown_as_it_is(site: Site) -> None:
    site.take(event("call.queued", callerName="[bold]Ada"))
    assert "[bold]Ada" in site.run("trace", "r1", "--reveal").stdout


def test_the_help_has_an_example(site: Site) -> None:
    assert "Example: aventa-bridge trace" in site.run("trace", "--help").stdout
