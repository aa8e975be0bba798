"""How far a demo is, in figures, and how they are put into words. Pure."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_SAMPLE: Final = r'^{name}(?:\{{[^}}]*?{label}="(?P<label>[^"]*)"[^}}]*\}})?\s+(?P<value>\S+)'
_PENDING: Final = re.compile(
    _SAMPLE.format(name="bridge_outbox_pending", label="kind"), re.MULTILINE
)
_LOOKUPS: Final = re.compile(
    _SAMPLE.format(name="bridge_lookups_total", label="outcome"), re.MULTILINE
)
_DEAD_LETTERS: Final = re.compile(
    _SAMPLE.format(name="bridge_dead_letters", label="kind"), re.MULTILINE
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
class DaemonFigures:
    """What the daemon's metrics say.

    Attributes:
        pending: deliveries that wait in the outbox, by kind.
        stopped: deliveries that wait for a person: refused for good, or held in doubt.
        lookups: errands in doubt that were looked up, by what came of it, since the daemon's start.
    """

    pending: Mapping[str, int]
    stopped: int
    lookups: Mapping[str, int]

    @classmethod
    def read(cls, metrics: str) -> "DaemonFigures":
        """Read the figures from metrics in Prometheus' text."""
        return cls(
            pending=_by_label(_PENDING, metrics),
            stopped=sum(_by_label(_DEAD_LETTERS, metrics).values()),
            lookups=_by_label(_LOOKUPS, metrics),
        )


def _by_label(pattern: re.Pattern[str], metrics: str) -> dict[str, int]:
    return {match["label"] or "": int(float(match["value"])) for match in pattern.finditer(metrics)}


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """How far a demo is.

    Attributes:
        elapsed_seconds: since the first call.
        calls_wanted: 0 where it goes on until it is stopped.
        events_repeated: how often an event was posted again, since it had got no 2xx.
        events_duplicate: how often one was answered as known already.
        contacts: contact cards at the sandbox.
        faults: how often each fault struck, None where none were asked for.
        kills: how often the daemon was killed, None where it was not to be.
        others: errands that others made, None where they were not to.
        others_cleared: how many of them are not listed as changed just now.
        lookups: errands in doubt that were looked up, by what came of it.
        pending: deliveries that wait in the daemon's outbox, None where that isn't known.
        stopped: deliveries that wait for a person.
        late_effects: what the sandbox has hung up on and will still do.
        answer: latency of the 202.
        creation: latency from the event that makes an errand to the errand.
    """

    elapsed_seconds: float = 0.0
    calls_wanted: int = 0
    calls_posted: int = 0
    events_posted: int = 0
    events_repeated: int = 0
    events_duplicate: int = 0
    errands_created: int = 0
    errands_ended: int = 0
    contacts: int = 0
    faults: Mapping[str, int] | None = None
    kills: int | None = None
    others: int | None = None
    others_cleared: int = 0
    lookups: Mapping[str, int] = field(default_factory=dict)
    pending: int | None = None
    stopped: int = 0
    late_effects: int = 0
    answer: Latency = NOT_MEASURED
    creation: Latency = NOT_MEASURED

    @property
    def calls_per_second(self) -> float:
        """How many calls were posted in a second."""
        return self.calls_posted / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0

    @property
    def movement(self) -> tuple[object, ...]:
        """What changes as long as something is going on."""
        return (
            *(self.events_posted, self.events_repeated, self.errands_created, self.errands_ended),
            *(self.contacts, self.pending, self.stopped, self.late_effects, self.others_cleared),
            *sorted(self.lookups.items()),
        )

    def rows(self) -> list[tuple[str, str]]:
        """Return a label and a figure for each line of a table."""
        wanted = f" of {self.calls_wanted}" if self.calls_wanted else ""
        return [
            ("calls posted", f"{self.calls_posted}{wanted}"),
            ("events accepted", str(self.events_posted)),
            *self._hardship_rows(),
            ("errands created", str(self.errands_created)),
            ("errands ended", str(self.errands_ended)),
            ("contact cards", str(self.contacts)),
            ("waiting in the outbox", "?" if self.pending is None else str(self.pending)),
            ("202 after (p50 / p99)", str(self.answer)),
            ("errand after (p50 / p99)", str(self.creation)),
            ("time", f"{self.elapsed_seconds:.1f} s, {self.calls_per_second:.1f} calls/s"),
        ]

    def line(self) -> str:
        """Return it as one line of text."""
        wanted = f"/{self.calls_wanted}" if self.calls_wanted else ""
        faults = "" if self.faults is None else f"  faults {sum(self.faults.values())}"
        kills = "" if self.kills is None else f"  kills {self.kills}"
        return (
            f"{self.elapsed_seconds:6.1f} s  calls {self.calls_posted}{wanted}"
            f"  errands {self.errands_created}  ended {self.errands_ended}"
            f"  contacts {self.contacts}{faults}{kills}  202 {self.answer}  errand {self.creation}"
        )

    def _hardship_rows(self) -> list[tuple[str, str]]:
        rows = []
        if self.events_repeated or self.kills is not None:
            known = f"{self.events_repeated}, of which {self.events_duplicate} were known already"
            rows.append(("events repeated by the PBX", known))
        if self.faults is not None:
            rows.append(("faults struck", _counted(self.faults)))
        if self.kills is not None:
            rows.append(("daemon killed", str(self.kills)))
        if self.lookups:
            rows.append(("errands looked up", _counted(self.lookups)))
        if self.others is not None:
            rows.append(("errands made by others", str(self.others)))
        return rows


def _counted(counts: Mapping[str, int]) -> str:
    named = ", ".join(f"{count} x {name}" for name, count in counts.items() if count)
    return f"{sum(counts.values())}: {named}" if named else "0"
