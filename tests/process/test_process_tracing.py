"""Traces: from whoever posts, through the store, to the request that Cention gets."""

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process_client import AGENT, JSON, event, new_number, new_reference
from process_collector import REMOTE_SPAN, REMOTE_TRACE, TRACEPARENT, Collector, Seen
from process_daemon import Daemon, NewSite, Site, minimal_settings, put_store, run_to_end
from process_receiver import Trap
from process_upstream import CARD, NEW, Answer, Gate, Upstream, eventually

pytestmark = pytest.mark.process

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
# What a daemon would be that tells, at its end, which modules it has loaded.
TELLING = (
    "import atexit, sys; atexit.register(lambda: print('loaded', *sys.modules, flush=True));"
    "from bridge.__main__ import main; main()"
)
BARE = "import sys; sys.modules['opentelemetry'] = None; from bridge.__main__ import main; main()"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector.running() as running:
        yield running


@pytest.fixture
def traced(new_site: NewSite, collector: Collector) -> Site:
    return new_site(TRACING__ENDPOINT=collector.url)


def post(site: Site, body: object, traceparent: str | None = TRACEPARENT) -> None:
    headers = {} if traceparent is None else {"traceparent": traceparent}
    reply = site.daemon.events.post(body, JSON, **headers)
    assert reply.status in {200, 202}, reply


def traces_kept(site: Site) -> list[tuple[str, str | None]]:
    path = site.daemon.settings["BRIDGE_STORE__URL"].removeprefix("sqlite:///")
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT kind, trace FROM outbox ORDER BY id").fetchall()
    finally:
        connection.close()


def lines_of(site: Site, name: str) -> list[dict[str, Any]]:
    return [line for line in site.daemon.log() if line["event"] == name]


def test_one_tree_leads_from_the_caller_to_the_request_that_cention_gets(
    traced: Site, collector: Collector
) -> None:
    reference = new_reference()
    post(traced, event("call.answered", reference, **AGENT))
    (client,) = collector.wait("POST", REMOTE_TRACE)
    (attempt,) = collector.wait("deliver new_errand", REMOTE_TRACE)
    (one,) = collector.wait("event call.answered", REMOTE_TRACE)
    (server,) = collector.wait("POST /v1/events", REMOTE_TRACE)
    assert [server.kind, one.kind, attempt.kind, client.kind] == [
        "SERVER",
        "INTERNAL",
        "INTERNAL",
        "CLIENT",
    ]
    assert server.parent_id == REMOTE_SPAN
    assert one.parent_id == server.span_id
    assert attempt.parent_id == one.span_id
    assert client.parent_id == attempt.span_id
    (seen,) = traced.upstream.of_call(reference)
    assert seen.header("traceparent") == [f"00-{REMOTE_TRACE}-{client.span_id}-01"]
    assert one.said == {
        "bridge.event.type": "call.answered",
        "bridge.reference": reference,
        "bridge.route": "default",
        "bridge.outcome": "accepted",
        "bridge.rule": "default-errand",
    }
    assert attempt.said == {
        "bridge.kind": "new_errand",
        "bridge.route": "default",
        "bridge.reference": reference,
        "bridge.attempt": 1,
        "bridge.outcome": "delivered",
        "bridge.status": 201,
    }
    assert client.said["http.response.status_code"] == 201
    assert not any(span.is_error for span in collector.spans())
    assert collector.resources[0]["service.name"] == "aventa-bridge"


def test_what_nobody_traced_before_gets_a_trace_of_its_own(
    traced: Site, collector: Collector
) -> None:
    reference = new_reference()
    post(traced, event("call.answered", reference, **AGENT), None)
    found = collector.by_reference(reference)
    (server,) = collector.wait("POST /v1/events", found.trace_id)
    assert server.parent_id == ""
    assert collector.wait("POST", found.trace_id)


def test_a_delivery_after_a_crash_is_of_the_same_trace(traced: Site, collector: Collector) -> None:
    reference = new_reference()
    traced.upstream.answer_next(NEW, Answer(status=503, headers={"Retry-After": "2"}))
    post(traced, event("call.answered", reference, **AGENT))
    (one,) = collector.wait("event call.answered", REMOTE_TRACE)
    (first,) = collector.wait("deliver new_errand", REMOTE_TRACE)
    traced.daemon.kill9()
    traced.daemon.start()
    attempts = collector.wait("deliver new_errand", REMOTE_TRACE, 2)
    assert {span.parent_id for span in attempts} == {one.span_id}
    assert first.is_error
    assert [span.said["bridge.outcome"] for span in attempts] == ["retried", "delivered"]
    (again,) = [span for span in collector.wait("POST", REMOTE_TRACE, 2) if not span.is_error]
    assert again.parent_id == attempts[1].span_id
    assert len(traced.upstream.of_call(reference)) == 2


