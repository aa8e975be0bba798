"""Errands followed by their reports, and Facebook ratings, within one commit.

A rating is `open` from before it is read, since reading takes it off Cention's list for good;
`kept` once it is here; `gone` where there is none.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Connection, Row, bindparam, case, null, select, update
from sqlalchemy.dialects.sqlite import Insert

from bridge.domain.reports import ErrandReport, Followed, Rating
from bridge.domain.units import SECOND_US
from bridge.storage import tables
from bridge.storage.codecs import decode, encode
from bridge.storage.sets import chunks, insert, upsert

OPEN: Final = "open"
KEPT: Final = "kept"
GONE: Final = "gone"


class FollowingTransaction:
    """The part of a transaction that is about reports and ratings."""

    _connection: Connection

    def followed(self, scope: str, errand_ids: Collection[int]) -> dict[int, Followed]:
        """Return those of these errands that are followed already."""
        table = tables.reports
        found = (
            followed_errand(row)
            for some in chunks(sorted(errand_ids))
            for row in self._connection.execute(
                select(table).where(table.c.scope == scope, table.c.errand_id.in_(some))
            )
        )
        return {one.origin.errand_id: one for one in found if one is not None}

    def due_followed(self, scope: str, now_us: int, limit: int) -> list[Followed]:
        """Return the errands that are to be read whatever the list of changed ones says."""
        table = tables.reports
        query = (
            select(table)
            .where(table.c.due_us.is_not(None), table.c.due_us <= now_us, table.c.scope == scope)
            .order_by(table.c.due_us)
            .limit(limit)
        )
        found = map(followed_errand, self._connection.execute(query))
        return [one for one in found if one is not None]

    def save_followed(self, errands: Sequence[Followed]) -> None:
        """Keep how errands stand now."""
        if not errands:
            return
        self._connection.execute(
            _followed_upsert(),
            [
                {
                    "scope": one.origin.scope,
                    "errand_id": one.origin.errand_id,
                    "source": one.origin.source,
                    "reference_id": one.origin.reference_id,
                    "route": one.origin.route,
                    "queue": one.origin.queue,
                    "called_us": one.origin.called_us,
                    "read_us": one.read_us,
                    "due_us": one.due_us,
                    "is_hushed": False,
                    "state": encode(replace(one, report=None)),
                    "payload": None if one.report is None else encode(one.report),
                }
                for one in errands
            ],
        )

    def put_off(self, scope: str, until_us: Mapping[int, int]) -> None:
        """Note when followed errands are due that were not."""
        if not until_us:
            return
        table = tables.reports
        self._connection.execute(
            update(table)
            .where(
                table.c.scope == scope,
                table.c.errand_id == bindparam("of"),
                table.c.due_us.is_(None),
            )
            .values(due_us=bindparam("until_us")),
            [{"of": of, "until_us": moment_us} for of, moment_us in until_us.items()],
        )

    def kept_ratings(self, scope: str, rating_ids: Collection[int]) -> set[int]:
        """Return which of these ratings are known already, as they were before."""
        table = tables.ratings.c
        return {
            found
            for some in chunks(sorted(rating_ids))
            for found in self._connection.execute(
                select(table.rating_id).where(
                    table.scope == scope, table.rating_id.in_(some), table.stars > 0
                )
            ).scalars()
        }

    def open_ratings(self, scope: str) -> list[int]:
        """Return the ratings that were about to be read: they may be off Cention's list."""
        table = tables.ratings.c
        query = select(table.rating_id).where(tables.IS_RATING_OPEN, table.scope == scope)
        return sorted(self._connection.execute(query).scalars())

    def intend_ratings(self, scope: str, rating_ids: Collection[int], now_us: int) -> None:
        """Note that these ratings are about to be read; what is known of one stays meanwhile."""
        if not rating_ids:
            return
        self._connection.execute(
            upsert(tables.ratings, ["scope", "rating_id"], ["state"]),
            [_rating_row(scope, one, OPEN, None, now_us) for one in sorted(rating_ids)],
        )

    def note_ratings(self, scope: str, read: Mapping[int, Rating | None], now_us: int) -> None:
        """Keep what was read; None: there is no such rating."""
        if not read:
            return
        columns = ("state", "stars", "created_us", "noted_us", "payload")
        self._connection.execute(
            upsert(tables.ratings, ["scope", "rating_id"], columns),
            [
                _rating_row(scope, of, GONE if rating is None else KEPT, rating, now_us)
                for of, rating in read.items()
            ],
        )


def _followed_upsert() -> Insert:
    """Return what keeps errands; a text of one that was hushed is not kept again."""
    table = tables.reports
    statement = insert(table)
    fresh = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["scope", "errand_id"],
        set_={
            "read_us": fresh.read_us,
            "due_us": fresh.due_us,
            "state": fresh.state,
            "payload": case((table.c.is_hushed.is_(True), null()), else_=fresh.payload),
        },
    )


def _rating_row(
    scope: str, of: int, state: str, rating: Rating | None, now_us: int
) -> dict[str, object]:
    return {
        "scope": scope,
        "rating_id": of,
        "state": state,
        "stars": rating.stars if rating else 0,
        "created_us": rating.created_s * SECOND_US if rating else 0,
        "noted_us": now_us,
        "payload": None if rating is None else encode(rating),
    }


def followed_errand(row: Row[Any]) -> Followed | None:
    """Return an errand as a row tells of it, without a report that is gone or can't be read."""
    try:
        state = decode(Followed, row.state)
    except ValueError:
        return None
    try:
        report = decode(ErrandReport, row.payload or b"")
    except ValueError:
        report = None
    # When it is due moves along with the clock.
    return replace(state, due_us=row.due_us, report=report)
