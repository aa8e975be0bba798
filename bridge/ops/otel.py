"""Traces by OpenTelemetry. Only `ops.tracing` loads this, and only where a site wants traces.

What leaves here is a few fixed words, numbers, and the references of calls. Of what callers send
along, only the ids in `traceparent` are taken; their `tracestate` and `baggage` may hold anything.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Self
from urllib.parse import urlsplit

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import (
    SpanKind,
    Status,
    StatusCode,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bridge import __version__
from bridge.ports import NO_SPAN, Clock, Exemplar, Headers, Log, Parcel, Span

HEADER: Final = "traceparent"
# Of later versions, which may say more.
HEADER_CHARS_MAX: Final = 512
# What may wait to be exported; what comes when so many do pushes the oldest out.
QUEUE_MAX: Final = 4096
BATCH_MAX: Final = 512
EVERY_MS: Final = 1000
# One request to the collector, repetitions included.
EXPORT_S: Final = 5.0
TEXT_CHARS_MAX: Final = 256
_PREFIX: Final = "bridge."
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class OtelTracing:
    """Makes spans, and exports them from a thread of its own. A `Tracing`."""

    def __init__(
        self,
        endpoint: str,
        *,
        service: str,
        sample_ratio: float,
        clock: Clock,
        log: Log,
    ) -> None:
        """Begin to export; see `ops.tracing.open_tracing`."""
        _silence()
        session = requests.Session()
        # No proxies and no .netrc of whoever started the bridge: the collector is named.
        session.trust_env = False
        self._exporter = _Watched(
            OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=EXPORT_S, session=session), log
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
            resource=Resource.create({"service.name": service, "service.version": __version__}),
            # The daemon ends it, and doesn't wait for ever.
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attribute_length=TEXT_CHARS_MAX),
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=QUEUE_MAX,
                schedule_delay_millis=EVERY_MS,
                max_export_batch_size=BATCH_MAX,
            )
        )
        self._clock = clock
        self.tracer = OtelTracer(self._provider, clock.now_us)

    async def close(self, within_s: float) -> None:
        """Export what is left, for so long at most.

        A thread that hangs at the collector is left behind; it keeps no process from ending.
        """
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop is over
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=shut_down, name="traces", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(within_s):
                await done.wait()
        self._exporter.is_over = True


class OtelTracer:
    """A `ports.Tracer`. Spans go by the bridge's clock, as its logs do."""

    def __init__(self, provider: TracerProvider, now_us: Callable[[], int]) -> None:
        """Make spans by this provider."""
        self._tracer = provider.get_tracer("aventa-bridge", __version__)
        self._now_us = now_us

    def request(self, headers: Headers) -> Span:
        """Begin a request to the door, as a part of what its caller traces."""
        given = headers.getall(HEADER, [])
        # Of several no one is the right one.
        parent = given[0] if len(given) == 1 else None
        return self._begin(
            "POST /v1/events",
            parent,
            SpanKind.SERVER,
            {"http.request.method": "POST", "url.path": "/v1/events"},
        )

    def event(self, parent: str | None) -> Span:
        """Begin an event of a request."""
        return self._begin("event", parent)

    def attempt(self, parcel: Parcel) -> Span:
        """Begin an attempt at a delivery."""
        about = {**_about(parcel), "bridge.attempt": parcel.attempts}
        return self._begin(f"deliver {parcel.kind.value}", parcel.trace, attributes=about)

    def looked_up(self, parcel: Parcel) -> Span:
        """Begin the end of a doubt about a delivery."""
        return self._begin(f"look up {parcel.kind.value}", parcel.trace, attributes=_about(parcel))

    def sending(self, method: str, url: str, parent: str | None) -> Span:
        """Begin a request to an upstream; without a parent it is of nobody's trace."""
        if parent is None:
            return NO_SPAN
        about = {"http.request.method": method, **_server_of(url)}
        return self._begin(method, parent, SpanKind.CLIENT, about)

    def _begin(
        self,
        name: str,
        parent: str | None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int] | None = None,
    ) -> Span:
        now_us = self._now_us
        span = self._tracer.start_span(
            name,
            context=context_of(parent),
            kind=kind,
            attributes=attributes,
            start_time=now_us() * 1000,
        )
        return _Span(span, kind, now_us)


