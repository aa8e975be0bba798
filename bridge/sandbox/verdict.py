"""Whether every call of a demo arrived exactly once, and how that is put into words. Pure."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from bridge.sandbox.errands import CREATE, END, END_REFUSED

REFERENCES_NAMED_MAX: Final = 10

_OUTBOX_PENDING: Final = re.compile(
    r'^bridge_outbox_pending\{[^}]*?kind="(?P<kind>[^"]*)"[^}]*\}\s+(?P<value>\S+)', re.MULTILINE
)


@dataclass(frozen=True)
class Latency:
    """Percentiles in seconds; None where nothing was measured."""

    p50: float | None
    p99: float | None

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Latency":
        """Return the percentiles of measurements in seconds."""
        ordered = sorted(seconds)
        return cls(_nearest_rank(ordered, 0.50), _nearest_rank(ordered, 0.99))

    def __str__(self) -> str:
        """Return both in milliseconds."""
        return f"{_milliseconds(self.p50)} / {_milliseconds(self.p99)}"


def _nearest_rank(ordered: Sequence[float], share: float) -> float | None:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds * 1000:.0f} ms"


NOT_MEASURED: Final = Latency(None, None)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """How far a demo is.

    Attributes:
        elapsed_seconds: since the first call.
        calls_wanted: 0 where it goes on until it is stopped.
        faults: how often each fault struck, None where none were asked for.
        pending: deliveries that wait in the daemon's outbox, None where that isn't known.
        answer: latency of the 202.
        creation: latency from the event that makes an errand to the errand.
    """

    elapsed_seconds: float = 0.0
    calls_wanted: int = 0
    calls_posted: int = 0
    events_posted: int = 0
    errands_created: int = 0
    errands_ended: int = 0
    contacts: int = 0
    faults: Mapping[str, int] | None = None
    pending: int | None = None
    answer: Latency = NOT_MEASURED
    creation: Latency = NOT_MEASURED

    def rows(self) -> list[tuple[str, str]]:
        """Return a label and a figure for each line of a table."""
        wanted = f" of {self.calls_wanted}" if self.calls_wanted else ""
        return [
            ("calls posted", f"{self.calls_posted}{wanted}"),
            ("events accepted", str(self.events_posted)),
            ("errands created", str(self.errands_created)),
            ("errands ended", str(self.errands_ended)),
            ("contact cards", str(self.contacts)),
            *self._fault_rows(),
            ("waiting in the outbox", "?" if self.pending is None else str(self.pending)),
            ("202 after (p50 / p99)", str(self.answer)),
            ("errand after (p50 / p99)", str(self.creation)),
        ]

    def line(self) -> str:
        """Return it as one line of text."""
        wanted = f"/{self.calls_wanted}" if self.calls_wanted else ""
        faults = "" if self.faults is None else f"  faults {sum(self.faults.values())}"
        return (
            f"{self.elapsed_seconds:6.1f} s  calls {self.calls_posted}{wanted}"
            f"  errands {self.errands_created}  ended {self.errands_ended}"
            f"  contacts {self.contacts}{faults}  202 {self.answer}  errand {self.creation}"
        )

    def _fault_rows(self) -> list[tuple[str, str]]:
        if self.faults is None:
            return []
        named = ", ".join(f"{count} x {name}" for name, count in self.faults.items())
        struck = f"{sum(self.faults.values())}: {named}" if named else "0"
        return [("faults struck", struck)]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is wrong with a run; everything empty and 0 where each call arrived exactly once.

    Attributes:
        calls: how many were judged.
        missing: references without an errand.
        unended: references whose errand was not ended.
        duplicates: references with more than one errand or end.
        out_of_order: references with an end before their errand.
        unknown: references at the sandbox that nobody posted.
        strays: errands at the sandbox that name no reference.
    """

    calls: int
    missing: tuple[str, ...] = ()
    unended: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    out_of_order: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    strays: int = 0

    @property
    def ok(self) -> bool:
        """Whether every call arrived exactly once, and nothing else did."""
        return not self.strays and not any(references for _, references in self._kinds())

    def rows(self) -> list[tuple[str, str]]:
        """Return a label and a figure for each line of a table."""
        rows = [(label, str(len(references))) for label, references in self._kinds()]
        return [*rows, ("errands of no call", str(self.strays))]

    def mistakes(self) -> list[str]:
        """Return a line for each kind of mistake that was made, naming some of the calls."""
        lines = []
        for label, references in self._kinds():
            if references:
                named = ", ".join(islice(references, REFERENCES_NAMED_MAX))
                more = len(references) - REFERENCES_NAMED_MAX
                lines.append(f"{label}: {named}{f' and {more} more' if more > 0 else ''}")
        if self.strays:
            lines.append(f"errands of no call: {self.strays}")
        return lines

    def _kinds(self) -> list[tuple[str, tuple[str, ...]]]:
        return [
            ("missing", self.missing),
            ("not ended", self.unended),
            ("duplicates", self.duplicates),
            ("out of order", self.out_of_order),
            ("unknown calls", self.unknown),
        ]


def judge(summary: Mapping[str, Any], references: Collection[str]) -> Verdict:
    """Compare the sandbox's summary with the calls that were posted.

    Args:
        summary: as `GET /_sandbox/summary` gives it.
        references: of calls that were queued, answered and ended, each of which has to make exactly
            one errand, and exactly one end after it.
    """
    steps: Mapping[str, Sequence[str]] = summary["references"]
    posted = frozenset(references)
    by_reference = {reference: steps.get(reference, ()) for reference in references}
    named = sum(list(made).count(CREATE) for made in steps.values())
    return Verdict(
        calls=len(posted),
        missing=_where(by_reference, lambda made: CREATE not in made),
        unended=_where(by_reference, lambda made: END not in made),
        duplicates=_where(by_reference, _is_doubled),
        out_of_order=_where(by_reference, _is_out_of_order),
        unknown=tuple(reference for reference in steps if reference not in posted),
        strays=max(0, summary["errands"]["created"] - named),
    )


def _where(
    steps: Mapping[str, Sequence[str]], holds: Callable[[Sequence[str]], bool]
) -> tuple[str, ...]:
    return tuple(reference for reference, made in steps.items() if holds(made))


def _is_doubled(made: Sequence[str]) -> bool:
    return list(made).count(CREATE) > 1 or list(made).count(END) > 1


def _is_out_of_order(made: Sequence[str]) -> bool:
    return any(step in {END, END_REFUSED} for step in made[:1])


def outbox_pending(metrics: str) -> dict[str, int]:
    """Return what waits in the outbox by kind, from the daemon's metrics in Prometheus' text."""
    return {
        match["kind"]: int(float(match["value"])) for match in _OUTBOX_PENDING.finditer(metrics)
    }
