"""Call events: their shape on the wire, and what the bridge makes of it.

`EventDocument` is the wire's shape (the contract's section 3), checked strictly: `true` is no
integer, `"1"` is no integer, and unknown keys are kept aside. `CallEvent` is what the rest of the
bridge works with: numbers read, times in microseconds, the route found.
"""

import base64
import binascii
import hashlib
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Protocol

from msgspec import Struct, field
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from bridge.domain.errors import InvalidEvent, Issue
from bridge.domain.msisdn import NumberStatus, PhoneNumber

# What comes in at /v1/events; every other source is a hook's name.
EVENTS_SOURCE: Final = "aventa"
REFERENCE_MAX: Final = 128
ATTACHMENTS_BYTES_MAX: Final = 10 * 1024 * 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:(?P<second>\d{2})(?P<fraction>\.\d+)?"
    r"(?P<offset>[Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)


class EventType(StrEnum):
    """What happened at the phone system.

    One that `is_of_caller` says that somebody rang a queue: these need a called number and a queue.
    One that `is_outbound` says that an agent rang somebody. One that `is_of_agent` is about an
    agent's presence, and no call at all.
    """

    is_of_caller: bool
    is_outbound: bool
    is_of_agent: bool

    CALL_QUEUED = "call.queued"
    CALL_ANSWERED = "call.answered"
    CALL_TRANSFERRED = "call.transferred"
    CALL_ENDED = "call.ended"
    CALL_ABANDONED = "call.abandoned"
    CALLBACK_REQUESTED = "callback.requested"
    VOICEMAIL_LEFT = "voicemail.left"
    OUTBOUND_ANSWERED = "outbound.answered"
    OUTBOUND_ENDED = "outbound.ended"
    AGENT_AVAILABLE = "agent.available"
    AGENT_UNAVAILABLE = "agent.unavailable"

    def __init__(self, value: str) -> None:
        """Tell the kinds apart by their names."""
        self.is_of_caller = value.startswith(("call.", "callback.", "voicemail."))
        self.is_outbound = value.startswith("outbound.")
        self.is_of_agent = value.startswith("agent.")


EVENT_TYPES: Final = frozenset(EventType)


def read_rfc3339(value: object) -> int:
    """Return an RFC 3339 date-time with an offset as microseconds since 1970.

    A leap second (`:60`) counts as the second before it, as POSIX time has none; fractions beyond
    microseconds are cut.

    Raises:
        PydanticCustomError: it is no such string, or no such moment exists.
    """
    if not isinstance(value, str) or len(value) > 64:
        raise _no_time()
    return _moment(value)


def _no_time() -> PydanticCustomError:
    return PydanticCustomError(
        "rfc3339", "must be an RFC 3339 time with an offset, such as 2026-03-01T09:30:00+01:00"
    )


@lru_cache(maxsize=1024)  # it is asked for more than once an event, and many events share one
def _moment(value: str) -> int:
    match = _RFC3339.fullmatch(value)
    if match is None:
        raise _no_time()
    text = value.upper()
    if match["second"] == "60":
        text = f"{text[:17]}59{text[19:]}"
    if match["fraction"] is not None:
        text = text.replace(match["fraction"], match["fraction"][:7], 1)
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise PydanticCustomError("rfc3339", "is no moment that exists") from None


def check_link(value: str) -> str:
    """Return a link that begins as one does.

    Raises:
        PydanticCustomError: it doesn't.
    """
    if not value.lower().startswith(("http:", "https:")):
        raise PydanticCustomError("link", "must begin with http: or https:")
    return value


