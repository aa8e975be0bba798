"""What Prometheus sees of requests that were not let in."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter

# As `inbound.auth.Reason` has them.
REASONS: Final = ("address", "missing", "stale", "wrong")


class AuthMetrics:
    """Counts refusals by source, of which there are those that the settings name, and by reason."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the counter."""
        self._refused = Counter(
            "bridge_auth_refused",
            "Requests without valid authentication, by source and reason.",
            ["source", "reason"],
            registry=registry,
        )

    def know(self, sources: Iterable[str]) -> None:
        """Show these sources before anybody was refused."""
        for source in sources:
            for reason in REASONS:
                self._refused.labels(source, reason)

    def refused(self, source: str, reason: str) -> None:
        """Count a request that was refused."""
        self._refused.labels(source, reason).inc()
