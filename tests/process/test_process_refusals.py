"""What the upstream can answer, and what then becomes of the work."""

from typing import Any

import pytest
from process_client import AGENT, event, new_number, new_reference
from process_daemon import NewSite, Site
from process_upstream import CARD, END, NEW, Answer, Gate, eventually

pytestmark = pytest.mark.process

PAUSED = "bridge_route_paused"


def deliveries(site: Site, kind: str, outcome: str) -> float:
    return site.daemon.metric("bridge_deliveries_total", kind=kind, outcome=outcome)


def check_counted(site: Site, kind: str, outcome: str, expected: float) -> None:
    """Check a count of deliveries: it follows what is recorded by a moment."""
    eventually(lambda: deliveries(site, kind, outcome) == expected)


def responses(site: Site, status: int | str) -> float:
    name = "bridge_upstream_responses_total"
    return site.daemon.metric(name, upstream="cention", status=str(status))


def whole_call(site: Site, reference: str, **fields: str) -> None:
    site.accept(
        event("call.answered", reference, **fields, **AGENT),
        event("call.ended", reference, **AGENT),
    )


def kinds(site: Site, reference: str) -> list[str]:
    return [one.kind for one in site.upstream.of_call(reference)]


def test_a_refused_token_pauses_its_route_until_a_new_one_is_read(
    new_site: NewSite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secrets = tmp_path_factory.mktemp("secrets")
    (secrets / "cention.token").write_text("old-token\n")
    site = new_site("--secrets-dir", secrets, without=["BRIDGE_CENTION__TOKEN"])
    site.upstream.answer_next(NEW, Answer(status=401))
    references = [new_reference() for _ in range(3)]
    whole_call(site, references[0])
    eventually(lambda: site.daemon.metric(PAUSED, route="default", kind="*") == 1)
    for reference in references[1:]:
        whole_call(site, reference, callerNumber=new_number())
    readiness = site.daemon.readiness()
    assert readiness["routes"]["status"] == "down"
    assert readiness["routes"]["paused"] == ["default/*"]
    assert readiness["store"]["status"] == "up"
    site.daemon.reload()
    assert list(site.daemon.figures().pauses) == [("default", "*")]
    (refused,) = site.upstream.seen
    assert refused.header("Authorization") == ["Bearer old-token"]
    (secrets / "cention.token").write_text("new-token\n")
    assert site.daemon.reload()["event"] == "settings read again"
    site.daemon.drain()
    later = site.upstream.seen[1:]
    assert {one.header("Authorization")[0] for one in later} == {"Bearer new-token"}
    assert sorted(one.kind for one in later) == [CARD] * 2 + [END] * 3 + [NEW] * 3
    for reference in references:
        assert [one.kind for one in later if one.reference == reference] == [NEW, END]
    assert site.daemon.figures().dead_letters == 0
    eventually(lambda: site.daemon.metric(PAUSED, route="default", kind="*") == 0)
    assert site.daemon.readiness()["routes"]["status"] == "up"


def test_a_forbidden_kind_is_paused_alone(new_site: NewSite) -> None:
    site = new_site()
    site.upstream.answer_always(CARD, Answer(status=403))
    site.accept(event("call.queued", callerNumber=new_number()))
    eventually(lambda: site.daemon.metric(PAUSED, route="default", kind="contact_card") == 1)
    reference = new_reference()
    whole_call(site, reference, callerNumber=new_number())
    site.upstream.wait_for(lambda upstream: len(upstream.of_call(reference)) == 2)
    assert kinds(site, reference) == [NEW, END]
    assert list(site.daemon.figures().pauses) == [("default", "contact_card")]
    assert site.daemon.figures().pending["contact_card"] == 2
    assert site.daemon.readiness()["routes"]["paused"] == ["default/contact_card"]
    site.upstream.answer_always(CARD, None)
    refused = len(site.upstream.of_kind(CARD))
    assert site.daemon.terminate() == 0
    site.daemon.settings["BRIDGE_CENTION__TOKEN"] = "token-with-the-claim"
    site.daemon.start()
    site.daemon.drain()
    assert len(site.upstream.of_kind(CARD)) == refused + 2


def test_a_rejected_errand_becomes_a_dead_letter_and_its_end_is_parked(site: Site) -> None:
    statuses = (400, 409, 422, 301)
    calls = {status: new_reference() for status in statuses}
    dead = deliveries(site, "new_errand", "dead")
    letters = site.daemon.figures().dead_letters
    answers = {status: responses(site, status) for status in statuses}
    elsewhere = {"Location": f"{site.upstream.url}/elsewhere"}
    for status, reference in calls.items():
        site.upstream.answer_next(
            NEW, Answer(status=status, headers=elsewhere), reference=reference
        )
        whole_call(site, reference)
    site.daemon.drain()
    assert [kinds(site, reference) for reference in calls.values()] == [[NEW]] * 4
    check_counted(site, "new_errand", "dead", dead + 4)
    for status, count in answers.items():
        assert responses(site, status) == count + 1
    eventually(lambda: site.daemon.metric("bridge_dead_letters") == letters + 4)
    # Other calls don't wait for them.
    after = new_reference()
    whole_call(site, after)
    site.daemon.drain()
    assert kinds(site, after) == [NEW, END]


def test_a_rejected_card_holds_up_no_errand(site: Site) -> None:
    site.upstream.answer_next(CARD, Answer(status=422))
    reference, number = new_reference(), new_number()
    whole_call(site, reference, callerNumber=number)
    site.daemon.drain()
    assert kinds(site, reference) == [NEW, END]
    assert len(site.upstream.of_number(number)) == 1


def test_too_many_requests_pauses_everything_for_as_long_as_asked(site: Site) -> None:
    retried = deliveries(site, "new_errand", "retried")
    reference, number = new_reference(), new_number()
    refused = Answer(status=429, headers={"Retry-After": "2"})
    site.upstream.answer_next(NEW, refused, reference=reference)
    site.accept(event("call.answered", reference, **AGENT))
    eventually(lambda: deliveries(site, "new_errand", "retried") == retried + 1)
    site.settle(event("call.queued", callerNumber=number))
    first, again = site.upstream.of_call(reference)
    (card,) = site.upstream.of_number(number)
    # Counted from the request; the two seconds begin with its answer.
    assert min(again.at_s, card.at_s) - first.at_s > 1.9


def test_an_upstream_that_is_busy_is_asked_again_with_the_same_message(site: Site) -> None:
    reference, number = new_reference(), new_number()
    answers = {
        (kind, outcome): deliveries(site, kind, outcome)
        for kind in ("new_errand", "end_errand", "contact_card")
        for outcome in ("retried", "delivered")
    }
    busy = Answer(status=503)
    site.upstream.answer_next(CARD, busy)
    for kind in (NEW, END):
        site.upstream.answer_next(kind, busy, reference=reference)
    whole_call(site, reference, callerNumber=number)
    site.daemon.drain()
    assert kinds(site, reference) == [NEW] * 2 + [END] * 2
    assert len({one.body for one in site.upstream.of_call(reference)}) == 2
    assert len(site.upstream.of_number(number)) == 2
    for (kind, outcome), count in answers.items():
        check_counted(site, kind, outcome, count + 1)


def test_a_lost_answer_to_a_create_is_in_doubt_and_by_default_sent_again(site: Site) -> None:
    lost = [Answer(hangs_up=True), *(Answer(status=status) for status in (408, 500, 502, 504))]
    in_doubt = deliveries(site, "new_errand", "in_doubt")
    retried = deliveries(site, "end_errand", "retried")
    references = [new_reference() for _ in lost]
    for reference, answer in zip(references, lost, strict=True):
        for kind in (NEW, END):
            site.upstream.answer_next(kind, answer, reference=reference)
        whole_call(site, reference)
    site.daemon.drain()
    assert [kinds(site, reference) for reference in references] == [[NEW, NEW, END, END]] * 5
    for reference in references:
        assert len({one.body for one in site.upstream.of_call(reference)}) == 2
    check_counted(site, "new_errand", "in_doubt", in_doubt + 5)
    check_counted(site, "end_errand", "retried", retried + 5)


def test_an_errand_in_doubt_waits_for_a_person_where_the_site_wants_it_so(
    new_site: NewSite,
) -> None:
    site = new_site(DELIVERY__IN_DOUBT="hold")
    site.upstream.answer_next(NEW, Answer(hangs_up=True))
    reference = new_reference()
    whole_call(site, reference)
    site.daemon.drain()
    assert kinds(site, reference) == [NEW]
    eventually(lambda: site.daemon.metric("bridge_dead_letters") == 1)


def test_a_create_is_delivered_by_any_2xx_even_with_a_body_that_says_nothing(site: Site) -> None:
    bodies = [b"", b"not json", b'{"data": {"id": null}}', b"[]", b"\xff" * 1_000_000]
    references = [new_reference() for _ in bodies]
    for reference, body in zip(references, bodies, strict=True):
        answer = Answer(status=200, headers={"Content-Type": "text/html"}, body=body)
        site.upstream.answer_next(NEW, answer, reference=reference)
        whole_call(site, reference)
    site.daemon.drain()
    assert [kinds(site, reference) for reference in references] == [[NEW, END]] * 5


def test_an_answer_that_comes_in_two_pieces_is_read_to_its_end(site: Site) -> None:
    reference, other = new_reference(), new_reference()
    gate = Gate()
    answer = Answer(status=201, body=b'{"data": {"id": ', rest=b'"4711"}}', gate=gate)
    site.upstream.answer_next(NEW, answer, reference=reference)
    before = len(site.daemon.lines)

    def sent(call: str) -> dict[str, Any]:
        return site.daemon.wait_line(
            lambda line: line["event"] == "delivery" and line["reference"] == call, since=before
        )

    site.accept(event("call.answered", reference, **AGENT))
    site.upstream.wait_for(lambda upstream: upstream.has_begun(reference))
    # Another delivery from beginning to end: the first piece has been read by then.
    site.accept(event("call.answered", other, **AGENT))
    sent(other)
    gate.open()
    line = sent(reference)
    assert (line["outcome"], line["remote_id"]) == ("delivered", "4711")


def test_a_call_whose_request_hangs_holds_up_no_other(site: Site) -> None:
    reference, other = new_reference(), new_reference()
    gate = Gate()
    site.upstream.answer_next(NEW, Answer(status=201, gate=gate), reference=reference)
    whole_call(site, reference)
    site.upstream.wait_for(lambda upstream: upstream.of_call(reference))
    whole_call(site, other)
    site.upstream.wait_for(lambda upstream: len(upstream.of_call(other)) == 2)
    assert kinds(site, reference) == [NEW]
    gate.open()
    site.daemon.drain()
    assert kinds(site, reference) == [NEW, END]


def test_an_upstream_that_is_away_keeps_no_event_from_being_taken(new_site: NewSite) -> None:
    site = new_site(is_open=False)
    site.accept(event("call.answered", **AGENT))
    eventually(lambda: responses(site, "not_connected") > 0)
    readiness = site.daemon.readiness()
    assert readiness["cention"]["status"] == "down"
    assert readiness["store"]["status"] == "up"
    assert site.daemon.admin.get("/livez").status == 200
    assert deliveries(site, "new_errand", "retried") >= 1
