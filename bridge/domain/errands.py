"""From an event to the errand it asks for, and to what it says of the caller."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from bridge.domain.calls import Asked
from bridge.domain.contacts import Card, Claim
from bridge.domain.deliveries import Integration, NewErrand
from bridge.domain.events import Agent, CallEvent
from bridge.domain.markers import marker
from bridge.domain.msisdn import NumberStatus
from bridge.domain.routes import Route, RouteTable
from bridge.domain.rules import WHAT, Action, Rule, RuleBook
from bridge.domain.spans import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """What the site has decided: rules, routes, each route's time zone, shared numbers.

    `zones` is by route name; a route without one tells time in UTC. `shared_numbers` have the plus.
    """

    rules: RuleBook
    routes: RouteTable
    zones: Mapping[str, tzinfo] = field(default_factory=dict)
    shared_numbers: frozenset[str] = frozenset()


def message_id(event: CallEvent) -> str:
    """Return the errand's id at the sender: from the event alone, so that a retry has the same."""
    digest = hashlib.sha256(f"{event.source}\0{event.event_id}".encode()).hexdigest()
    return f"aventa-{digest[:32]}"


def consider(event: CallEvent, span: Span, guide: Guide) -> Asked:
    """Return what the rules want of an event, given the call as it is known."""
    rule = guide.rules.find(event.type)
    if rule is None or Action.IGNORE in rule.do:
        return Asked(frozenset())
    route = guide.routes.named(event.route)
    errand = None
    if Action.CREATE_ERRAND in rule.do:
        errand = _errand(event, span, rule, route, guide)
    return Asked(rule.do, errand, route.agent)


def _errand(event: CallEvent, span: Span, rule: Rule, route: Route, guide: Guide) -> NewErrand:
    agent = event.agent or route.agent
    number = event.caller.msisdn or span.recall("caller")
    is_withheld = not number and event.caller.status is NumberStatus.WITHHELD
    identity = message_id(event)
    name = (
        event.caller_name
        or span.recall("caller_name")
        or (f"+{number}" if number else "")
        or ("" if is_withheld else event.caller_text)
        or "Anonymous"
    )
    zone = guide.zones.get(route.name, UTC)
    texts = guide.rules.write(rule, _values(event, span, name, number, zone))
    line = marker(identity)
    return NewErrand(
        message_id=identity,
        name=name,
        sender=f"+{number}" if number else _anonymous(event),
        subject=texts.subject,
        body=f"{texts.body.rstrip()}\n\n{line}",
        html_body=f"{texts.html_body.rstrip()}\n<p>{line}</p>" if texts.html_body else "",
        attachments=event.attachments,
        extradata=_extradata(event, span, agent),
        integration=_integration(event, span, agent) if agent else None,
        cuid="" if is_withheld else (event.cuid or span.recall("cuid")),
    )


def _anonymous(event: CallEvent) -> str:
    """Return a sender that no other call has, so that strangers are not taken for one person."""
    parts = f"{event.source}\0{event.call_reference}\0{event.event_id}"
    return f"anonymous-{hashlib.sha256(parts.encode()).hexdigest()[:16]}"


def _said(event: CallEvent, span: Span, name: str) -> str:
    value: str = getattr(event, name)
    return value or span.recall(name)


def _integration(event: CallEvent, span: Span, agent: Agent) -> Integration:
    return Integration(
        reference_id=event.call_reference,
        agent=agent,
        dest_number=_said(event, span, "dest_msisdn"),
        queue_name=_said(event, span, "queue_name"),
        queue_number=_said(event, span, "queue_number"),
        link=_said(event, span, "link"),
        paging_number=_said(event, span, "paging_number"),
        paging_name=_said(event, span, "paging_name"),
        comment=_said(event, span, "comment"),
        call_reason=_said(event, span, "call_reason"),
        appointment_timestamp=_said(event, span, "appointment_timestamp"),
    )


def _extradata(event: CallEvent, span: Span, agent: Agent | None) -> dict[str, Any] | None:
    """Return the event's further keys, and without an agent what is known of the call too."""
    if agent is not None:
        return event.extra or None
    of_call = {
        "referenceId": event.call_reference,
        "destNumber": _said(event, span, "dest_msisdn"),
        "queueName": _said(event, span, "queue_name"),
        "queueNumber": _said(event, span, "queue_number"),
        "link": _said(event, span, "link"),
        "pagingNumber": _said(event, span, "paging_number"),
        "pagingName": _said(event, span, "paging_name"),
        "comment": _said(event, span, "comment"),
        "callReason": _said(event, span, "call_reason"),
        "appointmentTimestamp": _said(event, span, "appointment_timestamp"),
    }
    return {**event.extra, **{key: value for key, value in of_call.items() if value}}


def _values(
    event: CallEvent, span: Span, name: str, number: str, zone: tzinfo
) -> Mapping[str, Any]:
    moment = datetime.fromtimestamp(event.occurred_us // 1_000_000, tz=zone)
    return {
        "what": WHAT[event.type],
        "caller": name,
        "number": f"+{number}" if number else event.caller_text,
        "queue": _said(event, span, "queue_name"),
        "queue_number": _said(event, span, "queue_number"),
        "called": _said(event, span, "dest_msisdn"),
        "time": moment.strftime("%Y-%m-%d %H:%M:%S %Z"),
        "reason": _said(event, span, "call_reason"),
        "comment": _said(event, span, "comment"),
        "link": _said(event, span, "link"),
        "reference": event.call_reference,
        "cuid": _said(event, span, "cuid"),
        "type": event.type.value,
        "extra": event.extra,
    }


def claim(event: CallEvent, guide: Guide) -> Claim | None:
    """Return what an event says of its caller, if a rule wants it kept and it can be used.

    Without a valid number there is no card, unless a `cuid` or other channels are known.
    """
    rule = guide.rules.find(event.type)
    if rule is None or Action.UPSERT_CONTACT not in rule.do:
        return None
    route = guide.routes.named(event.route)
    own = (event.caller.plus,) if event.caller.status is NumberStatus.VALID else ()
    voice = tuple(
        number
        for number in dict.fromkeys((*own, *event.contact.voice))
        if number not in guide.shared_numbers
    )
    card = Card(
        name=event.caller_name,
        cuid=event.cuid,
        voice=voice,
        email=event.contact.email,
        facebook=event.contact.facebook,
        vk=event.contact.vk,
        line=event.contact.line,
        custom=event.contact.custom,
    )
    said = Claim(scope=route.scope, route=route.name, at_us=event.occurred_us, card=card)
    # Custom fields alone say nothing of who it is.
    return said if said.identifiers() else None
