import json
import math
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from bench_chart import SCORE_MAX, chart
from bench_figures import Figure, Measure, Report, at_least, at_most
from bench_process import BenchError, MissingProgramError
from bench_run import GROUPS, main, measure, reason, write
from bench_site import Bench, percentile
from bench_table import amount, table
from rich.console import Console

SPEED = Figure(
    name="calls",
    title="Whole calls",
    unit="/s",
    value=450,
    baseline=1000,
    against="bare aiohttp",
    targets=[at_least(400), at_least(0.5, Measure.RATIO, wish=0.7)],
)
MEMORY = Figure(
    name="memory",
    title="Memory",
    unit="MB",
    value=90,
    baseline=60,
    against="of 1,000",
    targets=[at_most(85), at_most(50, Measure.DIFFERENCE)],
)
ALONE = Figure(name="a", title="A", unit="s", value=1, targets=[at_least(1, Measure.RATIO)])


def report(**more: Any) -> Report:
    given = {"is_short": False, "machine": {"cpus": 2}, "figures": [SPEED, MEMORY], "raw": {}}
    return Report(at=datetime(2026, 1, 2, tzinfo=UTC), **{**given, **more})


def shown(given: Report) -> str:
    console = Console(width=140, file=StringIO(), record=True)
    console.print(table(given))
    return console.export_text()


def bench(folder: Path) -> Bench:
    return Bench(folder, folder, is_short=True, say=lambda _: None)


def test_each_target_is_held_against_its_own_measure() -> None:
    targets = SPEED.as_document()["targets"] + MEMORY.as_document()["targets"]
    assert [(one["measured"], one["met"]) for one in targets] == [
        (450, True),
        (0.45, False),
        (90, False),
        (30, True),
    ]


def test_without_a_baseline_there_is_no_ratio_and_no_verdict_on_it() -> None:
    (target,) = ALONE.as_document()["targets"]
    assert (ALONE.ratio, target["measured"], target["met"]) == (None, None, None)


def test_a_score_is_one_at_the_target_and_more_where_it_is_better() -> None:
    assert [at_least(4).score(4), at_least(4).score(8)] == [1, 2]
    assert [at_most(4).score(4), at_most(4).score(2), at_most(4).score(0)] == [1, 2, math.inf]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.991, 100), (0.0, 1), (1.0, 100)]
)
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.456, "0.46"), (45.67, "45.7"), (4567.8, "4,568"), (-0.5, "-0.50")]
)
def test_numbers_are_shown_with_the_digits_that_count(value: float, expected: str) -> None:
    assert amount(value) == expected


def test_the_table_shows_value_baseline_ratio_and_each_target() -> None:
    text = shown(report())
    for words in (
        "450 /s",
        "1,000 /s (bare aiohttp)",
        "0.45",
        "≥ 400 /s",
        "≥ 0.5 x baseline (wish 0.7)",
    ):
        assert words in text
    assert text.count("not met") == 2
    assert "≤ 50 MB more" in text


def test_a_short_run_shows_ratios_only() -> None:
    text = shown(report(is_short=True))
    assert "0.45" in text
    assert "≥ 0.5 x baseline" in text
    assert not [words for words in ("450", "≥ 400", "MB") if words in text]


def test_the_chart_has_a_bar_a_target_and_nothing_from_elsewhere() -> None:
    text = chart([SPEED, MEMORY, ALONE])
    root = ET.fromstring(text)  # noqa: S314 - our own
    bars = root.findall("{http://www.w3.org/2000/svg}rect")
    assert [one.get("class") for one in bars] == ["met", "missed", "missed", "met"]
    assert text.count("://") == 1
    assert "script" not in text


def test_a_bar_does_not_leave_the_picture() -> None:
    far = Figure(name="f", title="F", unit="s", value=1e-9, targets=[at_most(1)])
    near = Figure(name="n", title="N", unit="s", value=1 / SCORE_MAX, targets=[at_most(1)])
    bars = ET.fromstring(chart([far, near])).findall("{*}rect")  # noqa: S314 - our own
    assert len({one.get("width") for one in bars}) == 1


def test_figures_and_picture_are_left_in_the_folder(tmp_path: Path) -> None:
    write(report(raw={"calls": [1]}), tmp_path / "out")
    document = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert (document["date"], document["raw"]) == ("2026-01-02T00:00:00+00:00", {"calls": [1]})
    assert (tmp_path / "out" / "figures.svg").read_text().startswith("<svg")


def test_what_breaks_or_is_missing_does_not_stop_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: Bench) -> list[Figure]:
        raise MissingProgramError("ingest needs wrk")

    def breaking(_: Bench) -> list[Figure]:
        raise BenchError("lost")

    monkeypatch.setitem(GROUPS, "ingest", missing)
    monkeypatch.setitem(GROUPS, "calls", breaking)
    monkeypatch.setitem(GROUPS, "memory", lambda _: [MEMORY])
    found = measure(bench(tmp_path), ["ingest", "calls", "memory"])
    assert (found.skipped, found.broken, found.figures) == (
        ["ingest needs wrk"],
        ["calls: lost"],
        [MEMORY],
    )


def test_of_several_errors_at_once_the_first_is_told() -> None:
    both = ExceptionGroup("both", [ExceptionGroup("one", [BenchError("first")]), OSError("second")])
    assert (reason(both), reason(OSError("second"))) == ("first", "OSError: second")


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--only", ""], ["--fast"]])
def test_wrong_usage_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert "usage" in capsys.readouterr().err
