"""Events as a phone system posts them, and what a bridge that keeps nothing would send for them.

Four of five calls come from a pool of callers who are known already; every fifth is from somebody
new, of whom a contact card leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

POOL: Final = 200
NEW_EVERY: Final = 5
# Numbers from here on are those of new callers.
NEW_FROM: Final = 5_000_000
AGENT: Final = {"deviceId": 1000, "extensionId": 1001}
QUEUE: Final = {"destNumber": "+60374571234", "queueName": "EHS", "queueNumber": "123"}
_NAME: Final = "aventa"


@dataclass(frozen=True, slots=True)
class Call:
    """A whole call: its two events, each as a body."""

    reference: str
    number: str
    answered: bytes
    ended: bytes


def number(caller: int) -> str:
    """Return the number of a caller: a Swedish mobile."""
    return f"+4670{caller:07d}"


def is_new(caller_number: str) -> bool:
    """Say whether somebody has not called before."""
    return int(caller_number[-7:]) >= NEW_FROM


def event(event_type: str, reference: str, caller: int, at: datetime) -> dict[str, Any]:
    """Return an event with all that is usual in one."""
    return {
        "eventId": f"{reference}-{event_type}",
        "eventType": event_type,
        "occurredAt": at.isoformat(timespec="milliseconds"),
        "referenceId": reference,
        "callerNumber": number(caller),
        "callerName": f"Anna Berg {caller:07d}",
        **AGENT,
        **QUEUE,
    }


def calls(run: str, count: int, *, newcomers_from: int = NEW_FROM) -> list[Call]:
    """Return whole calls, the same mix each time. `run` makes their references unlike others."""
    now = datetime.now(UTC)
    return [
        _call(f"{run}-{index:07d}", caller_of(index, newcomers_from), now) for index in range(count)
    ]


def _call(reference: str, caller: int, now: datetime) -> Call:
    later = now + timedelta(milliseconds=500)
    return Call(
        reference,
        number(caller),
        orjson.dumps(event("call.answered", reference, caller, now)),
        orjson.dumps(event("call.ended", reference, caller, later)),
    )


def caller_of(index: int, newcomers_from: int = NEW_FROM) -> int:
    """Return who makes the call of this index."""
    if index % NEW_EVERY == NEW_EVERY - 1:
        return newcomers_from + index // NEW_EVERY
    return index % POOL


def cards(some: Sequence[Call]) -> int:
    """Return how many cards leave because of these calls."""
    return sum(is_new(one.number) for one in some)


def pool_batch(run: str) -> bytes:
    """Return a batch in which everybody of the pool calls once."""
    return batch([(f"{run}-pool-{caller:07d}", caller) for caller in range(POOL)])


def batch(callers: Sequence[tuple[str, int]]) -> bytes:
    """Return a batch with a `call.queued` for each reference and caller, one a line."""
    now = datetime.now(UTC)
    return b"\n".join(orjson.dumps(event("call.queued", *one, now)) for one in callers)


def documents(one: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Return what Cention is to be sent for an event, by the last part of the path."""
    desk = {name: one[name] for name in ("deviceId", "extensionId")}
    data = {"integrationName": _NAME, "referenceId": one["referenceId"], **desk}
    if one["eventType"] == "call.ended":
        return [_document("c3_end_errands", {"integrationData": data})]
    sender, name = one["callerNumber"], one["callerName"]
    queue = {name: one[name] for name in ("queueName", "queueNumber")}
    called = one["destNumber"].removeprefix("+")
    mark = f"aventa-{one['referenceId']:0>32.32}"
    msg = {
        "message_id": mark,
        "name": name,
        "from": sender,
        "subject": f"Call: {name} → {one['queueName']}",
        "body": f"Call\nCaller: {name}\nNumber: {sender}\nQueue: {one['queueName']}"
        f" ({one['queueNumber']})\nCalled: {called}\nTime: {one['occurredAt']}\n\nref: {mark}",
    }
    errand = {"msg": msg, "integrationData": {**data, "destNumber": called, **queue}}
    made = [_document("c3_new_errands", errand)]
    if is_new(sender):
        made.append(_document("c3_contact_cards", {"contacts": {"name": name, "voice": [sender]}}))
    return made


def _document(kind: str, attributes: dict[str, Any]) -> tuple[str, bytes]:
    return kind, orjson.dumps({"data": {"type": kind, "attributes": attributes}})
