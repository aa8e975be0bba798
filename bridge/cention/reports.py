"""Reading what Cention reports of an errand, a rating or a file. Nothing of it is trusted.

A field of another type than the vendor's page says counts as absent, so that one odd field costs
nothing else.

Source: the vendor's page "Cention Errand Report"; of files, "Cention Callback API", whose sample is
cut *(assumed from Cention's own client)*.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge.cention.fields import a_list, a_text, an_object
from bridge.domain.reports import Action, ErrandReport, Rating, Sla

TEXT_MAX: Final = 64 * 1024
ACTIONS_MAX: Final = 1000
TAGS_MAX: Final = 100
TAG_CHARS_MAX: Final = 128
# Seconds after which a time is none: the year 9999.
_TIME_MAX_S: Final = 253_402_300_799
_STARS_MAX: Final = 5
_SPACE: Final = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file as it was fetched."""

    title: str
    content_type: str
    content_id: str
    content: bytes


def read_report(attributes: Mapping[str, Any]) -> ErrandReport:
    """Return what a report's `data.attributes` tell."""
    basic = an_object(an_object(attributes.get("basic")).get("data"))
    extended = an_object(attributes.get("extended"))
    feedback = an_object(extended.get("feedback"))
    return ErrandReport(
        actions=_actions(attributes.get("actions")),
        is_answered=basic.get("answered") is True,
        is_closed=basic.get("closed") is True,
        answered_minute=a_text(basic.get("answeredDate"), TAG_CHARS_MAX),
        area=a_text(basic.get("areaName"), TAG_CHARS_MAX),
        service=a_text(basic.get("serviceName"), TAG_CHARS_MAX),
        agent=a_text(basic.get("agent"), TAG_CHARS_MAX),
        subject=a_text(basic.get("subject"), TEXT_MAX),
        answer_subject=a_text(extended.get("answer_subject"), TEXT_MAX),
        answer_body=a_text(extended.get("answer_body"), TEXT_MAX),
        tags=_tags(extended.get("errand_tags")),
        feedback=a_text(feedback.get("Answer"), TEXT_MAX),
        sla=read_sla(attributes),
    )


def read_sla(attributes: Mapping[str, Any]) -> Sla | None:
    """Return a report's SLA; None: Cention is still working it out."""
    sla = attributes.get("sla")
    if not isinstance(sla, dict):
        return None
    expiry = sla.get("expiry")
    return Sla(
        is_within=sla.get("within_sla") is True,
        handling_s=_seconds(sla.get("handling_time")),
        response_s=_seconds(sla.get("response_time")),
        expiry=expiry if type(expiry) is int and 0 <= expiry <= 2 else 0,
        is_done_due=sla.get("done_due") is True,
    )


def read_rating(attributes: Mapping[str, Any]) -> Rating | None:
    """Return a rating; None: there is none in it."""
    data = attributes.get("data")
    if not isinstance(data, dict):
        return None
    stars = data.get("rating")
    return Rating(
        stars=stars if type(stars) is int and 1 <= stars <= _STARS_MAX else 0,
        created_s=_seconds(data.get("timestampCreated")),
        message=a_text(data.get("message"), TEXT_MAX),
        reviewer=a_text(data.get("reviewerName"), TAG_CHARS_MAX),
    )


def read_file(attributes: Mapping[str, Any]) -> FileContent | None:
    """Return a file with its content; None: there is none in it that can be read."""
    file = an_object(attributes.get("attachment"))
    content = file.get("content")
    if not isinstance(content, str):
        return None
    try:
        # It may be broken into lines, as in an e-mail; megabytes are not copied for nothing.
        lines = "".join(content.split()) if _SPACE.search(content) else content
        decoded = base64.b64decode(lines, validate=True)
    except (binascii.Error, ValueError):
        return None
    return FileContent(
        title=a_text(file.get("name"), TAG_CHARS_MAX * 2),
        content_type=a_text(file.get("content_type"), TAG_CHARS_MAX),
        content_id=a_text(file.get("content_id"), TAG_CHARS_MAX),
        content=decoded,
    )


def _actions(value: Any) -> tuple[Action, ...]:
    return tuple(
        Action(
            at_s=one["timeStamp"],
            note=a_text(one.get("note"), TEXT_MAX),
            origin=a_text(one.get("origin"), TAG_CHARS_MAX),
            time=a_text(one.get("time"), TAG_CHARS_MAX),
        )
        for one in a_list(value)[:ACTIONS_MAX]
        if isinstance(one, dict) and 0 < _seconds(one.get("timeStamp")) <= _TIME_MAX_S
    )


def _tags(value: Any) -> tuple[str, ...]:
    found = (a_text(an_object(one).get("desc"), TAG_CHARS_MAX) for one in a_list(value)[:TAGS_MAX])
    return tuple(dict.fromkeys(one for one in found if one))


def _seconds(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= _TIME_MAX_S else 0
