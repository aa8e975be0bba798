"""What Grafana would ask of Prometheus: every expression of every panel."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
BOARDS: Final = ("overview", "delivery", "process")
# Long enough for two scrapes, as Grafana has it.
RATE_WINDOW: Final = "5s"
_GRAFANA: Final = {
    "$__rate_interval": RATE_WINDOW,
    "$__range": "5m",
    "$job": "aventa-bridge",
    "$instance": ".*",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One expression as Prometheus takes it: of which dashboard and panel, and its legend."""

    board: str
    panel: str
    expression: str
    legend: str = ""


def load(board: str) -> dict[str, Any]:
    """Return a dashboard."""
    path = ROOT / "config" / "grafana" / f"{board}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def panels(board: str) -> Iterator[dict[str, Any]]:
    """Yield the panels that ask for something."""
    for panel in load(board)["panels"]:
        if panel.get("targets"):
            yield panel


def expressions(board: str) -> Iterator[Asked]:
    """Yield what a dashboard's panels ask for."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield Asked(board, panel["title"], filled(target["expr"]), target["legendFormat"])


def filled(expression: str) -> str:
    """Return an expression with Grafana's variables filled in."""
    for name, value in _GRAFANA.items():
        expression = expression.replace(name, value)
    return expression
