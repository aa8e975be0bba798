from typing import Any

import pytest
from bench_bounds import bounded
from bench_figures import Bound, Figure, Measure, Report, at_least, at_most
from bench_table import bounds

STAGES = dict.fromkeys(
    ("read", "admit", "keep", "keep_sql", "keep_commit", "claim", "claim_sql"), 10.0
) | dict.fromkeys(("carry", "record", "record_sql"), 20.0)
RAW: dict[str, Any] = {
    "ingest": {
        "checking": [{"rate": 3000, "cpu_ms": 0.3}, {"rate": 3200, "cpu_ms": 0.3}],
        "app": [{"rate": 7000, "cpu_ms": 0.1}],
    },
    "calls": {"least": [{"cpu_ms": 1.5}], "ceiling": [{"cpu_ms": 1.0}]},
    "latency": {"least": [{"p50": 3.0}]},
    "stages": {
        **dict.fromkeys(("grouped_us", "grouped_end_us", "alone_us", "batch_us"), STAGES),
        "batch_group": 250,
    },
}


def figure(name: str, value: float, baseline: float | None = None) -> Figure:
    targets = [at_least(value * 2), at_least(2, Measure.RATIO)]
    return Figure(
        name=name, title=name.title(), unit="x", value=value, baseline=baseline, targets=targets
    )


def bound(name: str, baseline: float | None = None) -> Bound:
    (found,) = bounded([figure(name, 1.0, baseline)], RAW)
    assert found.bound is not None
    return found.bound


def test_intake_is_bounded_by_the_daemon_that_keeps_nothing() -> None:
    assert bound("ingest").value == 3100


def test_batches_are_bounded_by_what_the_writer_does_with_an_event() -> None:
    assert bound("batches").value == pytest.approx(1e6 / 30)


def test_calls_are_bounded_by_all_that_one_is_known_to_need() -> None:
    # The least, the checking of two events, their folding, and 2.2 deliveries.
    needed_ms = 1.5 + 2 * 0.2 + 0.04 + 2.2 * 0.08
    assert bound("calls", 1000).value == pytest.approx(1000 / needed_ms)
    assert f"{needed_ms:.2f} ms" in bound("calls", 1000).by


def test_latency_is_bounded_by_the_least_and_an_event_alone() -> None:
    assert bound("latency_p50").value == pytest.approx(3.06)


@pytest.mark.parametrize("missing", ["ingest", "calls", "stages"])
def test_without_the_readings_that_it_is_made_of_there_is_no_bound(missing: str) -> None:
    raw = {name: found for name, found in RAW.items() if name != missing}
    (found,) = bounded([figure("calls", 1.0, 1000)], raw)
    assert found.bound is None


def test_a_bound_is_told_in_the_measure_of_each_target() -> None:
    (found,) = bounded([figure("ingest", 1.0, 6200)], RAW)
    document = found.as_document()
    assert [one["bound"] for one in document["targets"]] == [3100, 0.5]
    assert document["bound"] == 3100


def test_what_bounds_a_figure_is_told_only_where_it_misses_a_target() -> None:
    slow = Bound(value=1.0, by="a reason")
    missed = Figure(name="a", title="A", unit="s", value=2, targets=[at_most(1)], bound=slow)
    met = Figure(name="b", title="B", unit="s", value=1, targets=[at_most(1)], bound=slow)
    report = Report(is_short=False, machine={}, figures=[missed, met], raw={})
    assert bounds(report) == ["A: a reason"]
