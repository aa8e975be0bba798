import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli_site import CUID, DELIVERED, NAME, NUMBER, REFUSED, Site, event, prepared
from contacts_site import ADDRESS, OTHER, fill, forget, left

from bridge.cli import common
from bridge.domain.deliveries import Kind
from bridge.storage import engine
from bridge.storage.engine import DaemonLock

MISSED = ("call.queued", "call.abandoned")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture
def site(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, empty, monkeypatch)


def known(site: Site, text: str) -> list[Any]:
    result = site.run("contacts", "show", text, "--json")
    return list(json.loads(result.stdout)) if result.exit_code == 0 else []


class TestShow:
    @pytest.mark.parametrize(
        "text",
        ["012-345 6789", NUMBER, NUMBER[1:], "sip:60123456789@pbx", CUID, ADDRESS, f" {CUID} "],
    )
    def test_anybody_is_found_by_all_that_tells_them(self, site: Site, text: str) -> None:
        site.take(event("call.queued", cuid=CUID, contact={"email": [ADDRESS]}))
        [person] = known(site, text)
        assert person["wanted"]["voice"] == [NUMBER]
        assert (person["confirmed"], person["card_id"], person["confirmed_at"]) == ({}, "", None)

    def test_what_cention_has_stands_beside_what_is_wanted(self, site: Site) -> None:
        site.take(event("call.queued"))
        site.send(Kind.CONTACT_CARD, DELIVERED)
        site.take(event("call.queued", eventId="2", cuid=CUID))
        [person] = known(site, NUMBER)
        assert person["card_id"] == "77"
        assert person["confirmed"] == {"name": NAME, "voice": [NUMBER]}
        assert person["wanted"]["cuid"] == CUID
        assert person["confirmed_at"].endswith("Z")
        lines = site.run("contacts", "show", NUMBER).stdout.splitlines()
        assert "card 77" in lines[0]
        [cuid] = [line for line in lines if "cuid" in line]
        assert cuid.count(CUID) == 1

    def test_one_person_of_two_workspaces_has_two_cards(self, site: Site) -> None:
        site.take(event("call.queued"), event("call.queued", referenceId="r2", queueName="Sales"))
        assert [one["route"] for one in known(site, NUMBER)].count("sales") == 1
        assert len(known(site, NUMBER)) == 2

    def test_somebody_unknown_is_one_line(self, site: Site) -> None:
        result = site.run("contacts", "show", "012-9999999")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "012-9999999: nobody is known by this\n"

    def test_nothing_is_wrong_usage(self, site: Site) -> None:
        assert site.run("contacts", "show", " ").exit_code == 2


class TestForget:
    def test_no_byte_of_the_store_tells_of_them_any_more(self, site: Site) -> None:
        fill(site)
        site.send(Kind.CONTACT_CARD, REFUSED)
        site.send(Kind.NEW_ERRAND, DELIVERED)
        site.send(Kind.END_ERRAND, REFUSED)
        site.refuse(json.dumps(event("call.queued", cuid=CUID)).encode(), id="b")
        site.refuse(f"[[{NUMBER}, {NAME}".encode(), id="c")
        site.refuse(json.dumps({"callerName": NAME, "cuid": CUID}).encode("utf-16"), id="d")
        site.refuse(b'{"callerName": "Grace"}', id="e")
        assert left(site, (NUMBER, NAME, CUID, ADDRESS)) == [NUMBER, NAME, CUID, ADDRESS]
        said = forget(site)
        assert said == "Erased: 1 card, what was said in 20 calls, 3 refused events.\n"
        assert left(site) == []
        assert b"Caller 399" in site.raw()
        assert [one["id"][0] for one in site.read("quarantine", "list")] == ["e"]

    def test_that_there_was_a_call_is_still_told(self, site: Site) -> None:
        site.take(event("call.answered", minutes=2), event("call.ended"))
        site.send(Kind.NEW_ERRAND, DELIVERED)
        forget(site)
        story = site.read("trace", "r1", "--reveal")
        assert [one["event_type"] for one in story["events"]] == ["call.answered", "call.ended"]
        assert [one["payload"] for one in story["events"]] == [None, None]
        assert "its content is gone" in site.run("trace", "r1").stdout

    def test_others_are_left_alone(self, site: Site) -> None:
        site.take(event("call.answered"), event("call.answered", referenceId="r2", **OTHER))
        before = site.read("trace", "r2", "--reveal")
        forget(site)
        assert site.read("trace", "r2", "--reveal") == before
        assert len(known(site, OTHER["cuid"])) == 1
        assert len(site.claim(Kind.CONTACT_CARD)) == 1
        assert len(site.claim(Kind.NEW_ERRAND)) == 1

    def test_another_call_of_the_same_reference_is_left_alone(self, site: Site) -> None:
        site.take(
            event("call.answered", minutes=60 * 100),
            event("call.answered", eventId="later", **OTHER),
        )
        forget(site)
        first, second = site.read("trace", "r1", "--reveal")["events"]
        assert first["payload"] is None
        assert second["payload"]["callerName"] == OTHER["callerName"]
        [errand] = site.read("trace", "r1", "--reveal")["deliveries"]
        assert errand["payload"]["name"] == OTHER["callerName"]

    def test_an_event_of_their_call_that_does_not_name_them_goes_too(self, site: Site) -> None:
        site.take(
            event("call.answered", minutes=2),
            event("call.ended", callerNumber=None, extraData={"comment": "broken tooth"}),
        )
        forget(site)
        assert left(site) == []

    def test_a_call_that_speaks_of_them_goes_too(self, site: Site) -> None:
        hint = {"comment": "call back at 012-345 6789, thanks"}
        site.take(event("call.queued", callerNumber="anonymous", callerName=None, extraData=hint))
        forget(site)
        assert left(site) == []

    def test_what_was_kept_of_a_call_after_its_content_is_found_too(self, site: Site) -> None:
        site.take(event("call.queued"))

        def drop_contents(connection: Any) -> None:
            connection.exec_driver_sql("UPDATE events SET payload = NULL")

        site.do(drop_contents)
        forget(site)
        assert left(site) == []


