"""What came back from Cention, at the shell: reports, ratings, refused callbacks, answers."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_site import NAME, NUMBER, Site, event, filled
from msgspec.structs import replace
from sqlalchemy import text

from bridge.cli.reports import duration
from bridge.domain.answers import Answer, OnwardAnswer
from bridge.domain.deliveries import Draft, Kind
from bridge.domain.outcomes import Reply
from bridge.domain.reports import Action, ErrandReport, Followed, Rating, Sla
from bridge.domain.routes import ONWARD_ROUTE
from bridge.inbound.callbacks import SOURCE
from bridge.ports import Order
from bridge.storage.transaction import SqlTransaction

SAMPLE = Path(__file__).parents[1] / "data" / "samples" / "callback_answer_errand.json"
SCOPE = "https://api.cention.example/s/demo"
REPORT = ErrandReport(
    actions=(Action(at_s=1_790_000_060, note="Errand 77 was answered by Leader", origin="Leader"),),
    is_answered=True,
    is_closed=True,
    agent="Leader",
    answer_body=f"Dear <b>{NAME}</b>",
    tags=("Billing",),
    sla=Sla(is_within=False, handling_s=59, response_s=3725, expiry=2),
)


def fill(site: Site) -> None:
    """Two calls with errands that are followed, of which one is done, and two ratings."""
    site.take(
        event("call.answered", referenceId="r1"),
        event("call.answered", referenceId="r2", queueName="Sales"),
    )
    site.send(Kind.NEW_ERRAND, Reply(status=201, remote_id="77"))
    site.send(Kind.NEW_ERRAND, Reply(status=201, remote_id="78"), route="sales")

    def follow(connection: Any) -> None:
        tx = SqlTransaction(connection)
        for errand_id, report in ((77, REPORT), (78, ErrandReport())):
            (origin,) = tx.origins([errand_id])
            followed = Followed(
                origin=replace(origin, called_us=1_790_000_000_000_000 - errand_id), first_us=1
            )
            after, _ = followed.with_report(report, 1_790_000_100_000_000, 60_000_000)
            tx.save_followed([after])
        tx.note_ratings(
            SCOPE, {3: Rating(stars=5, message=f"{NAME} was helped"), 4: Rating(stars=2)}, 1
        )

    site.do(follow)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("store"), fill)


@pytest.fixture
def site(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, store, monkeypatch)


class TestReports:
    def test_the_list_tells_how_calls_were_answered(self, site: Site) -> None:
        shown = site.run("reports", "list").stdout
        assert "1 min 00 s" in shown
        assert "59 s" in shown
        assert "1 h 02 min" in shown
        assert "outside" in shown
        assert "expired" in shown
        assert "Billing" in shown

    def test_scripts_get_every_figure_and_no_text(self, site: Site) -> None:
        rows = {one["errand_id"]: one for one in site.read("reports", "list")}
        done = rows["77"]
        assert (done["answer_seconds"], done["handling_seconds"]) == (60.000077, 59)
        assert (done["within_sla"], done["expiry"], done["tags"]) == (False, "expired", ["Billing"])
        assert done["answered_at"] == "2026-09-21T14:14:20.000000Z"
        assert NAME not in json.dumps(rows)
        assert (rows["78"]["is_done"], rows["78"]["within_sla"]) == (False, None)

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            (["--queue", "EHS"], ["77"]),
            (["--route", "sales"], ["78"]),
            (["--after", "2026-09-22"], []),
            (["--before", "2026-09-22"], ["77", "78"]),
            (["--limit", "1"], ["77"]),
        ],
    )
    def test_filters_are_all_true_of_what_is_listed(
        self, site: Site, filters: list[str], found: list[str]
    ) -> None:
        assert [one["errand_id"] for one in site.read("reports", "list", *filters)] == found

    @pytest.mark.parametrize("named", ["77", "r1"])
    def test_one_is_shown_by_its_errand_or_its_call(self, site: Site, named: str) -> None:
        shown = site.run("reports", "show", named, "--reveal").stdout
        assert f"Dear {NAME}" in shown
        assert "answered by Leader" in shown
        hidden = site.run("reports", "show", named).stdout
        assert "Leader" not in hidden
        assert NAME not in hidden
        [row] = site.read("reports", "show", named)
        assert row["actions"][0]["at"] == "2026-09-21T14:14:20.000000Z"

    def test_ratings_are_listed_with_their_mean(self, site: Site) -> None:
        shown = site.run("reports", "ratings").stdout
        assert "2 ratings, mean 3.50 (1: 0, 2: 1, 3: 0, 4: 0, 5: 1)" in shown
        assert NAME not in shown
        assert NAME in site.run("reports", "ratings", "--reveal").stdout
        assert [one["stars"] for one in site.read("reports", "ratings", "--limit", "1")] != []

    def test_trace_says_what_became_of_a_call(self, site: Site) -> None:
        shown = site.run("trace", "r1").stdout
        assert "← errand 77 is done, says its report" in shown
        assert "answered after 1 min 00 s; handling 59 s" in shown
        assert "nothing more is known" in site.run("trace", "r2").stdout


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (0, "0 s"), (59.6, "1 min 00 s"), (3600, "1 h 00 min"), (90_061, "25 h 01 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


class TestQuarantine:
    def refuse(self, site: Site, document: object, **given: Any) -> str:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        media_type = "application/vnd.api+json"
        return site.refuse(body, source=SOURCE, content_type=media_type, **given)

    def answers(self, site: Site) -> list[int]:
        query = text("SELECT errand_id FROM answers")
        found: list[int] = site.do(lambda connection: list(connection.execute(query).scalars()))
        return found

    def test_a_refused_callback_is_taken_in_once_it_can_be_read(self, site: Site) -> None:
        name = self.refuse(site, json.loads(SAMPLE.read_text()))
        result = site.run("quarantine", "replay", name)
        assert result.exit_code == 0, result.stderr
        assert self.answers(site) == [2256]
        assert site.read("quarantine", "list") == []

    def test_one_that_still_is_none_stays_with_its_reason(self, site: Site) -> None:
        document = json.loads(SAMPLE.read_text())
        document["data"]["attributes"]["event"] = 2
        name = self.refuse(site, document)
        result = site.run("quarantine", "replay", name)
        assert result.exit_code == 1
        assert "/data/attributes/event" in result.stderr
        assert self.answers(site) == []

    @pytest.mark.parametrize(
        ("body", "given", "why"),
        [(b"{", {}, "is not JSON"), (b"{}", {"is_cut": True}, "was cut")],
    )
    def test_what_can_not_be_read_says_why(
        self, site: Site, body: bytes, given: dict[str, Any], why: str
    ) -> None:
        result = site.run("quarantine", "replay", self.refuse(site, body, **given))
        assert (result.exit_code, why in result.stderr) == (1, True)

    def test_the_same_ids_with_another_answer_stay_refused(self, site: Site) -> None:
        document = json.loads(SAMPLE.read_text())
        assert site.run("quarantine", "replay", self.refuse(site, document)).exit_code == 0
        for resource in document["included"]:
            if resource["type"] == "c3_answer_errands":
                resource["attributes"]["answer"]["response"]["body"] = "Another"
        result = site.run("quarantine", "replay", self.refuse(site, document))
        assert result.exit_code == 1
        assert "another answer is kept already" in result.stderr


class TestDeadAnswers:
    @pytest.fixture
    def letter(self, site: Site) -> str:
        """An answer that whoever takes answers has refused for good; its number."""
        onward = OnwardAnswer(
            webhook_id="answer-1",
            received_us=1,
            reference_id="r1",
            answer=Answer(callback_id="76", errand_id=77, body=f"Dear {NAME} of {NUMBER}"),
        )
        draft = Draft(
            key="answer:1",
            lane="answer:77",
            position=1,
            kind=Kind.ANSWER,
            route=ONWARD_ROUTE,
            payload=onward,
        )
        order = Order(draft=draft, source="aventa", reference_id="r1", event_id="", accepted_us=1)

        def die(connection: Any) -> int:
            SqlTransaction(connection).put_orders([order])
            connection.execute(text("UPDATE outbox SET state = 'dead' WHERE kind = 'answer'"))
            query = text("SELECT id FROM outbox WHERE kind = 'answer'")
            found: int = connection.execute(query).scalar_one()
            return found

        return str(site.do(die))

    def test_nothing_of_it_is_shown_unless_asked_for(self, site: Site, letter: str) -> None:
        shown = site.run("dead-letters", "show", letter).stdout
        assert NAME not in shown
        assert "answer-1" in shown
        assert NAME in site.run("dead-letters", "show", letter, "--reveal").stdout

    def test_its_text_may_be_changed_and_what_it_is_known_by_may_not(
        self, site: Site, letter: str, tmp_path: Path
    ) -> None:
        shown = json.loads(site.run("dead-letters", "show", letter, "--reveal", "--json").stdout)
        payload = shown["payload"]
        payload["answer"]["body"] = "Dear customer"
        file = tmp_path / "edited.json"
        file.write_text(json.dumps({**payload, "webhook_id": "answer-2"}))
        result = site.run("dead-letters", "replay", letter, "--with", file)
        assert result.exit_code != 0
        assert "/webhook_id" in result.stderr
        file.write_text(json.dumps(payload))
        assert site.run("dead-letters", "replay", letter, "--with", file).exit_code == 0
        query = text("SELECT state, payload FROM outbox WHERE kind = 'answer'")
        state, kept = site.do(lambda connection: connection.execute(query).one())
        assert (state, b"Dear customer" in kept) == ("ready", True)

    def test_it_can_not_be_told_to_have_arrived(self, site: Site, letter: str) -> None:
        result = site.run("dead-letters", "drop", letter, "--arrived", "5", "--yes")
        assert result.exit_code != 0
