"""What is traced of events at the door: nothing that somebody is called or has said."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

from bridge.ports import NO_SPAN, Span, Tracer
from bridge.services.ingest import Arrival, Receipt

_WHY: Final = {409: "conflict", 503: "unavailable"}
# The spans of ten thousand events would stop everything for seconds, and drown the collector.
TRACED_MAX: Final = 500
_NOT_REFUSED: Final = frozenset({200, 202})


@contextlib.contextmanager
def begun(tracer: Tracer, parent: Span, count: int) -> Iterator[Sequence[Span]]:
    """Begin the spans of a batch's events, and end them with the block; of many, of the first."""
    if parent is NO_SPAN:
        yield [NO_SPAN] * count
        return
    traced = min(count, TRACED_MAX)
    with contextlib.ExitStack() as stack:
        spans = [stack.enter_context(tracer.event(parent.traceparent)) for _ in range(traced)]
        yield [*spans, *[NO_SPAN] * (count - traced)]


def kept(span: Span, arrival: Arrival, receipt: Receipt | Exception) -> None:
    """Say what an event that was let in is, and what became of it."""
    if span is NO_SPAN:
        return
    event = arrival.event
    span.say("event.type", event.type.value)
    span.say("reference", event.call_reference)
    span.say("route", event.route)
    if isinstance(receipt, Receipt):
        span.say("outcome", receipt.taken.value)
        span.say("rule", receipt.effect.rule)


def refused(span: Span, status: int, event_type: str = "") -> None:
    """Say that an event, or a whole body, was not taken, if this status says so."""
    if span is NO_SPAN or status in _NOT_REFUSED:
        return
    why = _WHY.get(status, "rejected")
    span.say("event.type", event_type)
    span.say("outcome", why)
    span.fail(why)
