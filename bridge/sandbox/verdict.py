"""Whether every call of a demo arrived exactly once. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from bridge.sandbox.errands import CREATE, END, END_REFUSED

NAMED_MAX: Final = 10


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
        others_cleared: ids of errands that others made and that are no longer listed as changed.
        strays: errands at the sandbox that name no reference.
        stopped: deliveries that wait for a person: refused for good, or held in doubt.
        ends_repeated: ends sent again after their answer was lost, which is no mistake: Cention
            ends an errand once.
    """

    calls: int
    missing: tuple[str, ...] = ()
    unended: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    out_of_order: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    others_cleared: tuple[str, ...] = ()
    strays: int = 0
    stopped: int = 0
    ends_repeated: int = 0

    @property
    def ok(self) -> bool:
        """Whether every call arrived exactly once, and nothing else did."""
        return not any(named for _, named in self._named()) and not any(
            count for _, count in self._counted()
        )

    def rows(self) -> list[tuple[str, str]]:
        """Return a label and a figure for each line of a table."""
        return [
            *((label, str(len(named))) for label, named in self._named()),
            *((label, str(count)) for label, count in self._counted()),
            *([("ends repeated (harmless)", str(self.ends_repeated))] * bool(self.ends_repeated)),
        ]

    def mistakes(self) -> list[str]:
        """Return a line for each kind of mistake that was made, naming some of the calls."""
        lines = []
        for label, all_named in self._named():
            if all_named:
                named = ", ".join(islice(all_named, NAMED_MAX))
                more = len(all_named) - NAMED_MAX
                lines.append(f"{label}: {named}{f' and {more} more' if more > 0 else ''}")
        lines += [f"{label}: {count}" for label, count in self._counted() if count]
        return lines

    def _named(self) -> list[tuple[str, tuple[str, ...]]]:
        return [
            ("lost", self.missing),
            ("not ended", self.unended),
            ("doubled", self.duplicates),
            ("out of order", self.out_of_order),
            ("unknown calls", self.unknown),
            ("others' errands cleared", self.others_cleared),
        ]

    def _counted(self) -> list[tuple[str, int]]:
        return [
            ("errands of no call", self.strays),
            ("waiting for a person (dead or held)", self.stopped),
        ]


def judge(
    summary: Mapping[str, Any],
    references: Collection[str],
    *,
    others_cleared: Sequence[str] = (),
    stopped: int = 0,
    ends_may_repeat: bool = False,
) -> Verdict:
    """Compare the sandbox's summary with the calls that were posted.

    Args:
        summary: as `GET /_sandbox/summary` gives it.
        references: of calls that were queued, answered and ended, each of which has to make exactly
            one errand, and exactly one end after it.
        others_cleared: ids of others' errands that are no longer listed as changed.
        stopped: deliveries that wait for a person.
        ends_may_repeat: whether answers were lost in the run, so that an end may come again.
    """
    steps: Mapping[str, Sequence[str]] = summary["references"]
    posted = frozenset(references)
    by_reference = {reference: steps.get(reference, ()) for reference in references}
    named = sum(_count(made, CREATE) for made in steps.values())

    def is_doubled(made: Sequence[str]) -> bool:
        return _count(made, CREATE) > 1 or (not ends_may_repeat and _count(made, END) > 1)

    return Verdict(
        calls=len(posted),
        missing=_where(by_reference, lambda made: CREATE not in made),
        unended=_where(by_reference, lambda made: END not in made),
        duplicates=_where(by_reference, is_doubled),
        out_of_order=_where(by_reference, _is_out_of_order),
        unknown=tuple(reference for reference in steps if reference not in posted),
        others_cleared=tuple(others_cleared),
        strays=max(0, summary["errands"]["created"] - named),
        stopped=stopped,
        ends_repeated=sum(max(0, _count(made, END) - 1) for made in by_reference.values())
        if ends_may_repeat
        else 0,
    )


def _where(
    steps: Mapping[str, Sequence[str]], holds: Callable[[Sequence[str]], bool]
) -> tuple[str, ...]:
    return tuple(reference for reference, made in steps.items() if holds(made))


def _count(made: Sequence[str], step: str) -> int:
    return sum(one == step for one in made)


def _is_out_of_order(made: Sequence[str]) -> bool:
    return any(step in {END, END_REFUSED} for step in made[:1])
