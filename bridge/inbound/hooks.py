"""`POST /v1/hooks/<name>`: other phone systems' requests, of which a mapping makes events.

The hook's name is the events' source, so ids and references of different systems never meet.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

import orjson
from aiohttp import web

from bridge.domain.errors import InvalidEvent, Issue
from bridge.domain.mappings import Made, Mapped, MappingOf, apply, reply
from bridge.domain.units import SECOND_US
from bridge.inbound.auth import Doorkeeper
from bridge.inbound.bodies import keep_refusals, peer_of
from bridge.inbound.event_spans import begun, kept, refused
from bridge.inbound.events import CONFLICT, DoorPorts, EventsEndpoint, Verdict, as_json, result_of
from bridge.inbound.forms import JSON, MULTIPART, URLENCODED, kind_of, read_any
from bridge.inbound.problems import problem
from bridge.inbound.server import Respond
from bridge.inbound.shapes import SINGLE_BYTES_MAX
from bridge.inbound.signatures import basic_credentials
from bridge.inbound.strict_json import StrictJsonError
from bridge.ports import Span
from bridge.services.ingest import Arrival, Ingest

HOOKS_PREFIX: Final = "/v1/hooks/"
_NOT_REFUSED: Final = frozenset({200, 202, 503})
_LATER: Final = "The event can't be kept now; send it again later."
_QUOTES: Final = {'"': "&quot;", "'": "&apos;"}


def read_mapped(
    mapping: MappingOf,
    raw: bytes,
    content_type: str,
    headers: Mapping[str, str],
    received_us: int,
) -> tuple[Any, Mapped]:
    """Read a body and map it; return what it holds, and what it becomes.

    Raises:
        StrictJsonError: it can't be read.
    """
    body = read_any(raw, content_type)
    names = {name.lower(): value for name, value in headers.items()}
    return body, apply(mapping, body, names, _moment(received_us))


def admit_made(
    ingest: Ingest, made: Made, *, source: str, trace: str | None = None
) -> Arrival | InvalidEvent:
    """Check an event that a mapping has made; return why it is none, if it is none."""
    try:
        return ingest.admit(made.document, source=source, trace=trace, is_timed=made.is_timed)
    except InvalidEvent as error:
        # A fresh one: with its traceback it would hold the whole body for as long as it is.
        return InvalidEvent(error.issues, event_id=error.event_id, event_type=error.event_type)


def _moment(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / SECOND_US, tz=UTC).isoformat().replace("+00:00", "Z")


class HookEndpoint(EventsEndpoint):
    """Takes one other phone system's requests in.

    `find` gives the mapping, which is read when it is needed first. `public_url` is this address as
    the phone system sees it.
    """

    def __init__(
        self,
        ports: DoorPorts,
        *,
        doorkeeper: Doorkeeper,
        source: str,
        find: Callable[[], MappingOf],
        public_url: str | None = None,
    ) -> None:
        """Stand on these ports; `source` is the hook's name."""
        super().__init__(ports, doorkeeper=doorkeeper, source=source)
        self._find = find
        self._public_url = public_url
        self._mapping: MappingOf | None = None

    async def _answer_raw(self, raw: bytes, request: web.BaseRequest, span: Span) -> web.Response:
        content_type = request.headers.get("Content-Type", "")
        if not kind_of(content_type):
            accepted = f"{JSON}, {URLENCODED}, {MULTIPART}"
            return problem(415, f"Content-Type must be one of {accepted}, in UTF-8.")
        if self._mapping is None:
            self._mapping = await asyncio.to_thread(self._find)
        arguments = (self._mapping, raw, content_type, request.headers, self._clock.now_us())
        try:
            if len(raw) > SINGLE_BYTES_MAX:
                body, mapped = await asyncio.to_thread(read_mapped, *arguments)
            else:
                body, mapped = read_mapped(*arguments)
        except StrictJsonError as error:
            issues = [Issue(error.pointer, error.detail)]
            return await self._refuse(400, "The body can't be read.", raw, request, span, issues)
        if mapped.issues:
            said = "The mapping makes no event of the body."
            return await self._refuse(422, said, raw, request, span, mapped.issues)
        # What is nothing to a contact centre counts too: it is read and mapped all the same.
        self._let_through(max(1, len(mapped.events)))
        if mapped.ignored:
            self._meter.event("", "ignored")
            answer = as_json(200, {"status": "ignored"})
        else:
            answer = await self._answer_made(mapped.events, raw, request, span)
        return self._as_wanted(answer, body, request)

    async def _answer_made(
        self, events: Sequence[Made], raw: bytes, request: web.BaseRequest, span: Span
    ) -> web.Response:
        is_large = len(raw) > SINGLE_BYTES_MAX
        if is_large and len(events) == 1 and not events[0].document.get("attachments"):
            span.fail("too large")
            return problem(413, f"One event holds at most {SINGLE_BYTES_MAX // 1024} KiB.")
        with begun(self._tracer, span, len(events)) as spans:
            if is_large:
                admitted = await asyncio.to_thread(self._admit_made, events, spans)
            else:
                admitted = self._admit_made(events, spans)
            verdicts = await self._take_made(admitted, spans)
            for one, verdict in zip(spans, verdicts, strict=True):
                refused(one, verdict.status, verdict.event_type)
        if any(verdict.status == 503 for verdict in verdicts):
            return problem(503, _LATER)
        quarantine_id = await self._quarantine_whole(verdicts, raw, request, spans)
        if len(verdicts) == 1:
            return _answer_one(verdicts[0], quarantine_id)
        results = [result_of(verdict) for verdict in verdicts]
        if any(verdict.status in _NOT_REFUSED for verdict in verdicts):
            further = {"quarantineId": quarantine_id} if quarantine_id else {}
            return as_json(202, {"results": results, **further})
        said = "No event of the body is valid."
        return problem(422, said, quarantine_id=quarantine_id, results=results)

    def _admit_made(
        self, events: Sequence[Made], spans: Sequence[Span]
    ) -> list[Arrival | InvalidEvent]:
        return [
            admit_made(self._ingest, made, source=self.source, trace=span.traceparent)
            for made, span in zip(events, spans, strict=True)
        ]

    async def _take_made(
        self, admitted: Sequence[Arrival | InvalidEvent], spans: Sequence[Span]
    ) -> list[Verdict]:
        """Keep what was admitted; return a verdict on each, in order."""
        arrivals = [one for one in admitted if isinstance(one, Arrival)]
        receipts = iter(await self._ingest.take(arrivals) if arrivals else [])
        verdicts = []
        for one, span in zip(admitted, spans, strict=True):
            if isinstance(one, InvalidEvent):
                issues = tuple(one.issues)
                verdicts.append(Verdict(422, one.event_id, one.event_type, issues=issues))
                continue
            receipt = next(receipts)
            kept(span, one, receipt)
            self._lines.taken(one, receipt, span)
            verdicts.append(self._read_receipt(one, receipt))
        return verdicts

    async def _quarantine_whole(
        self,
        verdicts: Sequence[Verdict],
        raw: bytes,
        request: web.BaseRequest,
        spans: Sequence[Span],
    ) -> str:
        """Keep the body, if anything of it was refused: what is replayed is mapped again."""
        worst = [one for one in verdicts if one.status not in _NOT_REFUSED]
        if not worst:
            return ""
        first = worst[0]
        issues = tuple(issue for one in worst for issue in one.issues)
        whole = Verdict(first.status, first.event_id, first.event_type, issues=issues)
        refusal = self._refusal(whole, raw, request.headers.get("Content-Type", ""))
        await self._writer.submit(keep_refusals, refusal)
        peer = peer_of(request)
        for verdict, span in zip(verdicts, spans, strict=True):
            if verdict.status in _NOT_REFUSED:
                continue
            if verdict.status != 409:  # a conflict was counted when it was found
                self._meter.event(verdict.event_type, "rejected")
            self._lines.refused(verdict.event_type, verdict.status, refusal.id, peer, span)
        return refusal.id

    def _as_wanted(self, answer: web.Response, body: Any, request: web.BaseRequest) -> web.Response:
        """Return what the phone system wants to read, where all went well and it wants anything."""
        if answer.status >= 300 or self._mapping is None or not self._mapping.replies:
            return answer
        headers = {name.lower(): value for name, value in request.headers.items()}
        wanted = reply(self._mapping, body, headers)
        if wanted is None:
            return answer
        url = _escaped(_address_of(request, self._public_url), wanted.content_type)
        text = wanted.body.strip().replace("{public_url}", url)
        return web.Response(
            status=200, body=text.encode(), headers={"Content-Type": wanted.content_type}
        )


