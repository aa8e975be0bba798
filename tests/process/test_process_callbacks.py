"""The door for Cention's callbacks (the contract's section 8)."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from process_callbacks import (
    SAMPLE,
    accept,
    altered,
    answers_kept,
    callback,
    check_problem,
    forwarded,
    id_of,
    new_id,
    sent_on,
)
from process_circle import CALLBACK_SECRET, CALLBACKS, JSON_API, Circle, open_circle
from process_client import JSON
from process_upstream import eventually

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circle]:
    with open_circle(tmp_path_factory.mktemp("guarded")) as made:
        yield made


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circle]:
    folder = tmp_path_factory.mktemp("open")
    with open_circle(folder, CALLBACKS__SECRET=os.devnull) as made:
        yield made


def kept(circle: Circle) -> tuple[int, int]:
    """Return how many answers and refusals there are."""
    return answers_kept(circle), circle.daemon.figures().quarantined


def test_whoever_knows_the_secret_is_taken_at_his_word(circle: Circle) -> None:
    document = callback()
    reply = circle.post_callback(document)
    assert (reply.status, reply.media_type) == (202, "application/json")
    assert reply.json == {"status": "accepted", "callbackId": id_of(document)}
    [sent] = sent_on(circle, id_of(document))
    assert CALLBACK_SECRET not in json.dumps(sent)


def test_the_vendors_sample_is_taken_as_it_is(circle: Circle) -> None:
    reply = circle.post_callback(SAMPLE.read_bytes())
    assert (reply.status, reply.json) == (202, {"status": "accepted", "callbackId": "76"})


STRANGERS: dict[str, Any] = {
    "another": {"api_secret": f"{CALLBACK_SECRET}7"},
    "beginning": {"api_secret": CALLBACK_SECRET[:-1]},
    "with_a_space": {"api_secret": f"{CALLBACK_SECRET} "},
    "empty": {"api_secret": ""},
    "number": {"api_secret": int(CALLBACK_SECRET)},
    "null": {"api_secret": None},
    "true": {"api_secret": True},
    "list": {"api_secret": [CALLBACK_SECRET]},
    "object": {"api_secret": {"api_secret": CALLBACK_SECRET}},
    "missing": {},
    "meta_is_a_list": [{"api_secret": CALLBACK_SECRET}],
    "meta_is_the_secret": CALLBACK_SECRET,
    "meta_is_null": None,
}


@pytest.mark.parametrize("meta", [pytest.param(meta, id=name) for name, meta in STRANGERS.items()])
def test_a_wrong_or_missing_secret_is_refused_and_nothing_is_kept(
    circle: Circle, meta: object
) -> None:
    before = kept(circle)
    problem = check_problem(circle.post_callback({**callback(), "meta": meta}), 401)
    assert "quarantineId" not in problem
    assert kept(circle) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        json.dumps([callback()]).encode(),
        json.dumps({**callback(secret=None), "api_secret": CALLBACK_SECRET}).encode(),
        json.dumps({**callback(secret=None), "data": {"meta": {"api_secret": "123456"}}}).encode(),
        json.dumps(callback(secret=None)).encode()[:-1],
        json.dumps(callback(secret="another")).encode().replace(b'"meta"', b'"meta": {}, "meta"'),
    ],
)
def test_what_holds_the_secret_nowhere_it_belongs_is_refused_and_nothing_is_kept(
    circle: Circle, body: bytes
) -> None:
    before = kept(circle)
    check_problem(circle.post_callback(body), 401)
    assert kept(circle) == before


def test_a_bearer_token_does_not_stand_for_the_secret(circle: Circle) -> None:
    headers = {"Content-Type": JSON_API, "Authorization": f"Bearer {CALLBACK_SECRET}"}
    body = json.dumps(callback(secret=None)).encode()
    reply = circle.daemon.events.request("POST", CALLBACKS, body, headers)
    check_problem(reply, 401)
    assert "meta.api_secret" in reply.headers["www-authenticate"]


def test_without_a_secret_this_machine_is_listened_to(open_door: Circle) -> None:
    for document in (callback(secret=None), callback(secret="whatever")):
        accept(open_door, document)
        [sent] = sent_on(open_door, id_of(document))
        assert "whatever" not in json.dumps(sent)


@pytest.mark.parametrize(
    "content_type",
    [JSON_API, JSON, "application/json; charset=utf-8", "Application/Vnd.Api+Json"],
)
def test_both_media_types_are_taken(circle: Circle, content_type: str) -> None:
    assert circle.post_callback(callback(), content_type).status == 202


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "nonsense", ""])
def test_another_media_type_is_refused_and_nothing_is_kept(
    circle: Circle, content_type: str
) -> None:
    before = kept(circle)
    check_problem(circle.post_callback(callback(), content_type), 415)
    assert kept(circle) == before


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_allowed(circle: Circle, method: str) -> None:
    reply = circle.daemon.events.request(method, CALLBACKS)
    check_problem(reply, 405)
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize("body", [b"", b"   ", b"{", b"nul", b'{"a":1}{"b":2}', b"\xff\xfe"])
def test_what_is_no_json_is_kept_where_no_secret_is_asked_for(
    open_door: Circle, body: bytes
) -> None:
    problem = check_problem(open_door.post_callback(body), 400, "")
    refused = open_door.daemon.refusal(problem["quarantineId"])
    assert refused is not None
    assert refused["body"] == body


NO_CALLBACKS: list[tuple[dict[str, Any], list[str]]] = [
    (altered("data", None), ["/data/type"]),
    (altered("data", []), ["/data/type"]),
    (altered("data.type", "c3_new_errands"), ["/data/type"]),
    (altered("data.type", ["c3_callback_answer_errands"]), ["/data/type"]),
    (altered("data.id", None), ["/data/id"]),
    (altered("data.id", {}), ["/data/id"]),
    (altered("data.attributes", [1]), ["/data/attributes/event"]),
    (altered("data.attributes.event", 2), ["/data/attributes/event"]),
    (altered("included", None), ["/included"]),
    (altered("included", {}), ["/included"]),
    (altered("included", []), ["/included"]),
    (
        altered("data.relationships.errand.data.id", "x"),
        ["/data/relationships/errand/data/id"],
    ),
]


@pytest.mark.parametrize(("document", "pointers"), NO_CALLBACKS)
def test_what_is_no_callback_is_kept_without_the_secret(
    circle: Circle, document: dict[str, Any], pointers: list[str]
) -> None:
    before = answers_kept(circle)
    problem = check_problem(circle.post_callback(document), 422, *pointers)
    refused = circle.daemon.refusal(problem["quarantineId"])
    assert refused is not None
    assert refused["status"] == 422
    body = json.loads(refused["body"])
    assert body == {key: value for key, value in document.items() if key != "meta"}
    assert b"api_secret" not in refused["body"]
    assert answers_kept(circle) == before


def test_the_same_callback_again_is_a_duplicate_and_sent_on_once(circle: Circle) -> None:
    document = callback()
    accept(circle, document)
    backwards = dict(reversed(document.items()))
    spaced = json.dumps(document, indent=4).encode()
    for body in (document, backwards, spaced):
        reply = circle.post_callback(body)
        assert reply.status == 200
        assert reply.json == {"status": "duplicate", "callbackId": id_of(document)}
    sent_on(circle, id_of(document))
    assert circle.post_callback(document).status == 200
    # What is sent on later comes after anything that would have been.
    later = callback()
    accept(circle, later)
    sent_on(circle, id_of(later))
    assert len(forwarded(circle, id_of(document))) == 1


def test_one_callback_posted_by_many_at_once_is_accepted_once(circle: Circle) -> None:
    document = callback()
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(circle.post_callback, [document] * 24))
    assert sorted(reply.status for reply in replies) == [200] * 23 + [202]


def test_the_same_ids_with_another_answer_are_a_conflict_and_kept(circle: Circle) -> None:
    document = callback(body="first")
    accept(circle, document)
    before = answers_kept(circle)
    document["included"][-1]["attributes"]["answer"]["response"]["body"] = "second"
    problem = check_problem(circle.post_callback(document), 409, "/data/id")
    refused = circle.daemon.refusal(problem["quarantineId"])
    assert refused is not None
    assert b"second" in refused["body"]
    assert b"api_secret" not in refused["body"]
    assert answers_kept(circle) == before
    [sent] = sent_on(circle, id_of(document))
    assert sent["data"]["answer"]["body"] == "first"


def test_one_setting_may_call_back_under_the_same_id_for_many_errands(circle: Circle) -> None:
    of = new_id()
    documents = [callback() for _ in range(3)]
    for one in documents:
        one["data"]["id"] = of
    accept(circle, *documents)
    eventually(lambda: len(forwarded(circle, of)) == 3)


def test_a_callback_is_counted_by_what_came_of_it(circle: Circle) -> None:
    def counts() -> dict[str, float]:
        names = ("accepted", "duplicate", "rejected", "unauthorised")
        return {one: circle.daemon.metric("bridge_callbacks_total", outcome=one) for one in names}

    before, document = counts(), callback()
    for body in (document, document, {**document, "data": {}}, callback(secret=None)):
        circle.post_callback(body)
    assert counts() == {name: count + 1 for name, count in before.items()}
