"""Messages within one commit: who was told what, what is given up; and who quarrels over what."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Final

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.sqlite import Insert

from bridge.domain.deliveries import State
from bridge.ports import Quarrel, Telling
from bridge.storage import tables
from bridge.storage.sets import chunks, insert, upsert

TIME_IS_OVER: Final = "its time is over"


class MessagesTransaction:
    """The part of a transaction that knows who was told what."""

    _connection: Connection

    def told(self, whom: Collection[str]) -> dict[tuple[str, str], int]:
        """Return when each of these was last sent which message, by mark and template."""
        told = tables.told.c
        return {
            (mark, template): at_us
            for some in chunks(sorted(whom))
            for mark, template, at_us in self._connection.execute(
                select(told.whom, told.template, told.at_us).where(told.whom.in_(some))
            )
        }

    def tell(self, tellings: Sequence[Telling]) -> None:
        """Note who is sent which message."""
        self._connection.execute(
            _telling(),
            [
                {"whom": one.whom, "template": one.template, "key": one.key, "at_us": one.at_us}
                for one in tellings
            ],
        )

    def call_off(self, keys: Collection[str], why: str, now_us: int) -> int:
        """Give up messages that wait; return how many. See `ports.Transaction`."""
        outbox = tables.outbox
        over = State.READY, State.DELIVERED, State.GIVEN_UP
        found: list[str] = []
        for some in chunks(sorted(keys)):
            are_these = outbox.c.key.in_(some)
            query = select(outbox.c.key).where(are_these, outbox.c.state == State.READY)
            found.extend(self._connection.execute(query).scalars())
            # What may have arrived is not tried again, whatever comes of it.
            self._connection.execute(
                update(outbox)
                .where(are_these, outbox.c.state.not_in(over))
                .values(expires_us=now_us)
            )
        self._give_up(found, why, now_us)
        return len(found)

    def expire(self, now_us: int, limit: int) -> int:
        """Give up messages whose time is over, `limit` at most; return how many."""
        outbox = tables.outbox.c
        query = select(outbox.key).where(tables.MAY_EXPIRE, outbox.expires_us <= now_us)
        found = self._connection.execute(query.order_by(outbox.expires_us).limit(limit))
        keys = list(found.scalars())
        self._give_up(keys, TIME_IS_OVER, now_us)
        return len(keys)

    def _give_up(self, keys: Sequence[str], why: str, now_us: int) -> None:
        outbox, told = tables.outbox, tables.told
        for some in chunks(keys):
            self._connection.execute(
                update(outbox)
                .where(outbox.c.key.in_(some))
                .values(state=State.GIVEN_UP, done_us=now_us, error=why)
            )
            untried = select(outbox.c.key).where(outbox.c.key.in_(some), outbox.c.attempts == 0)
            self._connection.execute(delete(told).where(told.c.key.in_(untried)))

    def note_quarrels(self, quarrels: Sequence[Quarrel]) -> None:
        """Note what two people are said to have; again is counted, and told with the last time."""
        self._connection.execute(
            _quarrel(),
            [
                {
                    "scope": one.key[0],
                    "kind": one.key[1],
                    "value": one.key[2],
                    "claimant": one.claimant,
                    "owner": one.owner,
                    "decided": one.decided,
                    "first_us": one.at_us,
                    "last_us": one.at_us,
                    "times": 1,
                }
                for one in quarrels
            ],
        )


# Statements are put together once: building one takes longer than running it.


@cache
def _telling() -> Insert:
    return upsert(tables.told, ["whom", "template"], ["key", "at_us"])


@cache
def _quarrel() -> Insert:
    statement = insert(tables.quarrels)
    fresh = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["scope", "kind", "value", "claimant"],
        set_={
            "owner": fresh.owner,
            "decided": fresh.decided,
            "last_us": fresh.last_us,
            "times": tables.quarrels.c.times + 1,
        },
    )
