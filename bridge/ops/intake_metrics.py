"""What Prometheus sees of events as they come in and are kept."""

from bridge.domain.deliveries import Unsent
from bridge.domain.events import EventType
from bridge.ops.families import FAST, Families, each
from bridge.ports import Exemplar


class IntakeMetrics:
    """Counts and measures intake."""

    def __init__(self, families: Families) -> None:
        """Register every metric, and begin at zero those that alerts rely on."""
        counter, histogram = families.counter, families.histogram
        self._events = each(
            counter("bridge_events", "Events by type and outcome.", "type", "outcome")
        )
        self._ingest = histogram("bridge_ingest_seconds", "Request read to answer sent.", FAST)
        self._numbers = each(
            counter("bridge_msisdn", "Phone numbers read, by field and result.", "field", "result")
        )
        self._unknown = counter("bridge_unknown_keys", "Top-level event keys that nobody knows.")
        self._contacts = each(counter("bridge_contacts", "What became of contacts.", "outcome"))
        self._calls = counter("bridge_calls_closed", "Calls closed without an end.", "outcome")
        self._skipped = counter(
            "bridge_ends_skipped", "Ends not sent, since Cention needs an agent for them."
        )
        self._unsent = counter(
            "bridge_watemplates_unsent",
            "WhatsApp templates that a rule would send and that were not sent, by why.",
            "reason",
        )
        self._commit = histogram("bridge_store_commit_seconds", "Time of one shared commit.", FAST)
        self._committed = counter(
            "bridge_store_committed_items", "Items handled in shared commits."
        )
        for event_type in EventType:
            self._events(event_type.value, "accepted")
        self._events("unknown", "unavailable")
        for outcome in ("created", "updated", "unchanged", "conflict"):
            self._contacts(outcome)
        for outcome in ("abandoned", "stale"):
            self._calls.labels(outcome)
        for reason in Unsent:
            self._unsent.labels(reason.value)

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

    def committed(self, items: int, seconds: float) -> None:
        """Measure a shared commit."""
        self._commit.observe(seconds)
        self._committed.inc(items)
