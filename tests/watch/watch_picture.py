"""Draws what a dashboard's panels show, from what Prometheus answered."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from watch_expressions import Asked, filled, load
from watch_prometheus import STEP_S, Series

WIDTH: Final = 24
_CELL: Final = 0.42
_GAP_S: Final = 3 * STEP_S
_DARK: Final = "#181b1f"
_FACE: Final = "#111217"
_TEXT: Final = "#ccccdc"
_GRID: Final = "#2c3235"
_COLORS: Final = (
    *("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#ffa6b0"),
    *("#96d98d", "#fade2a", "#c0d8ff", "#ffb357", "#ff7383", "#ca95e5", "#37872d", "#e0b400"),
)
_NAMED: Final = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}
Answers = Mapping[Asked, Sequence[Series]]


def draw(board: str, answers: Answers, path: Path) -> None:
    """Draw one dashboard into a PNG file."""
    mpl.use("Agg")
    document = load(board)
    shown = document["panels"]
    rows = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in shown)
    figure = Figure(figsize=(WIDTH * _CELL * 1.5, rows * _CELL + 0.6), facecolor=_FACE)
    figure.text(0.012, 1 - 0.35 / (rows * _CELL + 0.6), document["title"], color=_TEXT, fontsize=15)
    for panel in shown:
        if panel["type"] == "row":
            _row(figure, panel, rows)
        else:
            _panel(figure, panel, rows, _answers(board, panel, answers))
    figure.savefig(path, dpi=70, facecolor=_FACE)


def _answers(board: str, panel: Mapping[str, Any], answers: Answers) -> list[tuple[str, Series]]:
    """Return each course under its legend."""
    found = []
    for target in panel["targets"]:
        asked = Asked(board, panel["title"], filled(target["expr"]), target["legendFormat"])
        found += [(_legend(asked.legend, one.labels), one) for one in answers.get(asked, ())]
    return found


def _legend(form: str, labels: Mapping[str, str]) -> str:
    for name, value in labels.items():
        form = form.replace(f"{{{{{name}}}}}", value)
    return form.partition("{{")[0].strip() or "value"


def _place(panel: Mapping[str, Any], rows: int, margins: tuple[float, float, float, float]) -> Any:
    """Return where a panel's axes are, in parts of the figure; margins in grid cells."""
    grid, height = panel["gridPos"], rows + 0.6 / _CELL
    left, bottom, right, top = margins
    x, width = grid["x"] + left, grid["w"] - left - right
    y, tall = rows - grid["y"] - grid["h"] + bottom, grid["h"] - bottom - top
    return (x / WIDTH, y / height, width / WIDTH, tall / height)


def _row(figure: Figure, panel: Mapping[str, Any], rows: int) -> None:
    x, y, _, tall = _place(panel, rows, (0.3, 0, 0, 0))
    figure.text(x, y + tall / 2, panel["title"], color=_TEXT, fontsize=11, va="center")


def _panel(
    figure: Figure, panel: Mapping[str, Any], rows: int, found: Sequence[tuple[str, Series]]
) -> None:
    frame = figure.add_axes(_place(panel, rows, (0.1, 0.1, 0.1, 0.1)))
    frame.set_facecolor(_DARK)
    frame.set(xticks=[], yticks=[])
    for spine in frame.spines.values():
        spine.set_color(_GRID)
    frame.annotate(
        panel["title"],
        (0, 1),
        xycoords="axes fraction",
        xytext=(6, -13),
        textcoords="offset points",
        color=_TEXT,
        fontsize=9,
    )
    if panel["type"] == "stat":
        _number(frame, panel, found)
        return
    axes = figure.add_axes(_place(panel, rows, (1.3, 1.6, 0.35, 1.1)))
    axes.set_facecolor(_DARK)
    axes.tick_params(colors=_TEXT, labelsize=7)
    for spine in axes.spines.values():
        spine.set_visible(False)
    kinds = {"heatmap": _heat, "state-timeline": _states}
    kinds.get(panel["type"], _lines)(axes, panel, found)
    if found:
        axes.xaxis.set_major_formatter(
            lambda at_s, _: f"{datetime.fromtimestamp(at_s, tz=UTC):%H:%M:%S}"
        )
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))


def _number(frame: Axes, panel: Mapping[str, Any], found: Sequence[tuple[str, Series]]) -> None:
    text, color = "no data", _GRID
    if found:
        value = found[0][1].points[-1][1]
        text, color = _spoken(panel, value)
    frame.text(
        *(0.5, 0.42, text),
        color=color,
        fontsize=19,
        ha="center",
        va="center",
        transform=frame.transAxes,
    )


