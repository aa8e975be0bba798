from collections import Counter
from random import Random
from typing import Any

import pytest

from bridge.sandbox.faults import RULES_MAX, FaultBook
from bridge.sandbox.jsonapi import ApiError
from bridge.sandbox.presets import read_faults

NEW = "c3_new_errands"
END = "c3_end_errands"
CARDS = "c3_contact_cards"
REPORTS = "c3_errand_reports"
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


def struck(document: Any, kind: str, draws: int) -> Counter[str]:
    """Return how often each fault is chosen for a request of a kind."""
    book = FaultBook(Random(7))  # noqa: S311 - chance in a test
    book.set(read_faults(document), 0.0)
    chosen = (book.choose(kind, 0.0) for _ in range(draws))
    return Counter(standing.rule.name for standing in chosen if standing is not None)


def issues(document: Any) -> dict[str, str]:
    with pytest.raises(ApiError) as caught:
        read_faults(document)
    assert caught.value.status == 422
    return {issue.pointer: issue.detail for issue in caught.value.issues}


@pytest.mark.parametrize(
    "rule",
    [
        {"status": 503},
        {"status": 503, "retry_after": 0, "body": "", "with_effect": True},
        {"status": 429, "retry_after": DATE, "body": {}},
        {"delay_seconds": 0},
        {"drop_answer": True, "probability": 0.5, "times": 1, "kinds": [NEW]},
        {"late_effect_seconds": 0.5},
        {"reset": True, "probability": 1},
        {"outage_seconds": 60, "kinds": []},
    ],
)
def test_a_rule_is_read(rule: dict[str, Any]) -> None:
    [read] = read_faults([rule])
    assert read.document == rule


@pytest.mark.parametrize(
    ("rule", "pointer", "detail"),
    [
        ({"status": 503, "chance": 1}, "/0/chance", "is not a field of this object"),
        ({}, "/0", "must have exactly one of"),
        ({"status": 503, "reset": True}, "/0", "must have exactly one of"),
        ("status", "/0", "must be an object"),
        ({"reset": True, "kinds": ["c3_errands"]}, "/0/kinds/0", "must be one of c3_new_errands,"),
        ({"reset": True, "kinds": [["x"]]}, "/0/kinds/0", "must be one of"),
        ({"reset": True, "kinds": NEW}, "/0/kinds", "must be an array"),
        ({"reset": True, "probability": 1.1}, "/0/probability", "must be a number from 0 to 1"),
        ({"reset": True, "probability": True}, "/0/probability", "must be a number"),
        ({"reset": True, "times": 0}, "/0/times", "must be an integer, 1 or more"),
        ({"reset": True, "times": 1.5}, "/0/times", "must be an integer, 1 or more"),
        ({"reset": False}, "/0/reset", "must be true, or left out"),
        ({"drop_answer": 1}, "/0/drop_answer", "must be true, or left out"),
        ({"status": 100}, "/0/status", "must be an HTTP status"),
        ({"status": "503"}, "/0/status", "must be an HTTP status"),
        ({"status": 503, "body": 1}, "/0/body", "must be a string or an object"),
        ({"status": 503, "retry_after": -1}, "/0/retry_after", "must be seconds, not negative"),
        ({"status": 503, "retry_after": 1.5}, "/0/retry_after", "must be seconds"),
        ({"status": 503, "retry_after": "soon"}, "/0/retry_after", "must be seconds"),
        ({"status": 503, "retry_after": f"{DATE}\r\nX: y"}, "/0/retry_after", "must be seconds"),
        ({"reset": True, "retry_after": 1}, "/0/retry_after", "goes with status only"),
        ({"reset": True, "body": ""}, "/0/body", "goes with status only"),
        ({"reset": True, "with_effect": True}, "/0/with_effect", "goes with status only"),
        ({"delay_seconds": -1}, "/0/delay_seconds", "must be a number from 0 to 86400"),
        ({"late_effect_seconds": "1"}, "/0/late_effect_seconds", "must be a number"),
        ({"outage_seconds": None}, "/0/outage_seconds", "must be a number"),
    ],
)
def test_a_wrong_rule_is_told_where_it_is_wrong(rule: Any, pointer: str, detail: str) -> None:
    assert issues([rule])[pointer].startswith(detail)


@pytest.mark.parametrize(
    ("document", "pointer", "detail"),
    [
        ("mixed", "", "must be an array of rules"),
        ([{"reset": True}] * (RULES_MAX + 1), "", f"must not have more than {RULES_MAX} rules"),
        ({"preset": "mixd", "rate": 0.2}, "/preset", "must be one of mixed, no_doubt"),
        ({"preset": "mixed"}, "/rate", "is required"),
        ({"preset": "mixed", "rate": 2}, "/rate", "must be a number from 0 to 1"),
        ({"preset": "mixed", "rate": 0, "kinds": ["x"]}, "/kinds/0", "must be one of"),
        ({"preset": "mixed", "rate": 0, "times": 1}, "/times", "is not a field"),
    ],
)
def test_a_wrong_set_of_rules_is_told(document: Any, pointer: str, detail: str) -> None:
    assert issues(document)[pointer].startswith(detail)


@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0])
@pytest.mark.parametrize(
    ("preset", "kind", "names"),
    [
        (
            "mixed",
            REPORTS,
            {
                *("429", "500", "500 with effect", "502", "502 with effect", "503"),
                *("delay", "drop_answer", "late_effect", "reset"),
            },
        ),
        ("no_doubt", NEW, {"429", "503", "delay"}),
        ("no_doubt", REPORTS, {"429", "503", "delay"}),
        ("no_doubt", END, {"429", "500", "502", "503", "delay", "reset"}),
        ("no_doubt", CARDS, {"429", "500", "502", "503", "delay", "reset"}),
    ],
)
def test_a_presets_faults_together_strike_the_share_that_was_asked_for(
    preset: str, kind: str, names: set[str], rate: float
) -> None:
    draws = 10_000
    counts = struck({"preset": preset, "rate": rate}, kind, draws)
    assert set(counts) == (names if rate else set())
    assert counts.total() == pytest.approx(rate * draws, rel=0.1)
    # Every fault strikes as often as any other; 503 comes with Retry-After and without.
    shares = [count / (1 + (name == "503")) for name, count in counts.items()]
    assert all(share == pytest.approx(sum(shares) / len(shares), rel=0.3) for share in shares)


def test_a_preset_leaves_other_kinds_alone() -> None:
    document = {"preset": "no_doubt", "rate": 1.0, "kinds": [END]}
    assert struck(document, END, 100).total() == 100
    assert struck(document, NEW, 100).total() == 0
