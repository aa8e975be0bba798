"""The simulated store's memory: tables that remember how to take back what was written.

Rows are never changed, only replaced. Each write notes what was there before, so that a savepoint
or a whole transaction can be rolled back, by its handler's error or by a crash.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import Struct

from bridge.domain.calls import Thread
from bridge.domain.contacts import Key, Person
from bridge.domain.deliveries import Kind, Payload, State
from bridge.domain.presence import LegKey, Presence
from bridge.ports import Attempt, CallKey, Entry, EventKey, Gate, Pause, Quarrel, Refusal, Telling
from bridge.ports.presence import LegRow

_GONE: Final = object()


class Row(Struct, frozen=True, kw_only=True):
    """A delivery as the outbox keeps it."""

    id: int
    key: str
    lane: str
    position: int
    kind: Kind
    route: str
    state: State
    due_us: int
    accepted_us: int
    tier: int = 0
    first_us: int | None = None
    done_us: int | None = None
    attempts: int = 0
    scope: str | None = None
    floor_id: int | None = None
    source: str = ""
    reference_id: str = ""
    event_id: str = ""
    person_id: str = ""
    remote_id: str = ""
    error: str = ""
    payload: Payload | None = None
    expires_us: int | None = None
    trace: str | None = None

    @property
    def gate(self) -> Gate:
        """Where it waits."""
        return Gate(route=self.route, kind=self.kind)


class CallRow(Struct, frozen=True):
    """A thread, and when to look at it again."""

    thread: Thread
    timer_us: int | None


class SightingRow(Struct, frozen=True):
    """An errand that was, or is about to be, read: `open`, `noted` or `closed`."""

    state: str
    marker: str
    at_us: int


@dataclass(slots=True)
class Rows:
    """All tables. What is written since `begin` can be taken back."""

    events: dict[EventKey, Entry] = field(default_factory=dict)
    calls: dict[CallKey, CallRow] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    owners: dict[Key, str] = field(default_factory=dict)
    outbox: dict[int, Row] = field(default_factory=dict)
    delivered: dict[int, Row] = field(default_factory=dict)
    told: dict[tuple[str, str], Telling] = field(default_factory=dict)
    quarrels: dict[tuple[Key, str], tuple[Quarrel, int]] = field(default_factory=dict)
    pauses: dict[tuple[str, Kind | None, str], Pause] = field(default_factory=dict)
    highest: dict[str, int] = field(default_factory=dict)
    sightings: dict[tuple[str, int], SightingRow] = field(default_factory=dict)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    legs: dict[LegKey, LegRow] = field(default_factory=dict)
    presences: dict[str, Presence] = field(default_factory=dict)
    # Derived from the outbox: by key, by lane, what is ready by gate, and by state.
    by_key: dict[str, int] = field(default_factory=dict)
    by_lane: dict[str, set[int]] = field(default_factory=dict)
    by_gate: dict[Gate, set[int]] = field(default_factory=dict)
    by_state: dict[State, set[int]] = field(default_factory=dict)
    _undo: list[tuple[dict[Any, Any], Any, Any]] = field(default_factory=list)

    def set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """Write a row of any table but the outbox."""
        self._undo.append((table, key, table.get(key, _GONE)))
        table[key] = value

    def drop(self, table: dict[Any, Any], key: Any) -> None:
        """Remove a row, of any table but the outbox."""
        self._undo.append((table, key, table.pop(key)))

    def put(self, row: Row) -> None:
        """Write a row of the outbox."""
        self._undo.append((self.outbox, row.id, self.outbox.get(row.id, _GONE)))
        self._replace(row.id, row)

    def take_out(self, row_id: int) -> None:
        """Remove a row of the outbox."""
        self._undo.append((self.outbox, row_id, self.outbox[row_id]))
        self._replace(row_id, None)

    def next_id(self, name: str) -> int:
        """Return a number that was never given before."""
        number = self.counters.get(name, 0) + 1
        self.set(self.counters, name, number)
        return number

    def mark(self) -> int:
        """Return a savepoint."""
        return len(self._undo)

    def roll_back(self, mark: int = 0) -> None:
        """Take back all that was written since a savepoint."""
        while len(self._undo) > mark:
            table, key, before = self._undo.pop()
            if table is self.outbox:
                self._replace(key, None if before is _GONE else before)
            elif before is _GONE:
                del table[key]
            else:
                table[key] = before

    def commit(self) -> bool:
        """Keep what was written; say whether that was anything."""
        wrote = bool(self._undo)
        self._undo.clear()
        return wrote

    def in_states(self, states: Iterable[State]) -> list[Row]:
        """Return the deliveries that are in these states, the oldest first."""
        ids = [row_id for state in states for row_id in self.by_state.get(state, ())]
        return [self.outbox[row_id] for row_id in sorted(ids)]

    def _replace(self, row_id: int, row: Row | None) -> None:
        before = self.outbox.pop(row_id, None)
        if before is not None:
            self.by_state[before.state].discard(row_id)
            if before.state is State.READY:
                self.by_gate[before.gate].discard(row_id)
            if row is None:
                self.by_lane[before.lane].discard(row_id)
                del self.by_key[before.key]
        if row is None:
            return
        self.outbox[row_id] = row
        self.by_state.setdefault(row.state, set()).add(row_id)
        if row.state is State.READY:
            self.by_gate.setdefault(row.gate, set()).add(row_id)
        if before is None:
            self.by_lane.setdefault(row.lane, set()).add(row_id)
            self.by_key[row.key] = row_id
