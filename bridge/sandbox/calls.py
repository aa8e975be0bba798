"""Simulated calls: what an Aventa phone system would post, made up from a seeded random source.

Callers have valid mobile numbers of Sweden, Norway and Malaysia, ring again at times, and some
withhold their number. The same seed and start make the same calls.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple

CALLERS_REMEMBERED_MAX: Final = 1000
RETURNING_SHARE: Final = 0.25
WITHHELD_SHARE: Final = 0.06
NAMED_SHARE: Final = 0.7
CUID_SHARE: Final = 0.3
REASON_SHARE: Final = 0.5
COMMENT_SHARE: Final = 0.25
RECORDED_SHARE: Final = 0.4
ABANDONED_SHARE: Final = 0.1
TRANSFERRED_SHARE: Final = 0.1


class Queue(NamedTuple):
    """A queue that callers wait in; `dest_number` is an MSISDN without plus."""

    name: str
    number: str
    dest_number: str


class Desk(NamedTuple):
    """Where an agent sits: Cention knows an agent by these two ids."""

    device_id: int
    extension_id: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who rings; what is not known is empty."""

    number: str
    name: str
    cuid: str


@dataclass(frozen=True, slots=True)
class Call:
    """One whole call: its events in order, each as it is posted."""

    reference_id: str
    events: tuple[dict[str, Any], ...]


QUEUES: Final = (
    Queue("Kundtjänst", "4101", "46812345678"),
    Queue("Tidsbokning", "4102", "46852500100"),
    Queue("Sentralbord", "4201", "4722860000"),
    Queue("EHS", "4301", "60374571234"),
)
DESKS: Final = tuple(Desk(1000 + number, 2000 + number) for number in range(1, 25))

_GIVEN_NAMES: Final = ("Aisyah", "Anna", "Björn", "Farid", "Ingrid", "Kari", "Lars", "Mei", "Åsa")
_FAMILY_NAMES: Final = ("Berg", "Dahl", "Hansen", "Lim", "Lindström", "Rahman", "Sjöberg", "Tan")
_REASONS: Final = ("reschedule appointment", "invoice", "delivery", "faktura", "boka tid")
_COMMENTS: Final = ("Ringer igen på måndag", "prefers e-mail", "Vill ha kvitto på köpet")
# Prefix of a mobile number, and the ranges that all of its digits are valid in.
_MOBILE_PREFIXES: Final = (
    *(f"467{digit}" for digit in "02369"),
    *(f"47{digits}" for digits in ("41", "46", "47", "48", "90", "91", "92", "93", "95", "97")),
    *(f"601{digit}" for digit in "23679"),
)
_SUBSCRIBER_DIGITS: Final = {"46": 7, "47": 6, "60": 7}


class CallScript:
    """Makes up one call after the other.

    Attributes:
        answered_only: every call is queued, answered and ended, so that each of them makes exactly
            one errand and one end.
        returning_share: how many of the callers who show a number have called before, of 1.
    """

    def __init__(
        self,
        random: Random,
        *,
        started_at: datetime,
        answered_only: bool = False,
        returning_share: float = RETURNING_SHARE,
    ) -> None:
        if started_at.tzinfo is None:
            raise ValueError("started_at needs a time zone")
        self.answered_only = answered_only
        self.returning_share = returning_share
        self._random = random
        # Calls of two runs must not be taken for each other, even where the seed is the same.
        self._run = f"{started_at.astimezone(UTC):%y%m%d%H%M%S}-{random.getrandbits(24):06x}"
        self._count = 0
        self._callers: deque[Caller] = deque(maxlen=CALLERS_REMEMBERED_MAX)

    def make(self, now: datetime) -> Call:
        """Return a call that ends at `now` (with a time zone)."""
        if now.tzinfo is None:
            raise ValueError("now needs a time zone")
        self._count += 1
        reference_id = f"av-{self._run}-{self._count:06d}"
        moments = self._moments(now)
        desk = self._random.choice(DESKS)
        base = self._base(reference_id)
        events = [{**base, **moments("call.queued")}]
        if not self.answered_only and self._chance(ABANDONED_SHARE):
            events.append({**base, **moments("call.abandoned")})
        else:
            events.append({**base, **moments("call.answered"), **_at(desk), **self._details()})
            if not self.answered_only and self._chance(TRANSFERRED_SHARE):
                desk = self._random.choice(DESKS)
                events.append({**base, **moments("call.transferred"), **_at(desk)})
            events.append({**base, **moments("call.ended"), **_at(desk)})
        return Call(reference_id, tuple(self._numbered(reference_id, events)))

    def _base(self, reference_id: str) -> dict[str, Any]:
        queue = self._random.choice(QUEUES)
        caller = self._caller()
        base: dict[str, Any] = {
            "referenceId": reference_id,
            "callerNumber": caller.number,
            "destNumber": queue.dest_number,
            "queueName": queue.name,
            "queueNumber": queue.number,
        }
        if caller.name:
            base["callerName"] = caller.name
        if caller.cuid:
            base["cuid"] = caller.cuid
        return base

    def _caller(self) -> Caller:
        if self._chance(WITHHELD_SHARE):
            return Caller("anonymous", "", "")
        if self._callers and self._chance(self.returning_share):
            return self._random.choice(self._callers)
        names = (self._random.choice(_GIVEN_NAMES), self._random.choice(_FAMILY_NAMES))
        caller = Caller(
            number=self._mobile_number(),
            name=" ".join(names) if self._chance(NAMED_SHARE) else "",
            cuid=f"{self._random.randrange(10**8):08d}" if self._chance(CUID_SHARE) else "",
        )
        self._callers.append(caller)
        return caller

    def _mobile_number(self) -> str:
        prefix = self._random.choice(_MOBILE_PREFIXES)
        digits = _SUBSCRIBER_DIGITS[prefix[:2]]
        # Subscriber numbers don't begin with 0 or 1 in all of these ranges.
        first = self._random.randint(2, 9)
        rest = self._random.randrange(10 ** (digits - 1))
        return f"+{prefix}{first}{rest:0{digits - 1}d}"

    def _details(self) -> dict[str, Any]:
        details: dict[str, Any] = {}
        extra_data = {}
        if self._chance(REASON_SHARE):
            extra_data["callReason"] = self._random.choice(_REASONS)
        if self._chance(COMMENT_SHARE):
            extra_data["comment"] = self._random.choice(_COMMENTS)
        if extra_data:
            details["extraData"] = extra_data
        if self._chance(RECORDED_SHARE):
            details["link"] = f"https://recordings.example/{self._random.getrandbits(48):012x}"
        return details

    def _moments(self, now: datetime) -> Callable[[str], dict[str, str]]:
        """Return what gives each event of a call its type and time, the last one at `now`."""
        wait = timedelta(seconds=self._random.randint(2, 90))
        talk = timedelta(seconds=self._random.randint(20, 600))
        before = {
            "call.queued": talk + wait,
            "call.answered": talk,
            "call.transferred": talk / 2,
        }

        def moment(event_type: str) -> dict[str, str]:
            occurred_at = now - before.get(event_type, timedelta())
            text = occurred_at.astimezone(UTC).isoformat(timespec="milliseconds")
            return {"eventType": event_type, "occurredAt": text.replace("+00:00", "Z")}

        return moment

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    @staticmethod
    def _numbered(reference_id: str, events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for number, event in enumerate(events, 1):
            yield {"eventId": f"{reference_id}-{number}", **event}


def _at(desk: Desk) -> dict[str, Any]:
    return {"deviceId": desk.device_id, "extensionId": desk.extension_id}
