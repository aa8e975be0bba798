"""Calls: an event is folded into its call, and out come the deliveries that it causes.

Events may come twice, late, or in any order, and the same errands and ends must come of it. So
nothing here depends on which event came first; only on which events are known:

- A *thread* is all that is known of one `referenceId`. Phone systems use references again, so it
  holds *spans*: runs of events without a gap longer than `calls.reuse_after_hours`.
- A *call* is a span, joined by the spans after it for as long as a callback or voicemail errand is
  open on it. Calls are derived from the spans each time, never stored.
- An errand exists as soon as one event of the call asked for it. Its end exists as soon as the call
  was answered and ended after that, or somebody rang back and got through. Both only ever become
  true, which is why no order of arrival can make a difference.
"""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.contacts import Claim
from bridge.domain.deliveries import (
    Draft,
    EndErrand,
    Kind,
    NewErrand,
    Notice,
    TicketWish,
    Unsent,
)
from bridge.domain.events import Agent, CallEvent, EventType
from bridge.domain.spans import Creation, Mark, Noted, Span, later, merged, with_event
from bridge.domain.units import HOUR_US, SECOND_US

# The source of a call, and its reference there.
CallKey = tuple[str, str]


class CallPolicy(Struct, frozen=True, gc=False, kw_only=True):
    """When a reference is used again, and when a call counts as abandoned or forgotten."""

    reuse_after_us: int = 24 * HOUR_US
    settle_us: int = 10 * SECOND_US
    stale_after_us: int = 12 * HOUR_US
    journal_us: int = 30 * 24 * HOUR_US