def _spoken(panel: Mapping[str, Any], value: float) -> tuple[str, str]:
    """Return a value as the panel shows it, and its colour."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults.get("mappings", ()):
        word = mapping["options"].get(f"{value:g}")
        if word is not None:
            return word["text"], _NAMED[word["color"]]
    color = _TEXT
    if panel["options"].get("colorMode") == "value":
        for step in defaults["thresholds"]["steps"]:
            if step["value"] is None or value >= step["value"]:
                color = _NAMED[step["color"]]
    return said(value, defaults.get("unit", "short")), color


def said(value: float, unit: str) -> str:
    """Return a value with its unit, in few digits."""
    if unit == "percentunit":
        return f"{value:.1%}"
    if unit == "bytes":
        steps = min(int(math.log(max(value, 1), 1024)), 4)
        return f"{value / 1024**steps:.3g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[steps]}"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if 0 < value < 1 else f"{value:.3g} s"
    return f"{value:.3g}{' days' if unit == 'd' else ''}" if value < 1000 else f"{value:,.0f}"


def _lines(axes: Axes, panel: Mapping[str, Any], found: Sequence[tuple[str, Series]]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    stacking = defaults.get("custom", {}).get("stacking", {})
    axes.grid(color=_GRID, linewidth=0.6)
    if stacking.get("mode") == "normal":
        _stack(axes, found)
    else:
        for number, (legend, one) in enumerate(found):
            color = _COLORS[number % len(_COLORS)]
            axes.plot(*_course(one), color=color, linewidth=1.1, label=legend)
    for step in defaults.get("thresholds", {}).get("steps", ()):
        if step["value"] and "thresholdsStyle" in defaults.get("custom", {}):
            axes.axhline(step["value"], color=_NAMED[step["color"]], linestyle="--", linewidth=0.8)
    axes.set_ylim(bottom=0)
    unit = defaults.get("unit", "short")
    axes.yaxis.set_major_formatter(lambda value, _: said(value, unit))
    _name(axes, found)


def _course(one: Series) -> tuple[list[float], list[float]]:
    """Return times and values, broken off where nothing was known."""
    times: list[float] = []
    values: list[float] = []
    for at_s, value in one.points:
        if times and at_s - times[-1] > _GAP_S:
            times.append(times[-1])
            values.append(math.nan)
        times.append(at_s)
        values.append(value)
    return times, values


def _stack(axes: Axes, found: Sequence[tuple[str, Series]]) -> None:
    times = sorted({at_s for _, one in found for at_s, _ in one.points})
    courses = [[dict(one.points).get(at_s, 0.0) for at_s in times] for _, one in found]
    if times:
        names = [legend for legend, _ in found]
        colors = [_COLORS[number % len(_COLORS)] for number in range(len(found))]
        axes.stackplot(times, courses, labels=names, colors=colors, alpha=0.75)


def _name(axes: Axes, found: Sequence[tuple[str, Series]]) -> None:
    if found:
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.12),
            ncols=min(6, len(found)),
            fontsize=6.5,
            frameon=False,
            labelcolor=_TEXT,
            handlelength=1.2,
        )


def _heat(axes: Axes, _panel: Mapping[str, Any], found: Sequence[tuple[str, Series]]) -> None:
    """Draw how many fell into each bucket; what comes counts all below it too."""
    buckets = sorted(found, key=lambda one: float(one[1].labels["le"]))
    times = sorted({at_s for _, one in buckets for at_s, _ in one.points})
    if not times:
        return
    upto = [[dict(one.points).get(at_s, 0.0) for at_s in times] for _, one in buckets]
    cells = [
        [max(0.0, value - below) for value, below in zip(row, lower, strict=True)]
        for row, lower in zip(upto, [[0.0] * len(times), *upto[:-1]], strict=True)
    ]
    seen = [[cell if cell > 0 else math.nan for cell in row] for row in cells]
    axes.pcolormesh(times, range(len(buckets)), seen, cmap="YlOrBr_r", shading="nearest")
    axes.set_yticks(range(len(buckets)), [f"≤ {one.labels['le']} s" for _, one in buckets])


def _states(axes: Axes, panel: Mapping[str, Any], found: Sequence[tuple[str, Series]]) -> None:
    for number, (_, one) in enumerate(found):
        for at_s, value in one.points:
            _, color = _spoken(panel, value)
            axes.barh(number, 1.05 * STEP_S, left=at_s, color=color, height=0.7)
    axes.set_yticks(range(len(found)), [legend for legend, _ in found])
    axes.set_ylim(-0.6, max(len(found), 1) - 0.4)
