"""Figures as a table for a person."""

from typing import Final

from bench_figures import Figure, Measure, Report, Target
from rich.table import Table

NONE: Final = "-"
_SIGNS: Final = {True: "≥", False: "≤"}


def table(report: Report) -> Table:
    """Return the table. A short run shows ratios only: its values say little about a machine."""
    made = Table(title="Short run: ratios only" if report.is_short else None)
    made.add_column("Figure")
    if not report.is_short:
        made.add_column("Value", justify="right")
    made.add_column("Baseline")
    made.add_column("Ratio", justify="right")
    made.add_column("Target")
    made.add_column("Met")
    for figure in report.figures:
        shown = [one for one in figure.targets if _is_shown(one, report)]
        values = [] if report.is_short else [_with_unit(figure.value, figure.unit)]
        made.add_row(
            figure.title,
            *values,
            _baseline(figure, is_short=report.is_short),
            NONE if figure.ratio is None else amount(figure.ratio),
            "\n".join(_with_wish(one, figure.unit) for one in shown) or NONE,
            "\n".join(_verdict(figure, one) for one in shown) or NONE,
        )
    return made


def _is_shown(target: Target, report: Report) -> bool:
    return target.of is Measure.RATIO or not report.is_short


def _baseline(figure: Figure, *, is_short: bool) -> str:
    if figure.baseline is None:
        return NONE
    if is_short:
        return figure.against
    return f"{_with_unit(figure.baseline, figure.unit)} ({figure.against})"


def _verdict(figure: Figure, target: Target) -> str:
    measured = figure.measured(target.of)
    if measured is None:
        return "not measured"
    if target.is_met(measured):
        return "[green]met[/]"
    best = figure.bound_of(target.of)
    return "[red]not met[/]" if best is None else f"[red]not met[/] (bound {amount(best)})"


def bounds(report: Report) -> list[str]:
    """Return what bounds the figures that miss a target, a line each."""
    return [
        f"{one.title}: {one.bound.by}"
        for one in report.figures
        if one.bound is not None and one.is_missed
    ]


def target_words(target: Target, unit: str) -> str:
    """Return a target in words."""
    sign = _SIGNS[target.is_floor]
    if target.of is Measure.RATIO:
        return f"{sign} {target.bound:g} x baseline"
    more = " more" if target.of is Measure.DIFFERENCE else ""
    return f"{sign} {target.bound:,g} {unit}{more}"


def _with_wish(target: Target, unit: str) -> str:
    wish = "" if target.wish is None else f" (wish {target.wish:g})"
    return f"{target_words(target, unit)}{wish}"


def amount(value: float) -> str:
    """Return a number with the digits that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _with_unit(value: float, unit: str) -> str:
    return f"{amount(value)} {unit}"
