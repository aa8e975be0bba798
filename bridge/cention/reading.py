"""Reading at Cention what became of errands: one request, one report, nothing raised.

Source: the vendor's page "Cention Errand Report".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import orjson

from bridge.cention.documents import MEDIA_TYPE
from bridge.ports import Report
from bridge.wire.exchange import Answer, Exchange

LIST: Final = "c3_dirty_errand_list"
REPORTS: Final = "c3_errand_reports"
# A list of a million ids.
LIST_BYTES_MAX: Final = 16 * 1024 * 1024
REPORT_BYTES_MAX: Final = 16 * 1024 * 1024
# What a database holds as an integer.
ID_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """With which token each workspace is read; `tokens` is by scope."""

    tokens: Mapping[str, str]
    timeout_s: float = 30.0


class CentionReader:
    """A `ports.Reader` for Cention. `options` can be replaced while running."""

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
        fields = quote(f"fields[{REPORTS}]", safe="")
        answer = await self._get(scope, f"{REPORTS}/{errand_id}?{fields}=basic", REPORT_BYTES_MAX)
        return Report(reply=answer.reply, body=_body(answer.document) if answer.is_good else None)

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
        return {
            "Authorization": f"Bearer {self.options.tokens.get(scope, '')}",
            "Content-Type": MEDIA_TYPE,
            "Accept": MEDIA_TYPE,
        }


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
