from typing import Any

import pytest

from bridge.sandbox.verdict import Latency, Snapshot, Verdict, judge, outbox_pending

OK = ["create", "end"]


def summary(created: int | None = None, **references: list[str]) -> dict[str, Any]:
    named = sum(steps.count("create") for steps in references.values())
    return {
        "errands": {"created": named if created is None else created, "ended": 0},
        "references": references,
    }


def test_each_call_arrived_exactly_once() -> None:
    verdict = judge(summary(a=OK, b=OK), ["a", "b"])
    assert verdict.ok
    assert verdict.calls == 2
    assert verdict.mistakes() == []
    assert all(figure == "0" for _, figure in verdict.rows())


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["create"], Verdict(calls=1, unended=("a",))),
        (["end"], Verdict(calls=1, missing=("a",), out_of_order=("a",))),
        (["create", "create", "end"], Verdict(calls=1, duplicates=("a",))),
        (["create", "end", "end"], Verdict(calls=1, duplicates=("a",))),
        (["end_refused", "create", "end"], Verdict(calls=1, out_of_order=("a",))),
        (
            ["end_refused", "create"],
            Verdict(calls=1, unended=("a",), out_of_order=("a",)),
        ),
    ],
)
def test_what_went_wrong_with_a_call_is_named(steps: list[str], expected: Verdict) -> None:
    verdict = judge(summary(a=steps), ["a"])
    assert verdict == expected
    assert not verdict.ok
    assert all(line.endswith(": a") for line in verdict.mistakes())


def test_a_call_that_never_arrived_is_missing_and_not_ended() -> None:
    verdict = judge(summary(), ["a"])
    assert verdict == Verdict(calls=1, missing=("a",), unended=("a",))
    assert verdict.mistakes() == ["missing: a", "not ended: a"]


def test_what_nobody_posted_is_unknown() -> None:
    assert judge(summary(a=OK, b=OK), ["a"]) == Verdict(calls=1, unknown=("b",))


def test_an_errand_without_reference_is_a_stray() -> None:
    verdict = judge(summary(created=3, a=OK), ["a"])
    assert verdict == Verdict(calls=1, strays=2)
    assert not verdict.ok
    assert verdict.mistakes() == ["errands of no call: 2"]


def test_only_some_of_many_are_named() -> None:
    [line, _] = judge(summary(), [str(number) for number in range(25)]).mistakes()
    assert line == "missing: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 15 more"


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert Latency.of([]) == Latency(None, None)
    assert Latency.of([0.5]) == Latency(0.5, 0.5)
    assert Latency.of(number / 1000 for number in range(100, 0, -1)) == Latency(0.050, 0.099)
    assert str(Latency(0.0012345, 1.2345)) == "1.2 ms / 1234 ms"
    assert str(Latency(None, None)) == "- / -"


def test_a_snapshot_is_put_into_words() -> None:
    snapshot = Snapshot(
        elapsed_seconds=12.34,
        calls_wanted=50,
        calls_posted=20,
        errands_created=19,
        errands_ended=18,
        contacts=7,
        answer=Latency(0.001, 0.002),
    )
    assert snapshot.line() == (
        "  12.3 s  calls 20/50  errands 19  ended 18  contacts 7  202 1.0 ms / 2.0 ms  errand - / -"
    )
    assert ("calls posted", "20 of 50") in snapshot.rows()
    assert ("waiting in the outbox", "?") in snapshot.rows()
    endless = Snapshot(calls_posted=20, pending=0)
    assert ("calls posted", "20") in endless.rows()
    assert ("waiting in the outbox", "0") in endless.rows()


def test_faults_are_shown_where_they_were_asked_for() -> None:
    struck = Snapshot(faults={"429": 2, "delay": 1})
    assert ("faults struck", "3: 2 x 429, 1 x delay") in struck.rows()
    assert "contacts 0  faults 3  202" in struck.line()
    assert ("faults struck", "0") in Snapshot(faults={}).rows()
    assert "faults" not in Snapshot().line()
    assert "faults struck" not in dict(Snapshot().rows())


def test_the_outbox_is_read_from_the_metrics() -> None:
    metrics = (
        "# HELP bridge_outbox_pending Deliveries that wait.\n"
        "# TYPE bridge_outbox_pending gauge\n"
        'bridge_outbox_pending{kind="new_errand"} 2.0\n'
        'bridge_outbox_pending{kind="contact_card"} 0\n'
        'bridge_outbox_pending{route="x",kind="end_errand"} 1e+01\n'
        'bridge_outbox_pending_other{kind="x"} 5.0\n'
        "bridge_outbox_oldest_seconds 3.0\n"
    )
    assert outbox_pending(metrics) == {"new_errand": 2, "contact_card": 0, "end_errand": 10}
    assert outbox_pending("") == {}
