"""The way back, whole: a call's errand is answered at Cention, and everybody learns of it."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_circle import Circle, open_circle
from process_upstream import eventually

pytestmark = pytest.mark.process

INVOICE = b"%PDF-1.7 an invoice"
LOGO = b"\x89PNG a logo"
FILES = {
    "attachments": [
        {
            "content_type": "application/pdf",
            "name": "invoice.pdf",
            "content": base64.b64encode(INVOICE).decode(),
        }
    ],
    "archives": [
        {
            "content_type": "image/png",
            "name": "logo.png",
            "content": base64.b64encode(LOGO).decode(),
        }
    ],
}


@pytest.fixture
def circle(tmp_path: Path) -> Iterator[Circle]:
    with open_circle(tmp_path) as made:
        yield made


def test_a_call_goes_the_whole_circle(circle: Circle) -> None:
    reference, errand_id = circle.call()
    answered = circle.answer(errand_id, body="It is in the post.", tags=["Billing"], **FILES)
    assert answered["status"] == 202

    [document] = eventually(lambda: circle.receiver.documents)
    data = document["data"]
    assert document["type"] == "errand.answered"
    assert (data["referenceId"], data["errandId"]) == (reference, errand_id)
    assert data["callbackId"] == answered["callbackId"]
    assert data["answer"]["body"] == "It is in the post."
    assert {one["sha256"]: one["size"] for one in data["attachments"]} == {
        hashlib.sha256(content).hexdigest(): len(content) for content in (INVOICE, LOGO)
    }
    kept = {path.name: path.read_bytes() for path in circle.attachments}
    assert kept == {hashlib.sha256(one).hexdigest(): one for one in (INVOICE, LOGO)}

    labels = {"route": "default", "queue": "EHS"}
    within = {**labels, "result": "within"}
    eventually(lambda: circle.daemon.metric("bridge_errand_sla_total", **within) == 1)
    assert circle.daemon.metric("bridge_errand_answer_seconds_count", **labels) == 1
    assert circle.daemon.metric("bridge_errand_expiry_total", **labels, state="none") == 1
    assert circle.daemon.metric("bridge_errand_tags_total", tag="Billing") == 1
    assert circle.daemon.metric("bridge_answers_total", call="known") == 1
    assert circle.daemon.metric("bridge_deliveries_total", kind="answer", outcome="delivered") == 1

    story = circle.read("trace", reference)
    [report] = story["reports"]
    assert (report["within_sla"], report["expiry"], report["tags"]) == (True, "none", ["Billing"])
    [answer] = story["answers"]
    assert (answer["state"], answer["errand_id"]) == ("done", errand_id)
    shown = circle.shell("trace", reference).stdout
    assert "SLA within" in shown
    assert "It is in the post" not in shown
    [row] = circle.read("reports", "list")
    assert (row["errand_id"], row["queue"], row["is_done"]) == (errand_id, "EHS", True)
