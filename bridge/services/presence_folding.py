"""What a commit's events mean for agents' presence: folded, and written down in sets.

It goes with the commit that keeps the events, so what is wanted is on disk when they are.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.events import CallEvent, EventType
from bridge.domain.presence import (
    Leg,
    LegKey,
    Presence,
    Roster,
    Unknown,
    leg_of,
    said,
    wanted,
    with_event,
)
from bridge.domain.units import DAY_US, HOUR_US
from bridge.ports.presence import LegRow, PresenceTransaction


class PresencePolicy(Struct, frozen=True, kw_only=True):
    """What a site has decided about presence.

    `status` is what an agent on a call has at One View; the roster's ids are learnt, not given.
    A call of which nothing is heard for `stale_after_us` is over.
    """

    roster: Roster
    status: str = "offline"
    wrap_up_us: int = 0
    stale_after_us: int = 12 * HOUR_US
    in_flight_max: int = 32
    forget_after_us: int = 30 * DAY_US
    per_minute: int = 6000

    @property
    def agents(self) -> frozenset[str]:
        """Everybody whom the settings name."""
        return frozenset(self.roster.emails.values())


class Folded(Struct, frozen=True):
    """What came of a commit's events: how many named nobody known, by why, and new wishes."""

    unknown: Mapping[str, int]
    wishes: Sequence[Presence]


class PresenceFolder:
    """Folds events into who is on which call, and what is wanted of whom."""

    def __init__(self, policy: PresencePolicy) -> None:
        """Decide by this policy."""
        self.policy = policy

    def fold(self, tx: PresenceTransaction, events: Sequence[CallEvent], now_us: int) -> Folded:
        """Fold a commit's events, and write down what they come to."""
        unknown: Counter[str] = Counter()
        legs = tx.legs({key for key in map(leg_of, events) if key is not None})
        changed: dict[LegKey, Leg] = {}
        heard: list[tuple[str, CallEvent]] = []
        affected: set[str] = set()
        taken: set[str] = set()
        for event in events:
            key = leg_of(event)
            if key is None and not event.type.is_of_agent:
                continue
            who = self._who(event, unknown)
            if key is None:
                if who:
                    heard.append((who, event))
                continue
            before = legs.get(key, Leg())
            after = with_event(before, event, who, now_us)
            legs[key] = changed[key] = after
            if after.holder != before.holder:
                affected |= {before.holder, after.holder}
                taken.add(after.holder)
        self._save(tx, changed)
        return Folded(unknown, self._want(tx, affected - {""}, taken, heard, now_us))

    def release(self, tx: PresenceTransaction, now_us: int, limit: int) -> int:
        """Let go who is on a call that went silent; return how many calls those were."""
        stale = tx.stale_legs(now_us, limit)
        if stale:
            holders = {leg.holder for leg in stale.values()} - {""}
            self._save(tx, {key: replace(leg, is_stale=True) for key, leg in stale.items()})
            self._want(tx, holders, set(), [], now_us)
        return len(stale)

    def _who(self, event: CallEvent, unknown: Counter[str]) -> str:
        found = self.policy.roster.find(event)
        if not isinstance(found, Unknown):
            return found
        if found is not Unknown.NO_AGENT and event.type is not EventType.CALL_QUEUED:
            unknown[found.value] += 1
        return ""

    def _save(self, tx: PresenceTransaction, legs: Mapping[LegKey, Leg]) -> None:
        stale_us = self.policy.stale_after_us
        tx.save_legs(
            [
                LegRow(
                    key=key, leg=leg, expires_us=leg.touched_us + stale_us if leg.holder else None
                )
                for key, leg in legs.items()
            ]
        )

    def _want(
        self,
        tx: PresenceTransaction,
        affected: Iterable[str],
        taken: set[str],
        heard: Sequence[tuple[str, CallEvent]],
        now_us: int,
    ) -> list[Presence]:
        agents = {*affected, *(agent for agent, _ in heard)}
        if not agents:
            return []
        known, busy = tx.presences(agents), tx.busy(agents)
        after = {agent: known.get(agent) or Presence(agent=agent) for agent in agents}
        before = dict(after)
        for agent, event in heard:
            after[agent] = said(after[agent], event)
        saved = [
            wanted(
                before[agent],
                replace(one, is_busy=agent in busy, touched_us=now_us),
                has_taken=agent in taken,
                wrap_up_us=self.policy.wrap_up_us,
                now_us=now_us,
            )
            for agent, one in after.items()
        ]
        tx.save_presences(saved)
        return [one for one in saved if one.version != before[one.agent].version]
