"""Two runs of a reference's events that turn out to be one."""

from itertools import permutations

from call_world import DAY, event, played
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.events import Agent, CallEvent
from bridge.domain.spans import Mark, Span, later, merged


def test_an_event_between_two_runs_shows_that_they_were_one() -> None:
    first = event("call.queued", 0, event_id="a", caller_name="Ada", cuid="c1")
    last = event("call.queued", 1.8 * DAY, event_id="b", caller_name="Ada L.")
    between = event("call.transferred", 0.9 * DAY, event_id="c", caller_name="")
    assert len(played([first, last]).thread.spans) == 2
    (span,) = played([first, last, between]).thread.spans
    assert (span.first_us, span.last_us) == (first.occurred_us, last.occurred_us)
    # The latest that was said of each, whichever run it stood in.
    assert span.recall("caller_name") == "Ada L."
    assert span.recall("cuid") == "c1"


def shape(events: tuple[CallEvent, ...]) -> tuple[object, ...]:
    (span,) = played(events).thread.spans
    known = {name: mark.text for name, mark in span.known.items()}
    return (
        span.first_us,
        span.last_us,
        span.rings,
        span.answered_us,
        span.is_abandoned,
        span.is_active,
        span.is_over,
        known,
    )


def test_whichever_event_joins_them_the_same_is_known() -> None:
    events = (
        event("call.answered", 0, event_id="a", cuid="c1"),
        event("call.transferred", 0.9 * DAY, event_id="b", agent=Agent(2, 2), caller_name=""),
        event("call.answered", 1.8 * DAY, event_id="c", caller_name="Ada L."),
        event("call.ended", 1.8 * DAY + 5, event_id="d", caller_name=""),
    )
    shapes = [shape(one) for one in permutations(events)]
    assert all(one == shapes[0] for one in shapes)


def test_a_run_is_stale_only_where_all_of_it_is() -> None:
    silent = Span(first_us=0, last_us=1, rings=True, is_stale=True)
    talking = Span(first_us=2, last_us=3, rings=True)
    assert not merged([silent, talking], 1).is_stale
    assert merged([silent, silent], 1).is_stale


def test_no_run_at_all_begins_with_the_event() -> None:
    assert merged([], 7) == Span(first_us=7, last_us=7)


MARKS = st.none() | st.builds(Mark, st.integers(0, 3), st.integers(0, 3))


@given(MARKS, MARKS, MARKS)
def test_the_latest_of_marks_does_not_depend_on_how_they_are_compared(
    one: Mark | None, two: Mark | None, three: Mark | None
) -> None:
    assert later(later(one, two), three) == later(one, later(two, three))
    assert later(one, two) == later(two, one)
