"""Reading at Cention what became of errands: one request, one report, nothing raised.

Sources: the vendor's page "Cention Errand Report"; of files, "Cention Callback API".
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import orjson

from bridge.cention.documents import MEDIA_TYPE
from bridge.cention.fields import a_text, an_object
from bridge.cention.reports import read_file, read_rating, read_report
from bridge.domain.answers import FileName
from bridge.ports import FileReading, RatingReading, Report, ReportReading
from bridge.wire.exchange import REPLY_BYTES_MAX, Answer, Exchange

LIST: Final = "c3_dirty_errand_list"
REPORTS: Final = "c3_errand_reports"
RATED: Final = "c3_dirty_facebook_ratings"
RATINGS: Final = "c3_facebook_ratings"
# A list of a million ids.
LIST_BYTES_MAX: Final = 16 * 1024 * 1024
REPORT_BYTES_MAX: Final = 16 * 1024 * 1024
# What e-mail carries; in base64 it takes a third more, and a little for the rest. While it is read
# it takes about four times as much memory.
FILE_BYTES_MAX: Final = 16 * 1024 * 1024
_FILE_REPLY_BYTES_MAX: Final = FILE_BYTES_MAX * 4 // 3 + FILE_BYTES_MAX // 16 + 64 * 1024
# What a database holds as an integer.
ID_MAX: Final = 2**63 - 1
_ID: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """With which token each workspace is read, and files of answers fetched there; by scope."""

    tokens: Mapping[str, str]
    file_tokens: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 30.0


class CentionReader:
    """A `ports.ReportReader` and `FileReader` for Cention. `options` can be replaced meanwhile."""

    def __init__(self, exchange: Exchange, options: ReadingOptions) -> None:
        """Read over this exchange."""
        self._exchange = exchange
        self.options = options

    async def changed(self, scope: str) -> Report:
        """Return the ids of the errands that have changed since they were read."""
        answer = await self._get(scope, LIST, LIST_BYTES_MAX)
        return Report(reply=answer.reply, ids=_ids(answer.document) if answer.is_good else None)

    async def errand(self, scope: str, errand_id: int) -> Report:
        """Return an errand's body. This takes it off the list of those that have changed."""
        path = f"{REPORTS}/{errand_id}?{_fields(REPORTS)}=basic"
        answer = await self._get(scope, path, REPORT_BYTES_MAX)
        return Report(reply=answer.reply, body=_body(answer.document) if answer.is_good else None)

    async def report(self, scope: str, errand_id: int, *, is_whole: bool) -> ReportReading:
        """Return an errand's report, or its SLA alone. This takes it off the list, as `errand`."""
        fields = "" if is_whole else f"?{_fields(REPORTS)}=changed,sla"
        answer = await self._get(scope, f"{REPORTS}/{errand_id}{fields}", REPORT_BYTES_MAX)
        attributes = _attributes(answer)
        if attributes is None:
            return ReportReading(reply=answer.reply)
        return ReportReading(
            reply=answer.reply,
            report=read_report(attributes),
            has_changed=attributes.get("changed") is True,
        )

    async def rated(self, scope: str) -> Report:
        """Return the ids of the Facebook ratings that have changed since they were read."""
        answer = await self._get(scope, RATED, LIST_BYTES_MAX)
        return Report(reply=answer.reply, ids=_rated(answer.document) if answer.is_good else None)

    async def rating(self, scope: str, rating_id: int) -> RatingReading:
        """Return a rating. This takes it off the list of those that have changed, for good."""
        answer = await self._get(scope, f"{RATINGS}/{rating_id}", REPLY_BYTES_MAX)
        attributes = _attributes(answer)
        rating = None if attributes is None else read_rating(attributes)
        return RatingReading(reply=answer.reply, rating=rating)

    async def file(self, scope: str, name: FileName) -> FileReading:
        """Fetch a file of a workspace."""
        answer = await self._exchange.request(
            "GET",
            f"{scope}/capi/json/{name.type}/{name.id}",
            headers=_headers(self.options.file_tokens.get(scope, "")),
            timeout_s=self.options.timeout_s,
            bytes_max=_FILE_REPLY_BYTES_MAX,
        )
        if answer.is_cut:
            return FileReading(reply=answer.reply, is_too_large=True)
        attributes = _attributes(answer)
        # Decoding megabytes takes long enough for others to notice.
        found = None if attributes is None else await asyncio.to_thread(read_file, attributes)
        if found is None:
            return FileReading(reply=answer.reply)
        return FileReading(
            reply=answer.reply,
            title=found.title,
            content_type=found.content_type,
            content_id=found.content_id,
            content=found.content,
            is_too_large=len(found.content) > FILE_BYTES_MAX,
        )

    async def mark(self, scope: str, errand_ids: Sequence[int]) -> Report:
        """Put errands on the list of those that have changed."""
        document = {"data": {"type": LIST, "attributes": {"errands": list(errand_ids)}}}
        answer = await self._exchange.request(
            "POST",
            f"{scope}/capi/json/{LIST}",
            headers=self._headers(scope),
            body=orjson.dumps(document),
            timeout_s=self.options.timeout_s,
        )
        return Report(reply=answer.reply)

    async def _get(self, scope: str, what: str, bytes_max: int) -> Answer:
        return await self._exchange.request(
            "GET",
            f"{scope}/capi/json/{what}",
            headers=self._headers(scope),
            timeout_s=self.options.timeout_s,
            bytes_max=bytes_max,
        )

    def _headers(self, scope: str) -> dict[str, str]:
        return _headers(self.options.tokens.get(scope, ""))


def _headers(token: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token}",
        "Content-Type": MEDIA_TYPE,
        "Accept": MEDIA_TYPE,
    }


def _fields(kind: str) -> str:
    """Return the name of the parameter that asks for some fields only (JSON:API 1.0)."""
    return quote(f"fields[{kind}]", safe="")


def _attributes(answer: Answer) -> dict[str, Any] | None:
    """Return the attributes of the resource that was answered; None: there are none."""
    if not answer.is_good:
        return None
    data = an_object(an_object(answer.document).get("data"))
    attributes = data.get("attributes")
    return attributes if isinstance(attributes, dict) else None


def _rated(document: Any) -> tuple[int, ...] | None:
    data = an_object(document).get("data")
    if not isinstance(data, list):
        return None
    ids = [a_text(an_object(one).get("id")) for one in data]
    return tuple(map(int, ids)) if all(map(_ID.fullmatch, ids)) else None


def _ids(document: Any) -> tuple[int, ...] | None:
    try:
        found = document["data"]["attributes"]["errands"]
    except (TypeError, KeyError):
        return None
    if found is None:
        return ()
    if not isinstance(found, list) or not all(_is_id(one) for one in found):
        return None
    return tuple(found)


def _is_id(value: object) -> bool:
    return type(value) is int and 0 <= value <= ID_MAX


def _body(document: Any) -> str | None:
    """Return an errand's text, empty where it has none; None: it isn't told."""
    try:
        body = document["data"]["attributes"]["basic"]["data"]["body"]
    except (TypeError, KeyError):
        return None
    if body is None:
        return ""
    return body if isinstance(body, str) else None
