"""What every group of figures works with: a folder, stores, and the daemon as a process."""

import contextlib
import shutil
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from bench_process import Child, fetch, python
from bench_upstream import Upstream
from prometheus_client.parser import text_string_to_metric_families

from bridge.storage.engine import open_engine
from bridge.storage.schema import prepare

EVENTS_PATH: Final = "/v1/events"
STORE: Final = "bridge.db"
NO_SETTINGS: Final[Mapping[str, str]] = {}
UNPACED: Final[Mapping[str, str]] = {"CENTION__REQUESTS_PER_MINUTE": "1000000"}


@dataclass
class Bench:
    """One run of the benchmarks.

    `say` is told what is running now. `raw` takes every reading, by figure; `known` the figures
    that others are compared with; `skipped` what could not be had for want of a program.
    """

    folder: Path
    node_red: Path
    is_short: bool
    say: Callable[[str], None]
    raw: dict[str, Any] = field(default_factory=dict)
    known: dict[str, float] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @cached_property
    def empty_store(self) -> Path:
        """A store as a daemon makes it, to be copied: making one takes longer."""
        path = self.folder / "empty.db"
        engine = open_engine(f"sqlite:///{path}")
        prepare(engine)
        engine.dispose()
        return path

    def choose(self, full: int, short: int) -> int:
        """Return how much there is to do."""
        return short if self.is_short else full

    @contextlib.contextmanager
    def store(self, name: str) -> Iterator[Path]:
        """Give a folder with an empty store; it is gone afterwards, since large ones fill disks."""
        folder = self.folder / name
        folder.mkdir()
        try:
            shutil.copy(self.empty_store, folder / STORE)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def site(
        self, name: str, settings: Mapping[str, str] = NO_SETTINGS, *, delay_ms: float = 0.0
    ) -> Iterator["Site"]:
        """Give a daemon with an empty store and an upstream that accepts everything."""
        with (
            self.store(name) as folder,
            Upstream(folder, delay_ms) as upstream,
            Daemon(folder, upstream.url, settings) as daemon,
        ):
            yield Site(daemon, upstream)


class Daemon(Child):
    """The bridge, as a supervisor starts it."""

    def __init__(
        self,
        folder: Path,
        upstream_url: str,
        settings: Mapping[str, str] = NO_SETTINGS,
        *,
        program: Path | None = None,
    ) -> None:
        """Start it on the folder's store, and wait until it says that it is ready.

        `settings` are further environment variables, without `BRIDGE_`. The program is the
        product's own command if none is given.
        """
        given = {
            "CENTION__BASE_URL": upstream_url,
            "CENTION__WORKSPACE": "demo",
            "CENTION__TOKEN": "bench-token",
            "STORE__URL": f"sqlite:///{folder / STORE}",
            "HTTP__LISTEN": "127.0.0.1:0",
            "ADMIN__LISTEN": "127.0.0.1:0",
            **settings,
        }
        super().__init__(
            python(*(("-m", "bridge") if program is None else (program,)), "run"),
            folder / "bridge.log",
            {f"BRIDGE_{name}": value for name, value in given.items()},
        )
        ready = self.line("ready", every_s=0.002)
        self.url: str = ready["events"][0] + EVENTS_PATH
        self._admin: str = ready["admin"][0]

    def wait_ready(self) -> None:
        """Wait until it answers that events can be kept."""
        self.wait(
            lambda: fetch(f"{self._admin}/readyz")[0] == 200 or None,
            "the bridge was ready",
            every_s=0.002,
        )

    def connected(self) -> int:
        """Return how many connections to the door are open."""
        text = fetch(f"{self._admin}/metrics")[1].decode()
        (line,) = (one for one in text.splitlines() if one.startswith("bridge_connections "))
        return round(float(line.split()[1]))

    def accepted(self) -> int:
        """Return how many events it has accepted."""
        text = fetch(f"{self._admin}/metrics")[1].decode()
        return round(
            sum(
                sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name == "bridge_events_total" and sample.labels["outcome"] == "accepted"
            )
        )


@dataclass(frozen=True, slots=True)
class Site:
    """A daemon and its upstream."""

    daemon: Daemon
    upstream: Upstream


def median(values: Sequence[float]) -> float:
    """Return the middle one: on a shared machine some rounds are disturbed."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all are no greater than."""
    ordered = sorted(values)
    place = max(1, -(-len(ordered) * round(share * 1000) // 1000))
    return ordered[place - 1]
