"""The way of one parcel: it is sent, what came back is judged, and what came of it is recorded."""

from typing import Final

from msgspec.structs import replace

from bridge.domain.deliveries import Kind
from bridge.domain.errors import StoreUnavailable
from bridge.domain.outcomes import Failure, Reply, judge
from bridge.ports import (
    NO_TRACER,
    Clock,
    Entropy,
    Exemplar,
    Log,
    Meter,
    Parcel,
    Sender,
    Span,
    Tracer,
    Writer,
)
from bridge.services.breaker import BreakerState
from bridge.services.channels import Channel
from bridge.services.recording import Recorded, Recorder, Result

STORE_RETRY_S: Final = 1.0


class Courier:
    """Carries parcels, and learns by the answers how their upstreams are."""

    def __init__(  # noqa: PLR0913 - the ports it stands on, each by name
        self,
        *,
        writer: Writer,
        sender: Sender,
        clock: Clock,
        entropy: Entropy,
        meter: Meter,
        log: Log,
        recorder: Recorder,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        """Stand on these ports."""
        self._writer = writer
        self._sender = sender
        self._clock = clock
        self._entropy = entropy
        self._meter = meter
        self._log = log
        self._recorder = recorder
        self._tracer = tracer

    async def carry(self, channel: Channel, parcel: Parcel) -> Recorded:
        """Send a claimed parcel, and return what was recorded of it."""
        mark = self._sender.token_mark(parcel.route)
        with self._tracer.attempt(parcel) as span:
            trace = span.traceparent
            try:
                reply = await self._sender.send(parcel if trace is None else _of(parcel, trace))
            except Exception as error:  # noqa: BLE001 - whatever it was, it may have left
                self._log.error("sending failed", kind=parcel.kind.value, exc_info=error)
                reply = Reply(failure=Failure.LOST)
            misses, own_misses = channel.count_misses(parcel.route, parcel.id, reply)
            ruling = judge(parcel.kind, reply, own_misses=own_misses, misses=misses)
            self._meter.upstream(parcel.kind, reply, span.exemplar)
            self.learn(channel, reply)
            result = Result(parcel=parcel, reply=reply, ruling=ruling, token_mark=mark)
            recorded = await self._record(result)
            self._tell(channel, result, recorded.outcome, span)
        if recorded.contact:
            self._meter.contact(recorded.contact)
        return recorded

    def measure(self, parcel: Parcel, channel: Channel | None, exemplar: Exemplar | None) -> None:
        """Measure how long a parcel took that is delivered; of no channel, its upstream is gone."""
        age_s = (self._clock.now_us() - parcel.accepted_us) / 1e6
        self._meter.delivered(parcel.kind, age_s, exemplar)
        # What a person sends again was late long before, and was told of as a dead letter.
        is_resent = parcel.is_later and parcel.attempts == 1
        if parcel.kind is Kind.NEW_ERRAND and channel is not None and not is_resent:
            now_s, was_tried = self._clock.monotonic(), parcel.attempts > 1
            self._meter.prompt(channel.promptness(age_s, now_s, was_tried=was_tried))

    def learn(self, channel: Channel, reply: Reply, *, is_read: bool = False) -> None:
        """Learn from an answer how an upstream is, and say where that is news."""
        before = channel.breaker.state
        now_s, chance = self._clock.monotonic(), self._entropy.random()
        channel.answered(reply, now_s, chance, is_read=is_read)
        after = channel.breaker.state
        if after is not before:
            label = channel.upstream.label
            self._meter.breaker(label, after)
            # A probe that failed is no news.
            if BreakerState.CLOSED in {before, after}:
                self._log.warning("circuit breaker", upstream=label, state=after.name.lower())

    async def _record(self, result: Result) -> Recorded:
        while True:
            try:
                return await self._writer.submit(self._recorder.record, result)
            except StoreUnavailable as error:
                # What left must be recorded, and until it is nothing else leaves: claims need the
                # same store.
                self._log.error("an outcome can't be recorded yet", error=str(error))
                await self._clock.sleep(STORE_RETRY_S)

    def _tell(self, channel: Channel, result: Result, outcome: str, span: Span) -> None:
        parcel, reply = result.parcel, result.reply
        self._meter.delivery(parcel.kind, outcome)
        span.say("outcome", outcome)
        if outcome == "delivered":
            self.measure(parcel, channel, span.exemplar)
        else:
            span.fail(outcome)
        status = reply.status or (reply.failure.value if reply.failure else "")
        span.say("status", status)
        say = self._log.info if outcome == "delivered" else self._log.warning
        say(
            "delivery",
            kind=parcel.kind.value,
            route=parcel.route,
            reference=parcel.reference_id,
            attempt=parcel.attempts,
            outcome=outcome,
            status=status,
            millis=round(reply.seconds * 1000, 1),
            remote_id=reply.remote_id,
            **span.marks,
        )


def _of(parcel: Parcel, trace: str) -> Parcel:
    """Return a parcel as a part of the attempt at it."""
    return replace(parcel, trace=trace)
