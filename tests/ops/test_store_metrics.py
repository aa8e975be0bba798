from prometheus_client import CollectorRegistry

from bridge.ops.store_metrics import StoreCollector, StoreFigures
from bridge.ops.upstream_metrics import UpstreamCollector
from bridge.services.channels import Channel, Upstream
from bridge.services.limiter import Pace


def values(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    """Return the values by name and the labels' values, put together."""
    return {
        (sample.name, "/".join(sample.labels.values())): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def shown(figures: StoreFigures, now_us: int = 0) -> dict[tuple[str, str], float]:
    registry, collector = CollectorRegistry(), StoreCollector(now_us)
    collector.figures = figures
    registry.register(collector)
    return values(registry)


def test_what_is_not_there_is_shown_as_none_of_it() -> None:
    found = shown(StoreFigures())
    assert found["bridge_outbox_pending", "new_errand"] == 0
    assert found["bridge_outbox_rows", "blocked"] == 0
    assert found["bridge_outbox_oldest_seconds", ""] == 0


def test_what_is_not_known_is_not_shown() -> None:
    names = {name for name, _ in shown(StoreFigures())}
    assert not names & {"bridge_facebook_rating_mean", "bridge_store_disk_free_bytes"}


def test_what_is_over_is_in_no_lane() -> None:
    found = shown(StoreFigures(rows={"delivered": 5, "parked": 1}))
    assert found["bridge_outbox_rows", "parked"] == 1
    assert ("bridge_outbox_rows", "delivered") not in found


def test_age_is_that_of_the_oldest_and_never_negative() -> None:
    figures = StoreFigures(oldest_us=5_000_000)
    assert shown(figures, 8_000_000)["bridge_outbox_oldest_seconds", ""] == 3
    assert shown(figures, 1_000_000)["bridge_outbox_oldest_seconds", ""] == 0


def test_a_gate_that_a_hand_has_shut_is_not_refused() -> None:
    both = [("default", "new_errand"), ("sales", "*")]
    found = shown(StoreFigures(pauses=both, refusals=both[:1]))
    assert found["bridge_route_paused", "sales/*"] == 1
    assert found["bridge_route_refused", "default/new_errand"] == 1
    assert ("bridge_route_refused", "sales/*") not in found


def test_each_upstream_shows_its_pace_and_what_is_on_its_way() -> None:
    channel = Channel(Upstream("s", frozenset({"default"}), 950, "cention"), Pace(950, 0.0))
    channel.spend(3, 1.0)
    channel.in_flight = 2
    registry = CollectorRegistry()
    registry.register(UpstreamCollector(lambda: [channel]))
    assert values(registry) == {
        ("bridge_rate_limit_per_minute", "cention"): 950,
        ("bridge_rate_spent_total", "cention"): 3,
        ("bridge_deliveries_in_flight", "cention"): 2,
    }
