"""What leaves the bridge: the work that events cause, before it takes Cention's form."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from bridge.domain.answers import OnwardAnswer
from bridge.domain.events import Agent, Attachment


class Kind(StrEnum):
    """The kinds of delivery, as they stand in metrics and in the store."""

    NEW_ERRAND = "new_errand"
    END_ERRAND = "end_errand"
    CONTACT_CARD = "contact_card"
    WATEMPLATE = "watemplate"
    ANSWER = "answer"
    PICK_TICKET = "pick_ticket"
    CLOSE_ROOM = "close_room"

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once.

        Whoever takes an answer knows it again by its `webhook-id` (Standard Webhooks).
        """
        return self not in {Kind.NEW_ERRAND, Kind.WATEMPLATE}

    @property
    def may_lead(self) -> bool:
        """Whether another may wait behind it in its lane."""
        return self in {Kind.NEW_ERRAND, Kind.ANSWER, Kind.PICK_TICKET}

    @property
    def is_of_ticket(self) -> bool:
        """Whether it is about a chat at One View."""
        return self is Kind.PICK_TICKET or self is Kind.CLOSE_ROOM

    @property
    def makes_errand(self) -> bool:
        """Whether an errand comes of it."""
        return self in {Kind.NEW_ERRAND, Kind.WATEMPLATE}


class State(StrEnum):
    """Where a delivery stands.

    `READY` heads its lane and waits for its time; `BLOCKED` waits for the one before it;
    `SENDING` was on its way when this was written (found so at a start, it is in doubt);
    `DOUBTFUL` may have arrived, and is being looked up; `HELD` is in doubt and waits for a person;
    `DEAD` was refused for good; `PARKED` depends on a dead or held one; `GIVEN_UP` was a message
    that is not wanted any more.
    """

    READY = "ready"
    BLOCKED = "blocked"
    SENDING = "sending"
    DOUBTFUL = "doubtful"
    DELIVERED = "delivered"
    HELD = "held"
    DEAD = "dead"
    PARKED = "parked"
    GIVEN_UP = "given_up"


class Tier(StrEnum):
    """In which turn a lane's head leaves.

    `LIVE` was accepted a moment ago, `OLD` before that; both have not been tried yet. `LATER` has a
    time of its own: it was tried before, or a person wants it sent again.
    """

    LIVE = "live"
    OLD = "old"
    LATER = "later"


PENDING_STATES = (State.READY, State.BLOCKED, State.SENDING, State.DOUBTFUL)
STOPPED_STATES = (State.DEAD, State.HELD, State.PARKED)


class Integration(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The call that an errand is about, as Cention's Aventa integration wants it.

    `dest_number` is an MSISDN without the plus; empty texts are left out of the document.
    """

    reference_id: str
    agent: Agent
    dest_number: str
    queue_name: str
    queue_number: str
    link: str = ""
    paging_number: str = ""
    paging_name: str = ""
    comment: str = ""
    call_reason: str = ""
    appointment_timestamp: str = ""


class ClosingAnswer(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Makes an errand that is answered already, or signs a WhatsApp template."""

    user_type: str
    user_id: str
    subject: str = ""
    body: str = ""
    html_body: str = ""


class WhatsAppTemplate(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A template message of WhatsApp; `params` is a list of objects as the vendor shows it.

    `route` is that of the call that it is about, whose people's time of day counts.
    """

    elementname: str
    namespace: str
    params: tuple[dict[str, Any], ...] = ()
    route: str = ""


class NewErrand(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """An errand to be created. `sender` goes out as `from`."""

    message_id: str
    name: str
    sender: str
    subject: str
    body: str
    html_body: str = ""
    attachments: tuple[Attachment, ...] = ()
    extradata: dict[str, Any] | None = None
    integration: Integration | None = None
    cuid: str = ""
    answer: ClosingAnswer | None = None
    watemplate: WhatsAppTemplate | None = None


class EndErrand(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The end of the errand that was created with this reference."""

    reference_id: str
    agent: Agent
    dialed_number: str = ""


class TicketWork(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A ticket at One View, whose picked time is to be set or whose room is to be closed."""

    ticket_id: str


class TicketWish(Struct, frozen=True, gc=False, kw_only=True):
    """What a rule wants of the ticket that a call is about: all that is said is to be done.

    `desk` is where the call was last. An empty `ticket_id` is the one that the call named before.
    """

    picks: bool
    closes: bool
    ticket_id: str = ""
    desk: Agent | None = None


# What a delivery holds; a contact card is worked out when it is sent, and so holds nothing.
Payload = NewErrand | EndErrand | OnwardAnswer | TicketWork
PAYLOADS: Final[Mapping[Kind, type[Payload]]] = {
    Kind.NEW_ERRAND: NewErrand,
    Kind.WATEMPLATE: NewErrand,
    Kind.END_ERRAND: EndErrand,
    Kind.ANSWER: OnwardAnswer,
    Kind.PICK_TICKET: TicketWork,
    Kind.CLOSE_ROOM: TicketWork,
}


class Draft(Struct, frozen=True, gc=False, kw_only=True):
    """A delivery that an event asks for.

    `key` is unique for ever: asking twice makes one. Asking again with another payload changes
    what has not been tried yet. Deliveries of one `lane` leave in the order of `position`. Times
    are microseconds since 1970: before `not_before_us` it doesn't leave, and from `expires_us` on
    it is given up.
    """

    key: str
    lane: str
    position: int
    kind: Kind
    route: str
    payload: Payload
    not_before_us: int | None = None
    expires_us: int | None = None


class Unsent(StrEnum):
    """Why a WhatsApp template that a rule would send is not."""

    NO_NUMBER = "no_number"
    SHARED = "shared"
    NOT_MOBILE = "not_mobile"
    UNFILLED = "unfilled"
    TOO_LATE = "too_late"
    REPEATED = "repeated"
    ANSWERED = "answered"
    EXPIRED = "expired"


class Notice(Struct, frozen=True, gc=False, kw_only=True):
    """A WhatsApp template to be sent: at most one a call and `rule`.

    It goes to the MSISDN `number`, known in the workspace of `scope`; that person gets the same
    `template` once in `not_within_us`. One that `is_of_no_answer` is called off by an answer.
    """

    rule: str
    template: str
    scope: str
    number: str
    not_within_us: int
    is_of_no_answer: bool
    draft: Draft
