"""What Prometheus sees of agents' presence at One View. No label tells who an agent is."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bridge.domain.outcomes import Reply
from bridge.domain.presence import Unknown

_CHANGE: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)
_REQUEST: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_WORDS: Final = ("on_call", "unavailable", "wrap_up", "free")
_WAYS: Final = ("away", "back")
_OUTCOMES: Final = ("set", "was_away", "left", "failed", "refused", "gone")


class PresenceMetrics:
    """A `ports.presence.PresenceMeter` on prometheus_client."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every metric."""
        self._agents = Gauge(
            "bridge_agents", "Agents by presence.", ["presence"], registry=registry
        )
        self._changes = Counter(
            "bridge_presence_changes",
            "What came of wishes to set an agent away or back.",
            ["to", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "bridge_presence_seconds",
            "From a wish to One View's word that it is so.",
            ["to"],
            buckets=_CHANGE,
            registry=registry,
        )
        self._unknown = Counter(
            "bridge_presence_unknown",
            "Events that name an agent whom the settings don't know.",
            ["why"],
            registry=registry,
        )
        self._tickets = Counter(
            "bridge_tickets_skipped",
            "What rules wanted of a ticket that no event named, or of nobody's.",
            ["why"],
            registry=registry,
        )
        self._requests = Histogram(
            "bridge_oneview_seconds",
            "Requests about presence, by status.",
            ["request", "status"],
            buckets=_REQUEST,
            registry=registry,
        )
        self._breaker = Gauge(
            "bridge_presence_breaker_state",
            "Circuit breaker of presence: 0 closed, 1 half-open, 2 open.",
            registry=registry,
        )
        # What has not happened yet is shown as zero, so that a rate over the first is right.
        for to in _WAYS:
            self._seconds.labels(to)
            for outcome in _OUTCOMES:
                self._changes.labels(to, outcome)
        for why in (Unknown.UNKNOWN_ID, Unknown.UNKNOWN_DESK):
            self._unknown.labels(why.value)
        for why in ("no_ticket", *Unknown):
            self._tickets.labels(str(why))
        self.agents({})

    def changed(self, to: str, outcome: str) -> None:
        """Count what came of a wish: away or back, and how it went."""
        self._changes.labels(to, outcome).inc()

    def took(self, to: str, seconds: float) -> None:
        """Measure the time from a wish to One View's word that it is so."""
        self._seconds.labels(to).observe(seconds)

    def unknown(self, why: str) -> None:
        """Count an event that names an agent whom the settings don't know."""
        self._unknown.labels(why).inc()

    def ticket_skipped(self, why: str) -> None:
        """Count what a rule wanted of a ticket that no event named, or of nobody's."""
        self._tickets.labels(why).inc()

    def asked(self, what: str, reply: Reply) -> None:
        """Measure a request to One View."""
        status = str(reply.status) if reply.failure is None else reply.failure.value
        self._requests.labels(what, status).observe(reply.seconds)

    def agents(self, counts: Mapping[str, int]) -> None:
        """Show how many agents are how."""
        for word in _WORDS:
            self._agents.labels(word).set(counts.get(word, 0))

    def breaker(self, state: int) -> None:
        """Show the circuit breaker: 0 closed, 1 half-open, 2 open."""
        self._breaker.set(state)
