"""How metrics are made: each with a registry of its own, and their series found fast."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

FAST: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
MetricT = TypeVar("MetricT", Counter, Histogram)


class Families:
    """Makes metrics within one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register in `registry`."""
        self.registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Return a new counter."""
        return Counter(name, text, labels, registry=self.registry)

    def histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        """Return a new histogram of seconds."""
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


def each(metric: MetricT) -> Callable[..., MetricT]:
    """Return what knows each series by its labels: to find one takes longer than to count."""
    return cache(metric.labels)
