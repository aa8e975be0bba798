"""From the wire's shape to a `CallEvent`: the route is found and every number read."""

from typing import Final

from msgspec import Struct

from bridge.domain.errors import InvalidEvent, Issue
from bridge.domain.events import (
    Agent,
    Attachment,
    CallEvent,
    ContactDetails,
    ContactDocument,
    EventDocument,
    ExtraDataDocument,
)
from bridge.domain.msisdn import NumberStatus, PhoneNumber
from bridge.domain.plain_events import PlainEvent
from bridge.domain.routes import Route, RouteTable
from bridge.domain.units import DAY_US


class Admission(Struct, frozen=True, gc=False):
    """An event let in: what was read of its numbers, and how many keys nobody knows.

    `numbers` holds (field, result) pairs for the count of numbers.
    """

    event: CallEvent
    numbers: tuple[tuple[str, str], ...] = ()
    unknown_keys: int = 0


_NO_EXTRA_DATA: Final = ExtraDataDocument()
_NO_DETAILS: Final = ContactDetails()


def admit(
    document: EventDocument | PlainEvent,
    *,
    source: str,
    routes: RouteTable,
    now_us: int,
    age_days_max: int,
) -> Admission:
    """Find the event's route, read its numbers, and fill in what the route gives.

    Raises:
        InvalidEvent: it is too old or too far ahead, or lacks a called number or a queue that the
            route does not give either.
    """
    route = routes.pick(
        document.queue_name or "", document.queue_number or "", document.dest_number or ""
    )
    numbers: list[tuple[str, str]] = []
    occurred_us = document.occurred_at
    issues = _check_age(occurred_us, now_us, age_days_max)
    caller = route.read(document.caller_number)
    if not document.event_type.is_of_agent:
        numbers.append(("callerNumber", caller.status.value))
    dest_msisdn = _called(document, route, numbers, issues)
    queue_name = document.queue_name or route.queue_name
    queue_number = document.queue_number or route.queue_number
    if document.event_type.is_of_caller:
        if not queue_name:
            issues.append(Issue("/queueName", "is required, since the route gives none"))
        if not queue_number:
            issues.append(Issue("/queueNumber", "is required, since the route gives none"))
    if issues:
        raise InvalidEvent(issues, event_id=document.event_id, event_type=document.event_type)
    extra_data = document.extra_data or _NO_EXTRA_DATA
    event = CallEvent(
        source=source,
        event_id=document.event_id,
        type=document.event_type,
        occurred_us=occurred_us,
        route=route.name,
        reference_id=document.reference_id or "",
        related_reference_id=document.related_reference_id or "",
        caller=caller,
        caller_text=_printable(document.caller_number or ""),
        caller_name=document.caller_name or "",
        cuid=document.cuid or "",
        contact=_contact(document.contact, route, numbers),
        agent=_agent(document),
        agent_id=document.agent_id or "",
        dest_msisdn=dest_msisdn,
        queue_name=queue_name,
        queue_number=queue_number,
        dialed_number=_dialed(document.dialed_number, route, numbers),
        outcome=document.outcome or "completed",
        paging_number=document.paging_number or "",
        paging_name=document.paging_name or "",
        link=document.link or "",
        comment=extra_data.comment or "",
        call_reason=extra_data.call_reason or "",
        appointment_timestamp=extra_data.appointment_timestamp or "",
        extra=extra_data.model_extra or {},
        attachments=tuple(
            [Attachment(one.content_type, one.name, one.content) for one in document.attachments]
        ),
    )
    return Admission(event, tuple(numbers), len(document.model_extra or {}))


def _check_age(occurred_us: int, now_us: int, age_days_max: int) -> list[Issue]:
    if occurred_us < now_us - age_days_max * DAY_US:
        return [Issue("/occurredAt", f"is more than {age_days_max} days ago")]
    if occurred_us > now_us + DAY_US:
        return [Issue("/occurredAt", "is more than a day ahead; check the sender's clock")]
    return []


def _called(
    document: EventDocument | PlainEvent,
    route: Route,
    numbers: list[tuple[str, str]],
    issues: list[Issue],
) -> str:
    if document.event_type.is_of_agent:
        return ""
    if document.dest_number is None:
        if document.event_type.is_of_caller and not route.dest_msisdn:
            issues.append(Issue("/destNumber", "is required, since the route gives none"))
        return route.dest_msisdn
    read = route.read(document.dest_number)
    numbers.append(("destNumber", read.status.value))
    if read.status is NumberStatus.VALID:
        return read.msisdn
    if document.event_type.is_of_caller and not route.dest_msisdn:
        hint = "" if route.region else "; for national numbers set msisdn.default_region"
        issues.append(Issue("/destNumber", f"is no MSISDN, and the route gives none{hint}"))
    return route.dest_msisdn


def _agent(document: EventDocument | PlainEvent) -> Agent | None:
    if document.device_id is None or document.extension_id is None:
        return None
    return Agent(document.device_id, document.extension_id)


def _dialed(number: str | None, route: Route, numbers: list[tuple[str, str]]) -> str:
    """Return what was dialled: as MSISDN where it is one, else as it came.

    The vendor's page asks for no form of `dialedNumber`, so an odd one stops nothing.
    """
    if number is None:
        return ""
    read = route.read(number)
    numbers.append(("dialedNumber", read.status.value))
    if read.status is NumberStatus.INVALID:
        return _printable(number)
    return read.msisdn


def _contact(
    contact: ContactDocument | None, route: Route, numbers: list[tuple[str, str]]
) -> ContactDetails:
    if contact is None:
        return _NO_DETAILS
    voice: list[str] = []
    for text in contact.voice:
        read: PhoneNumber = route.read(text)
        numbers.append(("contact.voice", read.status.value))
        if read.status is NumberStatus.VALID:
            voice.append(read.plus)
    return ContactDetails(
        email=tuple(dict.fromkeys(contact.email)),
        facebook=tuple(dict.fromkeys(contact.facebook)),
        vk=tuple(dict.fromkeys(contact.vk)),
        line=tuple(dict.fromkeys(contact.line)),
        voice=tuple(dict.fromkeys(voice)),
        custom=tuple((item.label, item.value) for item in contact.custom),
    )


def _printable(text: str) -> str:
    if not text.isprintable():
        text = "".join(char for char in text if char.isprintable())
    return text[:64].strip()
