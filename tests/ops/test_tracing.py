import re
from collections.abc import Callable

import pytest
from multidict import CIMultiDict
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from bridge.domain.contacts import EMPTY_CARD
from bridge.domain.deliveries import Kind
from bridge.ops.clock import SystemClock
from bridge.ops.otel import OtelTracer
from bridge.ops.tracing import NoTracing, open_tracing
from bridge.ports import NO_SPAN, NO_TRACER, Log, Parcel

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
PARCEL = Parcel(
    id=1,
    key="contact:p1",
    lane="contact:p1",
    kind=Kind.CONTACT_CARD,
    route="default",
    source="",
    reference_id="",
    accepted_us=1,
    first_us=1,
    attempts=3,
    payload=EMPTY_CARD,
    trace=PARENT,
)


class Site:
    """A tracer whose spans can be looked at."""

    def __init__(self, ratio: float = 1.0) -> None:
        self.us = 1_000_000
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(ratio)))
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = OtelTracer(provider, lambda: self.us)

    def trace_of(self, *headers: str) -> str:
        """Return the trace that a request with these headers is of."""
        given = CIMultiDict([("TraceParent", one) for one in headers])
        with self.tracer.request(given) as span:
            return span.marks["trace_id"]

    @property
    def spans(self) -> list[tuple[str, dict[str, object], bool]]:
        return [
            (one.name, dict(one.attributes or {}), not one.status.is_unset)
            for one in self._kept.get_finished_spans()
        ]


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.mark.parametrize(
    "header",
    [
        PARENT,
        f"00-{TRACE}-{SPAN}-00",
        f"00-{TRACE}-{SPAN}-ff",
        # A later version may have more to say: what this one knows is read (W3C §3.2.1).
        f"cc-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
    ],
)
def test_a_callers_trace_is_continued(site: Site, header: str) -> None:
    assert site.trace_of(header) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "x",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        PARENT.upper(),
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01.",
        f"cc-{TRACE}-{SPAN}-01.what",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN}0-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"0x-{TRACE}-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE[:-1]}\N{FULLWIDTH DIGIT ONE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01" + "0" * 100_000,
        f"cc-{TRACE}-{SPAN}-01-" + "x" * 100_000,
        f"{PARENT},{PARENT}",
        f"{PARENT}\n{PARENT}",
        f"\x00{PARENT}",
        f"\udcff{PARENT}",
        "-" * 100_000,
        "0" * 100_000,
    ],
)
def test_a_header_that_is_none_is_passed_over(site: Site, header: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", trace := site.trace_of(header))
    assert trace not in {TRACE, "0" * 32}


def test_of_several_headers_none_is_taken(site: Site) -> None:
    assert site.trace_of(PARENT, PARENT) != TRACE


def test_what_is_kept_of_a_trace_is_enough_to_go_on_with_it(site: Site) -> None:
    with site.tracer.event(PARENT) as one:
        assert one.traceparent is not None
        assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", one.traceparent)
    with site.tracer.event(one.traceparent) as other:
        assert other.marks == {"trace_id": TRACE}
        assert other.exemplar == {"trace_id": TRACE}


def test_what_was_kept_and_is_no_trace_harms_nothing(site: Site) -> None:
    with site.tracer.event("what an older release left") as one:
        assert one.traceparent is not None


def test_what_a_caller_does_not_sample_has_no_exemplar(site: Site) -> None:
    with site.tracer.event(f"00-{TRACE}-{SPAN}-00") as span:
        assert (span.exemplar, span.marks) == (None, {"trace_id": TRACE})
        assert span.traceparent is not None
        assert span.traceparent.endswith("-00")
    assert site.spans == []


def test_the_share_is_of_what_no_caller_traces() -> None:
    site = Site(ratio=0.0)
    for parent in (None, PARENT):
        with site.tracer.event(parent):
            pass
    assert len(site.spans) == 1


def test_a_request_that_is_of_nobodys_trace_is_not_traced(site: Site) -> None:
    assert site.tracer.sending("GET", "https://cention.example/x", None) is NO_SPAN


def test_of_an_address_no_more_than_host_and_port_is_told(site: Site) -> None:
    with site.tracer.sending("POST", "https://u:p@crm.example/hook?key=planted", PARENT) as span:
        span.answered(404)
    told = {
        "http.request.method": "POST",
        "server.address": "crm.example",
        "server.port": 443,
        "http.response.status_code": 404,
        "error.type": "404",
    }
    assert site.spans == [("POST", told, True)]


@pytest.mark.parametrize(("status", "is_error"), [(202, False), (422, False), (503, True)])
def test_a_request_to_the_door_fails_by_a_5xx_alone(
    site: Site, status: int, *, is_error: bool
) -> None:
    with site.tracer.request(CIMultiDict()) as span:
        span.answered(status)
    assert [one[2] for one in site.spans] == [is_error]


def test_an_attempt_says_what_is_delivered_and_nothing_that_it_lacks(site: Site) -> None:
    with site.tracer.attempt(PARCEL) as span:
        span.say("status", "")
        span.fail("retried")
    told = {
        "bridge.kind": "contact_card",
        "bridge.route": "default",
        "bridge.attempt": 3,
        "error.type": "retried",
    }
    assert site.spans == [("deliver contact_card", told, True)]


def test_an_end_by_an_exception_tells_its_kind_and_not_its_text(site: Site) -> None:
    with pytest.raises(ValueError, match="planted"), site.tracer.looked_up(PARCEL):
        raise ValueError("planted")
    ((name, told, is_error),) = site.spans
    assert (name, is_error, told["error.type"]) == ("look up contact_card", True, "ValueError")
    assert "planted" not in str(told)


def test_a_library_that_the_environment_turned_off_traces_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with Site().tracer.request(CIMultiDict()) as span:
        span.say("x", 1)
        span.answered(500)
    assert (span.traceparent, span.marks, span.exemplar) == (None, {}, None)


def test_spans_go_by_the_bridges_clock() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    times = iter((5_000_000, 7_000_000))
    with OtelTracer(provider, lambda: next(times)).event(None):
        pass
    (span,) = exporter.get_finished_spans()
    assert (span.start_time, span.end_time) == (5_000_000_000, 7_000_000_000)


class Hush:
    """A log that says nothing."""

    def debug(self, event: str, **fields: object) -> None:
        pass

    info = warning = error = debug


async def test_without_an_endpoint_nothing_is_traced() -> None:
    log: Log = Hush()
    tracing = open_tracing(None, service="x", sample_ratio=1.0, clock=SystemClock(), log=log)
    assert isinstance(tracing, NoTracing)
    assert tracing.tracer is NO_TRACER
    await tracing.close(1.0)


@pytest.mark.parametrize(
    "begin",
    [
        lambda: NO_TRACER.request(CIMultiDict()),
        lambda: NO_TRACER.event(PARENT),
        lambda: NO_TRACER.attempt(PARCEL),
        lambda: NO_TRACER.looked_up(PARCEL),
        lambda: NO_TRACER.sending("POST", "https://cention.example", PARENT),
    ],
)
def test_where_nothing_is_traced_there_is_one_span_for_all(begin: Callable[[], object]) -> None:
    with NO_SPAN as span:
        assert begin() is span
        span.say("x", 1)
        span.answered(500)
        span.fail("x")
    assert (span.traceparent, dict(span.marks), span.exemplar) == (None, {}, None)
