"""What came back, as the commands look at it: answers with their files, reports, ratings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import ColumnElement, Connection, Row, select, true

from bridge.domain.answers import Answer
from bridge.domain.hypertext import without_tags
from bridge.domain.reports import EXPIRIES, Rating
from bridge.domain.units import SECOND_US
from bridge.storage import tables
from bridge.storage.answers import kept_file
from bridge.storage.codecs import decode
from bridge.storage.following import followed_errand


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """Which reports are meant: those of which all this is true. Times as in `Stopped`."""

    route: str | None = None
    queue: str | None = None
    after_us: int | None = None
    before_us: int | None = None

    def condition(self) -> ColumnElement[bool]:
        """Return what is to be true of a row."""
        table = tables.reports.c
        found: ColumnElement[bool] = true()
        if self.route is not None:
            found &= table.route == self.route
        if self.queue is not None:
            found &= table.queue == self.queue
        if self.after_us is not None:
            found &= table.called_us >= self.after_us
        if self.before_us is not None:
            found &= table.called_us < self.before_us
        return found


def reports(
    connection: Connection, condition: ColumnElement[bool], limit: int | None = None
) -> list[dict[str, Any]]:
    """Return errands by their reports, the latest call first."""
    table = tables.reports
    query = select(table).where(condition).order_by(table.c.called_us.desc()).limit(limit)
    return [row for row in map(_report, connection.execute(query)) if row is not None]


def is_errand(errand_id: int) -> ColumnElement[bool]:
    """Return what is true of an errand's report."""
    return tables.reports.c.errand_id == errand_id


def is_call(reference_id: str) -> ColumnElement[bool]:
    """Return what is true of a call's reports."""
    return tables.reports.c.reference_id == reference_id


def _report(row: Row[Any]) -> dict[str, Any] | None:
    errand = followed_errand(row)
    if errand is None:
        return None
    sla, report, origin = errand.sla, errand.report, errand.origin
    return {
        "errand_id": str(origin.errand_id),
        "workspace": origin.scope.rpartition("/")[2],
        "source": origin.source,
        "reference_id": origin.reference_id,
        "route": origin.route,
        "queue": origin.queue,
        "called_us": origin.called_us,
        "read_us": errand.read_us or None,
        "due_us": errand.due_us,
        "is_done": errand.is_done,
        "answered_us": errand.answered_us,
        "answer_seconds": errand.answer_s,
        "handling_seconds": sla.handling_s if sla else None,
        "response_seconds": sla.response_s if sla else None,
        "within_sla": sla.is_within if sla else None,
        "expiry": EXPIRIES[sla.expiry] if sla else None,
        "is_done_due": sla.is_done_due if sla else None,
        "tags": list(errand.tags),
        "area": report.area if report else None,
        "service": report.service if report else None,
        "agent": report.agent if report else None,
        "subject": without_tags(report.subject) if report else None,
        "answer_subject": without_tags(report.answer_subject) if report else None,
        "answer_body": without_tags(report.answer_body) if report else None,
        "feedback": without_tags(report.feedback) if report else None,
        "actions": [
            {
                "at_us": one.at_s * SECOND_US,
                "origin": one.origin,
                "note": without_tags(one.note),
            }
            for one in (report.actions if report else ())
        ],
    }


def answers(connection: Connection, condition: ColumnElement[bool]) -> list[dict[str, Any]]:
    """Return answers as they were called back with, the oldest first, with their files."""
    table = tables.answers
    query = select(table).where(condition).order_by(table.c.id)
    return [_answer(connection, row) for row in connection.execute(query).all()]


def _answer(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    try:
        answer: Answer | None = decode(Answer, row.payload or b"")
    except ValueError:
        answer = None
    return {
        "id": row.id,
        "errand_id": str(row.errand_id),
        "callback_id": row.callback_id,
        "state": row.state,
        "received_us": row.received_us,
        "due_us": row.due_us,
        "done_us": row.done_us,
        "subject": answer.subject if answer else None,
        "body": (answer.body or without_tags(answer.html_body)) if answer else None,
        "to": [asdict(one) for one in answer.to] if answer else [],
        "service": answer.service_name if answer else None,
        "files": _files(connection, row.id),
    }


def _files(connection: Connection, answer_id: int) -> list[dict[str, Any]]:
    files = tables.answer_files
    query = select(files).where(files.c.answer_id == answer_id).order_by(files.c.place)
    return [
        {
            "id": str(one.name.id),
            "type": one.name.type.value,
            "name": one.title,
            "content_type": one.content_type,
            "size": one.size,
            "sha256": one.sha256 or None,
            "error": one.error or None,
        }
        for one in map(kept_file, connection.execute(query))
    ]


def ratings(connection: Connection, limit: int | None = None) -> list[dict[str, Any]]:
    """Return Facebook ratings, the latest first."""
    table = tables.ratings
    query = (
        select(table).where(table.c.state != "gone").order_by(table.c.noted_us.desc()).limit(limit)
    )
    return [_rating(row) for row in connection.execute(query)]


def _rating(row: Row[Any]) -> dict[str, Any]:
    try:
        rating: Rating | None = decode(Rating, row.payload or b"")
    except ValueError:
        rating = None
    return {
        "rating_id": str(row.rating_id),
        "workspace": row.scope.rpartition("/")[2],
        "stars": row.stars or None,
        "created_us": row.created_us or None,
        "noted_us": row.noted_us,
        "reviewer": rating.reviewer if rating else None,
        "message": rating.message if rating else None,
    }


def rating_counts(rows: Sequence[dict[str, Any]]) -> dict[int, int]:
    """Return how many of these ratings have how many stars."""
    stars = [row["stars"] for row in rows if row["stars"]]
    return {value: stars.count(value) for value in range(1, 6)}
