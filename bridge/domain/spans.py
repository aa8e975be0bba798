"""Spans: what is known of one run of a reference's events, whatever order they came in."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from bridge.domain.deliveries import EndErrand, NewErrand
from bridge.domain.events import Agent, CallEvent, EventType
from bridge.domain.units import SECOND_US

# The nodes of a phone system may disagree on the time by this much: an end that seems to be earlier
# than its answer by less is still the end of that answer.
CLOCK_SKEW_US: Final = 60 * SECOND_US
_CALLBACKS: Final = frozenset({EventType.CALLBACK_REQUESTED, EventType.VOICEMAIL_LEFT})
_RINGING: Final = frozenset(
    {EventType.CALL_QUEUED, EventType.CALL_ANSWERED, EventType.CALL_TRANSFERRED}
)
_REMEMBERED: Final = (
    "caller_name",
    "cuid",
    "queue_name",
    "queue_number",
    "dest_msisdn",
    "paging_number",
    "paging_name",
    "link",
    "comment",
    "call_reason",
    "appointment_timestamp",
    "route",
    "caller_text",
    "caller",
)
# Where an event has them, in that order.
_remembered: Final = attrgetter(*_REMEMBERED[:-1], "caller.msisdn")


class Mark(Struct, frozen=True, gc=False, omit_defaults=True):
    """The latest of its kind: ordered by when it happened, then by when it came."""

    at_us: int
    order: int
    agent: Agent | None = None
    text: str = ""


def later(one: Mark | None, other: Mark | None) -> Mark | None:
    """Return the later of two marks, or the only one."""
    if one is None or other is None:
        return one or other
    is_later = (other.at_us, other.order) > (one.at_us, one.order)
    return other if is_later else one


def _earlier(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


class Creation(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """An errand that an event asked for.

    `draft` is there until it is emitted; `end` is the last end that was. One that `is_closed` is
    answered from the start, and needs none.
    """

    message_id: str
    reference_id: str
    route: str
    has_agent: bool
    default_agent: Agent | None = None
    draft: NewErrand | None = None
    end: EndErrand | None = None
    end_is_skipped: bool = False
    is_closed: bool = False


class Noted(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A message that a rule has sent, or would have, in this call: it does so once.

    An answer calls off one that `is_of_no_answer`.
    """

    rule: str
    key: str
    is_of_no_answer: bool = False


class Span(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What is known of one run of events."""

    first_us: int
    last_us: int
    rings: bool = False
    answered_us: int | None = None
    is_abandoned: bool = False
    awaits_callback: bool = False
    ended: Mark | None = None
    closing: Mark | None = None
    dialed: Mark | None = None
    agent: Mark | None = None
    known: Mapping[str, Mark] = field(default_factory=dict)
    creations: tuple[Creation, ...] = ()
    notices: tuple[Noted, ...] = ()
    is_counted: bool = False
    is_stale: bool = False
    ticket: Mark | None = None

    @property
    def is_active(self) -> bool:
        """Whether a caller is believed to be on the line."""
        return self.rings and self.ended is None and not (self.is_abandoned or self.is_stale)

    @property
    def is_over(self) -> bool:
        """Whether it was answered and ended after that, or somebody rang back and got through."""
        if self.dialed is not None:
            return True
        if self.answered_us is None or self.closing is None:
            return False
        return self.closing.at_us >= self.answered_us - CLOCK_SKEW_US

    @property
    def awaits_settling(self) -> bool:
        """Whether it ended without an answer, and an answer may still be on its way."""
        return (
            self.ended is not None
            and self.answered_us is None
            and not self.awaits_callback
            and not self.is_counted
        )

    def recall(self, name: str) -> str:
        """Return the latest value known of a field, or nothing."""
        mark = self.known.get(name)
        return mark.text if mark else ""


def merged(spans: list[Span], at_us: int) -> Span:
    """Return the spans as one; an event between two runs shows that they were one."""
    if not spans:
        return Span(first_us=at_us, last_us=at_us)
    first, *others = spans
    for other in others:
        known = dict(first.known)
        for name, mark in other.known.items():
            known[name] = later(known.get(name), mark) or mark
        first = Span(
            first_us=min(first.first_us, other.first_us),
            last_us=max(first.last_us, other.last_us),
            rings=first.rings or other.rings,
            answered_us=_earlier(first.answered_us, other.answered_us),
            is_abandoned=first.is_abandoned or other.is_abandoned,
            awaits_callback=first.awaits_callback or other.awaits_callback,
            ended=later(first.ended, other.ended),
            closing=later(first.closing, other.closing),
            dialed=later(first.dialed, other.dialed),
            agent=later(first.agent, other.agent),
            known=known,
            creations=first.creations + other.creations,
            notices=first.notices + other.notices,
            is_counted=first.is_counted or other.is_counted,
            is_stale=first.is_stale and other.is_stale,
            ticket=later(first.ticket, other.ticket),
        )
    return first


def with_event(span: Span, event: CallEvent, order: int) -> Span:
    """Return the span with what an event says laid over it; `order` counts arrivals."""
    at_us = event.occurred_us
    said = {
        name: Mark(at_us, order, None, text)
        for name, text in zip(_REMEMBERED, _remembered(event), strict=True)
        if text
    }
    known = said
    if span.known:
        known = dict(span.known)
        for name, mark in said.items():
            known[name] = later(known.get(name), mark) or mark
    agent = Mark(at_us, order, event.agent) if event.agent else None
    return replace(
        span,
        first_us=min(span.first_us, at_us),
        last_us=max(span.last_us, at_us),
        rings=span.rings or event.type in _RINGING,
        answered_us=_earlier(
            span.answered_us, at_us if event.type is EventType.CALL_ANSWERED else None
        ),
        is_abandoned=span.is_abandoned or event.type is EventType.CALL_ABANDONED,
        awaits_callback=span.awaits_callback or event.type in _CALLBACKS,
        agent=later(span.agent, agent),
        known=known,
        is_stale=False,
    )
