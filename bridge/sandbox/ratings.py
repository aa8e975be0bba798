"""Facebook ratings of a page, as Cention hands them out (the vendor's page "Errand Report")."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

FIELDS: Final = frozenset({"c3_id", "data"})
FIRST_RATING_ID: Final = 3
RATINGS_KEPT_MAX: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """One rating, of 1 to 5 stars; `created_at` is Unix seconds."""

    id: int
    workspace: str
    message: str
    stars: int
    reviewer_id: int
    reviewer_name: str
    created_at: float

    def attributes(self) -> dict[str, Any]:
        """Return `data.attributes` of `c3_facebook_ratings`.

        `isChanged` is false, as in the vendor's sample: whoever reads it has cleared the mark.
        """
        data = {
            "isChanged": False,
            "message": self.message,
            "rating": self.stars,
            "ratingId": self.id,
            "reviewerId": self.reviewer_id,
            "reviewerName": self.reviewer_name,
            "timestampCreated": int(self.created_at),
        }
        return {"c3_id": self.id, "data": data}


@dataclass(slots=True)
class RatingBook:
    """The newest ratings of all workspaces; a new one is dirty until it is fetched."""

    _ratings: OrderedDict[int, Rating] = field(default_factory=OrderedDict)
    _dirty: set[int] = field(default_factory=set)
    _next_id: int = FIRST_RATING_ID

    def create(
        self,
        *,
        workspace: str,
        message: str,
        stars: int,
        reviewer_id: int,
        reviewer_name: str,
        now: float,
    ) -> Rating:
        """Make a rating; now is Unix seconds."""
        rating = Rating(
            id=self._next_id,
            workspace=workspace,
            message=message,
            stars=stars,
            reviewer_id=reviewer_id,
            reviewer_name=reviewer_name,
            created_at=now,
        )
        self._next_id += 1
        self._ratings[rating.id] = rating
        self._dirty.add(rating.id)
        if len(self._ratings) > RATINGS_KEPT_MAX:
            oldest, _ = self._ratings.popitem(last=False)
            self._dirty.discard(oldest)
        return rating

    def dirty(self, workspace: str) -> list[int]:
        """Return the ids of a workspace's ratings that nobody has fetched, sorted."""
        return sorted(
            number for number in self._dirty if self._ratings[number].workspace == workspace
        )

    def fetch(self, workspace: str, rating_id: int) -> Rating | None:
        """Return a rating, which is no longer dirty; None: there is none."""
        rating = self._ratings.get(rating_id)
        if rating is None or rating.workspace != workspace:
            return None
        self._dirty.discard(rating_id)
        return rating

    def clear(self) -> None:
        """Forget every rating; ids go on growing."""
        self._ratings.clear()
        self._dirty.clear()
