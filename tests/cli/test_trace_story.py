"""What `trace` tells of calls to which everything happened that may."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cli_site import DELIVERED, Site, event, prepared
from msgspec.structs import replace
from rich.cells import cell_len

from bridge.domain.answers import Answer, Recipient
from bridge.domain.deliveries import Kind
from bridge.domain.outcomes import Reply
from bridge.ops.clock import SystemClock
from bridge.storage import tables
from bridge.storage.codecs import encode

PLANTED = re.compile(r"kanari|f[åa]gelholk|sjuka|704447771|70-444 77", re.IGNORECASE)
PERSON: dict[str, Any] = {
    "callerNumber": "+46704447771",
    "callerName": "Kanarina Fågelholk",
    "cuid": "kanarie-cuid",
    "contact": {"email": ["kanarina@example.com"]},
    "extraData": {"callReason": "en kanariesjuka som gör det svårt att sjunga om morgonen"},
    "link": "https://kanarina.example/1",
}
# An upstream that repeats what it was sent: whole, in part, in capitals, and cut at the end.
QUOTING = Reply(
    status=422,
    detail="no FÅGELHOLK, +46 70-444 77 71, kanariesjuka som gör, Kanarina@example.com, kanarie-cu",
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture
def site(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, empty, monkeypatch)


def put(site: Site, table: Any, **row: object) -> None:
    site.do(lambda connection: connection.execute(table.insert().values(**row)))


def came_back(site: Site) -> None:
    """Have an answer come back for errand 77, and its report be read."""
    now_us = SystemClock().now_us()
    answer = Answer(
        callback_id="1",
        errand_id=77,
        subject="Kanarisk fråga",
        body="Kanarina",
        to=(Recipient(name="Kanarina", email_address="kanarina@example.com"),),
        service_name="voice",
    )
    put(
        site,
        tables.answers,
        key="77:1",
        digest=b"",
        errand_id=77,
        callback_id="1",
        state="done",
        tries=0,
        received_us=now_us,
        give_up_us=now_us,
        scope="s",
        source="aventa",
        reference_id="r1",
        route="default",
        payload=encode(answer),
    )


@pytest.fixture
def whole(site: Site) -> Site:
    """A call of which nearly everything is told."""
    site.take(event("call.queued", minutes=3, **PERSON))
    site.take(event("call.answered", minutes=2, **PERSON))
    site.send(Kind.CONTACT_CARD, replace(DELIVERED, remote_id="8123"))
    site.send(Kind.NEW_ERRAND, DELIVERED)
    site.take(event("call.transferred", minutes=1.5, deviceId=2000, extensionId=2001, **PERSON))
    site.take(event("call.ended", deviceId=None, extensionId=None, **PERSON))
    site.send(Kind.END_ERRAND, QUOTING)
    body = {"referenceId": "r1", "eventId": "r1-call.ended", **PERSON}
    site.refuse(json.dumps(body, ensure_ascii=False).encode(), id="b", status=409)
    came_back(site)
    return site


def test_a_whole_story_has_every_part_on_its_line(whole: Site) -> None:
    lines = whole.run("trace", "r1").stdout.splitlines()
    assert re.fullmatch(
        r"✗ Errand 77 was created 0\.\d s after the answer came, and could not be ended;"
        r" agent 1000/1000, then 2000/2001; 1 delivery has stopped, see below\.",
        lines[1],
    )
    text = "\n".join(lines)
    for words in (
        "• call.queued",
        "rule default-waiting; had happened 3 min 00 s before",
        "✓ contact_card 1 delivered 201 after 20 ms",
        "card 8123: ",
        "voice ***71",
        "✓ new_errand 2 delivered 201 after 20 ms",
        "agent 2000/2001",
        "✗ end_errand 4 refused for good 422",
        "in quarantine: another of the same id is kept (409)",
        "quarantine show b0000000",
        "← answer to errand 77 came back, done",
        "dead-letters show 4",
    ):
        assert words in text


def test_scripts_get_all_of_it(whole: Site) -> None:
    story = whole.read("trace", "r1")
    assert list(story) == [
        *("reference_id", "summary", "timeline", "events", "deliveries"),
        *("contacts", "answers", "reports", "refused"),
    ]
    assert [one["rule"] for one in story["events"]] == [
        *("default-waiting", "default-errand", "", "default-end"),
    ]
    assert set(story["events"][0]) == {
        *("id", "source", "event_id", "event_type", "reference_id", "route"),
        *("occurred_at", "received_at", "payload", "rule"),
    }
    [person] = story["contacts"]
    assert (person["card_id"], person["confirmed"]["voice"]) == ("8123", ["***71"])
    [card] = person["deliveries"]
    assert [one["status"] for one in card["tries"]] == [201]
    [refused] = story["refused"]
    assert (refused["status"], refused["payload"]["referenceId"]) == (409, "r1")
    times = [one["at"] for one in story["timeline"] if one["at"]]
    assert times == sorted(times)
    assert {one["mark"] for one in story["timeline"]} == {"event", "done", "failed", "back"}
    assert all(set(one) == {"at", "mark", "what", "more"} for one in story["timeline"])


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_nothing_of_the_caller_is_told_without_being_asked_for(
    whole: Site, form: list[str]
) -> None:
    shown = whole.run("trace", "r1", *form).stdout
    assert PLANTED.findall(shown) == []
    assert "***71" in shown
    assert PLANTED.search(whole.run("trace", "r1", "--reveal", *form).stdout)


def test_what_an_older_release_kept_tells_no_rule(whole: Site) -> None:
    whole.do(lambda c: c.execute(tables.events.update().values(rule=None)))
    assert "rule not kept by that release" in whole.run("trace", "r1").stdout
    assert whole.read("trace", "r1")["events"][0]["rule"] is None


def test_an_event_that_no_rule_took_says_so(site: Site) -> None:
    site.take(event("call.queued"))
    site.do(lambda c: c.execute(tables.events.update().values(rule="")))
    assert "no rule" in site.run("trace", "r1").stdout


def test_a_call_that_is_well_says_that_nothing_waits(site: Site) -> None:
    site.take(event("call.answered", minutes=2), event("call.ended"))
    site.send(Kind.CONTACT_CARD, DELIVERED)
    site.send(Kind.NEW_ERRAND, DELIVERED)
    site.send(Kind.END_ERRAND, Reply(status=200))
    line = site.run("trace", "r1").stdout.splitlines()[1]
    assert line.startswith("✓ Errand 77 was created ")
    assert line.endswith("after the answer came and ended; agent 1000/1000; nothing waits.")


def test_what_was_refused_alone_has_a_story_too(site: Site) -> None:
    site.refuse(b'{"eventId": "e1", "referenceId": "r1"}')
    lines = site.run("trace", "r1").stdout.splitlines()
    assert lines[:2] == [
        "Call r1 (), not accepted",
        "✓ No event of this call was accepted; nothing waits.",
    ]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"callerNumber": "anonymous"}, "the number is withheld, shared or none"),
        ({"callerNumber": None}, "the events tell nothing of who called"),
    ],
)
def test_why_there_is_no_card_is_said(site: Site, given: dict[str, Any], why: str) -> None:
    site.take(event("call.queued", callerName=None, **given))
    assert f"no contact card: {why}" in site.run("trace", "r1").stdout


def test_a_card_that_had_nothing_new_to_say_is_named(site: Site) -> None:
    site.take(event("call.queued", referenceId="r0"))
    site.send(Kind.CONTACT_CARD, replace(DELIVERED, remote_id="8123"))
    site.take(event("call.queued"))
    shown = site.run("trace", "r1").stdout
    assert "contact_card: nothing new to say, it was confirmed before" in shown
    assert "card 8123: name; voice ***89; confirmed " in shown


def test_what_a_refused_token_holds_up_says_since_when_and_why(site: Site) -> None:
    site.take(event("call.answered"))
    site.send(Kind.NEW_ERRAND, Reply(status=401))
    line = " ".join(site.run("trace", "r1").stdout.splitlines()[1:3])
    assert "… No errand yet: it waits: default is paused since " in line
    assert "its token is refused (401)" in line
    [create] = site.read("trace", "r1")["deliveries"]
    assert create["paused"] == "401"


def test_what_is_in_doubt_waits_for_a_person(site: Site) -> None:
    site.take(event("call.answered"))
    site.send(Kind.NEW_ERRAND, Reply(status=500))
    shown = site.run("trace", "r1").stdout
    assert "✗ No errand: it may have arrived; a person has to decide" in shown


def test_a_message_that_was_given_up_says_why(site: Site) -> None:
    site.take(event("call.answered"))
    site.send(Kind.NEW_ERRAND, DELIVERED)
    given_up = {"state": "given_up", "error": "the call was answered after all"}
    site.do(lambda c: c.execute(tables.outbox.update().values(kind="watemplate", **given_up)))
    shown = site.run("trace", "r1").stdout
    assert "watemplate 1 given up" in shown
    assert "the call was answered after all" in shown


@pytest.mark.parametrize("columns", [80, 100])
def test_on_a_narrow_terminal_nothing_is_wider_than_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    site.take(event("call.answered", callerName="名" * 200, extraData={"comment": "x" * 10_000}))
    shown = site.run("trace", "r1", "--reveal").stdout
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(cell_len, lines)) <= columns
    assert len(lines) < 15
    assert any(line.endswith("…") for line in lines)


def test_hostile_texts_are_shown_harmlessly(site: Site) -> None:
    hostile = "\x1b[2J\u202egnp\u200f\r\nAda [bold]\x07"
    site.take(
        event(
            "call.answered",
            callerName=hostile,
            queueName=f"q{hostile}"[:128],
            eventId=f"e{hostile}",
        )
    )
    site.send(Kind.NEW_ERRAND, Reply(status=422, detail=hostile))
    shown = site.run("trace", "r1", "--reveal").stdout
    assert not set("\x1b\u202e\u200f\r\x07") & set(shown)
    assert "\\x1b[2J\\u202egnp\\u200f\\r\\nAda [bold]\\x07" in shown


def test_where_a_terminal_knows_ascii_alone_it_gets_no_more(
    whole: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rich.console.ConsoleOptions.ascii_only", True)
    shown = whole.run("trace", "r1", "--reveal").stdout
    assert "+ contact_card 1" in shown
    assert "F\\xe5gelholk" in shown
    assert shown.replace("…", ".").isascii()


def test_a_terminal_gets_colours(whole: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    assert "\x1b[32m✓" in whole.run("trace", "r1").stdout


@pytest.mark.parametrize("reference", ["\ud83d", "x" * 5_000, "'; drop table events; --", "%"])
def test_whatever_is_asked_for_the_answer_is_one_line(site: Site, reference: str) -> None:
    site.take(event("call.answered"))
    result = site.run("trace", reference)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith(": nothing is known of this call\n")
    assert result.stderr.count("\n") == 1