class TestForgetWork:
    def test_an_errand_that_was_not_sent_is_not_sent_any_more(self, site: Site) -> None:
        site.take(event("call.answered", minutes=2))
        assert "1 errand had not been sent and won't be" in forget(site)
        site.take(event("call.ended", callerNumber=None, callerName=None))
        assert site.states() == {}

    @pytest.mark.parametrize("reply", [REFUSED, None])
    def test_neither_is_its_end(self, site: Site, reply: Any) -> None:
        site.take(event("call.answered", minutes=2), event("call.ended"))
        if reply is not None:
            site.send(Kind.NEW_ERRAND, reply)
        forget(site)
        assert site.states() == {}

    def test_an_errand_that_was_sent_is_still_ended(self, site: Site) -> None:
        site.take(event("call.answered", minutes=2))
        site.send(Kind.NEW_ERRAND, DELIVERED)
        forget(site)
        site.take(event("call.ended", callerNumber=None, callerName=None))
        assert site.states() == {"new_errand": "delivered", "end_errand": "ready"}
        assert left(site) == []

    def test_an_end_that_waits_is_sent_without_the_number(self, site: Site) -> None:
        site.take(
            event("callback.requested", minutes=5),
            event("outbound.ended", referenceId="o1", relatedReferenceId="r1", dialedNumber=NUMBER),
        )
        site.send(Kind.NEW_ERRAND, DELIVERED)
        forget(site)
        assert left(site) == []
        [parcel] = site.send(Kind.END_ERRAND, DELIVERED)
        assert getattr(parcel.payload, "dialed_number", None) == ""
        # An event that changes nothing doesn't end it once more.
        site.take(event("outbound.answered", referenceId="o1", relatedReferenceId="r1"))
        assert site.states() == {"new_errand": "delivered", "end_errand": "delivered"}

    def test_a_callback_whose_errand_is_gone_is_open_no_more(self, site: Site) -> None:
        site.take(event("callback.requested"))
        forget(site)
        query = "SELECT is_open FROM calls"
        assert site.do(lambda db: db.exec_driver_sql(query).scalar()) == 0

    def test_what_a_daemon_is_sending_is_left_to_it(self, site: Site) -> None:
        site.take(event("call.answered"))
        parcels = site.claim(Kind.NEW_ERRAND)
        lock = DaemonLock(f"sqlite:///{site.store}")
        result = site.run("contacts", "forget", NUMBER, "--yes")
        lock.release()
        assert result.exit_code == 1
        assert result.stderr == (
            "1 delivery is on the way to Cention or being looked up there:"
            " run it again in a few minutes\n"
        )
        assert known(site, NUMBER) == []
        site.settle(parcels, DELIVERED)
        forget(site)
        assert left(site) == []
        assert site.states() == {"new_errand": "delivered"}

    def test_what_was_being_sent_when_the_daemon_stopped_goes(self, site: Site) -> None:
        site.take(event("call.answered"))
        site.claim(Kind.NEW_ERRAND)
        site.claim(Kind.CONTACT_CARD)
        assert "1 errand may be in Cention already" in forget(site)
        assert left(site) == []
        assert site.states() == {}

    def test_who_calls_again_is_somebody_new(self, site: Site) -> None:
        site.take(event("call.queued", cuid=CUID))
        site.send(Kind.CONTACT_CARD, DELIVERED)
        forget(site)
        site.take(event("call.queued", eventId="again", referenceId="r2"))
        [person] = known(site, NUMBER)
        assert person["confirmed"] == {}
        assert len(site.claim(Kind.CONTACT_CARD)) == 1


