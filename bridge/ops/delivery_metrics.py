"""What Prometheus sees of deliveries, and of the upstreams that they go to."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import Gauge

from bridge.domain.deliveries import Kind
from bridge.domain.outcomes import Promptness, Reply
from bridge.ops.families import Families, each
from bridge.ports import Exemplar

_UPSTREAM: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_DELIVERY: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0, 21600.0)
_CENTION: Final = "cention"
# Where answers are sent on to.
ONWARD: Final = "onward"
# Where what is about tickets goes.
ONEVIEW: Final = "oneview"
_UPSTREAMS: Final = {
    Kind.ANSWER: ONWARD,
    Kind.PICK_TICKET: ONEVIEW,
    Kind.CLOSE_ROOM: ONEVIEW,
}


class DeliveryMetrics:
    """Counts and measures what leaves."""

    def __init__(self, families: Families) -> None:
        """Register every metric, and begin at zero those that alerts rely on."""
        counter, histogram = families.counter, families.histogram
        self._deliveries = each(
            counter("bridge_deliveries", "Delivery attempts by outcome.", "kind", "outcome")
        )
        self._upstream = each(
            histogram(
                "bridge_upstream_seconds",
                "Requests to the upstream: sent to answered.",
                _UPSTREAM,
                "upstream",
                "kind",
            )
        )
        self._responses = each(
            counter(
                "bridge_upstream_responses",
                "The upstream's answers by status.",
                "upstream",
                "status",
            )
        )
        self._delivered = each(
            histogram(
                "bridge_event_to_delivery_seconds",
                "Event accepted to delivered.",
                _DELIVERY,
                "kind",
            )
        )
        self._promptness = counter(
            "bridge_errand_promptness",
            "Errands delivered, by whether within two seconds of their event; excused: while the"
            " upstream was failing.",
            "result",
        )
        self._lookups = counter(
            "bridge_lookups",
            "What came of looking deliveries in doubt up at the upstream.",
            "outcome",
        )
        self._breaker = Gauge(
            "bridge_breaker_state",
            "Circuit breaker: 0 closed, 1 half-open, 2 open.",
            ["upstream"],
            registry=families.registry,
        )
        self._expiry = Gauge(
            "bridge_token_expiry_timestamp_seconds",
            "When the route's token expires, in Unix seconds.",
            ["route"],
            registry=families.registry,
        )
        self.last_reply: Reply | None = None
        for kind in Kind:
            for outcome in ("delivered", "retried", "dead", "in_doubt"):
                self._deliveries(kind.value, outcome)
        for result in Promptness:
            self._promptness.labels(result.value)
        self._breaker.labels(_CENTION).set(0)

    def delivery(self, kind: Kind, outcome: str) -> None:
        """Count an attempt by what came of it."""
        self._deliveries(kind.value, outcome).inc()

    def upstream(self, kind: Kind, reply: Reply, exemplar: Exemplar | None = None) -> None:
        """Measure a request by its status and time."""
        upstream = _UPSTREAMS.get(kind, _CENTION)
        if upstream == _CENTION:
            self.last_reply = reply
        status = reply.failure.value if reply.failure else str(reply.status)
        self._responses(upstream, status).inc()
        self._upstream(upstream, kind.value).observe(reply.seconds, exemplar)

    def read(self, what: str, reply: Reply) -> None:
        """Measure a reading request by its status and time."""
        status = reply.failure.value if reply.failure else str(reply.status)
        self._responses(_CENTION, status).inc()
        self._upstream(_CENTION, what).observe(reply.seconds)

    def lookup(self, outcome: str) -> None:
        """Count what came of looking a delivery up: found, absent or held."""
        self._lookups.labels(outcome).inc()

    def breakers(self, states: Mapping[str, int]) -> None:
        """Show the circuit breakers of the upstreams that there are, and of no others."""
        self._breaker.clear()
        for upstream, state in states.items():
            self.breaker(upstream, state)

    def breaker(self, upstream: str, state: int) -> None:
        """Show a circuit breaker: 0 closed, 1 half-open, 2 open."""
        self._breaker.labels(upstream).set(state)

    def delivered(self, kind: Kind, seconds: float, exemplar: Exemplar | None = None) -> None:
        """Measure the time from an event's acceptance to its delivery."""
        self._delivered(kind.value).observe(max(seconds, 0.0), exemplar)

    def prompt(self, result: Promptness) -> None:
        """Count an errand by whether it was delivered in time."""
        self._promptness.labels(result.value).inc()

    def tokens(self, expiries: Mapping[str, int]) -> None:
        """Show when each route's token expires, in Unix seconds."""
        self._expiry.clear()
        for route, expires_at in expiries.items():
            self._expiry.labels(route).set(expires_at)
