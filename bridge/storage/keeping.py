"""How long things stay, within one commit: what is delivered moves aside, what is old goes.

`services.upkeep` says when. Everything comes in portions, by rows and by bytes, so that an event
waits for one of these at most; and every search goes by an index, however much there is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    TextClause,
    and_,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from bridge.domain.calls import Thread
from bridge.domain.deliveries import State
from bridge.storage import tables
from bridge.storage.codecs import decode, encode
from bridge.storage.feedback_keeping import FeedbackKeeping
from bridge.storage.lookups import CLOSED
from bridge.storage.redaction import without_texts
from bridge.storage.sets import chunks

# What attachments weigh: a payload may be megabytes, and is copied or overwritten byte by byte.
BYTES_MAX: Final = 4 * 2**20
# How a thread is stored whose spans still tell what was said; see `codecs.encode`.
_TOLD: Final = b'"known":'


class KeepingTransaction(FeedbackKeeping):
    """The part of a transaction that moves things aside and away."""

    _connection: Connection

    def archive(self, before_us: int, limit: int) -> int:
        """Move up to `limit` deliveries that were delivered before then out of the outbox.

        The rest of their lanes may still wait: what is not in the outbox counts as delivered.
        """
        table, target = tables.outbox, tables.delivered
        ids = self._portion(
            table,
            table.c.done_us,
            (table.c.done_us < before_us, tables.IS_DONE),
            limit,
        )
        names = [column.name for column in target.c]
        for some in chunks(ids):
            are_these = table.c.id.in_(some)
            moved = select(*(table.c[name] for name in names)).where(are_these)
            self._connection.execute(insert(target).from_select(names, moved))
            # A contact card holds nothing that would go later and take this along.
            self._unsay(select(table.c.id).where(are_these, table.c.payload.is_(None)))
            self._connection.execute(delete(table).where(are_these))
        return len(ids)

    def purge(self, horizons: Mapping[str, int], limit: int) -> int:
        """Remove up to `limit` rows of each table that are past their time; see `ports`."""
        return (
            self._purge_payloads(horizons["payload"], limit)
            + self._purge_journal(horizons["journal"], limit)
            + self._purge_rows(tables.quarantine, "received_us", horizons["quarantine"], limit)
            + self._purge_messages(horizons, limit)
            + self._purge_calls(horizons["calls"], horizons["callbacks"], limit)
            + self._purge_feedback(horizons, limit)
        )

    def purge_people(self, after: str, before_us: int, limit: int) -> str:
        """Look at `limit` people, and erase who is past their time; see `ports`."""
        people, keys, outbox = tables.people, tables.person_keys, tables.outbox
        query = (
            select(people.c.id, people.c.named_us, people.c.confirmed_us)
            .where(people.c.id > after)
            .order_by(people.c.id)
            .limit(limit)
        )
        rows = self._connection.execute(query).all()
        old = [row.id for row in rows if max(row.named_us, row.confirmed_us) < before_us]
        for some in chunks(old):
            lanes = [f"contact:{one}" for one in some]
            query = select(outbox.c.person_id).where(
                outbox.c.key.in_(lanes), outbox.c.state != State.DELIVERED
            )
            waiting = set(self._connection.execute(query).scalars())
            doomed = [one for one in some if one not in waiting]
            self._connection.execute(delete(keys).where(keys.c.person_id.in_(doomed)))
            self._connection.execute(delete(people).where(people.c.id.in_(doomed)))
        return str(rows[-1].id) if len(rows) == limit else ""

    def _purge_payloads(self, before_us: int, limit: int) -> int:
        events, outbox, delivered = tables.events, tables.outbox, tables.delivered
        gone = 0
        for table, moment, is_told in (
            (events, events.c.received_us, events.c.payload.is_not(None)),
            (outbox, outbox.c.done_us, and_(tables.IS_DONE, outbox.c.payload.is_not(None))),
            (outbox, outbox.c.done_us, tables.IS_TOLD_YET),
            (delivered, delivered.c.done_us, delivered.c.payload.is_not(None)),
        ):
            conditions = (moment < before_us, is_told)
            ids = self._portion(table, moment, conditions, limit)
            for some in chunks(ids):
                self._connection.execute(
                    update(table).where(table.c.id.in_(some)).values(payload=None)
                )
                if table is not events:
                    self._unsay(some)
            gone += len(ids)
        return gone

    def _unsay(self, deliveries: Any) -> None:
        """Take out what upstreams said of deliveries: they may quote what they were sent."""
        attempts = tables.attempts
        self._connection.execute(
            update(attempts)
            .where(attempts.c.delivery_id.in_(deliveries), attempts.c.detail != "")
            .values(detail="")
        )

    def _purge_journal(self, before_us: int, limit: int) -> int:
        sightings = tables.sightings
        # One that is open has to be put back on Cention's list, however long that takes.
        key = tuple_(sightings.c.scope, sightings.c.errand_id)
        closed = (
            select(sightings.c.scope, sightings.c.errand_id)
            .where(sightings.c.at_us < before_us, sightings.c.state == CLOSED)
            .order_by(sightings.c.at_us)
            .limit(limit)
        )
        return (
            self._purge_rows(tables.events, "received_us", before_us, limit)
            + self._purge_rows(tables.delivered, "done_us", before_us, limit)
            + self._purge_rows(tables.attempts, "at_us", before_us, limit)
            + self._connection.execute(delete(sightings).where(key.in_(closed))).rowcount
        )

    def _purge_messages(self, horizons: Mapping[str, int], limit: int) -> int:
        """Remove what was given up, who was told what, and what was quarrelled over."""
        outbox, told, quarrels = tables.outbox, tables.told, tables.quarrels
        key = tuple_(told.c.whom, told.c.template)
        of_quarrel = tuple_(*quarrels.primary_key.columns)
        queries = (
            (
                outbox,
                outbox.c.id,
                select(outbox.c.id)
                .where(tables.IS_GIVEN_UP, outbox.c.done_us < horizons["journal"])
                .order_by(outbox.c.done_us),
            ),
            (
                told,
                key,
                select(told.c.whom, told.c.template)
                .where(told.c.at_us < horizons["told"])
                .order_by(told.c.at_us),
            ),
            (
                quarrels,
                of_quarrel,
                select(*quarrels.primary_key.columns)
                .where(quarrels.c.last_us < horizons["people"])
                .order_by(quarrels.c.last_us),
            ),
        )
        return sum(
            self._connection.execute(delete(table).where(names.in_(old.limit(limit)))).rowcount
            for table, names, old in queries
        )

    def _purge_rows(self, table: Table, moment: str, before_us: int, limit: int) -> int:
        old = (
            select(table.c.id)
            .where(table.c[moment] < before_us)
            .order_by(table.c[moment])
            .limit(limit)
        )
        return self._connection.execute(delete(table).where(table.c.id.in_(old))).rowcount

    def _purge_calls(self, before_us: int, open_before_us: int, limit: int) -> int:
        """Remove calls that no event can reach; of those that are open, what was said in them."""
        calls = tables.calls
        key = tuple_(calls.c.source, calls.c.reference_id)
        gone = 0
        for is_open, moment_us in ((False, before_us), (True, open_before_us)):
            old = (
                select(calls.c.source, calls.c.reference_id)
                .where(
                    calls.c.last_us < moment_us,
                    calls.c.timer_us.is_(None),
                    calls.c.is_open.is_(is_open),
                )
                .order_by(calls.c.last_us)
                .limit(limit)
            )
            gone += self._connection.execute(delete(calls).where(key.in_(old))).rowcount
        return gone + self._redact_calls(before_us, limit) + self._purge_legs(before_us, limit)

    def _purge_legs(self, before_us: int, limit: int) -> int:
        """Remove what was known of who was on a call that no event can reach."""
        legs = tables.agent_calls
        key = tuple_(*legs.primary_key.columns)
        old = (
            select(*legs.primary_key.columns)
            .where(legs.c.touched_us < before_us, legs.c.expires_us.is_(None))
            .order_by(legs.c.touched_us)
            .limit(limit)
        )
        return self._connection.execute(delete(legs).where(key.in_(old))).rowcount

    def _redact_calls(self, before_us: int, limit: int) -> int:
        calls = tables.calls
        query = (
            select(calls.c.source, calls.c.reference_id, calls.c.state)
            .where(calls.c.last_us < before_us, calls.c.is_open.is_(True))
            .where(func.instr(calls.c.state, _TOLD) > 0)
            .order_by(calls.c.last_us)
            .limit(limit)
        )
        rows = self._connection.execute(query).all()
        for row in rows:
            after = _without_texts(row.state)
            self._connection.execute(
                update(calls)
                .where(calls.c.source == row.source, calls.c.reference_id == row.reference_id)
                .values(state=encode(after), is_open=after.is_open)
            )
        return len(rows)

    def _portion(
        self,
        table: Table,
        moment: Column[Any],
        conditions: Iterable[ColumnElement[bool] | TextClause],
        limit: int,
    ) -> Sequence[int]:
        """Return the ids of the oldest rows that meet the conditions: one, or as many as fit."""
        weight = func.coalesce(func.length(table.c.payload), 0)
        query = select(table.c.id, weight).where(*conditions).order_by(moment).limit(limit)
        ids: list[int] = []
        total = 0
        for row_id, weighs in self._connection.execute(query):
            total += weighs
            if ids and total > BYTES_MAX:
                break
            ids.append(row_id)
        return ids


def _without_texts(state: bytes) -> Thread:
    """Return a call without what was said in it; of one that can't be read, nothing."""
    try:
        thread = decode(Thread, state)
    except ValueError:
        return Thread()
    return replace(thread, spans=tuple(without_texts(span) for span in thread.spans))
