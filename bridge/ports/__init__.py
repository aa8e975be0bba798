"""What the bridge's insides ask of the outside: small protocols, owned by those who call them.

Time, randomness, the store, the network, metrics and logs come in through these, so that a whole
day of calls can run on a virtual clock, and a test can put a real or a broken one in.
"""

from bridge.domain.calls import CallKey
from bridge.ports.feedback import (
    AnswerRow,
    AnswerState,
    ArrivedAnswer,
    FeedbackMeter,
    FileStore,
)
from bridge.ports.network import (
    FileReader,
    FileReading,
    RatingReading,
    Reader,
    Report,
    ReportReader,
    ReportReading,
    Sender,
)
from bridge.ports.records import (
    Attempt,
    Claim,
    Entry,
    EventKey,
    Gate,
    Order,
    Parcel,
    Pause,
    Quarrel,
    Refusal,
    Settlement,
    Sighting,
    Telling,
    ThreadRow,
)
from bridge.ports.store import Handler, ItemT, ResultT, Transaction, Writer
from bridge.ports.system import Clock, Entropy, Log, Meter
from bridge.ports.tracing import NO_SPAN, NO_TRACER, Exemplar, Headers, Span, Tracer

__all__ = [
    "NO_SPAN",
    "NO_TRACER",
    "AnswerRow",
    "AnswerState",
    "ArrivedAnswer",
    "Attempt",
    "CallKey",
    "Claim",
    "Clock",
    "Entropy",
    "Entry",
    "EventKey",
    "Exemplar",
    "FeedbackMeter",
    "FileReader",
    "FileReading",
    "FileStore",
    "Gate",
    "Handler",
    "Headers",
    "ItemT",
    "Log",
    "Meter",
    "Order",
    "Parcel",
    "Pause",
    "Quarrel",
    "RatingReading",
    "Reader",
    "Refusal",
    "Report",
    "ReportReader",
    "ReportReading",
    "ResultT",
    "Sender",
    "Settlement",
    "Sighting",
    "Span",
    "Telling",
    "ThreadRow",
    "Tracer",
    "Transaction",
    "Writer",
]
