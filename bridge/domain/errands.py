"""From an event to what it asks for: the call's errand, and what is said of the caller."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from bridge.domain.contacts import Card, Claim
from bridge.domain.deliveries import Integration, NewErrand
from bridge.domain.events import Agent, CallEvent
from bridge.domain.facts import Facts
from bridge.domain.markers import marker
from bridge.domain.routes import Route, RouteTable
from bridge.domain.rules import Rule, RuleBook, Words
from bridge.domain.units import SECOND_US


class Guide(Struct, frozen=True, kw_only=True):
    """What the site has decided: rules, routes, each route's time zone, shared numbers.

    `zones` is by route name; a route without one tells time in UTC. `shared_numbers` have the plus.
    What an answer may still call off waits for `settle_us`. `has_tickets`: a rule does something
    about tickets.
    """

    rules: RuleBook
    routes: RouteTable
    zones: Mapping[str, tzinfo] = field(default_factory=dict)
    shared_numbers: frozenset[str] = frozenset()
    settle_us: int = 10 * SECOND_US
    has_tickets: bool = False

    def zone(self, route: str) -> tzinfo:
        """Return the time zone that a route's people live in."""
        return self.zones.get(route, UTC)


def message_id(event: CallEvent, rule: str = "") -> str:
    """Return an errand's id at the sender: from the event alone, so that a retry has the same.

    What a rule sends beside the call's errand has one of its own.
    """
    parts = [event.source, event.event_id, *([rule] if rule else [])]
    return f"aventa-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"


def errand(facts: Facts, rule: Rule, route: Route, rules: RuleBook) -> NewErrand:
    """Return the errand that a rule makes of an event; with `answer`, one that is answered."""
    agent = facts.event.agent or route.agent
    identity, words = message_id(facts.event), rules.write(rule, facts.values)
    if agent is None:
        made = plain_errand(facts, identity, words)
    else:
        made = _errand(facts, identity, words, facts.event.extra or None)
    answer = rule.answer if rule.closes_errand else None
    return replace(
        made,
        attachments=facts.event.attachments,
        integration=_integration(facts, agent) if agent else None,
        answer=None if answer is None else rules.write_answer(answer, facts.values),
    )


def plain_errand(facts: Facts, identity: str, words: Words) -> NewErrand:
    """Return an errand from the caller that is no call: what is known of it is in `extradata`."""
    return _errand(facts, identity, words, _extradata(facts) or None)


def _errand(
    facts: Facts, identity: str, words: Words, extradata: dict[str, Any] | None
) -> NewErrand:
    line = marker(identity)
    return NewErrand(
        message_id=identity,
        name=facts.name,
        sender=f"+{facts.number}" if facts.number else _anonymous(facts.event),
        subject=words.subject,
        body=f"{words.body.rstrip()}\n\n{line}",
        html_body=f"{words.html_body.rstrip()}\n<p>{line}</p>" if words.html_body else "",
        extradata=extradata,
        cuid="" if facts.is_withheld else facts.said("cuid"),
    )


def _anonymous(event: CallEvent) -> str:
    """Return a sender that no other call has, so that strangers are not taken for one person."""
    parts = f"{event.source}\0{event.call_reference}\0{event.event_id}"
    return f"anonymous-{hashlib.sha256(parts.encode()).hexdigest()[:16]}"


def _integration(facts: Facts, agent: Agent) -> Integration:
    return Integration(
        reference_id=facts.event.outside_reference,
        agent=agent,
        dest_number=facts.said("dest_msisdn"),
        queue_name=facts.said("queue_name"),
        queue_number=facts.said("queue_number"),
        link=facts.said("link"),
        paging_number=facts.said("paging_number"),
        paging_name=facts.said("paging_name"),
        comment=facts.said("comment"),
        call_reason=facts.said("call_reason"),
        appointment_timestamp=facts.said("appointment_timestamp"),
    )


def _extradata(facts: Facts) -> dict[str, Any]:
    """Return the event's further keys, and what is known of the call."""
    of_call = {
        "referenceId": facts.event.outside_reference,
        "destNumber": facts.said("dest_msisdn"),
        "queueName": facts.said("queue_name"),
        "queueNumber": facts.said("queue_number"),
        "link": facts.said("link"),
        "pagingNumber": facts.said("paging_number"),
        "pagingName": facts.said("paging_name"),
        "comment": facts.said("comment"),
        "callReason": facts.said("call_reason"),
        "appointmentTimestamp": facts.said("appointment_timestamp"),
    }
    return {**facts.event.extra, **{key: value for key, value in of_call.items() if value}}


def claim(facts: Facts, route: Route, shared_numbers: frozenset[str]) -> Claim | None:
    """Return what is said of the caller; None where it identifies nobody.

    What an event leaves out (number, cuid, name) its call may have told before: the caller is the
    same. Without a valid number there is no card, unless a `cuid` or other channels are known. A
    shared number identifies nobody, and custom fields alone say nothing of who it is.
    """
    event = facts.event
    own = (f"+{facts.number}",) if facts.number else ()
    voice = tuple(
        number
        for number in dict.fromkeys((*own, *event.contact.voice))
        if number not in shared_numbers
    )
    card = Card(
        name=facts.said("caller_name"),
        cuid=facts.said("cuid"),
        voice=voice,
        email=event.contact.email,
        facebook=event.contact.facebook,
        vk=event.contact.vk,
        line=event.contact.line,
        custom=event.contact.custom,
    )
    said = Claim(scope=route.scope, route=route.name, at_us=event.occurred_us, card=card)
    return said if said.identifiers() else None
