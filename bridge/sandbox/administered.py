"""What was set up over the administration API: the vendor's tables, and what is kept of it.

Where the page is silent the strict reading was chosen, so that a mistake shows here and not at a
site: what a field refers to has to be there, and what is referred to can't be deleted.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bridge.sandbox.jsonapi import ApiError, Issue
from bridge.sandbox.kinds import ADMINISTRATION, AREA, AUTOTAGS, KEYWORDS, ORG, SIP, TAG
from bridge.sandbox.schema import (
    Check,
    Field,
    filled,
    integer,
    list_of,
    one_of,
    optional,
    pattern,
    record,
    required,
    text,
)

_ZONES: Final = (
    *("SST", "HDT", "AKDT", "PST", "MST", "CST", "EST", "AMT", "ART", "GST", "CVT", "GMT", "BST"),
    *("CET", "EET", "MSK", "AST", "PKT", "BDT", "WIB", "MYT", "PHT", "KST", "AEDT", "VLAT", "NZST"),
)
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _flag(value: Any, pointer: str, issues: list[Issue]) -> None:
    if not isinstance(value, bool):
        issues.append(Issue(pointer, "must be true or false"))


def _ids(value: Any, pointer: str, issues: list[Issue]) -> None:
    list_of(integer)(value, pointer, issues)
    if value == []:
        issues.append(Issue(pointer, "must not be empty"))


_CLOCK: Final = pattern(r"([01]\d|2[0-3]):[0-5]\d", "a time as HH:MM")
_ADDRESS: Final = pattern(r"[^@\s]+@[^@\s]+", "an e-mail address")
_ADDRESS_OR_NONE: Final = pattern(r"([^@\s]+@[^@\s]+)?", "an e-mail address")
_BRIGHT: Final = record(
    {
        "active": optional(_flag),
        "language_code": optional(one_of(("SE", "NO", "DK", "FI"))),
        "survey_reference_code": optional(text),
    }
)
_DAY: Final = record(
    {
        "end": optional(_CLOCK),
        "has_rule": optional(_flag),
        "start": optional(_CLOCK),
        "working": optional(_flag),
    }
)
_SPAN: Final = record(dict.fromkeys(("days", "hours", "mins"), optional(integer)))
_SHARED: Final[Mapping[str, Check]] = {
    "active": _flag,
    "anonymize_contact": _flag,
    "anonymize_day": integer,
    "bright_settings": _BRIGHT,
    "external_id": text,
    "name": filled,
    "pro_active_chat": text,
    "time_zone": one_of(_ZONES),
    "working_time_data": record(dict.fromkeys(_DAYS, optional(_DAY))),
}
_AREA: Final[Mapping[str, Check]] = {
    **_SHARED,
    "agent_groups": list_of(record({"id": required(integer), "name": required(filled)})),
    "done_date": record(
        {
            "done_date_address": optional(_ADDRESS_OR_NONE),
            "due_date_selected": optional(integer),
            "expected_done_date_note": optional(text),
            "has_done_date_notification": optional(_flag),
        }
    ),
    "expire_time": record(
        {
            f"{which}_time": optional(_SPAN)
            for which in (
                *("general_alert", "general_warning", "hold"),
                *("partial_answer_alert", "partial_answer_hold", "partial_answer_warning"),
            )
        }
    ),
    "server_emails": list_of(
        record({"id": required(integer), "name": required(_ADDRESS), "order": required(integer)})
    ),
    "external_experts_from_address": _ADDRESS_OR_NONE,
    "external_experts_pre_filled_address": _ADDRESS_OR_NONE,
    "reply_to_email_address": _ADDRESS_OR_NONE,
    **dict.fromkeys(
        (
            *("chat_area_url", "chat_external_id", "default_subject_prefix", "description"),
            *("external_experts_note", "external_forward_number", "reply_to_name"),
        ),
        text,
    ),
    **dict.fromkeys(
        (
            *("exclude_anonymize", "external_experts_by_email", "has_chat", "has_postpone"),
            *("has_voice", "remove_errand_from_area"),
        ),
        _flag,
    ),
    **dict.fromkeys(
        (
            *("days_to_keep_errand", "due_date_move_to_areaId", "feedback_send_out_delay"),
            "organisation_id",
        ),
        integer,
    ),
}
_WORD: Final[Mapping[str, Check]] = {
    "areas": _ids,
    "content": filled,
    "type": one_of(("From", "To", "Subject", "Subject or text")),
}
_TABLES: Final[Mapping[str, Mapping[str, Check]]] = {
    ORG: _SHARED,
    AREA: _AREA,
    TAG: {
        "areas": _ids,
        "tag_color": text,
        "tag_delete": _flag,
        "tag_name": filled,
        "tag_vip": _flag,
        "parent_tag": filled,
        "sub_tag": text,
    },
    KEYWORDS: _WORD,
    AUTOTAGS: {**_WORD, "tag": filled},
    SIP: {"areas": _ids, "route_sip_id": filled},
}
_MANDATORY: Final[Mapping[str, frozenset[str]]] = {
    ORG: frozenset({"name"}),
    AREA: frozenset({"name"}),
    TAG: frozenset({"areas", "tag_name"}),
    KEYWORDS: frozenset({"areas", "content", "type"}),
    AUTOTAGS: frozenset({"areas", "content", "type", "tag"}),
    SIP: frozenset({"areas", "route_sip_id"}),
}
_CREATING: Final[Mapping[str, Check]] = {
    kind: record({name: Field(check, name in _MANDATORY[kind]) for name, check in table.items()})
    for kind, table in _TABLES.items()
}
_UPDATING: Final[Mapping[str, Check]] = {
    kind: record({name: optional(check) for name, check in table.items()})
    for kind, table in _TABLES.items()
}

_Resources = dict[int, dict[str, Any]]


class AdministeredBook:
    """What there is, by workspace, kind and id. Ids go on growing, whatever is forgotten."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Resources] = {}
        self._deleted: dict[tuple[str, str], _Resources] = {}
        self._last_id = 0
        self.requests = 0

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._deleted.clear()
        self.requests = 0

    def shown(self, workspace: str) -> dict[str, dict[str, Any]]:
        """Return what there is in a workspace, by kind and id."""
        return {
            kind: {str(number): fields for number, fields in self._of(workspace, kind).items()}
            for kind in ADMINISTRATION
        }

    def _of(self, workspace: str, kind: str) -> _Resources:
        return self._kept.setdefault((workspace, kind), {})

    def create(self, workspace: str, kind: str, body: Any) -> dict[str, Any]:
        """Make something, and return what is answered.

        Raises:
            ApiError: 400, it can't be made so; every issue is named.
        """
        _check(_CREATING[kind], body)
        self._check_refs(workspace, body)
        if any(item["id"] != -1 for item in body.get("server_emails", ())):
            raise ApiError(400, "server_emails: id must be -1 during creation")
        self._last_id += 1
        number = self._last_id
        self._of(workspace, kind)[number] = dict(body)
        # A tag has another id within the tree of tags.
        extra = {"tag_id": number + 1000} if kind == TAG else {}
        return {"id": number, **extra, **body}

    def update(self, workspace: str, kind: str, number: int, body: Any) -> dict[str, Any]:
        """Change the fields that are given, and return them.

        Raises:
            ApiError: 404, there is no such thing; 400, it can't be changed so.
        """
        _check(_UPDATING[kind], body)
        deleted = self._deleted.get((workspace, kind), {})
        if number in deleted and body.get("active") is True:
            self._of(workspace, kind)[number] = deleted.pop(number)
        kept = self._find(workspace, kind, number)
        self._check_refs(workspace, body)
        kept.update(body)
        return {"id": number, **body}

    def delete(self, workspace: str, kind: str, number: int) -> dict[str, Any]:
        """Delete something.

        Raises:
            ApiError: 404, there is no such thing; 400, something refers to it.
        """
        kept = self._find(workspace, kind, number)
        for user in self._users(workspace, kind, number, kept):
            raise ApiError(400, f"{kind} {number} is used by {user}")
        gone = self._of(workspace, kind).pop(number)
        self._deleted.setdefault((workspace, kind), {})[number] = gone
        return {"id": number, "deleted": True}

    def _find(self, workspace: str, kind: str, number: int) -> dict[str, Any]:
        kept = self._of(workspace, kind).get(number)
        if kept is None:
            raise ApiError(404, f"There is no {kind} {number}")
        return kept

    def _check_refs(self, workspace: str, body: Mapping[str, Any]) -> None:
        for kind, name, number in _refs(body):
            if number not in self._of(workspace, kind):
                raise ApiError(400, f"{name}: there is no {kind} {number}")
        tags = [tag["tag_name"] for tag in self._of(workspace, TAG).values()]
        for name in ("tag", "parent_tag"):
            if name in body and str(body[name]).rpartition(" / ")[2] not in tags:
                raise ApiError(400, f"{name}: there is no tag {body[name]!r}")

    def _users(
        self, workspace: str, kind: str, number: int, kept: Mapping[str, Any]
    ) -> Iterator[str]:
        for other in ADMINISTRATION:
            for user, fields in self._of(workspace, other).items():
                refs = {(one, ref) for one, name, ref in _refs(fields) if name != _MOVE}
                title = kept.get("tag_name")
                under = str(fields.get("parent_tag", "")).rpartition(" / ")[2]
                is_named = kind == TAG and title in {fields.get("tag"), under}
                if (kind, number) in refs or is_named:
                    yield f"{other} {user}"


_MOVE: Final = "due_date_move_to_areaId"


def _refs(body: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Yield what a body refers to by id: its kind, the field, and the id."""
    for number in body.get("areas", ()):
        yield AREA, "areas", number
    if "organisation_id" in body:
        yield ORG, "organisation_id", body["organisation_id"]
    if _MOVE in body:
        yield AREA, _MOVE, body[_MOVE]


def _check(check: Check, body: Any) -> None:
    issues: list[Issue] = []
    check(body, "", issues)
    if issues:
        raise ApiError(400, *(f"{pointer.strip('/')}: {detail}" for pointer, detail in issues[:20]))
