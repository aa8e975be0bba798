"""What Prometheus sees (the contract's section 7)."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from process_client import AGENT, Client, event, new_number, new_reference
from process_daemon import Site, bare_environment
from process_upstream import eventually

from bridge.sandbox.serve import LOOPBACK, free_port

pytestmark = pytest.mark.process

NAMES = {
    "bridge_events_total": {"type", "outcome"},
    "bridge_ingest_seconds_count": set(),
    "bridge_msisdn_total": {"field", "result"},
    "bridge_deliveries_total": {"kind", "outcome"},
    "bridge_upstream_seconds_count": {"upstream", "kind"},
    "bridge_event_to_delivery_seconds_count": {"kind"},
    "bridge_upstream_responses_total": {"upstream", "status"},
    "bridge_outbox_pending": {"kind"},
    "bridge_outbox_oldest_seconds": set(),
    "bridge_dead_letters": set(),
    "bridge_quarantined": set(),
    "bridge_contacts_total": {"outcome"},
    "bridge_calls_active": set(),
    "bridge_breaker_state": {"upstream"},
    "bridge_build_info": {"version"},
}
PROMETHEUS = """\
global: {{scrape_interval: 250ms}}
scrape_configs:
  - job_name: bridge
    static_configs: [{{targets: ["{target}"]}}]
"""


def program(name: str) -> str:
    """Return where a program is, or skip the test."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing; on Debian: apt-get install prometheus")
    return found


@pytest.fixture
def busy(site: Site) -> Site:
    """A site through which a call has just gone."""
    reference = new_reference()
    site.settle(
        event("call.answered", reference, callerNumber=new_number(), **AGENT),
        event("call.ended", reference, **AGENT),
    )
    return site


def test_every_metric_of_the_contract_is_there_with_its_labels(busy: Site) -> None:
    labels: dict[str, set[str]] = {}
    for series in busy.daemon.metrics():
        name, _, inside = series.rstrip("}").partition("{")
        labels[name] = {pair.partition("=")[0] for pair in inside.split(",") if pair}
    assert {name: labels.get(name) for name in NAMES} == NAMES


MOVED = {
    'bridge_events_total{outcome="accepted",type="call.answered"}': 1,
    'bridge_events_total{outcome="accepted",type="call.ended"}': 1,
    'bridge_deliveries_total{kind="new_errand",outcome="delivered"}': 1,
    'bridge_deliveries_total{kind="end_errand",outcome="delivered"}': 1,
    'bridge_deliveries_total{kind="contact_card",outcome="delivered"}': 1,
    'bridge_contacts_total{outcome="created"}': 1,
}


def test_a_call_moves_the_counters_by_what_it_is(site: Site) -> None:
    before = site.daemon.metrics()

    def moved() -> dict[str, float]:
        names = ("bridge_events_total", "bridge_deliveries", "bridge_contacts")
        return {
            series: value - before.get(series, 0.0)
            for series, value in site.daemon.metrics().items()
            if series.startswith(names) and value != before.get(series, 0.0)
        }

    reference = new_reference()
    site.settle(
        event("call.answered", reference, callerNumber=new_number(), **AGENT),
        event("call.ended", reference, **AGENT),
    )
    # The counts of deliveries follow what is recorded by a moment.
    eventually(lambda: sum(moved().values()) >= sum(MOVED.values()))
    assert moved() == MOVED


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/plain", "text/plain"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_metrics_come_in_the_form_that_is_asked_for(busy: Site, accept: str, expected: str) -> None:
    reply = busy.daemon.admin.request("GET", "/metrics", headers={"Accept": accept})
    assert (reply.status, reply.media_type) == (200, expected)
    assert reply.body.endswith(b"# EOF\n") == (expected != "text/plain")


@pytest.mark.service
def test_promtool_finds_nothing_to_say_of_the_metrics(busy: Site) -> None:
    checked = subprocess.run(  # noqa: S603 - the distribution's own program
        [program("promtool"), "check", "metrics"],
        input=busy.daemon.admin.get("/metrics").body,
        env=bare_environment({}),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.fixture
def prometheus(busy: Site, tmp_path: Path) -> Iterator[Client]:
    """A Prometheus that scrapes the site."""
    config = tmp_path / "prometheus.yml"
    config.write_text(PROMETHEUS.format(target=busy.daemon.admin.url.removeprefix("http://")))
    address = f"{LOOPBACK}:{free_port(0)}"
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - the distribution's own program
            command, env=bare_environment({}), stdout=log, stderr=log, cwd=tmp_path
        )
    try:
        yield Client(f"http://{address}")
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.service
def test_prometheus_scrapes_the_bridge(prometheus: Client) -> None:
    query = quote('bridge_events_total{type="call.answered",outcome="accepted"}')

    def value() -> float:
        try:
            found = prometheus.get(f"/api/v1/query?query={query}").json["data"]["result"]
        except (OSError, ValueError, KeyError):
            return 0.0
        return float(found[0]["value"][1]) if found else 0.0

    assert eventually(value, every_s=0.1) >= 1
    up = prometheus.get("/api/v1/query?query=up").json["data"]["result"]
    assert [one["value"][1] for one in up] == ["1"]
