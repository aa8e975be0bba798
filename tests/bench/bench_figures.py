"""Figures and what they are held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

FORMAT: Final = 1


class Measure(StrEnum):
    """What of a figure a target is about."""

    VALUE = "value"
    RATIO = "ratio"
    DIFFERENCE = "difference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound for one measure of a figure: a floor, or else a ceiling. `wish` would be better."""

    of: Measure
    bound: float
    is_floor: bool
    wish: float | None = None

    def is_met(self, measured: float) -> bool:
        """Say whether a measure is within the bound."""
        return measured >= self.bound if self.is_floor else measured <= self.bound

    def score(self, measured: float) -> float:
        """Return how a measure stands to the bound: 1 is just met, more is better."""
        if self.is_floor:
            return measured / self.bound
        return self.bound / measured if measured > 0 else float("inf")


def at_least(bound: float, of: Measure = Measure.VALUE, *, wish: float | None = None) -> Target:
    """Return a floor."""
    return Target(of=of, bound=bound, is_floor=True, wish=wish)


def at_most(bound: float, of: Measure = Measure.VALUE) -> Target:
    """Return a ceiling."""
    return Target(of=of, bound=bound, is_floor=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The best that a figure's value could be, as the same run has it, and by what it is so."""

    value: float
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value, and the baseline that was taken in the same run, if any."""

    name: str
    title: str
    unit: str
    value: float
    baseline: float | None = None
    against: str = ""
    targets: Sequence[Target] = ()
    bound: Bound | None = None

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of the baseline."""
        return self.value / self.baseline if self.baseline else None

    def measured(self, of: Measure) -> float | None:
        """Return one measure; None where there is nothing to compare with."""
        if of is Measure.VALUE:
            return self.value
        if of is Measure.RATIO:
            return self.ratio
        return None if self.baseline is None else self.value - self.baseline

    def bound_of(self, of: Measure) -> float | None:
        """Return the best that one measure could be; None where that is not known."""
        return None if self.bound is None else replace(self, value=self.bound.value).measured(of)

    @property
    def is_missed(self) -> bool:
        """Whether a target is not met."""
        measured = [(one, self.measured(one.of)) for one in self.targets]
        return any(value is not None and not one.is_met(value) for one, value in measured)

    def as_document(self) -> dict[str, Any]:
        """Return it for a script."""
        bound = self.bound
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "value": _rounded(self.value),
            "baseline": _rounded(self.baseline),
            "against": self.against,
            "ratio": _rounded(self.ratio),
            "targets": [self._target(one) for one in self.targets],
            **({} if bound is None else {"bound": _rounded(bound.value), "bound_by": bound.by}),
        }

    def _target(self, target: Target) -> dict[str, Any]:
        measured = self.measured(target.of)
        return {
            "of": target.of.value,
            "at_least" if target.is_floor else "at_most": target.bound,
            **({} if target.wish is None else {"wish": target.wish}),
            "measured": _rounded(measured),
            "met": None if measured is None else target.is_met(measured),
            **({} if self.bound is None else {"bound": _rounded(self.bound_of(target.of))}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one run has found. `raw` holds every reading, `skipped` and `broken` what is missing."""

    is_short: bool
    machine: Mapping[str, Any]
    figures: Sequence[Figure]
    raw: Mapping[str, Any]
    skipped: Sequence[str] = ()
    broken: Sequence[str] = ()
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def as_document(self) -> dict[str, Any]:
        """Return it for a script."""
        return {
            "format": FORMAT,
            "date": self.at.isoformat(timespec="seconds"),
            "short": self.is_short,
            "machine": dict(self.machine),
            "figures": [one.as_document() for one in self.figures],
            "skipped": list(self.skipped),
            "broken": list(self.broken),
            "raw": dict(self.raw),
        }


def _rounded(value: float | None) -> float | None:
    """Return four digits that count: more would be noise."""
    return None if value is None else float(f"{value:.4g}")