class TestForgetWhom:
    def test_a_cuid_tells_the_numbers(self, site: Site) -> None:
        site.take(event("call.queued", cuid=CUID), event("call.queued", referenceId="r2"))
        forget(site, CUID)
        assert left(site) == []

    def test_a_number_nobody_has_a_card_for_is_forgotten_too(self, site: Site) -> None:
        site.take(event("call.ended"))
        assert known(site, NUMBER) == []
        forget(site)
        assert left(site) == []

    def test_they_are_forgotten_in_every_workspace(self, site: Site) -> None:
        site.take(
            event("call.queued", cuid=CUID),
            event("call.queued", referenceId="r2", queueName="Sales"),
        )
        assert forget(site, CUID).startswith("Erased: 2 cards,")
        assert left(site) == []

    def test_whoever_shares_the_number_under_another_cuid_stays(self, site: Site) -> None:
        shared = {**OTHER, "callerNumber": NUMBER, "referenceId": "r2", "queueName": "Sales"}
        site.take(event("call.queued", cuid=CUID), event("call.queued", **shared))
        result = site.run("contacts", "forget", CUID, "--yes")
        assert result.exit_code == 1
        assert result.stderr.startswith("Not erased: the card of somebody else")
        assert [one["wanted"]["cuid"] for one in known(site, NUMBER)] == [OTHER["cuid"]]
        assert known(site, CUID) == []

    def test_a_cuid_that_could_be_a_number_is_a_cuid(self, site: Site) -> None:
        other = {**OTHER, "cuid": "0123456789", "referenceId": "r2"}
        site.take(event("call.queued"), event("call.queued", **other))
        forget(site, "0123456789")
        assert len(known(site, NUMBER)) == 1
        assert known(site, OTHER["callerNumber"]) == []

    def test_a_short_cuid_is_no_word_of_others(self, site: Site) -> None:
        site.take(
            event("call.queued", cuid="42"),
            event("call.queued", referenceId="r2", queueNumber="42", **OTHER),
        )
        before = site.read("trace", "r2", "--reveal")
        forget(site, "42")
        assert known(site, "42") == []
        assert site.read("trace", "r2", "--reveal") == before

    @pytest.mark.parametrize(
        ("number", "twin"),
        [
            # The same digits after the country code, and the same with one more.
            ("+60374571234", "+49374571234"),
            ("+4930123456", "+49301234567"),
        ],
    )
    def test_a_number_much_like_theirs_is_somebody_elses(
        self, site: Site, number: str, twin: str
    ) -> None:
        dest = {"destNumber": "+60387654321"}
        other = {**OTHER, "callerNumber": twin, "referenceId": "r2"}
        site.take(
            event("call.queued", callerNumber=number, **dest), event("call.queued", **other | dest)
        )
        before = site.read("trace", "r2", "--reveal")
        forget(site, number)
        assert site.read("trace", "r2", "--reveal") == before
        assert len(known(site, twin)) == 1

    def test_somebody_unknown_is_one_line(self, site: Site) -> None:
        site.take(event("call.queued"))
        result = site.run("contacts", "forget", "012-9999999", "--yes")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "012-9999999: nothing is kept of them\n"
        assert len(known(site, NUMBER)) == 1

    def test_an_id_that_holds_the_number_is_told_of(self, site: Site) -> None:
        site.take(event("call.queued", referenceId=f"{NUMBER[1:]}-1"))
        result = site.run("contacts", "forget", NUMBER, "--yes")
        assert result.exit_code == 1
        assert result.stderr.startswith("Not erased: ids that the phone system gave")

    def test_it_asks_first(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        site.take(event("call.queued"))
        assert site.run("contacts", "forget", NUMBER).exit_code == 2
        monkeypatch.setattr(common, "at_terminal", lambda: True)
        result = site.run("contacts", "forget", NUMBER, answer="n\n")
        assert result.exit_code == 1
        assert f"Erase 1 card, 1 call and 0 refused events of {NUMBER} for good?" in result.stderr
        assert len(known(site, NUMBER)) == 1
        assert site.run("contacts", "forget", NUMBER, answer="y\n").exit_code == 0
        assert known(site, NUMBER) == []


def test_a_log_that_somebody_still_reads_is_told_of(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.take(event("call.queued"))
    monkeypatch.setattr(engine, "_BUSY_TIMEOUT_MS", 1)
    with closing(sqlite3.connect(site.store, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        result = site.run("contacts", "forget", NUMBER, "--yes")
        reader.execute("COMMIT")
    assert result.exit_code == 1
    assert result.stderr == "The store's log is still being read: run it again in a minute\n"


@pytest.mark.parametrize("command", ["show", "forget"])
def test_the_help_has_an_example(site: Site, command: str) -> None:
    shown = site.run("contacts", command, "--help").stdout
    assert f"Example: aventa-bridge contacts {command}" in shown
