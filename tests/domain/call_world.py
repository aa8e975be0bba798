"""Words for tests about calls: events at minutes, and what came of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from msgspec.structs import replace

from bridge.domain.calls import CallPolicy, Folded, Thread, fold
from bridge.domain.considering import consider
from bridge.domain.deliveries import Draft, EndErrand, Kind, NewErrand, Notice
from bridge.domain.errands import Guide
from bridge.domain.events import Agent, CallEvent, EventType
from bridge.domain.msisdn import read_number
from bridge.domain.routes import Route, RouteTable
from bridge.domain.rules import RuleBook

MINUTE_US = 60_000_000
DAY = 24 * 60
NOW_US = 1_790_000_000_000_000
DESK = Agent(1000, 1000)
ROUTE = Route(name="default", base_url="https://cention.example", workspace="demo")
GUIDE = Guide(rules=RuleBook(), routes=RouteTable((), ROUTE))
POLICY = CallPolicy()


def event(kind: EventType | str, minute: float, **given: Any) -> CallEvent:
    """Return an event of call `r1` that happened at this minute."""
    made = CallEvent(
        source="aventa",
        event_id=f"{kind}@{minute}",
        type=EventType(kind),
        occurred_us=NOW_US + round(minute * MINUTE_US),
        route="default",
        reference_id="r1",
        caller=read_number("+60123456789", region=None),
        caller_name="Ada",
        agent=DESK,
        dest_msisdn="60374571234",
        queue_name="EHS",
        queue_number="123",
    )
    return replace(made, **given)


@dataclass
class World:
    """One reference's thread, and every draft that was emitted, the newest payload by key."""

    guide: Guide = GUIDE
    thread: Thread = field(default_factory=Thread)
    drafts: dict[str, Draft] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    called_off: list[str] = field(default_factory=list)
    skipped: int = 0
    last: Folded | None = None

    def take(self, *events: CallEvent) -> "World":
        """Fold events as they arrive."""
        for one in events:
            folded = fold(
                self.thread,
                one,
                partial(consider, one, guide=self.guide, received_us=NOW_US),
                POLICY,
                received_us=NOW_US,
            )
            self.thread = folded.thread
            self.skipped += folded.ends_skipped
            self.last = folded
            self.notices += [] if folded.notice is None else [folded.notice]
            self.called_off += folded.called_off
            for draft in folded.drafts:
                self.drafts[draft.key] = draft
        return self

    @property
    def created(self) -> list[NewErrand]:
        """The errands that were asked for."""
        return [one.payload for one in self.drafts.values() if isinstance(one.payload, NewErrand)]

    @property
    def ended(self) -> list[EndErrand]:
        """The ends that were asked for, as they stand."""
        return [one.payload for one in self.drafts.values() if isinstance(one.payload, EndErrand)]

    def shape(self) -> tuple[int, list[tuple[str, int, str]]]:
        """How many errands there are, and who ends which call with what."""
        ends = sorted(
            (one.reference_id, one.agent.device_id, one.dialed_number) for one in self.ended
        )
        return len(self.created), ends

    def lanes(self) -> dict[str, list[Kind]]:
        """The kinds in each lane, in the order in which they leave."""
        lanes: dict[str, list[Draft]] = {}
        for draft in self.drafts.values():
            lanes.setdefault(draft.lane, []).append(draft)
        return {
            lane: [one.kind for one in sorted(drafts, key=lambda draft: draft.position)]
            for lane, drafts in lanes.items()
        }


def played(events: Iterable[CallEvent]) -> World:
    """Return the world after these events, in this order of arrival; each id counts once."""
    world, seen = World(), set[str]()
    for one in events:
        if one.event_id not in seen:
            seen.add(one.event_id)
            world.take(one)
    return world


def moved(events: Sequence[CallEvent], minutes: float, tag: str) -> list[CallEvent]:
    """Return the same events later, with ids of their own."""
    return [
        replace(
            one,
            event_id=f"{one.event_id}/{tag}",
            occurred_us=one.occurred_us + round(minutes * MINUTE_US),
        )
        for one in events
    ]
