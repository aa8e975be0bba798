"""`POST /v1/events`: the answer is a promise, given only when the event is on disk."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson
from aiohttp import web
from msgspec import Struct

from bridge.domain.errors import InvalidEvent, Issue, StoreUnavailable
from bridge.domain.events import EVENTS_SOURCE
from bridge.inbound.auth import Doorkeeper
from bridge.inbound.bodies import Bodies, Held, keep_refusals, peer_of, refusal
from bridge.inbound.event_lines import EventLines
from bridge.inbound.event_spans import begun, kept, refused
from bridge.inbound.problems import problem
from bridge.inbound.shapes import (
    BATCH_MAX,
    SINGLE_BYTES_MAX,
    Body,
    Candidate,
    Shape,
    read,
)
from bridge.inbound.strangers import Strangers
from bridge.inbound.strict_json import StrictJsonError
from bridge.inbound.turnstile import THROTTLED, Turnstile
from bridge.ports import NO_SPAN, NO_TRACER, Clock, Exemplar, Log, Refusal, Span, Tracer, Writer
from bridge.services.ingest import Arrival, Ingest, Receipt, Taken

EVENTS_PATH: Final = "/v1/events"
_NOT_REFUSED: Final = frozenset({200, 202, 503})
CONFLICT: Final = "an event with this id and other content is kept already"


class DoorMeter(Protocol):
    """What the door counts and measures."""

    def event(self, event_type: str, outcome: str) -> None:
        """Count an event by type and outcome."""
        ...

    def ingested(self, seconds: float, exemplar: Exemplar | None = None) -> None:
        """Measure a request from the door to its answer."""
        ...


class Verdict(Struct, frozen=True, gc=False):
    """What is answered for one candidate."""

    status: int
    event_id: str
    event_type: str = ""
    taken: str = "rejected"
    issues: tuple[Issue, ...] = ()
    quarantine_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorPorts:
    """What every address stands on that events come in by; all bodies are read out of one room."""

    ingest: Ingest
    writer: Writer
    clock: Clock
    meter: DoorMeter
    log: Log
    strangers: Strangers
    tracer: Tracer = NO_TRACER
    is_dry: bool = False
    bodies: Bodies = field(default_factory=Bodies)


class EventsEndpoint:
    """Takes events in over HTTP. `doorkeeper` can be replaced while running."""

    def __init__(
        self, ports: DoorPorts, *, doorkeeper: Doorkeeper, source: str = EVENTS_SOURCE
    ) -> None:
        """Stand on these ports; what it takes in is of this source."""
        self._ingest = ports.ingest
        self._writer = ports.writer
        self._clock = ports.clock
        self._meter = ports.meter
        self._log = ports.log
        self._tracer = ports.tracer
        self._strangers = ports.strangers
        self.bodies = ports.bodies
        self._lines = EventLines(ports.log, ports.clock, is_dry=ports.is_dry)
        self.doorkeeper = doorkeeper
        self.source = source
        # How many events may come; None: any number.
        self.turnstile: Turnstile | None = None

    async def post(self, request: web.BaseRequest) -> web.Response:
        """Answer a request."""
        started_s = self._clock.monotonic()
        if not self.doorkeeper.may_admit(request):
            # A stranger's request is nobody's trace: there may be any number of them.
            self._meter.ingested(self._clock.monotonic() - started_s)
            return self._strangers.refuse(self.source, self.doorkeeper, request)
        with self._tracer.request(request.headers) as span:
            try:
                with self.bodies.holding(request) as held:
                    response = await self._read_and_answer(request, held, span)
            except StoreUnavailable:
                response = problem(503, "The event can't be kept now; send it again later.")
            if response.status == 503 and THROTTLED not in response:
                self._meter.event("", "unavailable")
            span.answered(response.status)
        self._meter.ingested(self._clock.monotonic() - started_s, span.exemplar)
        return response

    async def _read_and_answer(
        self, request: web.BaseRequest, held: Held, span: Span
    ) -> web.Response:
        raw = await held.read()
        if isinstance(raw, web.Response):
            return raw
        keeper, now_s = self.doorkeeper, self._clock.now_us() / 1e6
        if len(raw) > SINGLE_BYTES_MAX:
            # As below: a digest of megabytes for each secret.
            is_admitted = await asyncio.to_thread(keeper.admits, request, raw, now_s)
        else:
            is_admitted = keeper.admits(request, raw, now_s)
        if not is_admitted:
            return self._strangers.refuse(self.source, keeper, request)
        if self.turnstile is not None and (early := self.turnstile.refuse()) is not None:
            return early
        return await self._answer_raw(raw, request, span)

    async def _answer_raw(self, raw: bytes, request: web.BaseRequest, span: Span) -> web.Response:
        """Answer what was let in."""
        shape = _shape_of(request)
        if shape is None:
            accepted = ", ".join(shape.value for shape in Shape)
            return problem(415, f"Content-Type must be one of {accepted}, in UTF-8.")
        return await self._answer_body(shape, raw, request, span)

    def _let_through(self, events: int) -> None:
        """Count events against what their source may post."""
        if self.turnstile is not None:
            self.turnstile.passed(events)

    async def _answer_body(
        self, shape: Shape, raw: bytes, request: web.BaseRequest, span: Span
    ) -> web.Response:
        try:
            if len(raw) > SINGLE_BYTES_MAX:
                # Reading megabytes takes long enough for others to notice.
                body = await asyncio.to_thread(read, shape, raw, request.headers)
            else:
                body = read(shape, raw, request.headers)
        except StrictJsonError as error:
            issues = [Issue(error.pointer, error.detail)]
            return await self._refuse(400, "The body can't be read.", raw, request, span, issues)
        except InvalidEvent as error:
            said = "The body holds no event."
            return await self._refuse(422, said, raw, request, span, error.issues)
        self._let_through(len(body.candidates))
        if body.is_batch:
            return await self._answer_batch(body, raw, request, span)
        with self._tracer.event(span.traceparent) as one:
            return await self._answer_single(body.candidates[0], raw, request, one)

    async def _answer_single(
        self, candidate: Candidate, raw: bytes, request: web.BaseRequest, span: Span
    ) -> web.Response:
        document = candidate.document
        has_attachments = isinstance(document, dict) and bool(document.get("attachments"))
        if len(raw) > SINGLE_BYTES_MAX and not has_attachments:
            span.fail("too large")
            return problem(413, f"One event holds at most {SINGLE_BYTES_MAX // 1024} KiB.")
        if len(raw) > SINGLE_BYTES_MAX:
            admitted = await asyncio.to_thread(self._admit, candidate, span)
        else:
            admitted = self._admit(candidate, span)
        if isinstance(admitted, Arrival):
            (receipt,) = await self._ingest.take([admitted])
            kept(span, admitted, receipt)
            self._lines.taken(admitted, receipt, span)
            if isinstance(receipt, Receipt) and receipt.taken is not Taken.CONFLICT:
                status = 202 if receipt.taken is Taken.ACCEPTED else 200
                said = {"status": receipt.taken.value, "eventId": admitted.event.event_id}
                return as_json(status, said)
            admitted = self._read_receipt(admitted, receipt)
        (verdict,) = await self._quarantine([candidate], [admitted], request, [span])
        refused(span, verdict.status, verdict.event_type)
        if verdict.status == 503:
            return problem(503, "The event can't be kept now; send it again later.")
        detail = CONFLICT if verdict.status == 409 else "The event is not valid."
        return problem(
            verdict.status, detail, issues=verdict.issues, quarantine_id=verdict.quarantine_id
        )

    async def _answer_batch(
        self, body: Body, raw: bytes, request: web.BaseRequest, span: Span
    ) -> web.Response:
        if not body.candidates:
            return await self._refuse(422, "The batch is empty.", raw, request, span, results=[])
        if len(body.candidates) > BATCH_MAX:
            return problem(413, f"A batch holds at most {BATCH_MAX:,} events.")
        with begun(self._tracer, span, len(body.candidates)) as spans:
            verdicts = await self._judge(body.candidates, request, len(raw), spans)
            for one, verdict in zip(spans, verdicts, strict=True):
                refused(one, verdict.status, verdict.event_type)
        if any(verdict.status == 503 for verdict in verdicts):
            return problem(503, "Not all events can be kept now; send the batch again later.")
        results = [result_of(verdict) for verdict in verdicts]
        if any(verdict.taken != "rejected" for verdict in verdicts):
            return as_json(202, {"results": results})
        return problem(
            422,
            "No event of the batch is valid.",
            quarantine_id=verdicts[0].quarantine_id,
            results=results,
        )

    async def _judge(
        self,
        candidates: Sequence[Candidate],
        request: web.BaseRequest,
        size: int,
        spans: Sequence[Span],
    ) -> list[Verdict]:
        """Let in what can be of a body of this size, keep it, and quarantine the rest."""
        if size > SINGLE_BYTES_MAX:
            admitted = await asyncio.to_thread(self._admit_all, candidates, spans)
        else:
            admitted = self._admit_all(candidates, spans)
        verdicts = [one if isinstance(one, Verdict) else None for one in admitted]
        arrivals = [(index, one) for index, one in enumerate(admitted) if isinstance(one, Arrival)]
        receipts = await self._ingest.take([arrival for _, arrival in arrivals]) if arrivals else []
        for (index, arrival), receipt in zip(arrivals, receipts, strict=True):
            kept(spans[index], arrival, receipt)
            self._lines.taken(arrival, receipt, spans[index])
            verdicts[index] = self._read_receipt(arrival, receipt)
        decided = [verdict for verdict in verdicts if verdict is not None]
        if all(verdict.status in _NOT_REFUSED for verdict in decided):
            return decided
        return await self._quarantine(candidates, decided, request, spans)

    def _admit_all(
        self, candidates: Sequence[Candidate], spans: Sequence[Span]
    ) -> list[Arrival | Verdict]:
        return [self._admit(one, span) for one, span in zip(candidates, spans, strict=True)]

    def _admit(self, candidate: Candidate, span: Span = NO_SPAN) -> Arrival | Verdict:
        """Check a candidate: an arrival, or the verdict on why it is none."""
        error = candidate.error
        if error is None:
            try:
                return self._ingest.admit(
                    candidate.document, source=self.source, trace=span.traceparent
                )
            except InvalidEvent as invalid:
                error = invalid
        # Never raised again: with its traceback it would hold the whole body for as long as it is.
        return Verdict(422, error.event_id, error.event_type, issues=tuple(error.issues))

    def _read_receipt(self, arrival: Arrival, receipt: Receipt | Exception) -> Verdict:
        event = arrival.event
        if isinstance(receipt, StoreUnavailable):
            return Verdict(503, event.event_id, event.type)
        if isinstance(receipt, Exception):
            # A fault of the bridge's own. The sender can't mend it and must not send it for ever;
            # in quarantine it waits for a release that can take it.
            self._log.error("an event can't be processed", exc_info=receipt)
            issue = Issue("", "can't be processed; it is kept in quarantine")
            return Verdict(422, event.event_id, event.type, issues=(issue,))
        if receipt.taken is Taken.CONFLICT:
            issue = Issue("/eventId", CONFLICT)
            return Verdict(409, event.event_id, event.type, issues=(issue,))
        status = 202 if receipt.taken is Taken.ACCEPTED else 200
        return Verdict(status, event.event_id, event.type, taken=receipt.taken.value)

    async def _quarantine(
        self,
        candidates: Sequence[Candidate],
        verdicts: Sequence[Verdict],
        request: web.BaseRequest,
        spans: Sequence[Span],
    ) -> list[Verdict]:
        refusals: list[Refusal] = []
        refused_in: list[Span] = []
        after: list[Verdict] = []
        for candidate, verdict, span in zip(candidates, verdicts, spans, strict=True):
            if verdict.status in _NOT_REFUSED:
                after.append(verdict)
                continue
            if verdict.status != 409:  # a conflict was counted when it was found
                self._meter.event(verdict.event_type, "rejected")
            kept = self._refusal(
                verdict, candidate.raw or orjson.dumps(candidate.document), Shape.JSON
            )
            refusals.append(kept)
            refused_in.append(span)
            after.append(
                Verdict(
                    verdict.status,
                    verdict.event_id,
                    verdict.event_type,
                    verdict.taken,
                    verdict.issues,
                    kept.id,
                )
            )
        if refusals:
            await self._writer.submit_all(keep_refusals, refusals)
            peer = peer_of(request)
            for one, span in zip(refusals, refused_in, strict=True):
                self._lines.refused(one.event_type, one.status, one.id, peer, span)
        return after

    async def _refuse(
        self,
        status: int,
        detail: str,
        raw: bytes,
        request: web.BaseRequest,
        span: Span,
        issues: Sequence[Issue] = (),
        **further: Any,
    ) -> web.Response:
        """Keep a body that holds no event, and say so. It counts as one: keeping it is as dear."""
        self._let_through(1)
        self._meter.event("", "rejected")
        refused(span, status)
        verdict = Verdict(status, "", issues=tuple(issues) or (Issue("", detail),))
        kept = self._refusal(verdict, raw, request.headers.get("Content-Type", ""))
        await self._writer.submit(keep_refusals, kept)
        self._lines.refused("", status, kept.id, peer_of(request), span)
        return problem(status, detail, issues=issues, quarantine_id=kept.id, **further)

    def _refusal(self, verdict: Verdict, body: bytes, content_type: str) -> Refusal:
        return refusal(
            source=self.source,
            received_us=self._clock.now_us(),
            status=verdict.status,
            content_type=content_type,
            event_id=verdict.event_id,
            event_type=verdict.event_type,
            issues=verdict.issues,
            body=body,
        )


def _shape_of(request: web.BaseRequest) -> Shape | None:
    if request.headers.get("Content-Type") == Shape.JSON:
        return Shape.JSON
    charset = (request.charset or "utf-8").lower()
    try:
        shape = Shape(request.content_type)
    except ValueError:
        return None
    return shape if charset in {"utf-8", "utf8", "us-ascii"} else None


def result_of(verdict: Verdict) -> dict[str, Any]:
    """Return what an answer says of one of several events."""
    result: dict[str, Any] = {"eventId": verdict.event_id or None, "status": verdict.taken}
    if verdict.issues:
        result["errors"] = [
            {"pointer": issue.pointer, "detail": issue.detail} for issue in verdict.issues
        ]
    if verdict.quarantine_id:
        result["quarantineId"] = verdict.quarantine_id
    return result


def as_json(status: int, document: dict[str, Any]) -> web.Response:
    """Return an answer that says this."""
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")
