"""Erasing from what came back: answers with their files, reports, ratings.

What stays of an answer or report is that it was, with its ids and times. A file of an answer is
removed by the daemon, within a minute of its being needed by none.
"""

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Connection, select, tuple_, update

from bridge.ports import CallKey
from bridge.storage import tables
from bridge.storage.feedback_keeping import hush_answers
from bridge.storage.sets import chunks
from bridge.storage.whom import Whom

_ROWS = 50


def mentioning(connection: Connection, whom: Whom) -> tuple[set[int], set[tuple[str, str, int]]]:
    """Return which answers, and which reports and ratings by table and key, mention somebody."""
    answers, reports, ratings = tables.answers.c, tables.reports.c, tables.ratings.c
    found = {
        row.id
        for row in _each(connection, select(answers.id, answers.payload))
        if whom.are_in(row.payload)
    }
    others = {
        (table, row.scope, row.number)
        for table, query in (
            ("reports", select(reports.scope, reports.errand_id.label("number"), reports.payload)),
            ("ratings", select(ratings.scope, ratings.rating_id.label("number"), ratings.payload)),
        )
        for row in _each(connection, query)
        if whom.are_in(row.payload)
    }
    return found, others


def _each(connection: Connection, query: Any) -> Iterator[Any]:
    yield from connection.execute(query, execution_options={"yield_per": _ROWS})


def hush(
    connection: Connection, answers: Collection[int], others: Collection[tuple[str, str, int]]
) -> None:
    """Take out what these answers, reports and ratings say."""
    hush_answers(connection, sorted(answers))
    for table, number in (
        (tables.reports, tables.reports.c.errand_id),
        (tables.ratings, tables.ratings.c.rating_id),
    ):
        keys = sorted((scope, of) for name, scope, of in others if name == table.name)
        for some in chunks(keys):
            of_these = update(table).where(tuple_(table.c.scope, number).in_(some))
            hushed = {"is_hushed": True} if table is tables.reports else {}
            connection.execute(of_these.values(payload=None, **hushed))


def hush_call(connection: Connection, key: CallKey, others: Collection[int]) -> set[str]:
    """Take out what came back for a call, but for these errands; return the lanes of its answers.

    An answer may be of an errand whose own id isn't known.
    """
    answers, reports = tables.answers.c, tables.reports
    query = select(answers.id, answers.errand_id).where(
        answers.source == key[0], answers.reference_id == key[1]
    )
    rows = [row for row in connection.execute(query) if row.errand_id not in others]
    hush_answers(connection, [row.id for row in rows])
    connection.execute(
        update(reports)
        .where(
            reports.c.source == key[0],
            reports.c.reference_id == key[1],
            reports.c.errand_id.not_in(sorted(others)),
        )
        .values(payload=None, is_hushed=True)
    )
    return {f"answer:{row.errand_id}" for row in rows}
