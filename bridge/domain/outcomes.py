"""What came of sending a request, and what that means for the delivery."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

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


# Within this of its event an errand is to be there, while Cention is well.
PROMPT_S: Final = 2.0


class Promptness(StrEnum):
    """Whether an errand was delivered within `PROMPT_S` of its event.

    Excused is one that was late while the upstream failed, or wanted nothing sent.
    """

    PROMPT = "prompt"
    LATE = "late"
    EXCUSED = "excused"


class Reply(Struct, frozen=True, gc=False, kw_only=True):
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


class Ruling(Struct, frozen=True, gc=False):
    """The verdict on a reply; `pauses_rate` where the upstream asked for less (429)."""

    verdict: Verdict
    pauses_rate: bool = False


_BUSY: Final = frozenset({425, 429, 503})
# 404s in a row after which the workspace is taken for wrong, and not what was sent to it.
MISSES_MAX: Final = 3


def judge(kind: Kind, reply: Reply, *, own_misses: int = 1, misses: int = 0) -> Ruling:
    """Say what a reply means for a delivery of this kind.

    Creating an errand is not idempotent and Cention offers no key for it, so whatever leaves open
    whether it was made is in doubt; what may safely be repeated is tried again.

    A 404 may be about the workspace or about what was sent. It is tried again until one of the two
    is known: three in a row on a route are the workspace's, a delivery's own third is its own. One
    about a ticket is about that ticket: One View has no workspaces.

    Args:
        kind: what was sent.
        reply: what came back.
        own_misses: how many 404 it has had, this one included.
        misses: how many 404 its route has had, this one included, since an answer that shows that
            the workspace is right.
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
    if status == 408 or status >= 500:
        return Ruling(unclear)
    if status == 404 and not kind.is_of_ticket:
        return Ruling(_not_found(own_misses, misses))
    return Ruling(Verdict.REJECTED)


def _not_found(own_misses: int, misses: int) -> Verdict:
    if misses >= MISSES_MAX:
        return Verdict.UNAUTHORISED
    return Verdict.RETRY if own_misses < MISSES_MAX else Verdict.REJECTED


def is_failing(reply: Reply) -> bool:
    """Say whether a reply speaks of an upstream that is not well, whatever was asked of it."""
    return reply.failure is not None or reply.status == 408 or reply.status >= 500


def is_in_order(reply: Reply) -> bool:
    """Say whether a reply shows that token, right and workspace are what they should be."""
    return (
        reply.failure is None
        and reply.status not in {0, 401, 403, 404, 408, 425, 429}
        and (reply.status < 500)
    )
