"""What came of sending a request, and what that means for the delivery."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bridge.domain.deliveries import Kind


class Verdict(StrEnum):
    """What is to be done about a delivery after an attempt (the design's outcome classes)."""

    DELIVERED = "delivered"
    RETRY = "retry"
    IN_DOUBT = "in_doubt"
    REJECTED = "rejected"
    UNAUTHORISED = "unauthorised"


class Failure(StrEnum):
    """How a request failed without an answer."""

    NOT_CONNECTED = "not_connected"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: a status, or how it failed.

    `remote_id` is the id that the upstream gave. `retry_after_s` is its Retry-After in seconds.
    `detail` is the upstream's own words: kept for a person, never logged. `seconds` is how long it
    took.
    """

    status: int = 0
    failure: Failure | None = None
    remote_id: str = ""
    retry_after_s: float | None = None
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Ruling:
    """The verdict on a reply; `pauses_rate` where the upstream asked for less (429)."""

    verdict: Verdict
    pauses_rate: bool = False


_BUSY: Final = frozenset({425, 429, 503})
_UNCLEAR: Final = frozenset({408, 500, 502, 504})


def judge(kind: Kind, reply: Reply) -> Ruling:
    """Say what a reply means for a delivery of this kind.

    Creating an errand is not idempotent and Cention offers no key for it, so whatever leaves open
    whether it was made is in doubt; what may safely be repeated is tried again.
    """
    unclear = Verdict.RETRY if kind.is_repeatable else Verdict.IN_DOUBT
    if reply.failure is Failure.NOT_CONNECTED:
        return Ruling(Verdict.RETRY)
    if reply.failure is Failure.LOST:
        return Ruling(unclear)
    status = reply.status
    if 200 <= status < 300:
        return Ruling(Verdict.DELIVERED)
    if status in {401, 403}:
        return Ruling(Verdict.UNAUTHORISED)
    if status in _BUSY:
        return Ruling(Verdict.RETRY, pauses_rate=status == 429)
    if status in _UNCLEAR or status >= 500:
        return Ruling(unclear)
    return Ruling(Verdict.REJECTED)
