"""A collector of traces, as OTLP over HTTP has it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from process_upstream import DEADLINE_S, eventually

from bridge.sandbox.serve import LOOPBACK

REMOTE_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
REMOTE_SPAN: Final = "00f067aa0ba902b7"
TRACEPARENT: Final = f"00-{REMOTE_TRACE}-{REMOTE_SPAN}-01"


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as it came."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    is_error: bool
    said: dict[str, Any]
    micros: tuple[int, int]


class Collector:
    """Keeps what is exported; it may be told to hang, or to refuse everything."""

    def __init__(self) -> None:
        self.status = 200
        self.raw: list[bytes] = []
        self.resources: list[dict[str, Any]] = []
        self.requests = 0
        self._spans: list[Seen] = []
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self.url = ""

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Give one that is listening."""
        made = cls()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(made.take(self.path, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
            server.daemon_threads = True
            made.url = f"http://{LOOPBACK}:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield made
            finally:
                made.let_go()
                server.shutdown()
                thread.join(DEADLINE_S)

    def hang(self) -> None:
        """Answer nobody until `let_go`."""
        self._open.clear()

    def let_go(self) -> None:
        self._open.set()

    def take(self, path: str, body: bytes) -> int:
        with self._lock:
            self.requests += 1
        self._open.wait(DEADLINE_S)
        if path != "/v1/traces" or self.status != 200:
            return self.status if self.status != 200 else 404
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            self.raw.append(body)
            for resource in request.resource_spans:
                self.resources.append(_said(resource.resource.attributes))
                for scope in resource.scope_spans:
                    self._spans += [_seen(span) for span in scope.spans]
        return 200

    def spans(self, trace_id: str = "") -> list[Seen]:
        """Return what came of a trace, or of all, the earliest first."""
        with self._lock:
            found = [one for one in self._spans if trace_id in {"", one.trace_id}]
        return sorted(found, key=lambda one: one.micros)

    def wait(self, name: str, trace_id: str = "", count: int = 1) -> list[Seen]:
        """Return the spans of this name, once there are so many."""

        def found() -> list[Seen]:
            named = [one for one in self.spans(trace_id) if one.name == name]
            return named if len(named) >= count else []

        return eventually(found)

    def by_reference(self, reference: str) -> Seen:
        """Return the event that brought this reference."""

        def found() -> list[Seen]:
            return [
                one
                for one in self.spans()
                if one.name.startswith("event") and one.said.get("bridge.reference") == reference
            ]

        return eventually(found)[0]


def _said(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def _seen(span: Span) -> Seen:
    return Seen(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        is_error=span.status.code == Status.STATUS_CODE_ERROR,
        said=_said(span.attributes),
        micros=(span.start_time_unix_nano // 1000, span.end_time_unix_nano // 1000),
    )
