"""Events as nearly all of them come: one flat object of known fields, each said once.

Those are read in one step from the bytes. The general way (`events.parse_event` on what the strict
reader made of them) knows more shapes, and names every mistake; whatever this doesn't take goes
there. What both take they read the same.
"""

from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import astuple

from bridge.domain.event_fields import TIME_CHARS_MAX, Outcome, check_link, read_rfc3339
from bridge.domain.events import (
    AttachmentDocument,
    ContactDocument,
    EventType,
    ExtraDataDocument,
    check_together,
)

_Text128 = Annotated[str, Meta(min_length=1, max_length=128)]
_Text256 = Annotated[str, Meta(min_length=1, max_length=256)]
_Link = Annotated[str, Meta(min_length=1, max_length=2048)]
_Id31 = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class PlainEvent(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename="camel",
):
    """One call event without `contact`, `extraData` and `attachments`.

    Its fields stand in the order of their names on the wire: as it is encoded, so are the events
    that come the general way, and the two are known as the same event.
    """

    contact: ClassVar[ContactDocument | None] = None
    extra_data: ClassVar[ExtraDataDocument | None] = None
    attachments: ClassVar[tuple[AttachmentDocument, ...]] = ()
    model_extra: ClassVar[None] = None

    agent_id: _Text256 | None = None
    caller_name: _Text256 | None = None
    caller_number: _Text256 | None = None
    cuid: _Text128 | None = None
    dest_number: _Text256 | None = None
    device_id: _Id31 | None = None
    dialed_number: _Text256 | None = None
    event_id: _Text128
    event_type: EventType
    extension_id: _Id31 | None = None
    link: _Link | None = None
    time: Annotated[str, Meta(max_length=TIME_CHARS_MAX)] = msgspec.field(name="occurredAt")
    outcome: Outcome | None = None
    paging_name: _Text128 | None = None
    paging_number: _Text128 | None = None
    queue_name: _Text128 | None = None
    queue_number: _Text128 | None = None
    reference_id: _Text128 | None = None
    related_reference_id: _Text128 | None = None

    @property
    def occurred_at(self) -> int:
        """When it happened, in microseconds since 1970.

        Raises:
            PydanticCustomError: its time is none.
        """
        return read_rfc3339(self.time)


_DECODER: Final = msgspec.json.Decoder(PlainEvent)
_ENCODER: Final = msgspec.json.Encoder()


def read_plain(raw: bytes) -> PlainEvent | None:
    """Return the event that a text holds; None: it is to be read the general way."""
    # An escape may stand for what can't be kept, a null for what is absent.
    if b"\\" in raw or b"null" in raw:
        return None
    try:
        event = _DECODER.decode(raw)
        _ = event.occurred_at
        if event.link is not None:
            check_link(event.link)
    except ValueError:
        return None
    if check_together(event) or not _is_said_once(event, raw):
        return None
    return event


def canonical(event: PlainEvent) -> bytes:
    """Return the content that tells it from others."""
    return _ENCODER.encode(event)


def _is_said_once(event: PlainEvent, raw: bytes) -> bool:
    """Say whether no key comes twice, by the quotes: each key has two, and so has each text."""
    values = astuple(event)
    keys = len(values) - values.count(None)
    numbers = (event.device_id is not None) + (event.extension_id is not None)
    return raw.count(b'"') == 2 * (2 * keys - numbers)
