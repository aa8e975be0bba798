"""What Prometheus sees (the contract's section 7). No label holds personal data."""

from prometheus_client import (
    CollectorRegistry,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from bridge import __version__
from bridge.ops.delivery_metrics import DeliveryMetrics
from bridge.ops.door_metrics import DoorMetrics
from bridge.ops.families import FAST, Families
from bridge.ops.feedback_metrics import FeedbackMetrics
from bridge.ops.intake_metrics import IntakeMetrics


class BridgeMetrics(IntakeMetrics, DeliveryMetrics):
    """A `ports.Meter` on prometheus_client, with a registry of its own."""

    def __init__(self) -> None:
        """Register every metric."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own gap
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        families = Families(self.registry)
        IntakeMetrics.__init__(self, families)
        DeliveryMetrics.__init__(self, families)
        self.door = DoorMetrics(families)
        self.feedback = FeedbackMetrics(families)
        self._lag = families.histogram(
            "bridge_event_loop_lag_seconds",
            "How much later than asked for the event loop woke up.",
            FAST,
        )
        Info("bridge_build", "The release at work.", registry=self.registry).info(
            {"version": __version__}
        )

    def lagged(self, seconds: float) -> None:
        """Measure how much later than asked for the event loop woke up."""
        self._lag.observe(seconds)