def _check_base64(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("base64", "must be base64 (RFC 4648 §4)") from None
    return value


def _check_unix_seconds(value: str) -> str:
    if re.fullmatch(r"\d{1,12}", value, re.ASCII) is None:
        raise PydanticCustomError("unix_seconds", "must be Unix seconds, as a string of digits")
    return value


def _without_absent(value: object) -> object:
    """Drop `null` and `""`, which are the same as absent in an optional field."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None and item != ""}
    return value


Text128 = Annotated[str, Field(min_length=1, max_length=128)]
Text256 = Annotated[str, Field(min_length=1, max_length=256)]
Id31 = Annotated[int, Field(ge=0, le=2**31 - 1)]
ChannelValues = Annotated[tuple[Text256, ...], Field(max_length=50, strict=False)]
Outcome = Literal["completed", "no_answer", "busy", "failed", "voicemail"]


class _Document(BaseModel):
    model_config = ConfigDict(
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        extra="forbid",
        hide_input_in_errors=True,
    )

    _drop_absent = model_validator(mode="before")(_without_absent)


class CustomField(_Document):
    """A labelled value on a contact card."""

    label: Text128
    value: Text256


class ContactDocument(_Document):
    """More ways to reach the caller than the number, as Cention's contact cards have them."""

    email: ChannelValues = ()
    facebook: ChannelValues = ()
    vk: ChannelValues = ()
    line: ChannelValues = ()
    voice: ChannelValues = ()
    custom: Annotated[tuple[CustomField, ...], Field(max_length=50, strict=False)] = ()


class AttachmentDocument(BaseModel):
    """A file that goes with the errand; `content` is base64."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    content_type: Text128
    name: Text256
    content: Annotated[str, AfterValidator(_check_base64)]


class ExtraDataDocument(_Document):
    """The three fields that Cention keeps on the errand, and whatever else the site sends."""

    model_config = ConfigDict(extra="allow")

    comment: Annotated[str, Field(max_length=16384)] | None = None
    call_reason: Annotated[str, Field(max_length=4096)] | None = None
    appointment_timestamp: Annotated[str, AfterValidator(_check_unix_seconds)] | None = None


class EventDocument(_Document):
    """One call event as the contract's section 3 describes it."""

    model_config = ConfigDict(extra="allow")

    event_id: Text128
    event_type: EventType = Field(strict=False)
    occurred_at: Annotated[
        int,
        BeforeValidator(read_rfc3339),
        WithJsonSchema({"type": "string", "format": "date-time"}),
    ]
    reference_id: Text128 | None = None
    related_reference_id: Text128 | None = None
    caller_number: Text256 | None = None
    caller_name: Text256 | None = None
    cuid: Text128 | None = None
    contact: ContactDocument | None = None
    device_id: Id31 | None = None
    extension_id: Id31 | None = None
    agent_id: Text256 | None = None
    dest_number: Text256 | None = None
    queue_name: Text128 | None = None
    queue_number: Text128 | None = None
    dialed_number: Text256 | None = None
    outcome: Outcome | None = None
    paging_number: Text128 | None = None
    paging_name: Text128 | None = None
    link: Annotated[str, Field(max_length=2048), AfterValidator(check_link)] | None = None
    extra_data: ExtraDataDocument | None = None
    attachments: Annotated[tuple[AttachmentDocument, ...], Field(max_length=10, strict=False)] = ()


class EventShape(Protocol):
    """What was read of an event, whichever way; see `EventDocument`."""

    @property
    def event_type(self) -> EventType: ...  # noqa: D102 - as there
    @property
    def reference_id(self) -> str | None: ...  # noqa: D102 - as there
    @property
    def device_id(self) -> int | None: ...  # noqa: D102 - as there
    @property
    def extension_id(self) -> int | None: ...  # noqa: D102 - as there
    @property
    def agent_id(self) -> str | None: ...  # noqa: D102 - as there
    @property
    def attachments(self) -> tuple[AttachmentDocument, ...]: ...  # noqa: D102 - as there


_DETAILS: Final = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this object",
    "int_type": "must be an integer",
    "string_type": "must be a string",
    "tuple_type": "must be an array",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
}


def _issue(error: Any) -> Issue:
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in error["loc"])
    pointer = "".join(f"/{part}" for part in parts)
    if error["type"] == "enum":
        return Issue(pointer, "must be one of " + ", ".join(sorted(EVENT_TYPES)))
    return Issue(pointer, _DETAILS.get(error["type"], error["msg"]))


def parse_event(document: object) -> EventDocument:
    """Check the shape of one event, and what its fields need of each other.

    Raises:
        InvalidEvent: it is no valid event; every issue is named.
    """
    if not isinstance(document, dict):
        raise InvalidEvent([Issue("", "must be a JSON object")])
    try:
        parsed = EventDocument.model_validate(document)
    except ValidationError as error:
        issues = [_issue(item) for item in error.errors(include_url=False, include_input=False)]
        raise _invalid(document, issues) from None
    issues = check_together(parsed)
    if issues:
        raise _invalid(document, issues)
    return parsed


