"""WhatsApp templates: a message to a caller, as an errand of its own.

Source: the vendor's page "Cention errand API".

A message at the wrong time, or to the wrong person, is worse than none: whatever is not certain
about it here is a reason to leave it.
"""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from bridge.domain.deliveries import (
    ClosingAnswer,
    Draft,
    Kind,
    NewErrand,
    Notice,
    Unsent,
    WhatsAppTemplate,
)
from bridge.domain.errands import Guide, message_id, plain_errand
from bridge.domain.events import EventType
from bridge.domain.facts import Facts
from bridge.domain.hours import Hours
from bridge.domain.number_facts import can_be_mobile
from bridge.domain.routes import Route
from bridge.domain.rules import Message, Rule

# What these tell of a call that nobody answered isn't true any more once somebody has.
_OF_NO_ANSWER: Final = frozenset({EventType.CALL_ABANDONED, EventType.CALL_ENDED})


def notice(
    facts: Facts, rule: Rule, message: Message, route: Route, guide: Guide, received_us: int
) -> Notice | Unsent:
    """Return the message that a rule sends because of an event, or why it sends none.

    `received_us` is when the event was taken; the message waits from then on, and is of use for a
    time from when the event happened.
    """
    if facts.event.type is EventType.CALL_ABANDONED and _was_answered_later(facts):
        return Unsent.ANSWERED
    number = _recipient(facts)
    if not number:
        return Unsent.NO_NUMBER
    if f"+{number}" in guide.shared_numbers:
        return Unsent.SHARED
    if not can_be_mobile(number):
        return Unsent.NOT_MOBILE
    params = guide.rules.write_params(message, facts.values)
    if params is None:
        return Unsent.UNFILLED
    settled_us = received_us + guide.settle_us
    due_us = message.quiet.over_us(settled_us, facts.zone) if message.quiet else settled_us
    expires_us = facts.event.occurred_us + message.valid_for_us
    if due_us is None or due_us >= expires_us:
        return Unsent.TOO_LATE
    identity = message_id(facts.event, rule.name)
    errand = replace(
        plain_errand(facts, identity, guide.rules.write(rule, facts.values)),
        sender=f"+{number}",
        answer=ClosingAnswer(user_type=message.user_type, user_id=message.user_id),
        watemplate=WhatsAppTemplate(
            elementname=message.elementname,
            namespace=message.namespace,
            params=params,
            route=route.name,
        ),
    )
    return Notice(
        rule=rule.name,
        template=f"{message.namespace}/{message.elementname}",
        scope=route.scope,
        number=number,
        not_within_us=message.not_within_us,
        is_of_no_answer=facts.event.type in _OF_NO_ANSWER and facts.span.answered_us is None,
        draft=Draft(
            key=f"{identity}:new",
            lane=identity,
            position=0,
            kind=Kind.WATEMPLATE,
            route=message.outlet,
            payload=errand,
            not_before_us=due_us,
            expires_us=expires_us,
        ),
    )


class Manners(Struct, frozen=True, kw_only=True):
    """What is looked at again when a message leaves: it may have waited for long.

    `quiet` is by outlet, `zones` by the route of the call; `shared_numbers` have the plus.
    """

    quiet: Mapping[str, Hours] = field(default_factory=dict)
    zones: Mapping[str, tzinfo] = field(default_factory=dict)
    shared_numbers: frozenset[str] = frozenset()

    def wait_until_us(self, errand: NewErrand, outlet: str, now_us: int) -> int | None:
        """Return from when on a message may leave: now, or later; None: never."""
        quiet, message = self.quiet.get(outlet), errand.watemplate
        if errand.sender in self.shared_numbers:
            return None
        if quiet is None or message is None:
            return now_us
        return quiet.over_us(now_us, self.zones.get(message.route, UTC))


def _was_answered_later(facts: Facts) -> bool:
    """Say whether a call that is said to be abandoned was answered, as an event told before."""
    answered_us = facts.span.answered_us
    return answered_us is not None and answered_us > facts.event.occurred_us


def _recipient(facts: Facts) -> str:
    """Return the number of whom it is for; nothing where they don't show it.

    Of an outbound call that names nobody, it is who was dialled.
    """
    if not facts.shows_number:
        return ""
    dialed = facts.event.dialed_number if facts.event.type.is_outbound else ""
    # What was dialled is kept as it came where it is no MSISDN, and may look like somebody's.
    return facts.number or (dialed if dialed.isascii() and dialed.isdecimal() else "")