def test_a_batch_is_one_request_with_a_span_for_each_event(
    traced: Site, collector: Collector
) -> None:
    first = event("call.queued")
    odd = event("call.answered") | {"occurredAt": "yesterday"}
    many = [event("call.queued") for _ in range(497)]
    post(traced, [first, first, odd, *many])

    def events() -> list[Seen]:
        found = [one for one in collector.spans(REMOTE_TRACE) if one.name.startswith("event ")]
        return found if len(found) == 500 else []

    found = eventually(events)
    (server,) = collector.wait("POST /v1/events", REMOTE_TRACE)
    assert {one.parent_id for one in found} == {server.span_id}
    outcomes = [one.said["bridge.outcome"] for one in found]
    assert {name: outcomes.count(name) for name in outcomes} == {
        "accepted": 498,
        "duplicate": 1,
        "rejected": 1,
    }
    assert [one.name for one in found if one.is_error] == ["event call.answered"]


def test_what_is_refused_ends_in_an_error(traced: Site, collector: Collector) -> None:
    kept = event("call.queued")
    post(traced, kept, None)
    refused: list[object] = [kept | {"queueName": "Other"}, b"{", [], {"eventType": "call.queued"}]
    for body in refused:
        assert traced.post(body).status in {400, 409, 422}

    def failed() -> list[tuple[str, str]]:
        found = sorted(
            (one.name, one.said["bridge.outcome"])
            for one in collector.spans()
            if one.is_error and "bridge.outcome" in one.said
        )
        return found if len(found) == 4 else []

    assert eventually(failed) == [
        ("POST /v1/events", "rejected"),
        ("POST /v1/events", "rejected"),
        ("event call.queued", "conflict"),
        ("event call.queued", "rejected"),
    ]


def test_a_card_is_of_the_trace_of_what_it_tells_last(traced: Site, collector: Collector) -> None:
    number, gate = new_number(), Gate()
    traced.upstream.answer_next(CARD, Answer(status=503, headers={"Retry-After": "1"}, gate=gate))
    post(traced, event("call.queued", callerNumber=number), None)
    traced.upstream.wait_for(lambda upstream: upstream.of_number(number))
    post(traced, event("call.queued", callerNumber=number, callerName="Ada"))
    gate.open()
    (attempt,) = collector.wait("deliver contact_card", REMOTE_TRACE)
    assert attempt.said["bridge.attempt"] == 2


def test_the_trace_is_in_the_log_and_on_the_histograms(traced: Site, collector: Collector) -> None:
    reference = new_reference()
    post(traced, event("call.answered", reference, **AGENT))
    collector.wait("deliver new_errand", REMOTE_TRACE)
    (line,) = [one for one in lines_of(traced, "delivery") if one["reference"] == reference]
    assert line["trace_id"] == REMOTE_TRACE
    text = traced.daemon.admin.request("GET", "/metrics", headers=OPENMETRICS).body.decode()
    marked = {
        line.partition("_bucket{")[0]
        for line in text.splitlines()
        if f'# {{trace_id="{REMOTE_TRACE}"}}' in line
    }
    assert marked == {
        "bridge_ingest_seconds",
        "bridge_upstream_seconds",
        "bridge_event_to_delivery_seconds",
    }
    assert "trace_id" not in traced.daemon.admin.get("/metrics").body.decode()


def test_what_the_caller_does_not_sample_is_kept_nowhere_and_passed_on(
    traced: Site, collector: Collector
) -> None:
    reference = new_reference()
    post(traced, event("call.answered", reference, **AGENT), TRACEPARENT[:-2] + "00")
    traced.daemon.drain()
    (seen,) = traced.upstream.of_call(reference)
    (header,) = seen.header("traceparent")
    assert (header[:36], header[-2:]) == (f"00-{REMOTE_TRACE}-", "00")
    traced.daemon.terminate()
    assert collector.spans(REMOTE_TRACE) == []


def test_nothing_that_somebody_is_called_or_has_said_is_in_a_trace(
    new_site: NewSite, collector: Collector
) -> None:
    planted = ["Planted Name", "planted reason", "planted comment", "planted-token", "70999"]
    site = new_site(
        TRACING__ENDPOINT=collector.url,
        HTTP__AUTH_TOKENS='["planted-token-of-the-door"]',
        CENTION__TOKEN="planted-token-of-cention",
    )
    said: dict[str, Any] = {
        "callerNumber": "+46709991234",
        "callerName": "Planted Name",
        "extraData": {"callReason": "planted reason", "comment": "planted comment"},
    }
    headers = {
        "Authorization": "Bearer planted-token-of-the-door",
        "traceparent": TRACEPARENT,
        "tracestate": "vendor=planted-token",
        "baggage": "name=planted%20reason,other=planted-token",
    }
    site.upstream.answer_next(NEW, Answer(status=422, body=b'{"errors":[{"title":"planted"}]}'))
    for body in (
        event("call.answered", **said, **AGENT),
        event("call.answered", **said, **AGENT) | {"occurredAt": "planted reason"},
        [event("voicemail.left", **said), {"eventType": "planted reason"}],
        b'{"planted reason',
    ):
        site.daemon.events.post(body, JSON, **headers)
    site.daemon.drain()
    site.daemon.terminate()
    assert len(collector.spans()) >= 10
    told = b"".join(collector.raw)
    assert [word for word in planted if word.encode() in told] == []
    assert all("tracestate" not in dict(seen.headers) for seen in site.upstream.seen)


