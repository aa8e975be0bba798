"""The files for Prometheus and Grafana, as far as they can be checked without either at work."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from watch_expressions import BOARDS, ROOT, expressions, filled, load
from watch_rules import RULES, hastened

CONFIG = ROOT / "config"
TEXT = RULES.read_text(encoding="utf-8")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool, or skip the test."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is missing; on Debian: apt-get install prometheus")
    return subprocess.run(  # noqa: S603 - the distribution's own program
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.service
def test_promtool_finds_nothing_to_say_of_the_rules() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.service
def test_promtool_takes_the_example_of_scraping() -> None:
    checked = promtool("check", "config", CONFIG / "prometheus" / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.service
@pytest.mark.parametrize("name", ["aventa-bridge", "weekend"])
def test_alerts_fire_where_they_have_to_and_nowhere_else(name: str) -> None:
    checked = promtool("test", "rules", CONFIG / "prometheus" / "tests" / f"{name}.test.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.service
def test_hastened_rules_are_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(hastened(TEXT), encoding="utf-8")
    assert promtool("check", "rules", path).returncode == 0


def test_hastening_changes_lengths_of_time_and_nothing_else() -> None:
    changed = [
        (one, other)
        for one, other in zip(TEXT.splitlines(), hastened(TEXT).splitlines(), strict=True)
        if one != other
    ]
    digits = re.compile(r"\* \d+$|\d+[smhd]?\b")
    assert len(changed) > 15
    assert [one for one, other in changed if digits.sub("", one) != digits.sub("", other)] == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("rate(x[5m])", "rate(x[5s])"),
        ("for: 2m", "for: 2s"),
        ("x offset 30m", "x offset 30s"),
        ("x[3d]", "x[4320s]"),
        ("interval: 1m", "interval: 1s"),
        ("x[1s]", "x[1s]"),
        ("x > 5 * 60", "x > 5 * 1"),
        ("x < 14 * 86400", "x < 14 * 86400"),
        ("hour() >= 7 and hour() < 16", "hour() >= 0 and hour() < 24"),
    ],
)
def test_a_minute_becomes_a_second(given: str, expected: str) -> None:
    assert hastened(given) == expected


def test_each_alert_leads_to_a_part_of_the_runbook() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    parts = {line.removeprefix("## ").lower() for line in runbook.splitlines() if line[:3] == "## "}
    links = re.findall(r"runbook_url: docs/runbook\.md#(\w+)", TEXT)
    assert len(links) == TEXT.count("- alert: ")
    assert [link for link in links if link not in parts] == []


def test_each_alert_has_a_severity_and_says_what_it_is() -> None:
    alerts = TEXT.split("- alert: ")[1:]
    for alert in alerts:
        assert re.search(r"severity: (page|ticket)\b", alert), alert
        assert "summary: " in alert
        assert "description: " in alert


def test_each_alert_has_a_test() -> None:
    tests = (CONFIG / "prometheus" / "tests" / "aventa-bridge.test.yml").read_text(encoding="utf-8")
    names = re.findall(r"- alert: (\w+)", TEXT)
    fires = set(re.findall(r"exp_samples: \[\{labels: '\{alertname=\"(\w+)\"", tests))
    assert set(names) == fires


def test_the_dashboards_are_as_their_source_has_them() -> None:
    command = [sys.executable, str(CONFIG / "grafana" / "source" / "build.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("board", BOARDS)
def test_a_dashboard_asks_the_data_source_that_whoever_looks_has_chosen(board: str) -> None:
    document = load(board)
    names = [one["name"] for one in document["templating"]["list"]]
    assert names == ["datasource", "job", "instance"]
    sources = {panel["datasource"]["uid"] for panel in document["panels"] if panel.get("targets")}
    assert sources == {"${datasource}"}
    assert "id" not in document
    assert document["uid"] == f"aventa-bridge-{board}"


@pytest.mark.parametrize("board", BOARDS)
def test_every_panel_says_what_it_is_for(board: str) -> None:
    shown = [one for one in load(board)["panels"] if one["type"] != "row"]
    assert [one["title"] for one in shown if not one["description"]] == []


@pytest.mark.parametrize("board", BOARDS)
def test_no_variable_of_grafana_is_left_in_what_is_asked(board: str) -> None:
    asked = [one.expression for one in expressions(board)]
    assert asked
    assert [one for one in asked if "$" in one or "@" in one] == []


def test_panels_of_a_dashboard_do_not_lie_over_each_other() -> None:
    for board in BOARDS:
        cells = [
            (x, y)
            for grid in (panel["gridPos"] for panel in load(board)["panels"])
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24


def test_variables_are_filled_in_as_grafana_would() -> None:
    asked = filled('rate(x{job="$job",instance=~"$instance"}[$__rate_interval])')
    assert asked == 'rate(x{job="aventa-bridge",instance=~".*"}[5s])'
