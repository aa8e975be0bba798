"""Presence in the simulated store; `test_sim_presence.py` compares it with the SQL one."""

from collections.abc import Collection, Sequence

from sim_rows import Rows

from bridge.domain.presence import Leg, LegKey, Presence, turns
from bridge.ports.presence import LegRow


class SimPresence:
    """The `ports.presence.PresenceTransaction` of the simulated store."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def legs(self, keys: Collection[LegKey]) -> dict[LegKey, Leg]:
        return {key: self.rows.legs[key].leg for key in keys if key in self.rows.legs}

    def save_legs(self, rows: Sequence[LegRow]) -> None:
        for row in rows:
            self.rows.set(self.rows.legs, row.key, row)

    def stale_legs(self, now_us: int, limit: int) -> dict[LegKey, Leg]:
        stale = [
            (row.expires_us, key)
            for key, row in self.rows.legs.items()
            if row.expires_us is not None and row.expires_us <= now_us
        ]
        return {key: self.rows.legs[key].leg for _, key in sorted(stale)[:limit]}

    def busy(self, agents: Collection[str]) -> set[str]:
        return {row.leg.holder for row in self.rows.legs.values()} & set(agents)

    def presences(self, agents: Collection[str]) -> dict[str, Presence]:
        return {one: self.rows.presences[one] for one in agents if one in self.rows.presences}

    def save_presences(self, presences: Sequence[Presence]) -> None:
        for one in presences:
            self.rows.set(self.rows.presences, one.agent, one)

    def due_presences(self, now_us: int, limit: int) -> list[Presence]:
        due = [
            one
            for one in self.rows.presences.values()
            if one.due_us is not None and one.due_us <= now_us
        ]
        due.sort(key=lambda one: one.due_us or 0)
        fresh, tried = ([one for one in due if (one.attempts > 0) is was] for was in (False, True))
        return turns(fresh, tried)[:limit]

    def next_due_us(self, now_us: int) -> int | None:
        due = [one.due_us for one in self.rows.presences.values() if one.due_us is not None]
        return min((one for one in due if one > now_us), default=None)

    def forget_agents(self, keep: Collection[str], before_us: int) -> int:
        old = [
            agent
            for agent, one in self.rows.presences.items()
            if one.touched_us < before_us and agent not in keep
        ]
        for agent in old:
            self.rows.drop(self.rows.presences, agent)
        return len(old)
