"""The simulated phone system: calls as they happen, and what must become of each.

What is expected is said by whoever makes the call up, not worked out from its events: this is what
the bridge's own fold is compared with.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from sim_loop import START_US

AGENTS: Final = (1000, 1001, 1002, 1003)
ROUTE_AGENT: Final = 9
# Events of one call may lie this far apart, and a few minutes more by this phone system's doing.
REUSE_AFTER_S: Final = 25 * 3600.0
# The queue of the default route, which has that agent.
OWN_QUEUE: Final = "queue0"
_OF_CARD: Final = frozenset(
    {
        "call.queued",
        "call.answered",
        "call.abandoned",
        "callback.requested",
        "voicemail.left",
    }
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who rings: always shows the same cuid, and one of the numbers; none: withheld."""

    id: int
    name: str
    numbers: tuple[str, ...]
    cuid: str = ""


@dataclass(frozen=True, slots=True)
class Posting:
    """An event as it is posted first at `at_s`; `repeats` says when it is posted again for sure."""

    at_s: float
    document: dict[str, Any]
    repeats: tuple[float, ...] = ()

    @property
    def event_id(self) -> str:
        """What tells it from every other."""
        return str(self.document["eventId"])


@dataclass(slots=True)
class Due:
    """An errand that must be at Cention, made by one of `makers`, and ended if `is_ended`."""

    makers: tuple[str, ...] = ()
    is_ended: bool = False

    def markers(self) -> set[str]:
        """Return by which message ids it may be known."""
        return {message_id(event_id) for event_id in self.makers}


@dataclass(slots=True)
class Call:
    """A call, and what must be at Cention once it is over.

    `due` is its errand (no makers: there must not be one), `again` that of the call which uses its
    reference again. An end is by one of `agents`, who dialled `dialed`. `told` are the numbers that
    go on a card. Who `gave_up` was not answered.
    """

    reference: str
    caller: Caller
    queue: str
    postings: list[Posting] = field(default_factory=list)
    due: Due = field(default_factory=Due)
    again: Due = field(default_factory=Due)
    agents: set[int] = field(default_factory=set)
    dialed: str = ""
    told: set[str] = field(default_factory=set)
    gave_up: bool = False


def message_id(event_id: str) -> str:
    """Return the id that an errand of this event has, by the contract from the event alone."""
    return "aventa-" + hashlib.sha256(f"aventa\0{event_id}".encode()).hexdigest()[:32]


class Pbx:
    """Makes calls up. `queues` are those that callers ring."""

    def __init__(self, chance: Random, queues: Sequence[str], gap_s: float = 0.0) -> None:
        self._gap_s = gap_s
        self._chance = chance
        self._queues = queues
        self._people = [self._caller(number) for number in range(8)]

    def _caller(self, number: int) -> Caller:
        own = f"+4670174{number:04}"
        if number % 3 == 0:
            two = own, f"+4670175{number:04}"
            return Caller(number, f"Name {number}", two, f"cuid-{number}")
        if number == 7:
            return Caller(number, "", ())
        return Caller(number, f"Name {number}" if number % 2 else "", (own,))

    def calls(self, count: int, span_s: float) -> list[Call]:
        """Return calls that begin within a time."""
        return [self._call(number, self._chance.random() * span_s * 0.8) for number in range(count)]

    def probe(self, number: int, at_s: float) -> Call:
        """Return a call that is answered now, told at once."""
        call = Call(f"probe-{number}", self._people[1], OWN_QUEUE)
        story = _Story(self._chance, call, at_s, prompt=True)
        story.say(0.0, "call.answered", agent=AGENTS[0], makes=True)
        return call

    def _call(self, number: int, at_s: float) -> Call:
        chance = self._chance
        call = Call(f"call-{number}", chance.choice(self._people), chance.choice(self._queues))
        story = _Story(chance, call, at_s, prompt=False)
        tell = chance.choices(
            [one for one, _ in _STORIES], weights=[weight for _, weight in _STORIES]
        )[0]
        tell(story)
        if self._gap_s and chance.random() < 0.4:
            _after(story, self._gap_s)
        return call


class _Story:
    """One call as it goes on; times are seconds after its beginning."""

    def __init__(self, chance: Random, call: Call, at_s: float, *, prompt: bool) -> None:
        self.chance = chance
        self.call = call
        self.agent = chance.choice(AGENTS)
        self._at_s = at_s
        self.queue = call.queue
        self._prompt = prompt

    def say(
        self, after_s: float, kind: str, *, agent: int = 0, makes: bool = False, **more: Any
    ) -> str:
        """Tell an event, out of order, late, or several times."""
        chance, call = self.chance, self.call
        happened_s = self._at_s + after_s
        event_id = f"{call.reference}-{len(call.postings)}"
        number = chance.choice(call.caller.numbers) if call.caller.numbers else None
        document = {
            "eventId": event_id,
            "eventType": kind,
            "occurredAt": _moment(happened_s),
            "referenceId": call.reference,
            "callerNumber": number,
            "callerName": call.caller.name,
            "cuid": call.caller.cuid if call.caller.numbers else None,
            "destNumber": "46812345678",
            "queueName": self.queue,
            "queueNumber": "12",
            **({"deviceId": agent, "extensionId": agent} if agent else {}),
            **more,
        }
        if agent:
            call.agents.add(agent)
        if makes:
            call.due.makers += (event_id,)
        if kind in _OF_CARD and number is not None:
            call.told.add(number)
        late_s = 0.0 if self._prompt else self._delay_s()
        repeats: tuple[float, ...] = ()
        if not self._prompt and chance.random() < 0.1:
            repeats = (chance.random() * 30.0,)
        call.postings.append(Posting(happened_s + late_s, document, repeats))
        return event_id

    def _delay_s(self) -> float:
        roll = self.chance.random()
        if roll < 0.05:
            return self.chance.random() * 120.0
        return self.chance.random() * (12.0 if roll < 0.25 else 0.3)


