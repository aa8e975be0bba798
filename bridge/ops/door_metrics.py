"""What Prometheus sees of the door: who was cut, and who was asked to come back."""

from collections.abc import Callable
from typing import Final

from prometheus_client import Gauge

from bridge.ops.families import Families

REASONS: Final = ("head", "body", "answer", "room", "full")


class DoorMetrics:
    """Counts what the door does to those who are slow or many.

    Sources are the names of the settings, so there are no more of them than a site has written.
    """

    def __init__(self, families: Families) -> None:
        """Register every metric."""
        self._cut = families.counter(
            "bridge_connections_cut",
            "Connections that were cut: a late head, body or answer; for room; or none was left.",
            "reason",
        )
        self._throttled = families.counter(
            "bridge_throttled",
            "Requests that were asked to come back, for more events than their source may post.",
            "source",
        )
        self._open = Gauge(
            "bridge_connections",
            "Connections to the door that are open.",
            registry=families.registry,
        )
        for reason in REASONS:
            self._cut.labels(reason)

    def show_open(self, count: Callable[[], float]) -> None:
        """Show how many connections are open, by asking when it is looked at."""
        self._open.set_function(count)

    def cut(self, reason: str) -> None:
        """Count a connection that was cut."""
        self._cut.labels(reason).inc()

    def throttled(self, source: str) -> None:
        """Count a request that was asked to come back."""
        self._throttled.labels(source).inc()
