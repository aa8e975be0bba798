"""What comes back from Cention, as the services ask the store for it: answers, reports, ratings."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from bridge.domain.answers import Answer, KeptFile
from bridge.domain.reports import Followed, Origin, Rating, Sla
from bridge.ports.records import Parcel


class AnswerState(StrEnum):
    """How far an answer has come: to be matched to its call, its files to be fetched, all done."""

    NEW = "new"
    MATCHED = "matched"
    DONE = "done"


class ArrivedAnswer(Struct, frozen=True, kw_only=True):
    """An answer at the door. `digest` is a keyed hash of its content.

    Until `give_up_us` it may wait for what is missing of it.
    """

    answer: Answer
    digest: bytes
    received_us: int
    give_up_us: int


class AnswerRow(Struct, frozen=True, kw_only=True):
    """An answer as it is kept. `tries` counts those of what is to be done next.

    `scope` is the workspace that its files are in. `source`, `reference_id` and `route` are those
    of its call, empty where it is of none that is known.
    """

    id: int
    answer: Answer
    received_us: int
    state: AnswerState
    due_us: int | None
    give_up_us: int
    tries: int = 0
    scope: str = ""
    source: str = ""
    reference_id: str = ""
    route: str = ""
    files: tuple[KeptFile, ...] = ()
    done_us: int | None = None


class FeedbackTransaction(Protocol):
    """The part of a transaction that is about what came back."""

    def known_answers(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return the digests of the answers that are known already."""
        ...

    def add_answers(self, arrived: Sequence[ArrivedAnswer]) -> None:
        """Keep answers, to be matched at once."""
        ...

    def due_answers(
        self, now_us: int, state: AnswerState, limit: int, scope: str = ""
    ) -> list[AnswerRow]:
        """Return answers in this state that are due, of each errand the oldest undone only.

        `scope` is empty for those that are not matched. No more come than can be held at a time.
        """
        ...

    def answer_scopes(self) -> list[str]:
        """Return the workspaces that files of answers are to be fetched from."""
        ...

    def silent_answers(self, ids: Collection[int]) -> set[int]:
        """Return which of these answers say nothing any more: they were forgotten meanwhile."""
        ...

    def next_answer_us(self) -> int | None:
        """Return when something is to be done about an answer next; None: about none."""
        ...

    def save_answers(self, rows: Sequence[AnswerRow]) -> None:
        """Keep how answers stand now, and the files that are new; what is known of a file stays.

        Of an answer that says nothing any more, a new file is one that nobody needs.
        """
        ...

    def spent_files(self, limit: int) -> list[str]:
        """Return digests of files that no answer needs any more."""
        ...

    def forget_files(self, digests: Collection[str]) -> None:
        """Note that these files are gone."""
        ...

    def held_files(self, digests: Collection[str]) -> set[str]:
        """Return which of these files an answer needs, or has needed."""
        ...

    def origins(self, errand_ids: Collection[int], scope: str | None = None) -> list[Origin]:
        """Return the calls that these errands are of; in one workspace, or in any."""
        ...

    def origins_of(self, markers: Collection[str]) -> list[Origin]:
        """Return the calls of the errands with these message ids, whatever their ids."""
        ...

    def is_unclear(self, before_us: int, *, with_unnamed: bool) -> bool:
        """Say whether there is an errand, first sent before then, whose id may become known.

        `with_unnamed` counts those that were answered without one, and may be named by a poll.
        """
        ...

    def unnamed(self, scope: str) -> list[Parcel]:
        """Return errands that were made a moment ago by answers without a readable id."""
        ...

    def name_errands(self, ids: Mapping[int, int]) -> None:
        """Note the ids of such errands, by delivery."""
        ...

    def followed(self, scope: str, errand_ids: Collection[int]) -> dict[int, Followed]:
        """Return those of these errands that are followed already."""
        ...

    def due_followed(self, scope: str, now_us: int, limit: int) -> list[Followed]:
        """Return the errands that are to be read whatever the list of changed ones says."""
        ...

    def save_followed(self, errands: Sequence[Followed]) -> None:
        """Keep how errands stand now; no texts of those of which they were taken out."""
        ...

    def put_off(self, scope: str, until_us: Mapping[int, int]) -> None:
        """Note when followed errands are due that were not."""
        ...

    def kept_ratings(self, scope: str, rating_ids: Collection[int]) -> set[int]:
        """Return which of these ratings are known already, as they were before."""
        ...

    def open_ratings(self, scope: str) -> list[int]:
        """Return the ratings that were about to be read: they may be off Cention's list."""
        ...

    def intend_ratings(self, scope: str, rating_ids: Collection[int], now_us: int) -> None:
        """Note that these ratings are about to be read."""
        ...

    def note_ratings(self, scope: str, read: Mapping[int, Rating | None], now_us: int) -> None:
        """Keep what was read; None: there is no such rating."""
        ...


class FileStore(Protocol):
    """Where files are kept, by digest."""

    async def keep(self, content: bytes) -> str:
        """Keep a file; return its SHA-256 in hexadecimal once it is on disk.

        Raises:
            StoreUnavailable: it can't be kept now.
        """
        ...

    async def drop(self, digests: Collection[str]) -> list[str]:
        """Remove files; return those that are not there any more."""
        ...

    async def strays(self, older_than_s: float) -> list[str]:
        """Return the digests of all files that were written longer ago."""
        ...


class FeedbackMeter(Protocol):
    """What is counted and measured of what comes back."""

    def file(self, outcome: str) -> None:
        """Count what came of fetching a file: kept, or why it was given up."""
        ...

    def matched(self, *, is_ours: bool) -> None:
        """Count an answer by whether its call is known."""
        ...

    def report(self, outcome: str) -> None:
        """Count a report that was read: whole, sla, gone or unreadable."""
        ...

    def answered(self, route: str, queue: str, seconds: float) -> None:
        """Measure the time from a call to its answer."""
        ...

    def sla(self, route: str, queue: str, sla: Sla) -> None:
        """Measure how an errand was handled, once."""
        ...

    def tag(self, tag: str) -> None:
        """Count an errand that has a tag."""
        ...

    def rating(self, stars: int) -> None:
        """Count a Facebook rating."""
        ...