@pytest.mark.parametrize("fault", ["away", "hangs", "refuses"])
def test_a_collector_that_fails_slows_nothing_and_loses_no_event(
    new_site: NewSite, collector: Collector, fault: str
) -> None:
    trap = Trap()
    trap.close()
    url = f"http://127.0.0.1:{trap.port}" if fault == "away" else collector.url
    if fault == "hangs":
        collector.hang()
    if fault == "refuses":
        collector.status = 400
    site = new_site(TRACING__ENDPOINT=url)
    references = [new_reference() for _ in range(20)]
    for reference in references:
        site.accept(event("call.answered", reference, callerName="Planted Name", **AGENT))
    site.daemon.drain()
    assert all(len(site.upstream.of_call(reference)) == 1 for reference in references)
    if fault == "hangs":
        eventually(lambda: collector.requests)
    else:
        site.daemon.wait_line(lambda line: line["event"].startswith("traces can't"))
    assert site.daemon.terminate(10.0) == 0
    assert len(lines_of(site, "traces can't be exported, and are dropped")) <= 1
    assert "Planted" not in "".join(site.daemon.lines)
    assert lines_of(site, "library warning") == []


def test_what_no_event_said_begins_a_trace(new_site: NewSite, collector: Collector) -> None:
    site = new_site(TRACING__ENDPOINT=collector.url, CALLS__SETTLE_SECONDS="0.5")
    number = new_number()
    post(site, event("call.ended", callerNumber=number, **AGENT))
    (one,) = collector.wait("event call.abandoned")
    (attempt,) = collector.wait("deliver contact_card")
    assert (one.parent_id, one.said["bridge.outcome"]) == ("", "inferred")
    assert (attempt.trace_id, attempt.parent_id) == (one.trace_id, one.span_id)


def test_a_stop_exports_what_was_traced_last(traced: Site, collector: Collector) -> None:
    reference = new_reference()
    post(traced, event("call.answered", reference, **AGENT))
    assert traced.daemon.terminate() == 0
    assert {one.name for one in collector.spans(REMOTE_TRACE)} >= {
        "POST /v1/events",
        "event call.answered",
    }


def test_a_reload_leaves_traces_as_they_are_and_says_so(
    new_site: NewSite, tmp_path: Path, collector: Collector
) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text("")
    site = new_site("--config", config)
    config.write_text(f'[tracing]\nendpoint = "{collector.url}"\n')
    site.daemon.reload()
    (line,) = lines_of(site, "this setting changes with a restart only")
    assert line["key"] == "tracing"


def test_without_the_extra_a_start_says_what_to_install(tmp_path: Path) -> None:
    settings = minimal_settings("http://127.0.0.1:9", tmp_path)
    settings["BRIDGE_TRACING__ENDPOINT"] = "http://127.0.0.1:4318"
    ended = run_to_end(settings, command=(sys.executable, "-c", BARE, "run"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        (
            "tracing.endpoint: needs what is not installed; pip install 'aventa-bridge[otel]', "
            "or leave it out (from BRIDGE_TRACING__ENDPOINT)"
        )
    ]


def test_by_default_nothing_is_traced_kept_passed_on_or_loaded(tmp_path: Path) -> None:
    put_store(tmp_path)
    upstream = Upstream()
    upstream.open()
    daemon = Daemon(
        minimal_settings(upstream.url, tmp_path), command=(sys.executable, "-c", TELLING, "run")
    )
    site = Site(daemon.start(), upstream)
    try:
        reference = new_reference()
        post(site, event("call.answered", reference, callerNumber=new_number(), **AGENT))
        daemon.drain()
        assert traces_kept(site) == [("new_errand", None), ("contact_card", None)]
        assert len(upstream.seen) == 2
        assert not any(seen.header("traceparent") for seen in upstream.seen)
        assert not any("trace_id" in line for line in daemon.log())
        assert daemon.terminate() == 0
        (loaded,) = [line["text"] for line in daemon.log() if "bridge.services" in str(line)]
        modules = loaded.split()
        assert "bridge.ops.tracing" in modules
        foreign = ("opentelemetry", "requests", "google", "bridge.ops.otel")
        assert [name for name in modules if name.startswith(foreign)] == []
    finally:
        daemon.close()
        upstream.close()