class Thread(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """All that is known of one reference, the oldest span first."""

    spans: tuple[Span, ...] = ()
    arrivals: int = 0

    @property
    def is_active(self) -> bool:
        """Whether a caller is believed to be on the line."""
        return any(span.is_active for span in self.spans)

    @property
    def is_open(self) -> bool:
        """Whether the errand of a callback or voicemail still waits for its end."""
        if not any(span.awaits_callback for span in self.spans):
            return False
        return any(_awaits_callback(call) for call in _calls(list(self.spans)))


class Asked(Struct, frozen=True, gc=False):
    """What the rules want of an event: the errand, were it to be created, its end, and so on.

    `rule` names the one that was taken. The default agent is the route's. `claim` is what is said
    of the caller; `notice` a message to them, and `unsent` why there is none though a rule has one.
    `ticket` is what is to be done about a chat.
    """

    rule: str = ""
    errand: NewErrand | None = None
    ends_errand: bool = False
    default_agent: Agent | None = None
    claim: Claim | None = None
    notice: Notice | None = None
    unsent: Unsent | None = None
    ticket: TicketWish | None = None


class Folded(Struct, frozen=True, gc=False):
    """A thread after an event, what is to leave because of it, and when to look at it again.

    `notice` is a message to the caller, and `called_off` are the keys of those that are not true
    any more. `ticket` is what is to be done about which chat. `ends_skipped` counts ends that
    Cention could not understand (no agent).
    """

    thread: Thread
    asked: Asked
    drafts: tuple[Draft, ...] = ()
    notice: Notice | None = None
    called_off: tuple[str, ...] = ()
    timer_us: int | None = None
    ends_skipped: int = 0
    ticket: TicketWish | None = None


def fold(
    thread: Thread,
    event: CallEvent,
    ask: Callable[[Span], Asked],
    policy: CallPolicy,
    *,
    received_us: int,
) -> Folded:
    """Fold one event into its thread.

    `ask` says what the rules want, given the call as it is known when the event is taken.
    `received_us` is when that is; timers run from there. Pure where `ask` is: the same arguments
    give the same answer.
    """
    near = [span for span in thread.spans if _is_near(span, event.occurred_us, policy)]
    span = with_event(merged(near, event.occurred_us), event, thread.arrivals)
    asked = ask(span)
    span = _with_actions(span, event, asked, thread.arrivals)
    far = [one for one in thread.spans if one not in near]
    notice = asked.notice
    if notice is not None and notice.rule in _noted_in_call(span, far):
        notice = None
    span, called_off = _with_notice(span, notice)
    ticket = asked.ticket
    if ticket is not None:
        span, ticket = _with_ticket(span, event, ticket, thread.arrivals)
    drafts: list[Draft] = []
    skipped = 0
    settled: list[Span] = []
    for call in _calls(sorted([span, *far], key=lambda one: one.first_us)):
        if span not in call and not _is_worth_keeping(call, received_us, policy):
            continue
        after, leaving, unsendable = _emit(call)
        settled.extend(after)
        drafts.extend(leaving)
        skipped += unsendable
    folded = Thread(spans=tuple(settled), arrivals=thread.arrivals + 1)
    return Folded(
        thread=folded,
        asked=asked,
        drafts=tuple(drafts),
        notice=notice,
        called_off=called_off,
        timer_us=_timer(folded, received_us, policy),
        ends_skipped=skipped,
        ticket=ticket,
    )


def _with_ticket(
    span: Span, event: CallEvent, wish: TicketWish, order: int
) -> tuple[Span, TicketWish]:
    """Note the ticket that a call is about; one that is not named again is the one before."""
    if wish.ticket_id:
        mark = Mark(event.occurred_us, order, None, wish.ticket_id)
        span = replace(span, ticket=later(span.ticket, mark))
    named = wish.ticket_id or (span.ticket.text if span.ticket else "")
    desk = span.agent.agent if span.agent else None
    return span, replace(wish, ticket_id=named, desk=desk)


def _is_near(span: Span, at_us: int, policy: CallPolicy) -> bool:
    return span.first_us - policy.reuse_after_us <= at_us <= span.last_us + policy.reuse_after_us


def _with_actions(span: Span, event: CallEvent, asked: Asked, order: int) -> Span:
    dialed = event.dialed_number if event.type.is_outbound else ""
    mark = Mark(event.occurred_us, order, event.agent, dialed)
    if event.type is EventType.CALL_ENDED:
        span = replace(span, ended=later(span.ended, mark))
    if asked.ends_errand:
        if not event.type.is_outbound:
            span = replace(span, closing=later(span.closing, mark))
        elif event.outcome == "completed":
            span = replace(span, dialed=later(span.dialed, mark))
    if asked.errand is not None and not span.creations:
        creation = Creation(
            message_id=asked.errand.message_id,
            reference_id=event.outside_reference,
            route=event.route,
            has_agent=asked.errand.integration is not None,
            default_agent=asked.default_agent,
            draft=asked.errand,
            is_closed=asked.errand.answer is not None,
        )
        span = replace(span, creations=(creation,))
    return span


def _noted_in_call(span: Span, far: list[Span]) -> set[str]:
    """Return the rules that have sent a message in the call that a span belongs to."""
    calls = _calls(sorted([span, *far], key=lambda one: one.first_us))
    return {one.rule for call in calls if span in call for part in call for one in part.notices}


def _with_notice(span: Span, notice: Notice | None) -> tuple[Span, tuple[str, ...]]:
    """Note a message that is sent; return which are called off.

    What speaks of a call that nobody answered is, once somebody has.
    """
    if notice is not None:
        noted = Noted(
            rule=notice.rule, key=notice.draft.key, is_of_no_answer=notice.is_of_no_answer
        )
        span = replace(span, notices=(*span.notices, noted))
    if span.answered_us is None:
        return span, ()
    untrue = tuple(one.key for one in span.notices if one.is_of_no_answer)
    if untrue:
        true = tuple(replace(one, is_of_no_answer=False) for one in span.notices)
        span = replace(span, notices=true)
    return span, untrue


def _calls(spans: list[Span]) -> list[list[Span]]:
    """Put spans together into calls: a callback that is still open takes in what comes after."""
    calls: list[list[Span]] = []
    for span in spans:
        if calls and _awaits_callback(calls[-1]):
            calls[-1].append(span)
        else:
            calls.append([span])
    return calls


def _is_over(call: list[Span]) -> bool:
    return any(span.is_over for span in call)


def _is_worth_keeping(call: list[Span], now_us: int, policy: CallPolicy) -> bool:
    """Say whether an event can still come to this call: older ones are refused at the door."""
    if call[-1].last_us >= now_us - policy.journal_us - policy.reuse_after_us:
        return True
    return _awaits_callback(call)


def _awaits_callback(call: list[Span]) -> bool:
    if not any(span.awaits_callback for span in call) or _is_over(call):
        return False
    # One that was answered from the start waits for nobody.
    return not any(one.is_closed for span in call for one in span.creations)


def _emit(call: list[Span]) -> tuple[list[Span], list[Draft], int]:
    """Return the call with what was emitted noted on it, the drafts, and the ends skipped."""
    drafts: list[Draft] = []
    skipped = 0
    has_errand = any(one.draft is None for span in call for one in span.creations)
    is_over = _is_over(call)
    after: list[Span] = []
    for span in call:
        creations: list[Creation] = []
        for one in span.creations:
            creation = one
            if creation.draft is not None and not has_errand:
                has_errand = True
                drafts.append(_creating(creation, creation.draft))
                creation = replace(creation, draft=None)
            is_to_end = span.is_over or (span.awaits_callback and is_over)
            if creation.draft is None and is_to_end and not creation.is_closed:
                ended = _ended(creation, call)
                if ended.end is not None and ended.end != creation.end:
                    drafts.append(_ending(ended, ended.end))
                skipped += ended.end_is_skipped and not creation.end_is_skipped
                creation = ended
            creations.append(creation)
        after.append(replace(span, creations=tuple(creations)))
    return after, drafts, skipped


def _ended(creation: Creation, call: list[Span]) -> Creation:
    """Return the creation with its end as the call is known now.

    The end names the agent of the ending event, if that names one; else of the latest event that
    does; else the route's.
    """
    closing = dialed = latest = None
    for span in call:
        closing = later(closing, later(span.closing, span.dialed))
        dialed = later(dialed, span.dialed)
        latest = later(latest, span.agent)
    named = (closing.agent if closing else None) or (latest.agent if latest else None)
    agent = named or creation.default_agent
    if agent is None or not creation.has_agent:
        return replace(creation, end_is_skipped=True)
    end = EndErrand(
        reference_id=creation.reference_id,
        agent=agent,
        dialed_number=dialed.text if dialed else "",
    )
    return replace(creation, end=end)


def _creating(creation: Creation, errand: NewErrand) -> Draft:
    return Draft(
        key=f"{creation.message_id}:new",
        lane=creation.message_id,
        position=0,
        kind=Kind.NEW_ERRAND,
        route=creation.route,
        payload=errand,
    )


def _ending(creation: Creation, end: EndErrand) -> Draft:
    return Draft(
        key=f"{creation.message_id}:end",
        lane=creation.message_id,
        position=1,
        kind=Kind.END_ERRAND,
        route=creation.route,
        payload=end,
    )


def _timer(thread: Thread, now_us: int, policy: CallPolicy) -> int | None:
    if any(span.awaits_settling for span in thread.spans):
        return now_us + policy.settle_us
    if thread.is_active:
        return now_us + policy.stale_after_us
    return None


class Lapsed(Struct, frozen=True, gc=False):
    """A thread after its timer ran out, what became of its calls, and when to look again.

    Of those that were abandoned, no event has told of the `untold`.
    """

    thread: Thread
    abandoned: int = 0
    untold: tuple[Span, ...] = ()
    stale: int = 0
    timer_us: int | None = None


def lapse(thread: Thread, policy: CallPolicy, now_us: int) -> Lapsed:
    """Close what has waited long enough: calls without an answer, or else calls gone silent.

    An answer or end that comes later still counts; only the books are closed here.
    """
    settling = sum(span.awaits_settling for span in thread.spans)
    if settling:
        spans = [
            replace(span, is_counted=True) if span.awaits_settling else span
            for span in thread.spans
        ]
        settled = replace(thread, spans=tuple(spans))
        return Lapsed(
            settled,
            abandoned=settling,
            untold=tuple(
                span for span in thread.spans if span.awaits_settling and not span.is_abandoned
            ),
            timer_us=_timer(settled, now_us, policy),
        )
    stale = sum(span.is_active for span in thread.spans)
    spans = [replace(span, is_stale=True) if span.is_active else span for span in thread.spans]
    return Lapsed(replace(thread, spans=tuple(spans)), stale=stale)
