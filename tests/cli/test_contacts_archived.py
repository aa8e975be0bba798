import json
from pathlib import Path
from typing import Any

import pytest
from cli_site import AWAY, CUID, DELIVERED, NAME, NUMBER, REFUSED, Site, event, prepared
from contacts_site import ADDRESS, OTHER, fill, forget, left
from msgspec.structs import replace

from bridge.domain.answers import Answer, FileName, FileType, KeptFile, Recipient
from bridge.domain.deliveries import Kind
from bridge.domain.outcomes import Reply
from bridge.domain.reports import ErrandReport, Followed, Rating
from bridge.ops.clock import SystemClock
from bridge.ports import AnswerState, ArrivedAnswer, Quarrel, Sighting, Telling
from bridge.services.folding import mark, of_number
from bridge.storage.schema import secret_of
from bridge.storage.tables import metadata
from bridge.storage.transaction import SqlTransaction

FILE = FileName(FileType.ATTACHMENT, 788)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture
def site(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, empty, monkeypatch)


def archive(site: Site) -> None:
    """Move everything that was delivered aside, as upkeep does after a while."""
    later_us = SystemClock().now_us() + 10**9
    site.do(lambda connection: SqlTransaction(connection).archive(later_us, 10_000))


def look_up(site: Site) -> None:
    """Note an errand that was read at Cention, and the highest id there is."""

    def note(connection: Any) -> None:
        tx = SqlTransaction(connection)
        tx.intend("s", [77], 1)
        tx.note("s", [Sighting(errand_id=77, marker="m1")], 1)
        tx.save_highest_ids({"s": 77})

    site.do(note)


def tell(site: Site) -> None:
    """Note that they were sent a message, and that somebody else was said to have their number."""

    def note(connection: Any) -> None:
        tx = SqlTransaction(connection)
        people = connection.exec_driver_sql("SELECT DISTINCT scope FROM people").scalars()
        scope = next(iter(people))
        key = scope, "voice", NUMBER
        whom = mark(secret_of(connection), *of_number(NUMBER[1:]))
        tx.tell([Telling(whom=whom, template="ns/hello", key="m1:new", at_us=1)])
        quarrel = Quarrel(key=key, owner="o", claimant="c", decided="prefer_cuid", at_us=1)
        tx.note_quarrels([quarrel])

    site.do(note)


def come_back(site: Site) -> None:
    """Keep an answer to their errand with a file, its report, and a rating that names them."""

    def note(connection: Any) -> None:
        tx = SqlTransaction(connection)
        answer = Answer(
            callback_id="76",
            errand_id=77,
            body=f"Dear {NAME}",
            to=(Recipient(name=NAME, email_address=ADDRESS),),
            files=(FILE,),
        )
        tx.add_answers([ArrivedAnswer(answer=answer, digest=b"d", received_us=1, give_up_us=9)])
        [row] = tx.due_answers(2, AnswerState.NEW, 1)
        [origin, *_] = tx.origins([77])
        kept = KeptFile(name=FILE, title=f"{NAME}.pdf", size=4, sha256="ab" * 32)
        done = replace(
            row,
            state=AnswerState.DONE,
            due_us=None,
            done_us=3,
            source=origin.source,
            reference_id=origin.reference_id,
            files=(kept,),
        )
        tx.save_answers([done])
        report = ErrandReport(answer_body=f"Dear {NAME}", subject=f"Call of {NUMBER}")
        followed = Followed(origin=origin, first_us=1)
        tx.save_followed([followed.with_report(report, 2, 1)[0]])
        rating = Rating(stars=5, message=f"{ADDRESS} was helped")
        tx.note_ratings("s", {3: rating}, 1)

    site.do(note)


# Agents' presence and what was set up tell of nobody who calls.
OF_NO_CALLER = {"agent_calls", "presence", "provisioned"}


def counts(site: Site) -> dict[str, int]:
    """Return how many rows each table has."""

    def count(connection: Any) -> dict[str, int]:
        return {
            table: connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()  # noqa: S608 - the bridge's own names
            for table in metadata.tables
        }

    found: dict[str, int] = site.do(count)
    return found


