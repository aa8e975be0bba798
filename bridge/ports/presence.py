"""Presence, as its service asks for it: what is kept of it, and who asks One View."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from bridge.domain.outcomes import Reply
from bridge.domain.presence import Leg, LegKey, Presence, There


class LegRow(Struct, frozen=True, gc=False, kw_only=True):
    """A leg to be kept, and when it is given up; None: nobody is on it."""

    key: LegKey
    leg: Leg
    expires_us: int | None


class PresenceTransaction(Protocol):
    """The part of a transaction that is about presence. Every method takes many at once."""

    def legs(self, keys: Collection[LegKey]) -> dict[LegKey, Leg]:
        """Return the legs that are known."""
        ...

    def save_legs(self, rows: Sequence[LegRow]) -> None:
        """Keep legs in their new form."""
        ...

    def stale_legs(self, now_us: int, limit: int) -> dict[LegKey, Leg]:
        """Return legs on which somebody is, and of which nothing was heard for too long."""
        ...

    def busy(self, agents: Collection[str]) -> set[str]:
        """Return which of these agents are on a call."""
        ...

    def presences(self, agents: Collection[str]) -> dict[str, Presence]:
        """Return what is known of these agents; nothing of one who was never heard of."""
        ...

    def save_presences(self, presences: Sequence[Presence]) -> None:
        """Keep what is known of agents."""
        ...

    def due_presences(self, now_us: int, limit: int) -> list[Presence]:
        """Return agents for whom something is to be done; who has waited longest comes first.

        Of those that were tried before there is one in four, if there are so many: an agent who is
        refused for ever holds nobody up, and nobody holds them up for ever.
        """
        ...

    def next_due_us(self, now_us: int) -> int | None:
        """Return when the next is due that is not due yet; None: none is."""
        ...

    def forget_agents(self, keep: Collection[str], before_us: int) -> int:
        """Remove agents who are none of these, and of whom nothing was heard since."""
        ...


class InfoReading(Struct, frozen=True, kw_only=True):
    """What came of asking how an agent is; `there` is None where it can't be read."""

    reply: Reply
    there: There | None = None
    remote_id: str = ""


class AgentDesk(Protocol):
    """Who asks One View about agents, each with their own token. Raises nothing."""

    def knows(self, agent: str) -> bool:
        """Say whether an agent's token is known."""
        ...

    async def info(self, agent: str) -> InfoReading:
        """Ask how an agent is."""
        ...

    async def put(self, agent: str, status: str) -> Reply:
        """Set an agent's status."""
        ...


class PresenceMeter(Protocol):
    """What is counted and measured of presence."""

    def changed(self, to: str, outcome: str) -> None:
        """Count what came of a wish: away or back, and how it went."""
        ...

    def took(self, to: str, seconds: float) -> None:
        """Measure the time from a wish to One View's word that it is so."""
        ...

    def unknown(self, why: str) -> None:
        """Count an event that names an agent whom the settings don't know."""
        ...

    def asked(self, what: str, reply: Reply) -> None:
        """Measure a request to One View."""
        ...

    def agents(self, counts: Mapping[str, int]) -> None:
        """Show how many agents are how."""
        ...

    def breaker(self, state: int) -> None:
        """Show the circuit breaker: 0 closed, 1 half-open, 2 open."""
        ...
