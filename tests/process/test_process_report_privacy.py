"""What Cention reports of people, and what they say of a page, stay where they belong."""

import json
import re
from pathlib import Path

import pytest
from process_circle import open_circle
from process_upstream import eventually

pytestmark = pytest.mark.process

# Everything planted holds one of these two, whatever its form.
PLANTED = re.compile(r"kanari|704447771", re.IGNORECASE)
NAME = "Kanarina Fågelholk"
NUMBER = "+46704447771"


def test_nothing_of_reports_and_ratings_is_said_or_shown(tmp_path: Path) -> None:
    with open_circle(tmp_path, LOG__LEVEL="debug") as circle:
        reference, errand_id = circle.call(callerName=NAME)
        text = f"Dear {NAME}, we shall ring {NUMBER} about kanariesjuka"
        circle.answer(errand_id, body=text, subject=text, tags=[f"ring {NUMBER}"])
        circle.page("ratings", {"rating": 4, "message": text, "reviewerName": NAME})
        eventually(lambda: circle.daemon.metric("bridge_facebook_rating_mean"))
        labels = {"route": "default", "queue": "EHS", "result": "within"}
        eventually(lambda: circle.daemon.metric("bridge_errand_sla_total", **labels))
        # What can't be read is said too, and by what is said of it.
        circle.page("faults", [{"status": 500, "body": text}])
        circle.page("ratings", {"rating": 5, "message": text, "reviewerName": NAME})
        eventually(
            lambda: circle.daemon.metric(
                "bridge_upstream_responses_total", upstream="cention", status="500"
            )
        )
        circle.page("faults", [])
        shown = [circle.daemon.admin.get(one).body.decode() for one in ("/metrics", "/readyz")]
        told = [
            circle.shell(*command).stdout
            for command in (
                ("reports", "list"),
                ("reports", "show", errand_id),
                ("reports", "ratings"),
                ("trace", reference),
                ("trace", reference, "--json"),
            )
        ]
        circle.daemon.terminate()
        lines = list(circle.daemon.lines)
    assert "delivery" in {json.loads(line)["event"] for line in lines}
    for where in (lines, *(text.splitlines() for text in (*shown, *told))):
        assert [line for line in where if PLANTED.search(line)] == []
    assert all(told)
