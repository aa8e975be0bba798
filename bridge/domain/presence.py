"""Presence: who is on which call, what that means for an agent's chats, and what to do about it.

An agent who is on the phone gets no chats: at One View they are set aside (offline, or another
status), and put back as they were once they are free. That is a state, not a list of deeds:

- A *leg* is one conversation of a phone system's reference: what a caller rang, or what an agent
  rang. Whose it is now is told by the latest that is known of it, in whatever order events came.
- An agent is *wanted* away while a leg is theirs, or while they said that they are unavailable.
- What was *held* away is put back only as far as it is still as the bridge left it: status and
  `updatedAt` of One View's AgentInfo tell whether the agent has changed it since.

Everything here is pure; `services.presence` asks and does.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from bridge.domain.events import Agent, CallEvent, EventType
from bridge.domain.spans import CLOCK_SKEW_US

# Source, reference, and which of the two conversations that one reference may have.
LegKey = tuple[str, str, str]
_INBOUND: Final = "in"
_OUTBOUND: Final = "out"
# What happens at one moment happens in this order: a caller waits, is answered, is passed on.
_RANKS: Final = {
    EventType.CALL_QUEUED: 0,
    EventType.CALL_ANSWERED: 1,
    EventType.OUTBOUND_ANSWERED: 1,
    EventType.CALL_TRANSFERRED: 2,
}
_ENDS: Final = frozenset({EventType.CALL_ENDED, EventType.CALL_ABANDONED, EventType.OUTBOUND_ENDED})
# Of so many who are seen to, one was tried before.
TURNS: Final = 4
# How an outbound call ends that somebody has answered.
_TALKED: Final = frozenset({"completed", "voicemail"})


class Unknown(StrEnum):
    """Why an event of an agent changes nobody's presence."""

    NO_AGENT = "no_agent"
    UNKNOWN_ID = "unknown_id"
    UNKNOWN_DESK = "unknown_desk"


class Roster(Struct, frozen=True):
    """One View's agents by what events call them: a desk, an e-mail, an id.

    Who they are is a mark that tells nobody. E-mails and ids are in lower case. `ids` are those
    that One View has told (AgentInfo's `id`).
    """

    desks: Mapping[Agent, str] = field(default_factory=dict)
    emails: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)

    def find(self, event: CallEvent) -> str | Unknown:
        """Return whom an event is about: its `agentId` wins over the desk (hot-desking)."""
        if event.agent_id:
            told = event.agent_id.strip().lower()
            return self.emails.get(told) or self.ids.get(told) or Unknown.UNKNOWN_ID
        if event.agent is None:
            return Unknown.NO_AGENT
        return self.desks.get(event.agent) or Unknown.UNKNOWN_DESK


class Leg(Struct, frozen=True, gc=False, kw_only=True):
    """One conversation as far as it is known; times are microseconds since 1970.

    `agent` is whose it was at `at_us`, the latest that tells; empty: a caller waits, or whoever has
    them is nobody of One View's. It is over if it was hung up at `hung_us`, at or after that.
    `touched_us` is when an event of it came last.
    """

    agent: str = ""
    at_us: int = 0
    rank: int = -1
    hung_us: int = 0
    touched_us: int = 0
    is_stale: bool = False

    @property
    def holder(self) -> str:
        """Who is on it now; empty: nobody that is known."""
        return "" if self.hung_us >= self.at_us or self.is_stale else self.agent


def leg_of(event: CallEvent) -> LegKey | None:
    """Return the leg that an event is about; None: it says nothing of who talks to whom."""
    if event.type in _RANKS or event.type in _ENDS:
        # A call back has the reference of its own here, not that of the call that it answers.
        way = _OUTBOUND if event.type.is_outbound else _INBOUND
        return event.source, event.reference_id, way
    return None


