"""Errand reports as Cention writes them, from what the sandbox knows of an errand. Pure.

Source: the vendor's page "Cention Errand Report". What it leaves open is chosen here: times are
those of UTC, the body is HTML, and the SLA looks at nothing but the time until the errand is done.
"""

import html
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from bridge.sandbox.errands import API, EMAIL, VOICE, Errand

FIELDS: Final = frozenset({"actions", "basic", "c3_id", "changed", "extended", "sla"})
SLA_SECONDS: Final = 24 * 3600
SLA_WARNING_SECONDS: Final = 20 * 3600
NO_DATE: Final = "No Date"

SERVICE_IDS: Final = {EMAIL: 1, API: 2, VOICE: 3}
_ORGANISATION_ID: Final = 3
_NO_EXPIRY, _WARNING, _EXPIRED = 0, 1, 2


def attributes(
    errand: Errand, *, changed: bool, now: float, sla_delay_seconds: float
) -> dict[str, Any]:
    """Return `data.attributes` of `c3_errand_reports`.

    Args:
        errand: what to report on.
        changed: whether it was dirty.
        now: Unix seconds.
        sla_delay_seconds: for how long after a change `sla` is null, since Cention works it out
            every minute only.
    """
    request = errand.attributes()
    is_processing = now - errand.changed_at < sla_delay_seconds
    return {
        "actions": _actions(errand),
        "basic": {
            "acquired": errand.is_open and bool(errand.actions),
            "data": _basic(errand, request),
            "groupWith": 0,
            "hasChild": False,
            "id": errand.id,
            "style": {},
            "threadId": errand.id,
        },
        "c3_id": errand.id,
        "changed": changed,
        "extended": _extended(errand, request),
        "sla": None if is_processing else _sla(errand, now),
    }


def as_html(text: str) -> str:
    """Return text as Cention shows it: escaped, each line break as `<br />`."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "<br />".join(html.escape(line) for line in lines)


def html_body(msg: Mapping[str, Any]) -> str:
    """Return what an errand says as HTML; msg is that of the request that made it."""
    body: str = msg.get("html_body") or as_html(msg.get("body", ""))
    return body


def sender(msg: Mapping[str, Any]) -> str:
    """Return who wrote an errand: name and address; msg is that of the request that made it."""
    name, address = msg.get("name", ""), msg["from"]
    return f"{name} ({address})" if name else address


def date(seconds: float) -> str:
    """Return Unix seconds as Cention shows a date."""
    return f"{_moment(seconds):%Y/%m/%d %H:%M}"


def _actions(errand: Errand) -> list[dict[str, Any]]:
    shown = []
    for action in errand.actions:
        time = f"{_moment(action.at):%Y-%m-%d %H:%M:%S +0000 UTC}"
        shown.append(
            {
                "id": action.id,
                "note": f"Errand {errand.id} was {action.deed} by agent {action.origin} at {time}.",
                "origin": action.origin,
                "time": time,
                "timeStamp": int(action.at),
            }
        )
    return shown


def _basic(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    is_done = errand.done_at is not None
    answered_at = errand.done_at if errand.answered_at is None else errand.answered_at
    icon, title = ("ANSWER", "has been answered") if is_done else ("NEW", "is new")
    return {
        **_who(errand, request),
        "id": errand.id,
        "displayId": str(errand.id),
        "status": _image(f"/ng/img/icons/ACTION_{icon}.png", f"Errand {title}"),
        "service": SERVICE_IDS[errand.service],
        "serviceName": errand.service,
        "organisationId": _ORGANISATION_ID,
        "organisationName": errand.workspace,
        "area": zlib.crc32(errand.area.encode()),
        "areaName": errand.area,
        "priority": "",
        "copy": "",
        "copyAddresses": None,
        **_what(errand, request["msg"]),
        "date": date(errand.created_at),
        "answeredDate": NO_DATE if answered_at is None else date(answered_at),
        "donedate": NO_DATE,
        "closed": is_done,
        "deleted": False,
        "answered": is_done,
        "wasForwardedToExternal": False,
        "wasClonedAndForwardedExternal": False,
        "feedbackAnswer": "",
        "feedbackLink": "",
        "fbPms": False,
        "fbLikes": "",
        "fbAction": "",
        "sendPm": False,
        "hasAnswer": False,
        "answerDeleted": False,
        "retweet": False,
        "twitterPm": False,
        "secureUserId": "",
    }


def _who(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    msg, integration = request["msg"], request.get("integrationData", {})
    to = integration.get("destNumber", "")
    return {
        "agentId": integration.get("deviceId", 0),
        "agent": errand.agent,
        "from": sender(msg),
        "fromAddress": msg["from"],
        "fromName": msg.get("name", ""),
        "to": to,
        "toAddresses": [to] if to else [],
    }


def _what(errand: Errand, msg: dict[str, Any]) -> dict[str, Any]:
    subject = msg.get("subject", "")
    icon = _image("/Cention.app/Resources/Images/unassuming-icon.gif", f"From {errand.service}")
    return {
        "subject": subject,
        "iconicSubject": f"{icon}{html.escape(subject)}",
        "body": html_body(msg),
        "attachments": str(len(msg.get("attachments", ()))),
    }


def _extended(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    answer = request.get("answer", {}) if errand.reply is None else errand.reply._asdict()
    return {
        "answer_body": answer.get("body", ""),
        "answer_subject": answer.get("subject", ""),
        "errand_tags": [{"desc": tag, "id": zlib.crc32(tag.encode())} for tag in errand.tags],
        "feedback": {"Answer": "", "QuestionHTML": "", "QuestionText": "", "value": 0},
    }


def _sla(errand: Errand, now: float) -> dict[str, Any]:
    spent_seconds = int((now if errand.done_at is None else errand.done_at) - errand.created_at)
    # Who answers a call handles the errand from its first second on, so that both times are one.
    handled_seconds = 0 if errand.done_at is None else spent_seconds
    expiry = _NO_EXPIRY
    if spent_seconds > SLA_SECONDS:
        expiry = _EXPIRED
    elif spent_seconds > SLA_WARNING_SECONDS:
        expiry = _WARNING
    return {
        "done_due": False,
        "expiry": expiry,
        "handling_time": handled_seconds,
        "response_time": handled_seconds,
        "within_sla": spent_seconds <= SLA_SECONDS,
    }


def _image(source: str, title: str) -> str:
    style = 'style="vertical-align:middle;"'
    return f'<img src="{source}" {style} title="{title}" border="0"/> '


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