def _moment(at_s: float) -> str:
    moment = _EPOCH + timedelta(microseconds=START_US + round(at_s * 1e6))
    return moment.isoformat(timespec="microseconds")


def _answered(story: _Story) -> None:
    story.say(0.0, "call.queued")
    story.say(3.0, "call.answered", agent=story.agent, makes=True)
    story.say(3.0 + story.chance.random() * 40.0, "call.ended", agent=story.agent)
    story.call.due.is_ended = True


def _transferred(story: _Story) -> None:
    other = story.chance.choice(AGENTS)
    story.say(0.0, "call.answered", agent=story.agent, makes=True)
    story.say(5.0, "call.transferred", agent=other)
    story.say(9.0, "call.answered", agent=other, makes=True)
    story.say(20.0, "call.ended")
    story.call.due.is_ended = True


def _without_agent(story: _Story) -> None:
    # Only a route with an agent of its own can have it ended.
    story.say(0.0, "call.answered", makes=True)
    story.say(10.0, "call.ended")
    story.call.agents.add(ROUTE_AGENT)
    story.call.due.is_ended = story.queue == OWN_QUEUE


def _abandoned(story: _Story) -> None:
    story.say(0.0, "call.queued")
    story.say(20.0, "call.abandoned")
    story.call.gave_up = True


def _abandoned_and_ended(story: _Story) -> None:
    """Many phone systems say both, in any order."""
    _abandoned(story)
    story.say(20.1, "call.ended")


def _unanswered(story: _Story) -> None:
    story.say(0.0, "call.queued")
    story.say(20.0, "call.ended")
    story.call.gave_up = True


def _answered_again(story: _Story) -> None:
    """An agent rings back under the same reference: the hang-up before doesn't end that."""
    story.say(0.0, "call.queued")
    story.say(5.0, "call.ended")
    story.say(130.0, "call.answered", agent=story.agent, makes=True)


def _skewed(story: _Story) -> None:
    """The phone system's nodes disagree on the time: the end seems to be before the answer."""
    story.say(30.0, "call.answered", agent=story.agent, makes=True)
    story.say(0.0, "call.ended", agent=story.agent)
    story.call.due.is_ended = True


def _call_back(story: _Story, outcome: str, kind: str) -> None:
    call = story.call
    story.say(0.0, kind, agent=story.agent, makes=True)
    story.say(1.0, "call.ended")
    other = story.chance.choice(AGENTS)
    related: dict[str, Any] = {"dialedNumber": "+46701740001", "outcome": outcome}
    if story.chance.random() < 0.5:
        related |= {"referenceId": f"{call.reference}-out", "relatedReferenceId": call.reference}
    story.say(30.0, "outbound.answered", agent=other, **related)
    story.say(60.0, "outbound.ended", agent=other, **related)
    call.due.is_ended = outcome == "completed"
    call.dialed = "46701740001"


def _after(story: _Story, gap_s: float) -> None:
    """Ring back whoever still waits; else another call uses the reference again."""
    call = story.call
    kinds = [str(one.document["eventType"]) for one in call.postings]
    if any(one in {"callback.requested", "voicemail.left"} for one in kinds):
        if not call.due.is_ended:
            story.say(gap_s, "outbound.ended", agent=story.agent, dialedNumber="+46701740001")
            call.due.is_ended, call.dialed = True, "46701740001"
    elif gap_s > REUSE_AFTER_S and (call.due.is_ended or not call.due.makers):
        maker = story.say(gap_s, "call.answered", agent=story.agent)
        story.say(gap_s + 20.0, "call.ended", agent=story.agent)
        call.again = Due((maker,), is_ended=True)


def _rung_back(story: _Story) -> None:
    _call_back(story, "completed", "callback.requested")


def _not_reached(story: _Story) -> None:
    _call_back(story, story.chance.choice(["no_answer", "busy", "failed"]), "callback.requested")


def _voicemail(story: _Story) -> None:
    _call_back(story, "completed", "voicemail.left")


def _voicemail_open(story: _Story) -> None:
    story.say(0.0, "voicemail.left", agent=story.agent, makes=True)
    story.say(2.0, "call.ended")


_STORIES: Final[tuple[tuple[Callable[[_Story], None], int], ...]] = (
    (_answered, 40),
    (_transferred, 12),
    (_without_agent, 6),
    (_abandoned, 3),
    (_abandoned_and_ended, 3),
    (_unanswered, 4),
    (_answered_again, 4),
    (_skewed, 4),
    (_rung_back, 10),
    (_not_reached, 4),
    (_voicemail, 6),
    (_voicemail_open, 4),
)
