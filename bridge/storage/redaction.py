"""What stays of a call when nothing may tell any more who called: its times, agents and errands.

So an errand that exists can still be ended.
"""

from collections.abc import Collection

from msgspec.structs import replace

from bridge.domain.deliveries import EndErrand
from bridge.domain.spans import Mark, Span


def without_texts(span: Span, gone: Collection[str] = ()) -> Span:
    """Return a span without anything that was said in it, and without errands never made.

    `gone` are the message ids of errands that will not be made either.
    """
    creations = tuple(
        replace(one, end=_undialled(one.end))
        for one in span.creations
        if one.draft is None and one.message_id not in gone
    )
    return replace(
        span,
        known={},
        ended=_unmarked(span.ended),
        dialed=_unmarked(span.dialed),
        closing=_unmarked(span.closing),
        awaits_callback=span.awaits_callback and bool(creations),
        creations=creations,
    )


def undialled(end: EndErrand) -> EndErrand:
    """Return an end without the number that was dialled."""
    return replace(end, dialed_number="")


def _undialled(end: EndErrand | None) -> EndErrand | None:
    return None if end is None else undialled(end)


def _unmarked(mark: Mark | None) -> Mark | None:
    return None if mark is None else replace(mark, text="")
