"""Callbacks as Cention would post them, and as it never would."""

import base64
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from process_circle import CALLBACK_SECRET, Circle
from process_client import PROBLEM, Reply
from process_upstream import Upstream, eventually
from sqlalchemy import func, select

from bridge.storage import tables
from bridge.storage.engine import open_reader

SAMPLE = Path(__file__).parents[1] / "data/samples/callback_answer_errand.json"
ATTACHMENT = "c3_response_attachments"
_IDS = itertools.count(10_000)


def new_id() -> str:
    """Return an id that nothing else has."""
    return str(next(_IDS))


def callback(
    errand_id: str | None = None,
    *,
    secret: str | None = CALLBACK_SECRET,
    files: Sequence[str] = (),
    links: Sequence[str] = (),
    **response: Any,
) -> dict[str, Any]:
    """Return a callback about an errand.

    Args:
        errand_id: which; None: one of nobody's.
        secret: what it knows; None: it has no `meta`.
        files: the ids of its attachments.
        links: where these say that they are, one for each; none: as in the vendor's sample.
        response: further fields of the answer's text.
    """
    errand = {"type": "c3_answer_errands", "id": errand_id or new_id()}
    named = [{"type": ATTACHMENT, "id": one} for one in files]
    places = links or [f"http://localhost/capi/json/{ATTACHMENT}/{one}" for one in files]
    made: dict[str, Any] = {
        "data": {
            "type": "c3_callback_answer_errands",
            "id": new_id(),
            "attributes": {"event": 1},
            "relationships": {"errand": {"data": errand}},
        },
        "included": [
            *({**one, "links": {"self": place}} for one, place in zip(named, places, strict=True)),
            {
                **errand,
                "attributes": {
                    "answer": {"c3_id": int(new_id()), "response": {"body": "text", **response}},
                    "service": {"name": "Form", "type": 19},
                },
                "relationships": {"attachments": {"data": named}},
            },
        ],
    }
    if secret is not None:
        made["meta"] = {"api_secret": secret}
    return made


def id_of(document: dict[str, Any]) -> str:
    """Return a callback's id."""
    return str(document["data"]["id"])


def file_document(content: bytes | str, name: str = "a.txt") -> bytes:
    """Return a file as Cention answers with it; a text stands as it is, whatever it is."""
    text = content if isinstance(content, str) else base64.b64encode(content).decode()
    attachment = {"content_type": "text/plain", "name": name, "content": text, "content_id": "1"}
    return json.dumps({"data": {"attributes": {"attachment": attachment}}}).encode()


def accept(circle: Circle, *documents: dict[str, Any]) -> None:
    """Post callbacks, of which each must be accepted."""
    for one in documents:
        reply: Reply = circle.post_callback(one)
        assert (reply.status, reply.json["status"]) == (202, "accepted"), reply


def answers_kept(circle: Circle) -> int:
    """Return how many answers the store holds."""
    engine = open_reader(circle.daemon.settings["BRIDGE_STORE__URL"])
    try:
        with engine.connect() as connection:
            return int(connection.execute(select(func.count(tables.answers.c.id))).scalar_one())
    finally:
        engine.dispose()


def received(target: Upstream, callback_id: str | None = None) -> list[dict[str, Any]]:
    """Return what a target was sent, of one callback or of all; `webhook-id` goes with each."""
    found = []
    for one in target.of_kind("answers"):
        [webhook_id] = one.header("webhook-id")
        document = {**json.loads(one.body), "webhook-id": webhook_id}
        if callback_id in {None, document["data"]["callbackId"]}:
            found.append(document)
    return found


def altered(place: str, value: object) -> dict[str, Any]:
    """Return a callback with a value in a place, the keys of which are parted by dots."""
    document = callback()
    inner: Any = document
    *way, last = place.split(".")
    for key in way:
        inner = inner[key]
    inner[last] = value
    return document


def check_problem(reply: Reply, status: int, *pointers: str) -> Any:
    """Check that an answer is a problem about these places, and return it."""
    assert (reply.status, reply.media_type) == (status, PROBLEM), reply
    problem = reply.json
    assert problem["status"] == status
    assert problem["detail"]
    if pointers:
        assert [error["pointer"] for error in problem["errors"]] == list(pointers)
    return problem


def forwarded(circle: Circle, callback_id: str) -> list[dict[str, Any]]:
    """Return what a circle's receiver was sent of a callback."""
    return [one for one in circle.receiver.documents if one["data"]["callbackId"] == callback_id]


def sent_on(circle: Circle, callback_id: str) -> list[dict[str, Any]]:
    """Wait until a callback was sent on to a circle's receiver, and return what it was sent."""
    return eventually(lambda: forwarded(circle, callback_id))
