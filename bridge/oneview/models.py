"""The data structures of One View's chat-ticket API, version 1.0.0, by the names of its page.

Source: "pd-oneview-cs-chat-ticket", section "Data Structures". What comes in is read as far as it
can be: what is new is ignored, what is missing or of another type has its default.
"""

import types
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Struct, ValidationError, convert, field
from msgspec.structs import fields

StructT = TypeVar("StructT", bound=Struct)


class TicketStatus(StrEnum):
    """Where a ticket stands (`TicketStatus`)."""

    CREATED = "CREATED"
    WORKFLOW_PENDING = "WORKFLOW_PENDING"
    WORKFLOW_DONE = "WORKFLOW_DONE"
    ASSIGNED = "ASSIGNED"
    REASSIGNED = "REASSIGNED"
    ESCALATED = "ESCALATED"
    CLOSED = "CLOSED"
    CHAT_CLOSED = "CHAT_CLOSED"
    UPDATE_FIELD = "UPDATE_FIELD"
    REFUND_CREATED = "REFUND_CREATED"
    ERROR = "ERROR"


class AgentInfo(Struct, frozen=True, kw_only=True, rename="camel"):
    """An agent. `updated_at` is when their status was set, in the page's own form of a time.

    The page shows `agentTimeInStatus`, a duration, as `1572499999`; it is kept as it comes.
    """

    id: str = ""
    name: str = ""
    status: str = ""
    status_alias: str = ""
    last_login_time: str = ""
    updated_at: str = ""
    agent_time_in_status: int = 0


class AgentStatusInfo(Struct, frozen=True, kw_only=True, rename="camel"):
    """What comes of setting a status."""

    id: str = ""
    status: str = ""


class AgentStatusList(Struct, frozen=True, kw_only=True, rename="camel"):
    """Which statuses there are."""

    data: tuple[str, ...] = ()


class UpdateAgentStatusParam(Struct, frozen=True, kw_only=True, rename="camel"):
    """What `PUT /v1/status` takes."""

    status: str


class Metadata(Struct, frozen=True, kw_only=True, rename="camel"):
    """What an agent is shown of a ticket; timestamps are Unix seconds *(assumed)*."""

    ccr: str = ""
    room_id: str = ""
    order_id: str = ""
    picked_timestamp: int = 0
    assigned_timestamp: int = 0
    auto_close_warning_timestamp: int = 0
    auto_close_timestamp: int = 0
    current_timestamp: int = 0
    entity_id: str = ""
    is_chat_room_closed: bool = False
    language: str = ""


class Customer(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whom a ticket was created for."""

    id: str = ""
    first_name: str = ""
    last_name: str = ""
    name: str = ""


class Ticket(Struct, frozen=True, kw_only=True, rename="camel"):
    """A chat; `content` is whatever it is about.

    The page gives it no status, and `TicketStatus` no place; one that comes is read all the same.
    """

    id: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    metadata: Metadata = Metadata()
    customer: Customer = Customer()
    status: TicketStatus | None = None


class ErrorObject(Struct, frozen=True, kw_only=True, rename="camel"):
    """One of `errors`: the HTTP status as text, and what is wrong in short."""

    status: str = ""
    title: str = ""


@cache
def _shape(kind: type[Struct]) -> tuple[tuple[str, str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((one.name, one.encode_name, hints[one.name]) for one in fields(kind))


def read(kind: type[StructT], document: object) -> StructT | None:
    """Read an object as far as it can be; None: it is no object."""
    if not isinstance(document, dict):
        return None
    found: dict[str, Any] = {}
    for name, key, of in _shape(kind):
        value = document.get(key)
        if value is None:
            continue
        nested = _struct_in(of)
        if nested is not None:
            inner = read(nested, value)
            if inner is not None:
                found[name] = inner
            continue
        try:
            found[name] = convert(value, of, strict=False)
        except ValidationError:
            continue
    return kind(**found)


def _struct_in(of: Any) -> type[Struct] | None:
    if get_origin(of) in {Union, types.UnionType}:
        of = next((one for one in get_args(of) if one is not type(None)), None)
    return of if isinstance(of, type) and issubclass(of, Struct) else None


def read_info(document: object) -> AgentInfo | None:
    """Read what `/v1/info` answers: an AgentInfo, or the array that the page says.

    None: nothing there has a status.
    """
    for one in document if isinstance(document, list) else [document]:
        info = read(AgentInfo, one)
        if info is not None and info.status:
            return info
    return None


def read_tickets(document: object) -> tuple[Ticket, ...] | None:
    """Read what `/v1/tickets` answers; None: it is no list."""
    if not isinstance(document, list):
        return None
    found = (read(Ticket, one) for one in document)
    return tuple(one for one in found if one is not None and one.id)


def read_errors(document: object) -> tuple[ErrorObject, ...]:
    """Read the error objects of an answer; none where it has none."""
    errors = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list):
        return ()
    found = (read(ErrorObject, one) for one in errors)
    return tuple(one for one in found if one is not None)
