"""What is known when an event is taken: its own words, and what its call said before.

Rules read the call as it is known at that moment (the contract's section 5): what an event leaves
out was perhaps told by one before it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import cached_property, lru_cache
from typing import Any, Final

from bridge.domain.events import CallEvent, EventType
from bridge.domain.msisdn import NumberStatus
from bridge.domain.number_facts import LineType, look_up
from bridge.domain.spans import Span
from bridge.domain.texts import Extra
from bridge.domain.units import SECOND_US

WHAT: Final[Mapping[EventType, str]] = {
    EventType.CALL_QUEUED: "Call waiting",
    EventType.CALL_ANSWERED: "Call",
    EventType.CALL_TRANSFERRED: "Call transferred",
    EventType.CALL_ENDED: "Call ended",
    EventType.CALL_ABANDONED: "Call abandoned",
    EventType.CALLBACK_REQUESTED: "Callback requested",
    EventType.VOICEMAIL_LEFT: "Voicemail",
    EventType.OUTBOUND_ANSWERED: "Outbound call",
    EventType.OUTBOUND_ENDED: "Outbound call ended",
    EventType.AGENT_AVAILABLE: "Agent available",
    EventType.AGENT_UNAVAILABLE: "Agent unavailable",
}
# The fields that an expression may ask for: the contract's section 3 in its own names, and `call`.
DOCUMENT_FIELDS: Final = frozenset(
    {
        "eventId",
        "eventType",
        "occurredAt",
        "referenceId",
        "relatedReferenceId",
        "callerNumber",
        "callerName",
        "cuid",
        "contact",
        "deviceId",
        "extensionId",
        "agentId",
        "destNumber",
        "queueName",
        "queueNumber",
        "dialedNumber",
        "outcome",
        "pagingNumber",
        "pagingName",
        "link",
        "extraData",
        "call",
    }
)


class Facts:
    """One event, with what its call knows beside it; times of day are those of its route."""

    def __init__(self, event: CallEvent, span: Span, zone: tzinfo = UTC) -> None:
        """Know them by the event, and by its run with the event laid over it."""
        self.event = event
        self.span = span
        self.zone = zone

    def said(self, name: str) -> str:
        """Return a field of the event; where it leaves it out, what the call said last."""
        value: str = getattr(self.event, name)
        return value or self.span.recall(name)

    @property
    def number(self) -> str:
        """The other party's MSISDN; nothing where none is known."""
        return self.event.caller.msisdn or self.span.recall("caller")

    @property
    def shows_number(self) -> bool:
        """Whether the other party has shown nothing else since the number, such as `anonymous`."""
        number, text = self.span.known.get("caller"), self.span.known.get("caller_text")
        if text is None:
            return True
        return number is not None and (number.at_us, number.order) >= (text.at_us, text.order)

    @property
    def is_withheld(self) -> bool:
        """Whether the caller shows no number, in all that is known of the call."""
        return not self.number and self.event.caller.status is NumberStatus.WITHHELD

    @property
    def name(self) -> str:
        """How to call the caller: by name, else number, else what was sent for one."""
        return (
            self.said("caller_name")
            or (f"+{self.number}" if self.number else "")
            or ("" if self.is_withheld else self.said("caller_text"))
            or "Anonymous"
        )

    @property
    def country(self) -> str:
        """The country (ISO 3166) of the other party's number."""
        return look_up(self.number)[0]

    @property
    def line_type(self) -> LineType:
        """The kind of line of the other party's number."""
        return look_up(self.number)[1]

    @property
    def waited_s(self) -> float:
        """Seconds from the first that is known of the call to its answer, or to this event."""
        until_us = self.event.occurred_us
        if self.span.answered_us is not None:
            until_us = min(until_us, self.span.answered_us)
        return max(0, until_us - self.span.first_us) / SECOND_US

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """What a template may name; see `texts.FULL_EXAMPLE`."""
        event = self.event
        return {
            "what": WHAT[event.type],
            "caller": self.name,
            "number": f"+{self.number}" if self.number else self.said("caller_text"),
            "queue": self.said("queue_name"),
            "queue_number": self.said("queue_number"),
            "called": self.said("dest_msisdn"),
            "time": self._clock(event.occurred_us // SECOND_US, "%Y-%m-%d %H:%M:%S %Z"),
            "reason": self.said("call_reason"),
            "comment": self.said("comment"),
            "appointment": self._appointment(),
            "link": self.said("link"),
            "reference": event.call_reference,
            "cuid": self.said("cuid"),
            "type": event.type.value,
            "outcome": event.outcome,
            "dialed": event.dialed_number,
            "waited": round(self.waited_s),
            "extra": Extra(event.extra),
        }

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """What an expression may ask for: the event in the contract's names; null: not known."""
        event, agent, contact = self.event, self.event.agent, self.event.contact
        known = {
            "eventId": event.event_id,
            "eventType": event.type.value,
            "occurredAt": datetime.fromtimestamp(
                event.occurred_us // SECOND_US, tz=self.zone
            ).isoformat(),
            "referenceId": event.reference_id,
            "relatedReferenceId": event.related_reference_id,
            "callerNumber": self.values["number"],
            "callerName": self.said("caller_name"),
            "cuid": self.values["cuid"],
            "agentId": event.agent_id,
            "destNumber": self.values["called"],
            "queueName": self.values["queue"],
            "queueNumber": self.values["queue_number"],
            "dialedNumber": event.dialed_number,
            "outcome": event.outcome if event.type.is_outbound else "",
            "pagingNumber": self.said("paging_number"),
            "pagingName": self.said("paging_name"),
            "link": self.values["link"],
        }
        extra = {
            "comment": self.values["comment"],
            "callReason": self.values["reason"],
            "appointmentTimestamp": self.said("appointment_timestamp"),
        }
        return {
            **{key: value or None for key, value in known.items()},
            "deviceId": agent.device_id if agent else None,
            "extensionId": agent.extension_id if agent else None,
            "contact": {
                **{
                    kind: list(getattr(contact, kind))
                    for kind in ("email", "facebook", "vk", "line", "voice")
                },
                "custom": [{"label": label, "value": value} for label, value in contact.custom],
            },
            "extraData": {**event.extra, **{key: value or None for key, value in extra.items()}},
            "call": {
                "answered": self.span.answered_us is not None,
                "abandoned": self.span.is_abandoned,
                "awaitsCallback": self.span.awaits_callback,
                "waitedSeconds": self.waited_s,
            },
        }

    def _appointment(self) -> str:
        seconds = self.said("appointment_timestamp")
        return self._clock(int(seconds), "%Y-%m-%d %H:%M") if seconds else ""

    def _clock(self, unix_s: int, form: str) -> str:
        return _told(unix_s, self.zone, form)


@lru_cache(maxsize=256)  # calls that come together tell the same second
def _told(unix_s: int, zone: tzinfo, form: str) -> str:
    try:
        return datetime.fromtimestamp(unix_s, tz=zone).strftime(form)
    except (ValueError, OverflowError, OSError):
        # Twelve digits of seconds reach beyond the calendar's last year.
        return ""
