"""Every field of every table of Cention's administration API, as data.

A field has the page's name and type. Only what refers to something else is written differently in
a centre's file than it is sent: by name there, by id (or as text) here. `route` is the bridge's own
and never sent.

Source: the vendor's page "Cention Organization, Area, Routing and Tag API".
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from bridge.domain.centre_values import (
    LANGUAGES,
    ROUTING_TYPES,
    TIME_ZONES,
    Kind,
)

INTEGER_MAX: Final = 2**31 - 1
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class Flag(Struct, frozen=True):
    """True or false."""


class Whole(Struct, frozen=True):
    """A whole number within bounds, both included."""

    least: int = 0
    most: int = INTEGER_MAX


class Words(Struct, frozen=True):
    """A text; `complain` returns what is wrong with one, and what would be right, or nothing."""

    complain: Callable[[str], str] = lambda _: ""


class Choice(Struct, frozen=True):
    """One of some words: as they may be written, and what is sent for each."""

    what: str
    words: Mapping[str, str]


class Group(Struct, frozen=True):
    """A table of fields. The page calls it a struct."""

    fields: tuple["Field", ...]


class Week(Struct, frozen=True):
    """A table by day of the week. The page calls it a map."""

    day: Group


class Items(Struct, frozen=True):
    """A list of tables."""

    item: Group


class OneId(Struct, frozen=True):
    """Another thing, sent by its id."""

    kind: Kind


class ManyIds(Struct, frozen=True):
    """Some other things, sent by their ids; at least one."""

    kind: Kind


class TagText(Struct, frozen=True):
    """A tag, sent by its name, or with all that it lies under."""

    with_parents: bool = False


class Texts(Struct, frozen=True):
    """A list of texts, none of them empty."""


Shape = Flag | Whole | Words | Choice | Group | Week | Items | OneId | ManyIds | TagText | Texts


class Field(Struct, frozen=True):
    """A field as a file has it; `sent` is the page's name where it is another one."""

    name: str
    shape: Shape
    is_required: bool = False
    sent: str = ""

    @property
    def key(self) -> str:
        """The name that it is sent by."""
        return self.sent or self.name


def _filled(text: str) -> str:
    return "" if text.strip() else "is empty; write some text"


def _address_or_none(text: str) -> str:
    return _address(text) if text else ""


def _address(text: str) -> str:
    return "" if _ADDRESS.fullmatch(text) else "is no e-mail address; write name@example.com"


def _clock(text: str) -> str:
    return "" if _CLOCK.fullmatch(text) else 'is no time of day; write HH:MM, as "08:30"'


def _both(words: Mapping[str, str]) -> dict[str, str]:
    """Return what may be written for each: what it is called, or its abbreviation."""
    return {**words, **{short: short for short in words.values()}}


_FLAG: Final = Flag()
_WHOLE: Final = Whole()
_TEXT: Final = Words()
_FILLED: Final = Words(_filled)
# An empty one takes away what was there: the API has no other way to say so.
_ADDRESS_TEXT: Final = Words(_address_or_none)
_TIME_ZONE: Final = Choice("time zone", _both(TIME_ZONES))
_ROUTING_TYPE: Final = Choice("type", {word: word for word in ROUTING_TYPES})

