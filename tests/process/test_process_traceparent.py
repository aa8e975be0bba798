"""A caller's traceparent that is none: the events of one daemon, each of a trace of its own."""

import json
from collections.abc import Iterator

import pytest
from process_client import AGENT, JSON, event, new_reference
from process_collector import REMOTE_SPAN, REMOTE_TRACE, TRACEPARENT, Collector
from process_daemon import Site, running_site

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector.running() as running:
        yield running


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("traced")
    with running_site(folder, TRACING__ENDPOINT=collector.url) as site:
        yield site


@pytest.mark.parametrize(
    "hostile",
    [
        f"ff-{REMOTE_TRACE}-{REMOTE_SPAN}-01",
        f"00-{'0' * 32}-{REMOTE_SPAN}-01",
        TRACEPARENT.upper(),
        TRACEPARENT + "0" * 4000,
        f"{TRACEPARENT}, {TRACEPARENT}",
        "\N{LATIN SMALL LETTER A WITH RING ABOVE}",
        "",
    ],
)
def test_a_traceparent_that_is_none_is_passed_over(
    traced: Site, collector: Collector, hostile: str
) -> None:
    reference = new_reference()
    body = event("call.answered", reference, **AGENT)
    assert traced.daemon.events.post(body, JSON, traceparent=hostile).status == 202
    assert collector.by_reference(reference).trace_id != REMOTE_TRACE


def test_of_two_traceparents_neither_is_taken(traced: Site, collector: Collector) -> None:
    reference = new_reference()
    body = json.dumps(event("call.answered", reference, **AGENT))
    head = "POST /v1/events HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n"
    head += f"traceparent: {TRACEPARENT}\r\nTraceParent: {TRACEPARENT}\r\n"
    head += f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    assert b" 202 " in traced.daemon.events.raw((head + body).encode())
    assert collector.by_reference(reference).trace_id != REMOTE_TRACE