def with_event(leg: Leg, event: CallEvent, agent: str, now_us: int) -> Leg:
    """Lay an event over a leg. Whatever order events come in, the same comes of it.

    The nodes of a phone system disagree on the time a little, so an end that seems to be earlier
    than its answer is the end of it all the same; but not one of an attempt that nobody answered.
    """
    leg = replace(leg, touched_us=max(leg.touched_us, now_us), is_stale=False)
    if event.type in _ENDS:
        is_sure = event.type is EventType.CALL_ENDED or (
            event.type is EventType.OUTBOUND_ENDED and event.outcome in _TALKED
        )
        hung_us = event.occurred_us + (CLOCK_SKEW_US if is_sure else 0)
        return replace(leg, hung_us=max(leg.hung_us, hung_us))
    rank = _RANKS[event.type]
    if (event.occurred_us, rank) < (leg.at_us, leg.rank):
        return leg
    # Whoever waits in a queue has nobody yet, though the event may name who is rung.
    who = "" if event.type is EventType.CALL_QUEUED else agent
    return replace(leg, agent=who, at_us=event.occurred_us, rank=rank)


class There(Struct, frozen=True, gc=False, omit_defaults=True):
    """An agent's status at One View, and its `updatedAt` as it is told; empty: not known."""

    status: str
    updated_at: str = ""

    def is_same(self, other: "There") -> bool:
        """Say whether nobody has set the status in between, as far as can be told."""
        if self.status != other.status:
            return False
        return not (self.updated_at and other.updated_at) or self.updated_at == other.updated_at


