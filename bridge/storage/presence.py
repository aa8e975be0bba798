"""Presence within one commit, in SQL; loaded only where a site has One View's agents."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Connection, bindparam, delete, func, select

from bridge.domain.presence import Leg, LegKey, Presence, turns
from bridge.ports.presence import LegRow
from bridge.storage import tables
from bridge.storage.codecs import decode, encode
from bridge.storage.prepared import Query, Rows, as_set, driver_of, in_set, names_of
from bridge.storage.sets import chunks, grouped, upsert

_calls: Final = tables.agent_calls.c
_agents: Final = tables.presence.c
_LEG: Final = (
    _calls.source,
    _calls.reference_id,
    _calls.leg,
    _calls.agent,
    _calls.at_us,
    _calls.rank,
    _calls.hung_us,
    _calls.is_busy,
    _calls.touched_us,
)
_LEGS: Final = Query(
    select(*_LEG).where(_calls.source == bindparam("source"), in_set(_calls.reference_id, "of"))
)
_STALE: Final = Query(
    select(*_LEG)
    .where(_calls.expires_us.is_not(None), _calls.expires_us <= bindparam("now"))
    .order_by(_calls.expires_us)
    .limit(bindparam("most"))
)
_BUSY: Final = Query(
    select(_calls.agent).where(in_set(_calls.agent, "of"), tables.IS_BUSY).distinct()
)
_LEGS_KEPT: Final = Rows(
    upsert(
        tables.agent_calls,
        ["source", "reference_id", "leg"],
        ["agent", "at_us", "rank", "hung_us", "is_busy", "touched_us", "expires_us"],
    ),
    names_of(tables.agent_calls),
)
_PRESENCES: Final = Query(
    select(_agents.agent, _agents.due_us, _agents.state).where(in_set(_agents.agent, "of"))
)
_PRESENCES_KEPT: Final = Rows(
    upsert(tables.presence, ["agent"], ["due_us", "tier", "touched_us", "state"]),
    names_of(tables.presence),
)
_DUE: Final = Query(
    select(_agents.agent, _agents.due_us, _agents.state)
    .where(
        _agents.tier == bindparam("tier"),
        _agents.due_us.is_not(None),
        _agents.due_us <= bindparam("now"),
    )
    .order_by(_agents.due_us)
    .limit(bindparam("most"))
)
_NEXT: Final = Query(
    select(func.min(_agents.due_us)).where(
        _agents.tier == bindparam("tier"),
        _agents.due_us.is_not(None),
        _agents.due_us > bindparam("now"),
    )
)
_TIERS: Final = (0, 1)


class SqlPresence:
    """The `ports.presence.PresenceTransaction` of an open transaction."""

    def __init__(self, connection: Connection) -> None:
        """Work within the connection's open transaction."""
        self._connection = connection
        self._driver = driver_of(connection)

    def legs(self, keys: Collection[LegKey]) -> dict[LegKey, Leg]:
        """Return the legs that are known."""
        asked = set(keys)
        by_source = grouped({(source, reference) for source, reference, _ in asked})
        found = (
            _leg(row)
            for source, references in by_source
            for row in _LEGS.run(self._driver, source=source, of=as_set(references))
        )
        return {key: leg for key, leg in found if key in asked}

    def save_legs(self, rows: Sequence[LegRow]) -> None:
        """Keep legs in their new form."""
        _LEGS_KEPT.run(
            self._driver,
            [
                (
                    *row.key,
                    row.leg.agent,
                    row.leg.at_us,
                    row.leg.rank,
                    row.leg.hung_us,
                    bool(row.leg.holder),
                    row.leg.touched_us,
                    row.expires_us,
                )
                for row in rows
            ],
        )

    def stale_legs(self, now_us: int, limit: int) -> dict[LegKey, Leg]:
        """Return legs on which somebody is, and of which nothing was heard for too long."""
        return dict(_leg(row) for row in _STALE.run(self._driver, now=now_us, most=limit))

    def busy(self, agents: Collection[str]) -> set[str]:
        """Return which of these agents are on a call."""
        return {agent for (agent,) in _BUSY.run(self._driver, of=as_set(agents))}

    def presences(self, agents: Collection[str]) -> dict[str, Presence]:
        """Return what is known of these agents; nothing of a row that can't be read."""
        rows = _PRESENCES.run(self._driver, of=as_set(agents))
        return {one.agent: one for one in map(_presence, rows)}

    def save_presences(self, presences: Sequence[Presence]) -> None:
        """Keep what is known of agents."""
        _PRESENCES_KEPT.run(
            self._driver,
            [
                (one.agent, one.due_us, int(one.attempts > 0), one.touched_us, encode(one))
                for one in presences
            ],
        )

    def due_presences(self, now_us: int, limit: int) -> list[Presence]:
        """Return agents for whom something is to be done; who has waited longest comes first."""
        fresh, tried = (
            [_presence(row) for row in _DUE.run(self._driver, tier=tier, now=now_us, most=limit)]
            for tier in _TIERS
        )
        return turns(fresh, tried)[:limit]

    def next_due_us(self, now_us: int) -> int | None:
        """Return when the next is due that is not due yet; None: none is."""
        times = [_NEXT.run(self._driver, tier=tier, now=now_us)[0][0] for tier in _TIERS]
        return min((one for one in times if one is not None), default=None)

    def forget_agents(self, keep: Collection[str], before_us: int) -> int:
        """Remove agents who are none of these, and of whom nothing was heard since."""
        table = tables.presence
        query = select(_agents.agent).where(_agents.touched_us < before_us)
        old = [one for (one,) in self._connection.execute(query) if one not in keep]
        for some in chunks(old):
            self._connection.execute(delete(table).where(_agents.agent.in_(some)))
        return len(old)


def calls_of(connection: Connection, agents: Collection[str]) -> dict[str, list[str]]:
    """Return the references of the calls that agents are on, the oldest first."""
    query = (
        select(_calls.agent, _calls.reference_id)
        .where(_calls.agent.in_(list(agents)), tables.IS_BUSY)
        .order_by(_calls.at_us)
    )
    found: dict[str, list[str]] = {}
    for agent, reference in connection.execute(query):
        found.setdefault(agent, []).append(reference)
    return found


def _leg(row: Sequence[Any]) -> tuple[LegKey, Leg]:
    source, reference, leg, agent, at_us, rank, hung_us, is_busy, touched_us = row
    known = Leg(agent=agent, at_us=at_us, rank=rank, hung_us=hung_us, touched_us=touched_us)
    # One that was given up has somebody on it for all that events have said.
    is_stale = bool(known.holder) and not is_busy
    return (source, reference, leg), Leg(
        agent=agent,
        at_us=at_us,
        rank=rank,
        hung_us=hung_us,
        touched_us=touched_us,
        is_stale=is_stale,
    )


def _presence(row: Sequence[Any]) -> Presence:
    """Return an agent as they are kept; of a row that can't be read, only that it is due."""
    agent, due_us, state = row
    try:
        # The column has moved along where somebody has set the machine's clock.
        return replace(decode(Presence, state), due_us=due_us)
    except ValueError:
        return Presence(agent=agent, due_us=due_us)
