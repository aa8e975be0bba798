"""What Prometheus sees of the store: gauges that are read when somebody asks."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.domain.deliveries import Kind, State

_KINDS: Final = tuple(kind.value for kind in Kind)
# What is over is no work, and only there for a while.
_LANE_STATES: Final = tuple(
    state.value for state in State if state not in {State.DELIVERED, State.GIVEN_UP}
)


class StoreFigures(Struct, frozen=True, kw_only=True):
    """What the store holds just now.

    `pending` is by kind, `rows` by state; `due_us` is by route when the first of what is ready was,
    or will be, due (microseconds since 1970). `pauses` and `refusals` are gates (route and kind),
    the latter those that the upstream's refusal has shut. Sizes are in bytes; `disk_free` and
    `disk_size` are those of the file system that the store is on.
    """

    pending: Mapping[str, int] = {}
    rows: Mapping[str, int] = {}
    oldest_us: int | None = None
    due_us: Mapping[str, int] = {}
    dead_letters: int = 0
    quarantined: int = 0
    calls_active: int = 0
    pauses: Iterable[tuple[str, str]] = ()
    refusals: Iterable[tuple[str, str]] = ()
    answers_waiting: int = 0
    rating_mean: float | None = None
    sizes: Mapping[str, int] = {}
    disk_free: int | None = None
    disk_size: int | None = None


class StoreCollector(Collector):
    """Gauges that are read from the store when somebody asks. `figures` are the latest known."""

    def __init__(self, now_us: int = 0) -> None:
        """Begin with nothing known."""
        self.figures: StoreFigures | None = None
        self.now_us = now_us

    def collect(self) -> Iterator[Metric]:
        """Yield every gauge; none before anything is known, since a zero would be a lie."""
        figures = self.figures
        if figures is None:
            return
        yield _by(
            "bridge_outbox_pending",
            "Deliveries that are to leave.",
            "kind",
            {kind: figures.pending.get(kind, 0) for kind in _KINDS},
        )
        yield _by(
            "bridge_outbox_rows",
            "Deliveries that are not over, by state: a lane's head is ready, what is behind it"
            " blocked or parked.",
            "state",
            {state: figures.rows.get(state, 0) for state in _LANE_STATES},
        )
        yield _gates("bridge_route_paused", "Gates that are shut.", figures.pauses)
        yield _gates(
            "bridge_route_refused",
            "Gates that are shut since the upstream refused the token or the workspace.",
            figures.refusals,
        )
        yield _by("bridge_store_bytes", "Size of the store's files.", "file", figures.sizes)
        overdue = GaugeMetricFamily(
            "bridge_outbox_overdue_seconds",
            "For how long the first of what may leave has been due.",
            labels=["route"],
        )
        for route, due_us in figures.due_us.items():
            overdue.add_metric([route], max(0.0, (self.now_us - due_us) / 1e6))
        yield overdue
        yield from self._single(figures)

    def _single(self, figures: StoreFigures) -> Iterator[Metric]:
        oldest_s = 0.0
        if figures.oldest_us is not None:
            oldest_s = max(0.0, (self.now_us - figures.oldest_us) / 1e6)
        known: tuple[tuple[str, str, float | None], ...] = (
            ("bridge_outbox_oldest_seconds", "Age of the oldest pending delivery.", oldest_s),
            ("bridge_dead_letters", "Deliveries that wait for a person.", figures.dead_letters),
            ("bridge_quarantined", "Refused events that are kept.", figures.quarantined),
            ("bridge_calls_active", "Calls believed to be going on.", figures.calls_active),
            (
                "bridge_answers_waiting",
                "Answers that wait for their call to be known, or for files.",
                figures.answers_waiting,
            ),
            (
                "bridge_facebook_rating_mean",
                "Mean of the Facebook ratings that are kept, in stars.",
                figures.rating_mean,
            ),
            (
                "bridge_store_disk_free_bytes",
                "What the file system of the store has left for it.",
                figures.disk_free,
            ),
            (
                "bridge_store_disk_size_bytes",
                "Size of the file system that the store is on.",
                figures.disk_size,
            ),
        )
        for name, text, value in known:
            if value is not None:
                yield GaugeMetricFamily(name, text, value=value)


def _by(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _gates(name: str, text: str, gates: Iterable[tuple[str, str]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["route", "kind"])
    for route, kind in gates:
        family.add_metric([route, kind], 1)
    return family
