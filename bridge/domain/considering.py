"""What the rules want of an event, given the call as it is known; and of a call without one."""

import hashlib
from typing import Final

from bridge.domain.calls import Asked, CallKey
from bridge.domain.deliveries import Notice, TicketWish
from bridge.domain.errands import Guide, claim, errand
from bridge.domain.events import WITHHELD, CallEvent, EventType
from bridge.domain.facts import Facts
from bridge.domain.routes import RouteTable
from bridge.domain.rules import Action, Rule
from bridge.domain.spans import Span
from bridge.domain.watemplates import notice

# Where a phone system names the chat that a call is about: in an event's `extraData`.
TICKET_KEY: Final = "ticketId"
TICKET_CHARS_MAX: Final = 128


def consider(event: CallEvent, span: Span, guide: Guide, received_us: int) -> Asked:
    """Return what is to be done about an event that was taken at `received_us`."""
    route = guide.routes.named(event.route)
    facts = Facts(event, span, guide.zone(route.name))
    rule = guide.rules.find(facts)
    if rule is None:
        return Asked()
    sent = None
    if Action.SEND_WATEMPLATE in rule.do and rule.message is not None:
        sent = notice(facts, rule, rule.message, route, guide, received_us)
    return Asked(
        rule=rule.name,
        ends_errand=Action.END_ERRAND in rule.do,
        errand=errand(facts, rule, route, guide.rules) if rule.makes_errand else None,
        default_agent=route.agent,
        claim=(
            claim(facts, route, guide.shared_numbers) if Action.UPSERT_CONTACT in rule.do else None
        ),
        notice=sent if isinstance(sent, Notice) else None,
        ticket=_ticket(event, rule) if guide.has_tickets and rule.is_of_ticket else None,
        unsent=None if isinstance(sent, Notice) else sent,
    )


def _ticket(event: CallEvent, rule: Rule) -> TicketWish:
    """Return what a rule wants of the ticket that an event names, or its call has named before."""
    said = event.extra.get(TICKET_KEY)
    return TicketWish(
        picks=Action.PICK_TICKET in rule.do,
        closes=Action.CLOSE_ROOM in rule.do,
        ticket_id=said if isinstance(said, str) and len(said) <= TICKET_CHARS_MAX else "",
    )


def abandonment(key: CallKey, span: Span, routes: RouteTable) -> CallEvent:
    """Return the event that no phone system sent: a call ended, and nobody had answered.

    It is told as the call was known last, and always by the same id; of the caller it says nothing
    new.
    """
    source, reference_id = key
    route = routes.named(span.recall("route"))
    ended_us = span.ended.at_us if span.ended else span.last_us
    told = hashlib.sha256(f"{reference_id}\0{ended_us}".encode()).hexdigest()
    return CallEvent(
        source=source,
        event_id=f"abandoned-{told[:32]}",
        type=EventType.CALL_ABANDONED,
        occurred_us=ended_us,
        route=route.name,
        reference_id=reference_id,
        caller=WITHHELD if span.recall("caller") else route.read(span.recall("caller_text")),
    )