class TestForgetArchived:
    def test_no_byte_of_what_moved_aside_tells_of_them_either(self, site: Site) -> None:
        fill(site)
        site.send(Kind.CONTACT_CARD, AWAY)
        site.send(Kind.CONTACT_CARD, DELIVERED)
        site.send(Kind.NEW_ERRAND, AWAY)
        site.send(Kind.NEW_ERRAND, DELIVERED)
        archive(site)
        site.send(Kind.END_ERRAND, REFUSED)
        site.take(event("call.answered", referenceId="waits", cuid=CUID))
        site.refuse(json.dumps(event("call.queued", cuid=CUID)).encode(), id="b")
        site.run("routes", "pause", "sales")
        look_up(site)
        tell(site)
        come_back(site)
        assert {table for table, count in counts(site).items() if not count} == OF_NO_CALLER
        assert left(site, (NUMBER, NAME, CUID, ADDRESS)) == [NUMBER, NAME, CUID, ADDRESS]
        forget(site)
        assert left(site) == []
        after = counts(site)
        assert (after["told"], after["quarrels"]) == (0, 0)
        assert b"Caller 399" in site.raw()

    def test_what_the_upstream_said_of_it_goes_too(self, site: Site) -> None:
        site.take(event("call.answered"))
        quoting = Reply(status=503, detail=f"{NUMBER} of {NAME}, later")
        site.send(Kind.NEW_ERRAND, quoting)
        site.do(lambda connection: connection.exec_driver_sql("UPDATE outbox SET due_us = 0"))
        site.send(Kind.NEW_ERRAND, DELIVERED)
        archive(site)
        forget(site)
        assert left(site) == []
        [errand] = site.read("trace", "r1", "--reveal")["deliveries"]
        assert (errand["state"], errand["payload"]) == ("delivered", None)
        assert [one["detail"] for one in errand["tries"]] == ["", ""]

    def test_their_cards_go_with_what_was_tried(self, site: Site) -> None:
        site.take(event("call.queued"))
        site.send(Kind.CONTACT_CARD, DELIVERED)
        archive(site)
        assert (counts(site)["delivered"], counts(site)["attempts"]) == (1, 1)
        forget(site)
        assert (counts(site)["delivered"], counts(site)["attempts"]) == (0, 0)

    def test_others_are_left_alone(self, site: Site) -> None:
        site.take(event("call.answered"), event("call.answered", referenceId="r2", **OTHER))
        site.send(Kind.NEW_ERRAND, DELIVERED)
        site.send(Kind.CONTACT_CARD, DELIVERED)
        archive(site)
        before = site.read("trace", "r2", "--reveal")
        forget(site)
        assert site.read("trace", "r2", "--reveal") == before
        assert counts(site)["delivered"] == 3

    def test_a_call_of_which_only_the_errand_is_left_goes_too(self, site: Site) -> None:
        site.take(event("call.answered"))
        site.send(Kind.NEW_ERRAND, DELIVERED)
        archive(site)
        site.do(lambda connection: connection.exec_driver_sql("DELETE FROM calls"))
        site.do(lambda connection: connection.exec_driver_sql("DELETE FROM events"))
        forget(site)
        assert left(site) == []

    def test_an_errand_that_has_moved_is_still_ended(self, site: Site) -> None:
        site.take(event("call.answered", minutes=2))
        site.send(Kind.NEW_ERRAND, DELIVERED)
        archive(site)
        forget(site)
        site.take(event("call.ended", callerNumber=None, callerName=None))
        assert site.states() == {"new_errand": "delivered", "end_errand": "ready"}

    def test_an_id_that_holds_the_number_is_told_of(self, site: Site) -> None:
        site.take(event("call.answered", referenceId=f"{NUMBER[1:]}-1"))
        site.send(Kind.NEW_ERRAND, DELIVERED)
        archive(site)
        site.do(lambda connection: connection.exec_driver_sql("DELETE FROM events"))
        result = site.run("contacts", "forget", NUMBER, "--yes")
        assert result.exit_code == 1
        assert "Not erased: ids that the phone system gave" in result.stderr
