"""How a call stands now, in a sentence: what it came to, what waits, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from bridge.cli.common import clock_time, counted
from bridge.cli.reports import duration
from bridge.domain.deliveries import PENDING_STATES, STOPPED_STATES, Kind, State
from bridge.domain.units import SECOND_US
from bridge.storage.gates import ALL_KINDS

Row = Mapping[str, Any]
Story = Mapping[str, list[dict[str, Any]]]
_AFTER: Final = {
    "call.answered": "the answer",
    "callback.requested": "the request for a callback",
    "voicemail.left": "the voicemail",
}
_REASONS: Final = {
    "by hand": "somebody paused it",
    "401": "its token is refused (401)",
    "403": "the token may not do this (403)",
    "404": "the workspace is not found (404)",
}


class Mark(StrEnum):
    """What a moment was like, as the sign that stands before it."""

    EVENT = "•"
    DONE = "✓"
    FAILED = "✗"
    AGAIN = "↻"
    WAITS = "…"
    BACK = "←"


@dataclass(frozen=True, slots=True)
class Shut:
    """Why and since when a gate is shut (microseconds since 1970)."""

    reason: str
    since_us: int

    @property
    def words(self) -> str:
        """The reason in a sentence."""
        return _REASONS.get(self.reason, self.reason)


class Gates:
    """The gates that are shut, by route and kind."""

    def __init__(self, pauses: Sequence[Row]) -> None:
        """Know them by the store's rows."""
        self._shut = {
            (one["route"], one["kind"]): Shut(one["reason"], one["since_us"]) for one in pauses
        }

    def before(self, row: Row) -> Shut | None:
        """Return what keeps a delivery from leaving; None: nothing, or it is over."""
        if row["state"] not in PENDING_STATES:
            return None
        whole = self._shut.get((row["route"], ALL_KINDS))
        return whole or self._shut.get((row["route"], row["kind"]))


def summary(story: Story, gates: Gates) -> tuple[Mark, str]:
    """Say in a sentence how a call stands now, and whether that is as it should be."""
    errands = [one for one in story["deliveries"] if one["kind"] == Kind.NEW_ERRAND]
    cards = [row for person in story["people"] for row in person["deliveries"]]
    rows = [*story["deliveries"], *cards]
    pending = [one for one in rows if one["state"] in PENDING_STATES]
    stopped = [one for one in rows if one["state"] in STOPPED_STATES]
    mark = Mark.FAILED if stopped else Mark.WAITS if pending else Mark.DONE
    parts = [_errand(one, story, gates) for one in errands]
    if not story["events"] and not rows:
        parts = ["No event of this call was accepted"]
    elif not errands:
        parts = ["No errand was asked for"]
    agents = _agents(story)
    if agents:
        parts.append(f"agent {agents}")
    rest = [one for one in pending if one not in errands]
    if rest:
        shut = [one for one in map(gates.before, rest) if one is not None]
        why = f" ({shut[0].words})" if shut and rest == pending else ""
        parts.append(f"{counted(len(rest), 'more waits', 'more wait')}{why}")
    if stopped:
        parts.append(
            f"{counted(len(stopped), 'delivery has', 'deliveries have')} stopped, see below"
        )
    if not pending and not stopped:
        parts.append("nothing waits")
    return mark, "; ".join(parts) + "."


def _errand(row: Row, story: Story, gates: Gates) -> str:
    if row["state"] == State.DELIVERED:
        cause = [one for one in story["events"] if one["event_id"] == row["event_id"]]
        after = _AFTER.get(cause[0]["event_type"], cause[0]["event_type"]) if cause else "that"
        took = span((row["done_us"] or row["accepted_us"]) - row["accepted_us"])
        name = f"Errand {row['remote_id']}" if row["remote_id"] else "An errand (id not told)"
        return f"{name} was created {took} after {after} came{_ending(row, story)}"
    if row["state"] in PENDING_STATES:
        return f"No errand yet: it {waiting(row, gates)}"
    return f"No errand: it {stopped(row)}" if row["state"] in STOPPED_STATES else "No errand"


def _ending(errand: Row, story: Story) -> str:
    """Say whether an errand was ended."""
    for row in story["deliveries"]:
        if row["kind"] == Kind.END_ERRAND and row["lane"] == errand["lane"]:
            if row["state"] == State.DELIVERED:
                return " and ended"
            is_to_come = row["state"] in PENDING_STATES
            return ", its end is to come" if is_to_come else ", and could not be ended"
    is_done = any(
        one["is_done"] for one in story["reports"] if one["errand_id"] == errand["remote_id"]
    )
    return " and is done" if is_done else " and is open"


def _agents(story: Story) -> str:
    """Return the agents as they took the call over from each other."""
    events = sorted(story["events"], key=lambda event: event["occurred_us"])
    found: list[str] = []
    for one in events:
        said = one["payload"]
        if isinstance(said, dict) and said.get("deviceId") is not None:
            found += [agent(said)] if found[-1:] != [agent(said)] else []
    return ", then ".join(found)


def waiting(row: Row, gates: Gates) -> str:
    """Say what a delivery waits for."""
    shut = gates.before(row)
    last = f"; last said {row['error']}" if row["error"] else ""
    tried = f", tried {counted(row['attempts'], 'time')}" if row["attempts"] else ""
    if shut is not None:
        since = clock_time(shut.since_us)[:19]
        return f"waits{tried}: {row['route']} is paused since {since}, {shut.words}{last}"
    if row["state"] == State.BLOCKED:
        return "waits for the one before it"
    if row["state"] == State.DOUBTFUL:
        return f"may have arrived and is being looked up{last}"
    if row["state"] == State.SENDING:
        return "is on its way"
    due = f" until {clock_time(row['due_us'])[:19]}" if row["attempts"] or _is_timed(row) else ""
    return f"waits{due}{tried}{last}"


def _is_timed(row: Row) -> bool:
    """Tell whether something leaves at a time of its own, as a message does."""
    return bool(row["due_us"]) and row["due_us"] > row["accepted_us"]


def stopped(row: Row) -> str:
    """Say why a delivery has stopped."""
    return {
        State.DEAD: "was refused for good",
        State.HELD: "may have arrived; a person has to decide",
        State.PARKED: "waits for what was stopped before it",
    }[State(row["state"])]


def agent(said: Mapping[str, Any]) -> str:
    """Return the agent that an event names."""
    return f"{said['deviceId']}/{said.get('extensionId')}"


def span(microseconds: int) -> str:
    """Return a time between two moments as people say it."""
    seconds = microseconds / SECOND_US
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)