def _invalid(document: dict[Any, Any], issues: list[Issue]) -> InvalidEvent:
    event_id, event_type = document.get("eventId"), document.get("eventType")
    return InvalidEvent(
        issues,
        event_id=event_id[:128] if isinstance(event_id, str) else "",
        event_type=event_type if isinstance(event_type, str) and event_type in EVENT_TYPES else "",
    )


def check_together(event: "EventShape") -> list[Issue]:
    """Return what is wrong with fields that need each other."""
    issues = []
    if (event.device_id is None) != (event.extension_id is None):
        missing = "/extensionId" if event.extension_id is None else "/deviceId"
        issues.append(Issue(missing, "deviceId and extensionId come together or not at all"))
    if event.event_type.is_of_agent:
        if event.device_id is None and event.agent_id is None and not issues:
            issues.append(Issue("/deviceId", "deviceId and extensionId, or agentId, are required"))
    elif event.reference_id is None:
        issues.append(Issue("/referenceId", "is required"))
    if event.attachments:
        contents = (attachment.content for attachment in event.attachments)
        if sum(len(one) // 4 * 3 - one[-2:].count("=") for one in contents) > ATTACHMENTS_BYTES_MAX:
            issues.append(Issue("/attachments", "hold more than 10 MiB together"))
    return issues


class Agent(Struct, frozen=True, gc=False, omit_defaults=True):
    """The desk that a call is at: Cention knows an agent by these two ids."""

    device_id: int
    extension_id: int


class Attachment(Struct, frozen=True, gc=False, omit_defaults=True):
    """A file that goes with an errand; `content` is base64."""

    content_type: str
    name: str
    content: str


class ContactDetails(Struct, frozen=True, gc=False):
    """Further channels of a caller; `voice` holds numbers with the plus, read already."""

    email: tuple[str, ...] = ()
    facebook: tuple[str, ...] = ()
    vk: tuple[str, ...] = ()
    line: tuple[str, ...] = ()
    voice: tuple[str, ...] = ()
    custom: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return any((self.email, self.facebook, self.vk, self.line, self.voice, self.custom))


WITHHELD: Final = PhoneNumber(NumberStatus.WITHHELD)


class CallEvent(Struct, frozen=True, gc=False, kw_only=True):
    """A valid event with its numbers read and its route found; absent texts are empty.

    `occurred_us` is microseconds since 1970. `dest_msisdn` has no plus. `extra` holds the keys of
    `extraData` that Cention has no field for.
    """

    source: str
    event_id: str
    type: EventType
    occurred_us: int
    route: str
    reference_id: str = ""
    related_reference_id: str = ""
    caller: PhoneNumber = WITHHELD
    caller_text: str = ""
    caller_name: str = ""
    cuid: str = ""
    contact: ContactDetails = ContactDetails()
    agent: Agent | None = None
    agent_id: str = ""
    dest_msisdn: str = ""
    queue_name: str = ""
    queue_number: str = ""
    dialed_number: str = ""
    outcome: Outcome = "completed"
    paging_number: str = ""
    paging_name: str = ""
    link: str = ""
    comment: str = ""
    call_reason: str = ""
    appointment_timestamp: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()

    @property
    def call_reference(self) -> str:
        """The reference of the call it is folded into.

        An outbound call belongs to the callback or call that it answers, if it names one.
        """
        if self.type.is_outbound and self.related_reference_id:
            return self.related_reference_id
        return self.reference_id

    @property
    def outside_reference(self) -> str:
        """The reference of its call as others than its phone system are told it."""
        return outside_reference(self.source, self.call_reference)


def outside_reference(source: str, reference_id: str) -> str:
    """Return a call's reference such that no other phone system has it.

    *Assumed*: Cention ends an errand by `referenceId` alone, the integration's name being the same
    for all. What comes from a hook has the hook's name before it; `/v1/events` has nothing.
    """
    if source == EVENTS_SOURCE or not reference_id:
        return reference_id
    qualified = f"{source}:{reference_id}"
    if len(qualified) <= REFERENCE_MAX:
        return qualified
    told = hashlib.sha256(reference_id.encode()).hexdigest()[:16]
    return f"{qualified[: REFERENCE_MAX - len(told) - 1]}~{told}"
