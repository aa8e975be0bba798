"""What Prometheus sees of the upstreams: their pace, and what is on its way to them."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.services.channels import Channel


class UpstreamCollector(Collector):
    """Reads the channels when somebody asks."""

    def __init__(self, channels: Callable[[], Iterable[Channel]]) -> None:
        """Ask for the channels each time: a reload may bring others."""
        self._channels = channels

    def collect(self) -> Iterator[Metric]:
        """Yield a series an upstream of each."""
        limit = GaugeMetricFamily(
            "bridge_rate_limit_per_minute",
            "Requests that may leave in any 60 seconds.",
            labels=["upstream"],
        )
        spent = CounterMetricFamily(
            "bridge_rate_spent", "Requests that had leave, of all kinds.", labels=["upstream"]
        )
        in_flight = GaugeMetricFamily(
            "bridge_deliveries_in_flight", "Deliveries on their way.", labels=["upstream"]
        )
        for channel in self._channels():
            label = [channel.upstream.label]
            limit.add_metric(label, channel.upstream.per_minute)
            spent.add_metric(label, channel.turns)
            in_flight.add_metric(label, channel.in_flight)
        yield from (limit, spent, in_flight)
