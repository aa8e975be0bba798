"""What Prometheus sees (the contract's section 7). No label holds personal data."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from bridge import __version__
from bridge.domain.deliveries import Kind, Unsent
from bridge.domain.events import EventType
from bridge.domain.outcomes import Promptness, Reply
from bridge.ops.feedback_metrics import FeedbackMetrics
from bridge.ports import Exemplar

_FAST: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_UPSTREAM: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_DELIVERY: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0, 21600.0)
_CENTION: Final = "cention"
# Where answers are sent on to.
ONWARD: Final = "onward"
_KINDS: Final = tuple(kind.value for kind in Kind)

MetricT = TypeVar("MetricT", Counter, Histogram)


class BridgeMetrics:
    """A `ports.Meter` on prometheus_client, with a registry of its own."""

    def __init__(self) -> None:
        """Register every metric."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own gap
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._events = _each(
            Counter(
                "bridge_events",
                "Events by type and outcome.",
                ["type", "outcome"],
                registry=self.registry,
            )
        )
        self._ingest = Histogram(
            "bridge_ingest_seconds",
            "Request read to answer sent.",
            buckets=_FAST,
            registry=self.registry,
        )
        self._numbers = _each(
            Counter(
                "bridge_msisdn",
                "Phone numbers read, by field and result.",
                ["field", "result"],
                registry=self.registry,
            )
        )
        self._unknown = Counter(
            "bridge_unknown_keys", "Top-level event keys that nobody knows.", registry=self.registry
        )
        self._deliveries = _each(
            Counter(
                "bridge_deliveries",
                "Delivery attempts by outcome.",
                ["kind", "outcome"],
                registry=self.registry,
            )
        )
        self._upstream = _each(
            Histogram(
                "bridge_upstream_seconds",
                "Requests to the upstream: sent to answered.",
                ["upstream", "kind"],
                buckets=_UPSTREAM,
                registry=self.registry,
            )
        )
        self._responses = _each(
            Counter(
                "bridge_upstream_responses",
                "The upstream's answers by status.",
                ["upstream", "status"],
                registry=self.registry,
            )
        )
        self._delivered = _each(
            Histogram(
                "bridge_event_to_delivery_seconds",
                "Event accepted to delivered.",
                ["kind"],
                buckets=_DELIVERY,
                registry=self.registry,
            )
        )
        self._contacts = _each(
            Counter(
                "bridge_contacts", "What became of contacts.", ["outcome"], registry=self.registry
            )
        )
        self._calls = Counter(
            "bridge_calls_closed",
            "Calls closed without an end.",
            ["outcome"],
            registry=self.registry,
        )
        self._skipped = Counter(
            "bridge_ends_skipped",
            "Ends not sent, since Cention needs an agent for them.",
            registry=self.registry,
        )
        self._unsent = Counter(
            "bridge_watemplates_unsent",
            "WhatsApp templates that a rule would send and that were not sent, by why.",
            ["reason"],
            registry=self.registry,
        )
        for reason in Unsent:
            self._unsent.labels(reason.value)
        self._commit = Histogram(
            "bridge_store_commit_seconds",
            "Time of one shared commit.",
            buckets=_FAST,
            registry=self.registry,
        )
        self._committed = Counter(
            "bridge_store_committed_items",
            "Items handled in shared commits.",
            registry=self.registry,
        )
        self._lookups = Counter(
            "bridge_lookups",
            "What came of looking deliveries in doubt up at the upstream.",
            ["outcome"],
            registry=self.registry,
        )
        self._breaker = Gauge(
            "bridge_breaker_state",
            "Circuit breaker: 0 closed, 1 half-open, 2 open.",
            ["upstream"],
            registry=self.registry,
        )
        self._promptness = Counter(
            "bridge_errand_promptness",
            "Errands delivered, by whether within two seconds of their event; excused: while the"
            " upstream was failing.",
            ["result"],
            registry=self.registry,
        )
        self._lag = Histogram(
            "bridge_event_loop_lag_seconds",
            "How much later than asked for the event loop woke up.",
            buckets=_FAST,
            registry=self.registry,
        )
        self.feedback = FeedbackMetrics(self.registry)
        self._expiry = Gauge(
            "bridge_token_expiry_timestamp_seconds",
            "When the route's token expires, in Unix seconds.",
            ["route"],
            registry=self.registry,
        )
        Info("bridge_build", "The release at work.", registry=self.registry).info(
            {"version": __version__}
        )
        self.last_reply: Reply | None = None
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        """Make the series that alerts rely on exist before their first event."""
        for kind in _KINDS:
            for outcome in ("delivered", "retried", "dead", "in_doubt"):
                self._deliveries(kind, outcome)
        for outcome in ("created", "updated", "unchanged", "conflict"):
            self._contacts(outcome)
        for outcome in ("abandoned", "stale"):
            self._calls.labels(outcome)
        for event_type in EventType:
            self._events(event_type.value, "accepted")
        self._events("unknown", "unavailable")
        for result in Promptness:
            self._promptness.labels(result.value)
        self._breaker.labels(_CENTION).set(0)

    def event(self, event_type: str, outcome: str, count: int = 1) -> None:
        """Count events by type and outcome."""
        self._events(event_type or "unknown", outcome).inc(count)

    def ingested(self, seconds: float, exemplar: Exemplar | None = None) -> None:
        """Measure a request from the door to its answer."""
        self._ingest.observe(seconds, exemplar)

    def number(self, field: str, result: str, count: int = 1) -> None:
        """Count phone numbers that were read."""
        self._numbers(field, result).inc(count)

    def unknown_keys(self, count: int) -> None:
        """Count top-level keys that nobody knows."""
        self._unknown.inc(count)

    def contact(self, outcome: str) -> None:
        """Count what became of a contact."""
        self._contacts(outcome).inc()

    def call(self, outcome: str) -> None:
        """Count a call that was closed without an end."""
        self._calls.labels(outcome).inc()

    def end_skipped(self, count: int) -> None:
        """Count ends that were not sent."""
        self._skipped.inc(count)

    def unsent(self, reason: Unsent) -> None:
        """Count a WhatsApp template that was not sent, by why."""
        self._unsent.labels(reason.value).inc()

    def delivery(self, kind: Kind, outcome: str) -> None:
        """Count an attempt by what came of it."""
        self._deliveries(kind.value, outcome).inc()

    def upstream(self, kind: Kind, reply: Reply, exemplar: Exemplar | None = None) -> None:
        """Measure a request by its status and time."""
        upstream = ONWARD if kind is Kind.ANSWER else _CENTION
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

    def lagged(self, seconds: float) -> None:
        """Measure how much later than asked for the event loop woke up."""
        self._lag.observe(seconds)

    def committed(self, items: int, seconds: float) -> None:
        """Measure a shared commit."""
        self._commit.observe(seconds)
        self._committed.inc(items)

    def tokens(self, expiries: Mapping[str, int]) -> None:
        """Show when each route's token expires, in Unix seconds."""
        self._expiry.clear()
        for route, expires_at in expiries.items():
            self._expiry.labels(route).set(expires_at)


def _each(metric: MetricT) -> Callable[..., MetricT]:
    """Return what knows each series by its labels: to find one takes longer than to count."""
    return cache(metric.labels)
