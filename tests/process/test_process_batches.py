"""What the door answers to many events in one request (the contract's section 3)."""

import json
from typing import Any

import pytest
from process_client import AGENT, PROBLEM, Reply, event, new_reference
from process_daemon import Site

pytestmark = pytest.mark.process

NDJSON = "application/x-ndjson"
CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENTS = "application/cloudevents-batch+json"


def lines(*documents: Any) -> bytes:
    return b"\n".join(
        one if isinstance(one, bytes) else json.dumps(one).encode() for one in documents
    )


def cloud_event(document: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Return an event as a CloudEvent of the same id."""
    inside = dict(document)
    identity = inside.pop("eventId")
    return {
        "specversion": "1.0",
        "type": "aventa.call",
        "source": "/pbx",
        "id": identity,
        "datacontenttype": "application/json",
        "data": inside,
        **given,
    }


def statuses(reply: Reply) -> list[tuple[str | None, str]]:
    return [(one["eventId"], one["status"]) for one in reply.json["results"]]


@pytest.mark.parametrize("content_type", ["application/json", NDJSON, CLOUDEVENTS])
def test_a_batch_is_answered_one_by_one_in_order(site: Site, content_type: str) -> None:
    kept, fresh, last = (event("call.queued") for _ in range(3))
    site.accept(kept)
    invalid = event("call.queued", destNumber="1001")
    conflicting = {**kept, "queueName": "other"}
    batch = [fresh, kept, invalid, fresh, conflicting, last]
    body: Any = batch
    if content_type == NDJSON:
        body = lines(*batch)
    elif content_type == CLOUDEVENTS:
        # What was kept as an event is the same event in a CloudEvent.
        body = [cloud_event(one) for one in batch]
    reply = site.post(body, content_type)
    assert (reply.status, reply.media_type) == (202, "application/json")
    assert statuses(reply) == [
        (fresh["eventId"], "accepted"),
        (kept["eventId"], "duplicate"),
        (invalid["eventId"], "rejected"),
        (fresh["eventId"], "duplicate"),
        (kept["eventId"], "rejected"),
        (last["eventId"], "accepted"),
    ]
    results = reply.json["results"]
    assert [error["pointer"] for error in results[2]["errors"]] == ["/destNumber"]
    assert [error["pointer"] for error in results[4]["errors"]] == ["/eventId"]
    for refused in (results[2], results[4]):
        assert site.daemon.refusal(refused["quarantineId"]) is not None
    assert "errors" not in results[0]


def test_a_batch_of_duplicates_only_is_accepted(site: Site) -> None:
    queued = event("call.queued")
    site.accept(queued)
    reply = site.post([queued])
    assert (reply.status, statuses(reply)) == (202, [(queued["eventId"], "duplicate")])


@pytest.mark.parametrize("content_type", ["application/json", NDJSON, CLOUDEVENTS])
def test_an_empty_batch_is_refused_with_empty_results(site: Site, content_type: str) -> None:
    reply = site.post(b"\n" if content_type == NDJSON else b"[]", content_type)
    assert (reply.status, reply.media_type) == (422, PROBLEM)
    assert reply.json["results"] == []
    assert reply.json["quarantineId"]


def test_a_batch_of_which_nothing_is_valid_is_refused_with_its_results(site: Site) -> None:
    reply = site.post([event("call.queued", queueName=None), 7, event("call.parked")])
    assert (reply.status, reply.media_type) == (422, PROBLEM)
    assert [status for _, status in statuses(reply)] == ["rejected"] * 3
    pointers = [[error["pointer"] for error in one["errors"]] for one in reply.json["results"]]
    assert pointers == [["/queueName"], [""], ["/eventType"]]
    assert reply.json["quarantineId"]
    assert all(site.daemon.refusal(one["quarantineId"]) for one in reply.json["results"])


def test_a_line_that_is_no_json_spoils_no_other_line(site: Site) -> None:
    first, last = event("call.queued"), event("call.queued")
    reply = site.post(lines(first, b'{"eventId": NaN}', b"", last) + b"\r\n", NDJSON)
    assert reply.status == 202
    assert statuses(reply) == [
        (first["eventId"], "accepted"),
        (None, "rejected"),
        (last["eventId"], "accepted"),
    ]
    kept = site.daemon.refusal(reply.json["results"][1]["quarantineId"])
    assert kept is not None
    assert kept["body"] == b'{"eventId": NaN}'


def test_a_cloud_event_is_the_event_in_its_data_with_its_own_id(site: Site) -> None:
    reference = new_reference()
    answered = event("call.answered", reference, **AGENT)
    reply = site.post(cloud_event(answered), CLOUDEVENT)
    assert (reply.status, reply.json) == (
        202,
        {"status": "accepted", "eventId": answered["eventId"]},
    )
    assert site.post(answered).json["status"] == "duplicate"
    site.daemon.drain()
    assert len(site.upstream.of_call(reference)) == 1


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"id": ""}, "/id"),
        ({"id": 7}, "/id"),
        ({"data": "text"}, "/data"),
        ({"data": None}, "/data"),
    ],
)
def test_what_is_no_cloud_event_is_refused(site: Site, given: dict[str, Any], pointer: str) -> None:
    reply = site.post(cloud_event(event("call.queued"), **given), CLOUDEVENT)
    assert (reply.status, reply.media_type) == (422, PROBLEM)
    assert [error["pointer"] for error in reply.json["errors"]] == [pointer]
    assert site.daemon.refusal(reply.json["quarantineId"]) is not None


@pytest.mark.parametrize(
    ("body", "content_type"), [({}, CLOUDEVENTS), ([], CLOUDEVENT), ("text", CLOUDEVENTS)]
)
def test_a_single_cloud_event_and_a_batch_are_not_taken_for_each_other(
    site: Site, body: Any, content_type: str
) -> None:
    reply = site.post(json.dumps(body).encode(), content_type)
    assert (reply.status, reply.media_type) == (422, PROBLEM)


def test_a_large_batch_is_kept_whole(site: Site) -> None:
    batch = [event("call.queued") for _ in range(2000)]
    reply = site.post(batch)
    assert reply.status == 202
    assert statuses(reply) == [(one["eventId"], "accepted") for one in batch]
