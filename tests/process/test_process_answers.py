"""What the door answers to single events (the contract's section 3)."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from process_client import AGENT, PROBLEM, Reply, at, event, new_number, new_reference
from process_daemon import Site

pytestmark = pytest.mark.process

DAY_S = 86_400


def check_problem(reply: Reply, status: int, *pointers: str) -> Any:
    """Check that an answer is a problem about these places, and return it."""
    assert reply.status == status, reply
    assert reply.media_type == PROBLEM
    problem = reply.json
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    if pointers:
        assert [error["pointer"] for error in problem["errors"]] == list(pointers)
        assert all(error["detail"] for error in problem["errors"])
    return problem


def check_kept(site: Site, problem: Any, body: bytes) -> None:
    """Check that what was refused can be read in the quarantine."""
    kept = site.daemon.refusal(problem["quarantineId"])
    assert kept is not None
    assert json.loads(kept["body"]) == json.loads(body)
    assert kept["status"] == problem["status"]


def test_a_new_event_is_accepted(site: Site) -> None:
    queued = event("call.queued")
    reply = site.post(queued)
    assert (reply.status, reply.media_type) == (202, "application/json")
    assert reply.json == {"status": "accepted", "eventId": queued["eventId"]}


def test_the_same_content_again_is_a_duplicate_whatever_its_form(site: Site) -> None:
    reference = new_reference()
    answered = event("call.answered", reference, callerNumber=new_number(), **AGENT)
    answered |= {"extraData": {"comment": "x"}, "contact": {"email": ["a@example.com"]}}
    site.accept(answered)
    backwards = dict(reversed(answered.items()))
    absent = {
        **answered,
        "callerName": None,
        "cuid": "",
        "extraData": {"callReason": None, "comment": "x"},
        "contact": {"line": None, "email": ["a@example.com"]},
    }
    spaced = json.dumps(answered, indent=4).encode()
    for body in (answered, backwards, absent, spaced):
        reply = site.post(body)
        assert reply.status == 200
        assert reply.json == {"status": "duplicate", "eventId": answered["eventId"]}
    site.daemon.drain()
    assert len(site.upstream.of_call(reference)) == 1


def test_one_event_posted_by_many_at_once_is_accepted_once(site: Site) -> None:
    reference = new_reference()
    answered = event("call.answered", reference, callerNumber=new_number(), **AGENT)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(site.post, [answered] * 24))
    assert sorted(reply.status for reply in replies) == [200] * 23 + [202]
    site.daemon.drain()
    assert len(site.upstream.of_call(reference)) == 1


def test_the_same_id_with_other_content_is_a_conflict_and_kept(site: Site) -> None:
    queued = event("call.queued")
    site.accept(queued)
    other = {**queued, "queueNumber": "124"}
    problem = check_problem(site.post(other), 409, "/eventId")
    check_kept(site, problem, json.dumps(other).encode())


def test_an_unknown_key_is_kept_ignored_and_counted(site: Site) -> None:
    before = site.daemon.metric("bridge_unknown_keys_total")
    queued = event("call.queued", novelty={"deep": [1]}, another=None)
    site.accept(queued)
    assert site.daemon.metric("bridge_unknown_keys_total") - before >= 1
    assert site.post({**queued, "novelty": {"deep": [2]}}).status == 409


@pytest.mark.parametrize(
    "body", [b"", b"   ", b"{", b"[1,]", b"nul", b'{"a":1}{"b":2}', b"\xff\xfe", b'{"a":\x01"b"}']
)
def test_what_is_no_json_is_refused_and_kept(site: Site, body: bytes) -> None:
    problem = check_problem(site.post(body), 400, "")
    kept = site.daemon.refusal(problem["quarantineId"])
    assert kept is not None
    assert kept["body"] == body


@pytest.mark.parametrize("body", [b"null", b"7", b'"text"', b"true"])
def test_json_that_is_no_object_is_no_event(site: Site, body: bytes) -> None:
    check_kept(site, check_problem(site.post(body), 422, ""), body)


INVALID = [
    ({"eventId": None}, ["/eventId"]),
    ({"eventId": ""}, ["/eventId"]),
    ({"eventId": 7}, ["/eventId"]),
    ({"eventId": "x" * 129}, ["/eventId"]),
    ({"eventType": None}, ["/eventType"]),
    ({"eventType": "call.resumed"}, ["/eventType"]),
    ({"eventType": ["call.queued"]}, ["/eventType"]),
    ({"occurredAt": None}, ["/occurredAt"]),
    ({"occurredAt": "yesterday"}, ["/occurredAt"]),
    ({"occurredAt": "2026-03-01T09:30:00"}, ["/occurredAt"]),
    ({"occurredAt": 1_772_353_800}, ["/occurredAt"]),
    ({"occurredAt": "2026-02-30T09:30:00Z"}, ["/occurredAt"]),
    ({"occurredAt": at(-31 * DAY_S)}, ["/occurredAt"]),
    ({"occurredAt": at(2 * DAY_S)}, ["/occurredAt"]),
    ({"referenceId": None}, ["/referenceId"]),
    ({"referenceId": "x" * 129}, ["/referenceId"]),
    ({"callerName": "x" * 257}, ["/callerName"]),
    ({"callerNumber": 46701234567}, ["/callerNumber"]),
    ({"cuid": "x" * 129}, ["/cuid"]),
    ({"contact": {"fax": ["1"]}}, ["/contact/fax"]),
    ({"contact": {"email": "a@example.com"}}, ["/contact/email"]),
    ({"deviceId": 1000}, ["/extensionId"]),
    ({"extensionId": 1000}, ["/deviceId"]),
    ({"deviceId": True, "extensionId": 1000}, ["/deviceId"]),
    ({"deviceId": 1000.0, "extensionId": 1000}, ["/deviceId"]),
    ({"deviceId": "1000", "extensionId": 1000}, ["/deviceId"]),
    ({"deviceId": -1, "extensionId": 1000}, ["/deviceId"]),
    ({"deviceId": 2**31, "extensionId": 2**31 - 1}, ["/deviceId"]),
    ({"destNumber": None}, ["/destNumber"]),
    ({"destNumber": "1001"}, ["/destNumber"]),
    ({"destNumber": "anonymous"}, ["/destNumber"]),
    ({"queueName": None}, ["/queueName"]),
    ({"queueNumber": "", "queueName": ""}, ["/queueName", "/queueNumber"]),
    ({"outcome": "won"}, ["/outcome"]),
    ({"link": "ftp://example.com/1"}, ["/link"]),
    ({"link": "https://example.com/" + "x" * 2048}, ["/link"]),
    ({"extraData": ["comment"]}, ["/extraData"]),
    ({"extraData": {"appointmentTimestamp": 1_593_047_865}}, ["/extraData/appointmentTimestamp"]),
    ({"attachments": [{"content_type": "text/plain", "name": "a"}]}, ["/attachments/0/content"]),
    (
        {"attachments": [{"content_type": "text/plain", "name": "a", "content": "?"}]},
        ["/attachments/0/content"],
    ),
]


@pytest.mark.parametrize(("fields", "pointers"), INVALID)
def test_what_is_no_valid_event_is_refused_with_its_places_and_kept(
    site: Site, fields: dict[str, Any], pointers: list[str]
) -> None:
    body = event("call.queued", **fields)
    problem = check_problem(site.post(body), 422, *pointers)
    check_kept(site, problem, json.dumps(body).encode())


def test_a_single_event_over_256_kib_is_too_large(site: Site) -> None:
    fitting = event("call.queued", extraData={"note": ""})
    room = 256 * 1024 - len(json.dumps(fitting))
    fitting["extraData"]["note"] = "x" * room
    site.accept(fitting)
    too_large = event("call.queued", extraData={"note": "x" * (room + 1)})
    check_problem(site.post(too_large), 413)


def attached(size: int) -> dict[str, Any]:
    content = base64.b64encode(bytes(size)).decode()
    return {"content_type": "application/pdf", "name": "a.pdf", "content": content}


def test_attachments_of_nearly_10_mib_go_out_as_they_came(site: Site) -> None:
    reference = new_reference()
    five = attached(5 * 2**20 - 2)
    site.settle(event("voicemail.left", reference, attachments=[five, five]))
    (new,) = site.upstream.of_call(reference)
    assert new.attributes["msg"]["attachments"] == [five, five]


def test_attachments_of_exactly_10_mib_are_accepted(site: Site) -> None:
    reply = site.post(event("voicemail.left", attachments=[attached(10 * 2**20)]))
    assert reply.status == 202, reply


def test_attachments_of_more_than_10_mib_are_refused(site: Site) -> None:
    too_much = event("voicemail.left", attachments=[attached(5 * 2**20), attached(5 * 2**20 + 3)])
    check_problem(site.post(too_much), 422, "/attachments")


def test_an_eleventh_attachment_is_one_too_many(site: Site) -> None:
    eleven = event("voicemail.left", attachments=[attached(1)] * 11)
    check_problem(site.post(eleven), 422, "/attachments")


def test_a_body_over_16_mib_is_too_large(site: Site) -> None:
    body = json.dumps(event("call.queued")).encode()
    check_problem(site.post(body.ljust(16 * 2**20 + 1)), 413)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "application/vnd.api+json",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "nonsense",
        "",
    ],
)
def test_a_body_of_another_type_is_refused(site: Site, content_type: str) -> None:
    check_problem(site.daemon.events.post(event("call.queued"), content_type), 415)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        'Application/JSON; charset="UTF-8"',
        "application/json;x=y",
    ],
)
def test_parameters_and_case_of_the_type_are_no_hindrance(site: Site, content_type: str) -> None:
    assert site.daemon.events.post(event("call.queued"), content_type).status == 202


def test_the_webhook_id_header_serves_as_event_id_of_a_single_event(site: Site) -> None:
    queued = event("call.queued")
    identity = queued.pop("eventId")
    first = site.daemon.events.post(queued, webhook_id=identity)
    again = site.daemon.events.post(queued, webhook_id=identity)
    assert (first.status, first.json["eventId"]) == (202, identity)
    assert (again.status, again.json["status"]) == (200, "duplicate")
    check_problem(site.post([queued]), 422)


def test_the_events_own_id_wins_over_the_webhook_id_header(site: Site) -> None:
    queued = event("call.queued")
    reply = site.daemon.events.post(queued, webhook_id="msg_1")
    assert reply.json["eventId"] == queued["eventId"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/event", "/v1/events/", "/v1/events/1", "/%00"])
def test_other_addresses_are_not_found(site: Site, path: str) -> None:
    check_problem(site.daemon.events.request("POST", path, b"{}"), 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_not_allowed(site: Site, method: str) -> None:
    reply = site.daemon.events.request(method, "/v1/events")
    check_problem(reply, 405)
    assert reply.headers["allow"] == "POST"


def test_the_admin_address_describes_the_door(site: Site) -> None:
    reply = site.daemon.admin.get("/openapi.json")
    assert reply.status == 200
    assert reply.json["openapi"] == "3.1.0"
