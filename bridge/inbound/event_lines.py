"""What the log says of events: one wide line each, with nothing in it of who called."""

from bridge.domain.events import EVENTS_SOURCE, CallEvent
from bridge.domain.msisdn import NumberStatus
from bridge.ports import Clock, Log, Span
from bridge.services.ingest import Arrival, Receipt, Taken


class EventLines:
    """Says what became of events. A dry run says what would be sent."""

    def __init__(self, log: Log, clock: Clock, *, is_dry: bool = False) -> None:
        """Stand on these ports."""
        self._log = log
        self._clock = clock
        self._is_dry = is_dry

    def taken(self, arrival: Arrival, receipt: Receipt | Exception, span: Span) -> None:
        """Say what came of an event that is valid: accepted, a duplicate, or a conflict.

        What could not be kept is said by whoever says why.
        """
        if isinstance(receipt, Exception):
            return
        event, effect = arrival.event, receipt.effect
        fields: dict[str, object] = {
            "type": event.type.value,
            "reference": event.call_reference,
            "route": event.route,
            "rule": effect.rule,
            "outcome": receipt.taken.value,
            "caller": _caller(event),
            "caused": sorted([gate.kind.value for gate in effect.gates]),
        }
        if event.source != EVENTS_SOURCE:
            fields["source"] = event.source
        if effect.contact:
            fields["contact"] = effect.contact
        if effect.unsent:
            fields["unsent"] = [reason.value for reason in effect.unsent]
        if effect.ends_skipped:
            fields["ends_skipped"] = effect.ends_skipped
        fields.update(span.marks)
        fields["millis"] = (self._clock.now_us() - arrival.received_us) // 100 / 10
        if self._is_dry and receipt.taken is Taken.ACCEPTED:
            fields["would_send"] = sorted(f"{gate.route}/{gate.kind}" for gate in effect.gates)
            fields["unsent"] = [reason.value for reason in effect.unsent]
            self._log.info("dry run", **fields)
        elif receipt.taken is Taken.CONFLICT:
            self._log.warning("event", **fields)
        else:
            self._log.info("event", **fields)

    def refused(
        self, event_type: str, status: int, quarantine_id: str, peer: str, span: Span
    ) -> None:
        """Say that what came is no valid event. Nothing of it is told but where it is kept."""
        self._log.warning(
            "event",
            type=event_type,
            outcome="rejected",
            status=status,
            quarantine=quarantine_id,
            peer=peer,
            **span.marks,
        )


def _caller(event: CallEvent) -> str:
    """Return the caller's number as far as it may be told, or why there is none."""
    caller = event.caller
    if caller.status is NumberStatus.VALID:
        # As `mask_number`, for what is known to be digits: this is said of every event.
        return f"***{caller.msisdn[-2:]}"
    return caller.status.value
