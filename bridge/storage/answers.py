"""Answers within one commit: what Cention called back with, the call it is of, and its files."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, select, update

from bridge.domain.answers import Answer, FileName, FileType, KeptFile
from bridge.ports import AnswerRow, AnswerState, ArrivedAnswer
from bridge.storage import tables
from bridge.storage.codecs import decode, encode
from bridge.storage.sets import chunks, insert

# What is held of answers at a time: most are small, and one may be megabytes.
BYTES_MAX: Final = 4 * 2**20


class AnswersTransaction:
    """The part of a transaction that is about answers."""

    _connection: Connection

    def known_answers(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return the digests of the answers that are known already."""
        table = tables.answers.c
        return {
            key: digest
            for some in chunks(sorted(keys))
            for key, digest in self._connection.execute(
                select(table.key, table.digest).where(table.key.in_(some))
            )
        }

    def add_answers(self, arrived: Sequence[ArrivedAnswer]) -> None:
        """Keep answers, to be matched at once."""
        if not arrived:
            return
        self._connection.execute(
            insert(tables.answers),
            [
                {
                    "key": one.answer.key,
                    "digest": one.digest,
                    "errand_id": one.answer.errand_id,
                    "callback_id": one.answer.callback_id,
                    "state": AnswerState.NEW,
                    "tries": 0,
                    "received_us": one.received_us,
                    "due_us": one.received_us,
                    "give_up_us": one.give_up_us,
                    "scope": "",
                    "source": "",
                    "reference_id": "",
                    "route": "",
                    "payload": encode(one.answer),
                }
                for one in arrived
            ],
        )

    def due_answers(
        self, now_us: int, state: AnswerState, limit: int, scope: str = ""
    ) -> list[AnswerRow]:
        """Return answers in this state that are due; see `ports`."""
        table = tables.answers
        weight = func.coalesce(func.length(table.c.payload), 0)
        query = (
            select(table.c.id, weight)
            .where(
                tables.IS_UNDONE,
                table.c.scope == scope,
                table.c.state == state,
                table.c.due_us <= now_us,
                _is_first(),
            )
            .order_by(table.c.due_us)
            .limit(limit)
        )
        ids: list[int] = []
        total = 0
        for answer_id, weighs in self._connection.execute(query):
            total += weighs
            if ids and total > BYTES_MAX:
                break
            ids.append(answer_id)
        these = select(table).where(table.c.id.in_(ids)).order_by(table.c.due_us)
        found = [self._answer_row(row) for row in self._connection.execute(these).all()]
        return [one for one in found if one is not None]

    def answer_scopes(self) -> list[str]:
        """Return the workspaces that files of answers are to be fetched from."""
        table = tables.answers.c
        query = select(table.scope).where(tables.IS_UNDONE, table.state == AnswerState.MATCHED)
        return sorted(self._connection.execute(query.distinct()).scalars())

    def silent_answers(self, ids: Collection[int]) -> set[int]:
        """Return which of these answers say nothing any more: they were forgotten meanwhile."""
        table = tables.answers.c
        return {
            found
            for some in chunks(sorted(ids))
            for found in self._connection.execute(
                select(table.id).where(table.id.in_(some), table.payload.is_(None))
            ).scalars()
        }

    def next_answer_us(self) -> int | None:
        """Return when something is to be done about an answer next; None: about none."""
        table = tables.answers
        places = [(AnswerState.NEW, "")]
        places += [(AnswerState.MATCHED, scope) for scope in self.answer_scopes()]
        found = [
            self._connection.execute(
                select(table.c.due_us)
                .where(
                    tables.IS_UNDONE,
                    table.c.scope == scope,
                    table.c.state == state,
                    _is_first(),
                )
                .order_by(table.c.due_us)
                .limit(1)
            ).scalar()
            for state, scope in places
        ]
        return min((one for one in found if one is not None), default=None)

    def _answer_row(self, row: Row[Any]) -> AnswerRow | None:
        try:
            answer = decode(Answer, row.payload or b"")
        except ValueError:
            # It was forgotten meanwhile, or no release can read it: there is nothing to send on.
            table = tables.answers
            over = {"state": AnswerState.DONE, "due_us": None, "done_us": row.received_us}
            self._connection.execute(update(table).where(table.c.id == row.id).values(over))
            return None
        return AnswerRow(
            id=row.id,
            answer=answer,
            received_us=row.received_us,
            state=AnswerState(row.state),
            due_us=row.due_us,
            give_up_us=row.give_up_us,
            tries=row.tries,
            scope=row.scope,
            source=row.source,
            reference_id=row.reference_id,
            route=row.route,
            files=self._files(row.id, answer),
            done_us=row.done_us,
        )

    def _files(self, answer_id: int, answer: Answer) -> tuple[KeptFile, ...]:
        """Return an answer's files: what is known of them, else only what they are called."""
        files = tables.answer_files
        query = select(files).where(files.c.answer_id == answer_id).order_by(files.c.place)
        known = {one.name: one for one in map(kept_file, self._connection.execute(query))}
        return tuple(known.get(name) or KeptFile(name=name) for name in answer.files)

    def save_answers(self, rows: Sequence[AnswerRow]) -> None:
        """Keep how answers and their files stand now."""
        if not rows:
            return
        table = tables.answers
        names = ("state", "tries", "due_us", "done_us", "scope", "source", "reference_id", "route")
        self._connection.execute(
            update(table)
            .where(table.c.id == bindparam("of"))
            .values({name: bindparam(f"new_{name}") for name in names}),
            [
                {"of": one.id, **{f"new_{name}": getattr(one, name) for name in names}}
                for one in rows
            ],
        )
        silent = self.silent_answers([one.id for one in rows])
        files = [
            {
                "answer_id": one.id,
                "type": file.name.type,
                "file_id": file.name.id,
                "place": place,
                "title": "" if one.id in silent else file.title,
                "content_type": "" if one.id in silent else file.content_type,
                "content_id": "" if one.id in silent else file.content_id,
                "size": file.size,
                "sha256": file.sha256,
                "error": file.error,
                "is_spent": one.id in silent,
            }
            for one in rows
            for place, file in enumerate(one.files)
            if file.is_settled
        ]
        if files:
            # What is known of one may have been forgotten since it was read.
            fresh = insert(tables.answer_files).on_conflict_do_nothing()
            self._connection.execute(fresh, files)

    def spent_files(self, limit: int) -> list[str]:
        """Return digests of files that no answer needs any more."""
        table = tables.answer_files
        other = table.alias()
        is_needed = (
            select(other.c.answer_id)
            .where(other.c.sha256 == table.c.sha256, other.c.is_spent.is_(False))
            .exists()
        )
        query = select(table.c.sha256).where(tables.IS_SPENT, ~is_needed).distinct().limit(limit)
        return list(self._connection.execute(query).scalars())

    def forget_files(self, digests: Collection[str]) -> None:
        """Note that these files are gone."""
        table = tables.answer_files
        for some in chunks(sorted(digests)):
            self._connection.execute(
                update(table)
                .where(table.c.sha256.in_(some), table.c.is_spent.is_(True))
                .values(sha256="", error="forgotten")
            )

    def held_files(self, digests: Collection[str]) -> set[str]:
        """Return which of these files an answer needs, or has needed."""
        table = tables.answer_files
        return {
            digest
            for some in chunks(sorted(digests))
            for digest in self._connection.execute(
                select(table.c.sha256).where(table.c.sha256.in_(some))
            ).scalars()
        }


def _is_first() -> ColumnElement[bool]:
    """Return what is true of an answer before which none to the same errand is undone.

    Of errands in two workspaces that have the same id, one may have to wait for the other.
    """
    table = tables.answers
    before = table.alias()
    return ~(
        select(before.c.id)
        .where(
            before.c.state != AnswerState.DONE,
            before.c.errand_id == table.c.errand_id,
            before.c.id < table.c.id,
        )
        .exists()
    )


def kept_file(row: Any) -> KeptFile:
    """Return a file as a row tells of it."""
    return KeptFile(
        name=FileName(FileType(row.type), row.file_id),
        title=row.title,
        content_type=row.content_type,
        content_id=row.content_id,
        size=row.size,
        sha256=row.sha256,
        error=row.error,
    )
