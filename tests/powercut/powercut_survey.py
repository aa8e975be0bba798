"""Many cuts of one recording: where, what is lost at each, and what is found afterwards."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, Self

from powercut_check import Verdict, check, reopen
from powercut_log import Ack, Operation, Sync
from powercut_record import Recording
from powercut_replay import Choice, Disk, Image

# Going the product's way takes longer than a look, so it is gone after every tenth cut.
REOPEN_EVERY: Final = 10
_CHOICES: Final = tuple(Choice)


@dataclass(frozen=True, slots=True, order=True)
class Cut:
    """A power cut after so many operations. `variant` tells chances of the same choice apart."""

    position: int
    choice: Choice
    variant: int = 0

    def __str__(self) -> str:
        """Return it as the command line takes it."""
        return f"{self.position}:{self.choice}:{self.variant}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` returns.

        Raises:
            ValueError: it is nothing of the kind.
        """
        position, choice, variant = text.split(":")
        return cls(int(position), Choice(choice), int(variant))

    def chance(self, seed: int) -> Random:
        """Return what decides about all that is in doubt at this cut."""
        return Random(f"{seed} {self}")  # noqa: S311 - to be had again from the seed


@dataclass(frozen=True, slots=True)
class Finding:
    """A cut after which something was missing or wrong."""

    cut: Cut
    verdict: Verdict


@dataclass(slots=True)
class Survey:
    """What came of the cuts of one recording."""

    cuts: int = 0
    reopened: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def losses(self) -> list[int]:
        """How many acknowledged events were missing, for each cut after which any were."""
        return [len(one.verdict.missing) for one in self.findings if one.verdict.missing]

    @property
    def damaged(self) -> int:
        """After how many cuts the store was not whole, or did not agree with itself."""
        return sum(bool(one.verdict.faults) for one in self.findings)


def plan(operations: Sequence[Operation], count: int) -> list[Cut]:
    """Choose cuts, in order: half spread evenly over all moments, half over the telling ones.

    Telling is the moment after a sync or an acknowledgement: from then on something is promised.
    """
    everywhere: Sequence[int] = range(len(operations) + 1)
    telling = [at + 1 for at, one in enumerate(operations) if isinstance(one, Ack | Sync)]
    seen: Counter[tuple[int, Choice]] = Counter()
    cuts: list[Cut] = []
    for share, moments in ((count - count // 2, everywhere), (count // 2, telling or everywhere)):
        for number in range(share):
            position = moments[number * len(moments) // share]
            choice = _CHOICES[number % len(_CHOICES)]
            cuts.append(Cut(position, choice, seen[position, choice]))
            seen[position, choice] += 1
    return sorted(cuts)


def images(
    operations: Sequence[Operation], cuts: Sequence[Cut], seed: int
) -> Iterator[tuple[Cut, Image, Sequence[str]]]:
    """Yield what is on disk after each cut, and which events were acknowledged before it."""
    disk = Disk()
    for cut in sorted(cuts):
        for operation in operations[disk.position : cut.position]:
            disk.apply(operation)
        yield cut, disk.image(cut.choice, cut.chance(seed)), disk.acknowledged


def survey(
    recording: Recording,
    cuts: Sequence[Cut],
    *,
    seed: int,
    on_cut: Callable[[int], None] | None = None,
) -> Survey:
    """Cut, look, and every so often go on. `on_cut` is told how many cuts are done."""
    found = Survey()
    unmade: set[frozenset[tuple[str, bytes]]] = set()
    scratch = recording.folder / "scratch"
    for number, (cut, image, acknowledged) in enumerate(images(recording.operations, cuts, seed)):
        verdict = check(lay_out(image, scratch), acknowledged)
        # Before there are tables only the product can tell whether the store can still be made. It
        # takes long, and many of these cuts leave the same files.
        is_new = not verdict.has_tables and (files := frozenset(image.items())) not in unmade
        if is_new:
            unmade.add(files)
        if is_new or number % REOPEN_EVERY == 0:
            verdict = _both(verdict, reopen(lay_out(image, scratch), acknowledged))
            found.reopened += 1
        found.cuts += 1
        if not verdict.is_good:
            found.findings.append(Finding(cut, verdict))
        if on_cut is not None:
            on_cut(found.cuts)
    shutil.rmtree(scratch, ignore_errors=True)
    return found


def inspect(recording: Recording, cut: Cut, *, seed: int, folder: Path) -> Verdict:
    """Do one cut again, in every way, and leave the files in the folder as they were found."""
    ((_, image, acknowledged),) = images(recording.operations, [cut], seed)
    verdict = _both(
        check(lay_out(image, folder), acknowledged), reopen(lay_out(image, folder), acknowledged)
    )
    lay_out(image, folder)
    return verdict


def lay_out(image: Image, folder: Path) -> Path:
    """Write files into a folder that holds nothing else, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in image.items():
        (folder / name).write_bytes(content)
    return folder


def _both(one: Verdict, other: Verdict) -> Verdict:
    return Verdict(one.missing | other.missing, one.faults + other.faults, one.has_tables)