class Held(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What the bridge has set away: what it was `before`, and what was left there, `ours`.

    `ours` is None until it was read: what was asked for may or may not have come to pass. `doubt`
    is the status that a request whose answer was lost may still set, until `doubt_us`.
    """

    before: There
    wanted: str
    ours: There | None = None
    is_acknowledged: bool = False
    doubt: str = ""
    doubt_us: int = 0

    @property
    def is_only_doubt(self) -> bool:
        """Whether there is nothing to put back, for all that is known."""
        return bool(self.doubt) and self.ours is None and not self.is_acknowledged

    def until(self, now_us: int) -> "Held":
        """Return it without a doubt that is over."""
        return self if now_us < self.doubt_us else replace(self, doubt="", doubt_us=0)


class Presence(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """One agent: what is wanted of their presence, and what is known of it at One View.

    `is_busy`: a call is theirs; `is_away`: they said so, at `said_us`. `since_us` is since when
    they are wanted as they are, `asked_us` when that was asked for. `due_us` is when there is
    something to do; None: nothing. `version` grows with every wish. `freed_us` is when their last
    call ended. `seen` is what One View told last, `remote_id` their id there. `error` says why the
    last attempt came to nothing; `refused` is the status of a refusal that is about them alone.
    """

    agent: str
    is_busy: bool = False
    is_away: bool = False
    said_us: int = 0
    since_us: int = 0
    asked_us: int = 0
    freed_us: int = 0
    due_us: int | None = None
    attempts: int = 0
    version: int = 0
    touched_us: int = 0
    held: Held | None = None
    is_to_assert: bool = False
    seen: There | None = None
    seen_us: int = 0
    remote_id: str = ""
    error: str = ""
    refused: int = 0

    @property
    def is_wanted_away(self) -> bool:
        """Whether they are to get no chats."""
        return self.is_busy or self.is_away

    @property
    def word(self) -> Literal["on_call", "unavailable", "wrap_up", "free"]:
        """What they do just now."""
        if self.is_busy:
            return "on_call"
        if self.is_away:
            return "unavailable"
        return "free" if self.held is None or self.held.is_only_doubt else "wrap_up"


def said(presence: Presence, event: CallEvent) -> Presence:
    """Lay what an agent said of themselves over their presence; the latest counts."""
    if event.occurred_us < presence.said_us:
        return presence
    is_away = event.type is EventType.AGENT_UNAVAILABLE
    return replace(presence, is_away=is_away, said_us=event.occurred_us)


def wanted(
    before: Presence, after: Presence, *, has_taken: bool, wrap_up_us: int, now_us: int
) -> Presence:
    """Return the presence with what is due because of what has changed.

    `has_taken`: a call became theirs, though they may have had one before. Then they are set away
    again, if they have put themselves back meanwhile. What isn't wanted any more is forgotten: one
    row says what is, however many events led there.
    """
    if before.is_busy and not after.is_busy:
        after = replace(after, freed_us=now_us)
    is_news = before.is_wanted_away != after.is_wanted_away
    if is_news:
        after = replace(after, since_us=now_us)
    is_taken = after.is_wanted_away and (is_news or has_taken)
    if is_taken:
        return _due(after, now_us, now_us, is_to_assert=True)
    if is_news:
        return _due(
            after, max(now_us, min(after.freed_us, now_us) + wrap_up_us), now_us, is_to_assert=False
        )
    return after


def _due(presence: Presence, due_us: int, now_us: int, *, is_to_assert: bool) -> Presence:
    return replace(
        presence,
        due_us=due_us,
        asked_us=max(due_us, now_us),
        attempts=0,
        version=presence.version + 1,
        is_to_assert=is_to_assert,
        refused=0,
    )


def turns(fresh: Sequence[Presence], tried: Sequence[Presence]) -> list[Presence]:
    """Return who is seen to in which order: of four, one who was tried before, if there is one."""
    order: list[Presence] = []
    for number, one in enumerate(tried):
        order += [*fresh[number * (TURNS - 1) : (number + 1) * (TURNS - 1)], one]
    return [*order, *fresh[len(tried) * (TURNS - 1) :]]


class Step(Struct, frozen=True, gc=False):
    """What to do about an agent, now that One View has said how they are.

    `put` is the status to ask for; empty: nothing. `held` is what is to be known of it before that
    leaves, and stays if nothing does. `outcome` is how it is counted where nothing is asked for.
    """

    put: str = ""
    held: Held | None = None
    outcome: str = ""


def decide(presence: Presence, now: There, target: str) -> Step:
    """Say what is to be done; `target` is the status of who is on a call.

    Where an answer was lost, only the status tells whose deed it was: one equal to what was asked
    for counts as the bridge's *(assumed)*.
    """
    held = presence.held
    if presence.is_wanted_away:
        return _away(presence, held, now, target)
    if held is None:
        return Step(outcome="nothing")
    if held.before.status == held.wanted:
        return Step(outcome="was_away")
    # A lost request may set them away yet, when nobody expects it any more: it is looked for.
    is_doubtful = held.doubt == held.wanted
    if held.ours is None and not held.is_acknowledged and now.is_same(held.before):
        return Step(held=held if is_doubtful else None, outcome="nothing")
    ours = There(held.wanted) if held.ours is None or is_doubtful else held.ours
    if now.is_same(ours):
        return Step(put=held.before.status, held=held)
    if is_doubtful:
        return Step(held=back_in_doubt(held, now), outcome="left")
    return Step(outcome="left")


def back_in_doubt(held: Held, now: There) -> Held:
    """Return what is still to be known of who is as they want to be, until a doubt is over."""
    return replace(held, before=now, ours=None, is_acknowledged=False)


def _away(presence: Presence, held: Held | None, now: There, target: str) -> Step:
    if held is None:
        return _take(held, now, target)
    if held.ours is None:
        if now.status == held.wanted:
            outcome = "nothing" if held.is_acknowledged else "set"
            return Step(held=replace(held, ours=now), outcome=outcome)
        if held.is_acknowledged and not presence.is_to_assert:
            return Step(held=replace(held, ours=There(held.wanted)), outcome="left")
        return _take(held, now, target)
    if now.is_same(held.ours):
        return Step(held=held, outcome="nothing")
    if now.status == held.doubt == held.wanted:
        # It has come to pass once more.
        return Step(held=replace(held, ours=now), outcome="nothing")
    if presence.is_to_assert or now.status == held.doubt:
        return _take(held, now, target)
    return Step(held=held, outcome="left")


def _take(held: Held | None, now: There, target: str) -> Step:
    """Set somebody away who is as they want to be; what they are now is what they get back."""
    if now.status == target:
        return Step(held=Held(before=now, wanted=target, ours=now), outcome="was_away")
    doubt, doubt_us = ("", 0) if held is None else (held.doubt, held.doubt_us)
    return Step(put=target, held=Held(before=now, wanted=target, doubt=doubt, doubt_us=doubt_us))
