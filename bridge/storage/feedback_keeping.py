"""How long what came back stays, within one commit: answers, their files, reports, ratings."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    Table,
    cast,
    delete,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from bridge.domain.deliveries import State
from bridge.ports import AnswerState
from bridge.storage import tables
from bridge.storage.sets import chunks


class FeedbackKeeping:
    """The part of a transaction that takes away what came back, once it is past its time."""

    _connection: Connection

    def _purge_feedback(self, horizons: Mapping[str, int], limit: int) -> int:
        """Remove what was said first, then that anything was; see `ports`."""
        return (
            self._purge_answers_payloads(horizons["payload"], limit)
            + self._purge_answers(horizons["journal"], limit)
            + self._purge_reports(horizons, limit)
            + self._purge_ratings(horizons, limit)
        )

    def _purge_answers_payloads(self, before_us: int, limit: int) -> int:
        """Hush answers that are past their time: from when they were done, or else sent on."""
        table = tables.answers
        key = literal("answer:").concat(cast(table.c.id, String))
        is_needed = or_(
            *(
                select(one.c.id).where(one.c.key == key, waits).exists()
                for one, waits in (
                    (tables.outbox, _is_needed(before_us)),
                    (tables.delivered, tables.delivered.c.done_us >= before_us),
                )
            )
        )
        query = (
            select(table.c.id)
            .where(table.c.done_us < before_us, table.c.payload.is_not(None), ~is_needed)
            .order_by(table.c.done_us)
            .limit(limit)
        )
        ids = list(self._connection.execute(query).scalars())
        hush_answers(self._connection, ids)
        return len(ids)

    def _purge_answers(self, before_us: int, limit: int) -> int:
        """Remove answers of which nothing is left to be told, nor lies about as a file."""
        table, files = tables.answers, tables.answer_files
        has_file = (
            select(files.c.answer_id)
            .where(files.c.answer_id == table.c.id, files.c.sha256 != "")
            .exists()
        )
        query = (
            select(table.c.id)
            .where(
                table.c.received_us < before_us,
                table.c.state == AnswerState.DONE,
                table.c.payload.is_(None),
                ~has_file,
            )
            .order_by(table.c.received_us)
            .limit(limit)
        )
        ids = list(self._connection.execute(query).scalars())
        for some in chunks(ids):
            self._connection.execute(delete(files).where(files.c.answer_id.in_(some)))
            self._connection.execute(delete(table).where(table.c.id.in_(some)))
        return len(ids)

    def _purge_reports(self, horizons: Mapping[str, int], limit: int) -> int:
        table = tables.reports
        said = table.c.read_us < horizons["payload"], table.c.payload.is_not(None)
        old = (
            table.c.read_us < horizons["journal"],
            table.c.called_us < horizons["journal"],
        )
        return self._change(
            table, update(table).values(payload=None), said, table.c.read_us, limit
        ) + self._change(table, delete(table), old, table.c.read_us, limit)

    def _purge_ratings(self, horizons: Mapping[str, int], limit: int) -> int:
        table = tables.ratings
        said = table.c.noted_us < horizons["payload"], table.c.payload.is_not(None)
        old = (table.c.noted_us < horizons["journal"],)
        return self._change(
            table, update(table).values(payload=None), said, table.c.noted_us, limit
        ) + self._change(table, delete(table), old, table.c.noted_us, limit)

    def _change(
        self, table: Table, statement: Any, conditions: Sequence[Any], moment: Any, limit: int
    ) -> int:
        """Do something to the oldest rows that these conditions are true of."""
        key = tuple_(*table.primary_key.columns)
        doomed = select(*table.primary_key.columns).where(*conditions).order_by(moment).limit(limit)
        return self._connection.execute(statement.where(key.in_(doomed))).rowcount


def _is_needed(before_us: int) -> ColumnElement[bool]:
    """Return what is true of a delivery whose answer is needed: it waits, or left a while ago."""
    table = tables.outbox.c
    return or_(table.state != State.DELIVERED, table.done_us >= before_us)


def hush_answers(connection: Connection, ids: Sequence[int]) -> None:
    """Take out what answers said; what they carried is needed no more."""
    answers, files = tables.answers, tables.answer_files
    for some in chunks(ids):
        connection.execute(update(answers).where(answers.c.id.in_(some)).values(payload=None))
        connection.execute(
            update(files)
            .where(files.c.answer_id.in_(some))
            .values(title="", content_type="", content_id="", is_spent=True)
        )