class _Span:
    """A `ports.Span`."""

    __slots__ = ("_kind", "_now_us", "_span", "exemplar", "marks", "traceparent")

    def __init__(self, span: OtelSpan, kind: SpanKind, now_us: Callable[[], int]) -> None:
        self._span = span
        self._kind = kind
        self._now_us = now_us
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, set_span_in_context(span, Context()))
        context = span.get_span_context()
        self.traceparent: str | None = carrier.get(HEADER)
        self.marks: Mapping[str, str] = {}
        # It isn't where the environment has turned the library off (OTEL_SDK_DISABLED).
        if context.is_valid:
            self.marks = {"trace_id": format_trace_id(context.trace_id)}
        self.exemplar: Exemplar | None = dict(self.marks) if context.trace_flags.sampled else None

    def say(self, name: str, value: str | int) -> None:
        """Note something of it; an empty text says nothing."""
        if value != "":
            self._span.set_attribute(_PREFIX + name, value)
        if name == "event.type" and value:
            self._span.update_name(f"event {value}")

    def answered(self, status: int) -> None:
        """Note the HTTP status that it was answered with.

        A 4xx is a failure of whoever asked. Source: OpenTelemetry's "Semantic conventions for HTTP
        spans", "Status".
        """
        self._span.set_attribute("http.response.status_code", status)
        if status >= (500 if self._kind is SpanKind.SERVER else 400):
            self.fail(str(status))

    def fail(self, why: str) -> None:
        """Note that it failed."""
        self._span.set_attribute("error.type", why)
        self._span.set_status(Status(StatusCode.ERROR))

    def __enter__(self) -> Self:
        """Begin the work."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        """End it; of what it ended in, the text is not told."""
        if kind is not None:
            self.fail(kind.__name__)
        self._span.end(self._now_us() * 1000)


class _Watched(SpanExporter):
    """An exporter whose failures are told once, and harm nobody."""

    def __init__(self, inner: SpanExporter, log: Log) -> None:
        self._inner = inner
        self._log = log
        self._is_well = True
        self.is_over = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch, from the exporting thread."""
        try:
            result = self._inner.export(spans)
        except Exception:  # noqa: BLE001 - whatever it is, it is about traces alone
            result = SpanExportResult.FAILURE
        is_well = result is SpanExportResult.SUCCESS
        if is_well is not self._is_well and not self.is_over:
            self._is_well = is_well
            if is_well:
                self._log.info("traces are exported again")
            else:
                self._log.warning("traces can't be exported, and are dropped")
        return result

    def shutdown(self) -> None:
        """Break off what is under way."""
        self._inner.shutdown()


def context_of(traceparent: str | None) -> Context:
    """Return what a span with this parent is begun in: as a trace's first, if it is no valid one.

    Source: W3C Trace Context §3.2; of its versions, as OpenTelemetry reads them.
    """
    if traceparent is None or len(traceparent) > HEADER_CHARS_MAX:
        return Context()
    return _PROPAGATOR.extract({HEADER: traceparent}, Context())


def _about(parcel: Parcel) -> dict[str, Any]:
    about = {"kind": parcel.kind.value, "route": parcel.route, "reference": parcel.reference_id}
    return {_PREFIX + name: value for name, value in about.items() if value}


@lru_cache(maxsize=256)
def _server_of(url: str) -> dict[str, str | int]:
    """Return where a URL leads, and no more of it: the rest of the onward one may be secret."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}


def _silence() -> None:
    """Keep the libraries from telling of failures themselves: once for each batch, and with texts.

    A collector's answer may hold anything.
    """
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
