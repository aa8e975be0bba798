"""The network, as the services ask for it."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from bridge.domain.answers import FileName
from bridge.domain.outcomes import Reply
from bridge.domain.reports import ErrandReport, Rating
from bridge.ports.records import Parcel


class Sender(Protocol):
    """Who sends a parcel to where its route leads."""

    async def send(self, parcel: Parcel) -> Reply:
        """Send it once and say what came back. Raises nothing."""
        ...

    def sharing(self, route: str, status: int) -> Sequence[str]:
        """Return the routes that a refusal of this one is about too, itself included.

        A 404 is about the workspace, 401 and 403 are about the token.
        """
        ...

    def token_mark(self, route: str) -> str:
        """Return what tells the route's token and place from any other, without giving it away."""
        ...


class Report(Struct, frozen=True, kw_only=True):
    """What came of reading: `ids` of a list, or the `body` of an errand; None: it can't be read."""

    reply: Reply
    ids: tuple[int, ...] | None = None
    body: str | None = None


class Reader(Protocol):
    """Who reads at a workspace what became of its errands. Raises nothing.

    Source: the vendor's page "Cention Errand Report".
    """

    async def changed(self, scope: str) -> Report:
        """Return the ids of the errands that have changed since they were read."""
        ...

    async def errand(self, scope: str, errand_id: int) -> Report:
        """Return an errand's body. This takes it off the list of those that have changed."""
        ...

    async def mark(self, scope: str, errand_ids: Sequence[int]) -> Report:
        """Put errands on the list of those that have changed."""
        ...


class ReportReading(Struct, frozen=True, kw_only=True):
    """What came of reading a report; None: it can't be read. `has_changed` is Cention's word.

    Where only the SLA was asked for, `report` holds nothing else.
    """

    reply: Reply
    report: ErrandReport | None = None
    has_changed: bool = False


class RatingReading(Struct, frozen=True, kw_only=True):
    """What came of reading a rating; None: it can't be read."""

    reply: Reply
    rating: Rating | None = None


class FileReading(Struct, frozen=True, kw_only=True):
    """What came of fetching a file; without content it can't be read, or `is_too_large`."""

    reply: Reply
    title: str = ""
    content_type: str = ""
    content_id: str = ""
    content: bytes | None = None
    is_too_large: bool = False


class FileReader(Protocol):
    """Who fetches what an answer carries. Raises nothing."""

    async def file(self, scope: str, name: FileName) -> FileReading:
        """Fetch a file of a workspace."""
        ...


class ReportReader(Reader, Protocol):
    """Who reads more of an errand than whose it is, and ratings. Raises nothing.

    Source: the vendor's page "Cention Errand Report".
    """

    async def report(self, scope: str, errand_id: int, *, is_whole: bool) -> ReportReading:
        """Return an errand's report, or its SLA alone. This takes it off the list, as `errand`."""
        ...

    async def rated(self, scope: str) -> Report:
        """Return the ids of the Facebook ratings that have changed since they were read."""
        ...

    async def rating(self, scope: str, rating_id: int) -> RatingReading:
        """Return a rating. This takes it off the list of those that have changed, for good."""
        ...
