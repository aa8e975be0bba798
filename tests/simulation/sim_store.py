"""The simulated store's `ports.Transaction`; `test_sim_store.py` compares it with the SQL one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace
from sim_feedback import SimFeedback
from sim_outbox import SimDeliveries
from sim_presence import SimPresence
from sim_rows import CallRow, Row, SightingRow

from bridge.domain.calls import Thread
from bridge.domain.contacts import Key, Person
from bridge.domain.deliveries import State
from bridge.ports import (
    CallKey,
    Entry,
    EventKey,
    Pause,
    Quarrel,
    Refusal,
    Sighting,
    Telling,
    ThreadRow,
)

# A payload with this in it can't be kept: a fault of the bridge's own, as far as others can see.
POISON: Final = b'"poison"'


class Poisoned(Exception):  # noqa: N818 - stands for any error that one item causes
    """An item that can't be handled."""


class SimLookups(SimDeliveries):
    """The look-ups' and the gates' part of a transaction."""

    def pauses(self) -> Sequence[Pause]:
        return list(self.rows.pauses.values())

    def save_pauses(self, pauses: Sequence[Pause]) -> None:
        for one in pauses:
            name = one.route, one.kind, one.reason
            known = self.rows.pauses.get(name)
            kept = one if known is None else replace(one, since_us=known.since_us)
            self.rows.set(self.rows.pauses, name, kept)

    def clear_pauses(self, pauses: Sequence[Pause]) -> None:
        for one in pauses:
            name = one.route, one.kind, one.reason
            if name in self.rows.pauses:
                self.rows.drop(self.rows.pauses, name)

    def highest_ids(self) -> dict[str, int]:
        return dict(self.rows.highest)

    def save_highest_ids(self, highest: Mapping[str, int]) -> None:
        for scope, errand_id in highest.items():
            self.rows.set(self.rows.highest, scope, errand_id)

    def seen(self, scope: str, errand_ids: Collection[int]) -> set[int]:
        asked = set(errand_ids)
        closed = {
            errand_id
            for (where, errand_id), one in self.rows.sightings.items()
            if where == scope and one.state in {"noted", "closed"} and errand_id in asked
        }
        named = {
            int(row.remote_id)
            for row in (*self.rows.outbox.values(), *self.rows.delivered.values())
            if row.scope == scope and row.remote_id.isdigit()
        }
        return closed | (named & asked)

    def marked(self, scope: str, markers: Collection[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for (where, errand_id), one in self.rows.sightings.items():
            if where == scope and one.marker and one.marker in markers:
                found[one.marker] = min(errand_id, found.get(one.marker, errand_id))
        return found

    def intend(self, scope: str, errand_ids: Collection[int], now_us: int) -> None:
        for errand_id in errand_ids:
            known = self.rows.sightings.get((scope, errand_id))
            fresh = SightingRow("open", "", now_us)
            kept = fresh if known is None else replace(known, state="open")
            self.rows.set(self.rows.sightings, (scope, errand_id), kept)

    def note(self, scope: str, sightings: Sequence[Sighting], now_us: int) -> None:
        for one in sightings:
            known = self.rows.sightings.get((scope, one.errand_id))
            at_us = now_us if known is None else known.at_us
            kept = SightingRow("noted", one.marker, at_us)
            self.rows.set(self.rows.sightings, (scope, one.errand_id), kept)

    def intents(self, scope: str) -> list[int]:
        return sorted(
            errand_id
            for (where, errand_id), one in self.rows.sightings.items()
            if where == scope and one.state != "closed"
        )

    def close_intents(self, scope: str, errand_ids: Collection[int]) -> None:
        for errand_id in errand_ids:
            known = self.rows.sightings.get((scope, errand_id))
            if known is None or known.state == "closed":
                continue
            if known.state == "open":
                self.rows.drop(self.rows.sightings, (scope, errand_id))
            else:
                kept = replace(known, state="closed")
                self.rows.set(self.rows.sightings, (scope, errand_id), kept)


class SimMessages(SimLookups):
    """The messages' part of a transaction."""

    def told(self, whom: Collection[str]) -> dict[tuple[str, str], int]:
        return {name: one.at_us for name, one in self.rows.told.items() if name[0] in whom}

    def tell(self, tellings: Sequence[Telling]) -> None:
        for one in tellings:
            self.rows.set(self.rows.told, (one.whom, one.template), one)

    def call_off(self, keys: Collection[str], why: str, now_us: int) -> int:
        ready = [row for row in self.rows.in_states([State.READY]) if row.key in keys]
        over = {State.READY, State.DELIVERED, State.GIVEN_UP}
        for row in self.rows.in_states(one for one in State if one not in over):
            if row.key in keys:
                self.rows.put(replace(row, expires_us=now_us))
        self._give_up(ready, why, now_us)
        return len(ready)

    def expire(self, now_us: int, limit: int) -> int:
        over = sorted(
            (row.expires_us, row.id, row)
            for row in self.rows.in_states([State.READY])
            if row.expires_us is not None and row.expires_us <= now_us
        )
        self._give_up([row for _, _, row in over[:limit]], "its time is over", now_us)
        return len(over[:limit])

    def _give_up(self, rows: Sequence[Row], why: str, now_us: int) -> None:
        for row in rows:
            self.rows.put(replace(row, state=State.GIVEN_UP, done_us=now_us, error=why))
        keys = {row.key for row in rows if row.attempts == 0}
        for name in [name for name, one in self.rows.told.items() if one.key in keys]:
            self.rows.drop(self.rows.told, name)

    def note_quarrels(self, quarrels: Sequence[Quarrel]) -> None:
        for one in quarrels:
            name = one.key, one.claimant
            _, times = self.rows.quarrels.get(name, (one, 0))
            self.rows.set(self.rows.quarrels, name, (one, times + 1))


class SimTransaction(SimMessages, SimFeedback):
    """One open transaction on the simulated store."""

    def digests(self, keys: Collection[EventKey]) -> dict[EventKey, bytes]:
        return {key: self.rows.events[key].digest for key in keys if key in self.rows.events}

    def threads(self, keys: Collection[CallKey]) -> dict[CallKey, Thread]:
        return {key: self.rows.calls[key].thread for key in keys if key in self.rows.calls}

    def owners(self, keys: Collection[Key]) -> dict[Key, str]:
        return {key: self.rows.owners[key] for key in keys if key in self.rows.owners}

    def people(self, ids: Collection[str]) -> dict[str, Person]:
        return {one: self.rows.people[one] for one in ids if one in self.rows.people}

    def add_events(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            key = entry.source, entry.event_id
            if POISON in entry.payload or key in self.rows.events:
                raise Poisoned(entry.event_id)
            self.rows.set(self.rows.events, key, entry)

    def save_threads(self, rows: Sequence[ThreadRow]) -> None:
        for row in rows:
            self.rows.set(self.rows.calls, row.key, CallRow(row.thread, row.timer_us))

    def due_threads(self, now_us: int, limit: int) -> dict[CallKey, Thread]:
        due = [
            (row.timer_us, key)
            for key, row in self.rows.calls.items()
            if row.timer_us is not None and row.timer_us <= now_us
        ]
        return {key: self.rows.calls[key].thread for _, key in sorted(due)[:limit]}

    def save_people(self, people: Sequence[Person], keys: Sequence[tuple[Key, str]]) -> None:
        for person in people:
            self.rows.set(self.rows.people, person.id, person)
        for key, person_id in keys:
            if key not in self.rows.owners:
                self.rows.set(self.rows.owners, key, person_id)

    def presence(self) -> SimPresence:
        return SimPresence(self.rows)

    def add_refusals(self, refusals: Sequence[Refusal]) -> None:
        for one in refusals:
            self.rows.set(self.rows.refusals, one.id, one)

    def touch(self, now_us: int) -> None:
        self.rows.set(self.rows.counters, "touched", now_us)

    def purge(self, horizons: Mapping[str, int], limit: int) -> int:
        """Remove events past their time; no simulated run lasts long enough for more."""
        old = _oldest(self.rows.events.items(), horizons["journal"], limit)
        for key in old:
            self.rows.drop(self.rows.events, key)
        return len(old)

    def purge_people(self, _after: str, _before_us: int, _limit: int) -> str:
        """Remove nobody: nobody is silent for so long."""
        return ""


def _oldest(events: Iterable[tuple[EventKey, Entry]], before_us: int, limit: int) -> list[EventKey]:
    return [key for key, entry in events if entry.received_us < before_us][:limit]