_BRIGHT: Final = Group(
    (
        Field("active", _FLAG),
        Field("language_code", Choice("language", _both(LANGUAGES))),
        Field("survey_reference_code", _TEXT),
    )
)
_WEEK: Final = Week(
    Group(
        (
            Field("start", Words(_clock)),
            Field("end", Words(_clock)),
            Field("working", _FLAG),
            Field("has_rule", _FLAG),
        )
    )
)
_DONE_DATE: Final = Group(
    (
        Field("done_date_address", _ADDRESS_TEXT),
        Field("due_date_selected", _WHOLE),
        Field("expected_done_date_note", _TEXT),
        Field("has_done_date_notification", _FLAG),
    )
)
# What is longer than a day has days, so that the bounds keep nothing from being said.
_SPAN: Final = Group(
    (
        Field("days", _WHOLE),
        Field("hours", Whole(most=23)),
        Field("mins", Whole(most=59)),
    )
)
_EXPIRE_TIME: Final = Group(
    tuple(
        Field(name, _SPAN)
        for name in (
            "general_alert_time",
            "general_warning_time",
            "hold_time",
            "partial_answer_alert_time",
            "partial_answer_hold_time",
            "partial_answer_warning_time",
        )
    )
)
_AGENT_GROUP: Final = Group(
    (Field("id", Whole(least=1), is_required=True), Field("name", _FILLED, is_required=True))
)
# The page wants all three. `id` is -1 on creation, and the order is the list's, unless said.
_SERVER_EMAIL: Final = Group(
    (
        Field("id", Whole(least=-1)),
        Field("name", Words(_address), is_required=True),
        Field("order", _WHOLE),
    )
)
# Of the bridge alone: which calls are this area's, for its [[routes]].
ROUTE: Final = Group(
    (
        Field("name", _FILLED),
        Field("queue_names", Texts()),
        Field("dest_numbers", Texts()),
        Field("queue_numbers", Texts()),
    )
)
_SHARED: Final = (
    Field("active", _FLAG),
    Field("anonymize_contact", _FLAG),
    Field("anonymize_day", _WHOLE),
    Field("bright_settings", _BRIGHT),
    Field("external_id", _TEXT),
    Field("name", _FILLED, is_required=True),
    Field("pro_active_chat", _TEXT),
    Field("time_zone", _TIME_ZONE),
    Field("working_time_data", _WEEK),
)
_AREAS: Final = Field("areas", ManyIds(Kind.AREA), is_required=True)
_CONTENT: Final = Field("content", _FILLED, is_required=True)
_TYPE: Final = Field("type", _ROUTING_TYPE, is_required=True)

FIELDS: Final[Mapping[Kind, Group]] = {
    Kind.ORGANIZATION: Group(_SHARED),
    Kind.AREA: Group(
        (
            *_SHARED,
            Field("agent_groups", Items(_AGENT_GROUP)),
            Field("chat_area_url", _TEXT),
            Field("chat_external_id", _TEXT),
            Field("days_to_keep_errand", _WHOLE),
            Field("default_subject_prefix", _TEXT),
            Field("description", _TEXT),
            Field("done_date", _DONE_DATE),
            Field("due_date_move_to", OneId(Kind.AREA), sent="due_date_move_to_areaId"),
            Field("exclude_anonymize", _FLAG),
            Field("expire_time", _EXPIRE_TIME),
            Field("external_experts_by_email", _FLAG),
            Field("external_experts_from_address", _ADDRESS_TEXT),
            Field("external_experts_note", _TEXT),
            Field("external_experts_pre_filled_address", _ADDRESS_TEXT),
            Field("external_forward_number", _TEXT),
            Field("feedback_send_out_delay", _WHOLE),
            Field("has_chat", _FLAG),
            Field("has_postpone", _FLAG),
            Field("has_voice", _FLAG),
            Field("organization", OneId(Kind.ORGANIZATION), sent="organisation_id"),
            Field("remove_errand_from_area", _FLAG),
            Field("reply_to_email_address", _ADDRESS_TEXT),
            Field("reply_to_name", _TEXT),
            Field("server_emails", Items(_SERVER_EMAIL)),
        )
    ),
    Kind.TAG: Group(
        (
            _AREAS,
            Field("tag_color", _TEXT),
            Field("tag_delete", _FLAG),
            Field("tag_name", _FILLED, is_required=True),
            Field("tag_vip", _FLAG),
            Field("parent_tag", TagText(with_parents=True)),
            Field("sub_tag", _TEXT),
        )
    ),
    Kind.KEYWORD: Group((_AREAS, _CONTENT, _TYPE)),
    Kind.AUTOTAG: Group((_AREAS, _CONTENT, _TYPE, Field("tag", TagText(), is_required=True))),
    Kind.SIP: Group((_AREAS, Field("route_sip_id", _FILLED, is_required=True))),
}