def _answer_one(verdict: Verdict, quarantine_id: str) -> web.Response:
    if verdict.status in _NOT_REFUSED:
        return as_json(verdict.status, {"status": verdict.taken, "eventId": verdict.event_id})
    detail = CONFLICT if verdict.status == 409 else "The event is not valid."
    return problem(verdict.status, detail, issues=verdict.issues, quarantine_id=quarantine_id)


def _address_of(request: web.BaseRequest, public_url: str | None) -> str:
    """Return the address to come back to: the one that is set, or the one that was asked for.

    Whoever came with a name and a token in it needs them again, and is told no more than they said.
    """
    if public_url:
        scheme, _, rest = public_url.partition("://")
    else:
        forwarded = request.headers.get("X-Forwarded-Proto", request.scheme).lower()
        scheme = "https" if forwarded == "https" else "http"
        # A host may be no text at all; what was taken has to be answered all the same.
        rest = request.host.encode(errors="replace").decode() + request.path_qs
    name, token = basic_credentials(request.headers.get("Authorization", ""))
    shown = f"{quote(name, safe='')}:{quote(token, safe='')}@" if token else ""
    return f"{scheme}://{shown}{rest}"


def _escaped(text: str, content_type: str) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith(("xml", "html")):
        return escape(text, _QUOTES)
    return orjson.dumps(text).decode()[1:-1] if kind.endswith("json") else text


class Hooks:
    """Which hooks there are, and who answers for each; all of them are replaced on a reload."""

    def __init__(self) -> None:
        """Begin with none."""
        self._posts: Mapping[str, Respond] = {}

    def replace(self, endpoints: Mapping[str, HookEndpoint]) -> None:
        """Let these answer from now on, by the hooks' names."""
        self._posts = {HOOKS_PREFIX + name: one.post for name, one in endpoints.items()}

    def find(self, path: str) -> Respond | None:
        """Return who answers at a path."""
        return self._posts.get(path)
