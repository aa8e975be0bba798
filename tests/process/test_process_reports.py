"""Reports and ratings, learned by a real daemon that is killed on the way."""

from functools import partial
from pathlib import Path

import pytest
from process_circle import Circle, open_circle
from process_upstream import eventually

from bridge.storage import feedback

pytestmark = pytest.mark.process

# What takes something off a list; all other points are tried in tests/services.
KINDS = ("c3_errand_reports", "c3_facebook_ratings")


def asked(circle: Circle, kind: str) -> int:
    """Return how many requests of a kind there have been."""
    return sum(f"/{kind}" in one["path"] for one in circle.page("requests"))


def was_asked_since(circle: Circle, kind: str, before: int) -> bool:
    return asked(circle, kind) > before


def is_known(circle: Circle, errand_id: str, rating_id: str) -> bool:
    """Say whether it is known that an errand is done, and how a page was rated."""
    found = circle.looked_up(
        lambda connection: feedback.reports(connection, feedback.is_errand(int(errand_id)))
    )
    rated = [one["rating_id"] for one in circle.looked_up(feedback.ratings) if one["stars"]]
    return any(one["is_done"] for one in found) and rating_id in rated


def test_killed_while_it_polls_it_loses_neither_report_nor_rating(tmp_path: Path) -> None:
    with open_circle(tmp_path) as circle:
        for kind in KINDS:
            _, errand_id = circle.call()
            before = asked(circle, kind)
            # It is done, and not answered, when the daemon is killed.
            circle.page("faults", [{"kinds": [kind], "drop_answer": True}])
            circle.answer(errand_id)
            rating_id = circle.page("ratings", {"rating": 4})["id"]
            eventually(partial(was_asked_since, circle, kind, before))
            circle.daemon.kill9()
            circle.page("faults", [])
            circle.start()
            eventually(partial(is_known, circle, errand_id, rating_id))
        assert circle.page("dirty") == {"demo": []}


def test_what_others_do_at_cention_stays_for_others(tmp_path: Path) -> None:
    with open_circle(tmp_path) as circle:
        circle.page("errands", {"subject": "Hello", "body": "Where is it?"})
        theirs = circle.page("errands")[-1]["id"]
        _, errand_id = circle.call()
        circle.answer(errand_id)
        labels = {"route": "default", "queue": "EHS", "result": "within"}
        eventually(lambda: circle.daemon.metric("bridge_errand_sla_total", **labels))
        assert circle.page("dirty") == {"demo": [int(theirs)]}


def test_ratings_are_counted_by_stars_with_their_mean(tmp_path: Path) -> None:
    with open_circle(tmp_path) as circle:
        for stars in (5, 5, 2):
            circle.page("ratings", {"rating": stars, "message": "Hi", "reviewerName": "Jessica"})
        eventually(lambda: circle.daemon.metric("bridge_facebook_ratings_total", rating="5") == 2)
        eventually(lambda: circle.daemon.metric("bridge_facebook_rating_mean") == 4)
        shown = circle.shell("reports", "ratings").stdout
        assert "3 ratings, mean 4.00" in shown
        assert "Jessica" not in shown


def test_reports_are_shown_as_text_and_what_is_not_reported_is_unknown(
    tmp_path: Path,
) -> None:
    with open_circle(tmp_path) as circle:
        reference, errand_id = circle.call()
        body = '<b>Dear</b> <img src="https://evil.example/x"> Ada &amp; co'
        circle.answer(errand_id, body=body, html_body=body)
        eventually(
            lambda: any(
                one["is_done"]
                for one in circle.looked_up(
                    lambda connection: feedback.reports(connection, feedback.is_call(reference))
                )
            )
        )
        shown = circle.shell("reports", "show", reference, "--reveal").stdout
        assert "Dear  Ada & co" in shown
        assert "<" not in shown
        hidden = circle.shell("reports", "show", errand_id).stdout
        assert "Ada" not in hidden
        unknown = circle.shell("reports", "show", "42")
        assert (unknown.returncode, unknown.stdout) == (1, "")
        assert unknown.stderr == "42: nothing is reported of this\n"
