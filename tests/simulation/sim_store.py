"""The simulated store's `ports.Transaction`; `test_sim_store.py` compares it with the SQL one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from sim_rows import CallRow, Row, Rows, SightingRow

from bridge.domain.calls import Thread
from bridge.domain.contacts import EMPTY_CARD, Key, Person
from bridge.domain.deliveries import STOPPED_STATES, Draft, Kind, State, Tier
from bridge.ports import (
    Attempt,
    CallKey,
    Claim,
    Entry,
    EventKey,
    Gate,
    Order,
    Parcel,
    Pause,
    Refusal,
    Settlement,
    Sighting,
    ThreadRow,
)

# A payload with this in it can't be kept: a fault of the bridge's own, as far as others can see.
POISON: Final = b'"poison"'


class Poisoned(Exception):  # noqa: N818 - stands for any error that one item causes
    """An item that can't be handled."""


class SimDeliveries:
    """The deliveries' part of a transaction."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def put_orders(self, orders: Sequence[Order]) -> None:
        for one in orders:
            draft = one.draft
            known = self.rows.by_key.get(draft.key)
            if known is not None:
                row = self.rows.outbox[known]
                is_new = row.state in {State.READY, State.BLOCKED, State.PARKED}
                if is_new and row.attempts == 0:
                    self.rows.put(replace(row, payload=draft.payload))
                continue
            if any(row.key == draft.key for row in self.rows.delivered.values()):
                continue
            self.rows.put(
                Row(
                    id=self.rows.next_id("outbox"),
                    key=draft.key,
                    lane=draft.lane,
                    position=draft.position,
                    kind=draft.kind,
                    route=draft.route,
                    state=self._first_state(draft),
                    due_us=one.accepted_us,
                    accepted_us=one.accepted_us,
                    source=one.source,
                    reference_id=one.reference_id,
                    event_id=one.event_id,
                    payload=draft.payload,
                )
            )

    def _lane(self, lane: str) -> list[Row]:
        rows = [self.rows.outbox[row_id] for row_id in self.rows.by_lane.get(lane, ())]
        return sorted(rows, key=lambda row: row.position)

    def _first_state(self, draft: Draft) -> State:
        before = [
            row.state
            for row in self._lane(draft.lane)
            if row.position < draft.position and row.state is not State.DELIVERED
        ]
        if any(state in STOPPED_STATES for state in before):
            return State.PARKED
        return State.BLOCKED if before else State.READY

    def want_cards(self, people: Sequence[Person], accepted_us: int) -> None:
        for person in people:
            key = f"contact:{person.id}"
            known = self.rows.by_key.get(key)
            before = None if known is None else self.rows.outbox[known]
            if before is not None and before.state not in {State.DELIVERED, State.DEAD}:
                continue
            fresh = Row(
                id=self.rows.next_id("outbox") if before is None else before.id,
                key=key,
                lane=key,
                position=0,
                kind=Kind.CONTACT_CARD,
                route=person.route,
                state=State.READY,
                due_us=accepted_us,
                accepted_us=accepted_us,
                person_id=person.id,
                scope=None if before is None else before.scope,
                floor_id=None if before is None else before.floor_id,
                remote_id="" if before is None else before.remote_id,
            )
            self.rows.put(fresh)

    def adopt(self, routes: Collection[str], default: str) -> int:
        waiting = self.rows.in_states(one for one in State if one is not State.DELIVERED)
        strays = [row for row in waiting if row.route not in routes]
        for row in strays:
            self.rows.put(replace(row, route=default))
        return len(strays)

    def shift(self, drift_us: int) -> int:
        waiting = [row for row in self.rows.outbox.values() if row.done_us is None]
        for row in waiting:
            self.rows.put(
                replace(
                    row,
                    due_us=row.due_us + drift_us,
                    accepted_us=row.accepted_us + drift_us,
                    first_us=None if row.first_us is None else row.first_us + drift_us,
                )
            )
        timed = [(key, one) for key, one in self.rows.calls.items() if one.timer_us is not None]
        for key, one in timed:
            self.rows.set(
                self.rows.calls, key, replace(one, timer_us=(one.timer_us or 0) + drift_us)
            )
        for name, pause in list(self.rows.pauses.items()):
            moved = replace(
                pause, probe_us=pause.probe_us + drift_us, since_us=pause.since_us + drift_us
            )
            self.rows.set(self.rows.pauses, name, moved)
        return len(waiting) + len(timed) + len(self.rows.pauses)

    def settle(self, settlements: Sequence[Settlement]) -> None:
        for one in settlements:
            row = self.rows.outbox.get(one.id)
            if row is None:
                continue
            self.rows.put(
                replace(
                    row,
                    state=one.state,
                    tier=one.tier,
                    due_us=one.due_us,
                    attempts=one.attempts,
                    remote_id=one.remote_id,
                    error=one.error,
                    done_us=one.done_us,
                )
            )

    def add_attempts(self, attempts: Sequence[Attempt]) -> None:
        for one in attempts:
            self.rows.set(self.rows.attempts, self.rows.next_id("attempts"), one)

    def promote(self, lanes: Sequence[str], now_us: int) -> set[Gate]:
        gates = set()
        for lane in dict.fromkeys(lanes):
            waiting = [row for row in self._lane(lane) if row.state is not State.DELIVERED]
            if waiting and waiting[0].state in {State.BLOCKED, State.PARKED}:
                head = waiting[0]
                self.rows.put(replace(head, state=State.READY, due_us=max(head.due_us, now_us)))
                gates.add(head.gate)
        return gates

    def park(self, lanes: Sequence[str]) -> None:
        for lane in dict.fromkeys(lanes):
            for row in self._lane(lane):
                if row.state is State.BLOCKED:
                    self.rows.put(replace(row, state=State.PARKED))

    def stocked(self, gates: Collection[Gate]) -> set[Gate]:
        return {gate for gate in gates if self.rows.by_gate.get(gate)}

    def claim(self, claim: Claim) -> list[Parcel]:
        parcels = []
        for row in self._heads(claim)[: claim.limit]:
            first_us = claim.now_us if row.first_us is None else row.first_us
            is_same = row.scope in {None, claim.scope} and row.floor_id is not None
            floor_id = row.floor_id if is_same else claim.floor_id
            taken = replace(
                row,
                state=State.SENDING,
                attempts=row.attempts + 1,
                first_us=first_us,
                scope=claim.scope,
                floor_id=floor_id,
            )
            self.rows.put(taken)
            parcels.append(_parcel(taken, taken.attempts))
        return parcels

    def _heads(self, claim: Claim) -> list[Row]:
        ids = self.rows.by_gate.get(claim.gate)
        if not ids:
            return []
        ready = [self.rows.outbox[row_id] for row_id in ids]
        if claim.tier is Tier.LATER:
            due = [row for row in ready if row.tier == 1 and row.due_us <= claim.now_us]
            return sorted(due, key=lambda row: (row.due_us, row.id))
        first = [row for row in ready if row.tier == 0]
        if claim.tier is Tier.LIVE:
            live = [row for row in first if row.accepted_us > claim.live_us]
            return sorted(live, key=lambda row: (row.accepted_us, row.id), reverse=True)
        old = [row for row in first if row.accepted_us <= claim.live_us]
        return sorted(old, key=lambda row: (row.accepted_us, row.id))

    def archive(self, before_us: int, limit: int) -> int:
        old = [
            row
            for row in self.rows.in_states([State.DELIVERED])
            if row.done_us is not None and row.done_us < before_us
        ]
        old = sorted(old, key=lambda row: (row.done_us, row.id))[:limit]
        for row in old:
            self.rows.set(self.rows.delivered, row.id, row)
            self.rows.take_out(row.id)
        return len(old)

    def sending(self) -> list[Parcel]:
        return self._unclear(State.SENDING)

    def doubtful(self) -> list[Parcel]:
        return self._unclear(State.DOUBTFUL)

    def _unclear(self, state: State) -> list[Parcel]:
        return [
            replace(_parcel(row, row.attempts), payload=EMPTY_CARD)
            for row in self.rows.in_states([state])
        ]


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


class SimTransaction(SimLookups):
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


def _parcel(row: Row, attempts: int) -> Parcel:
    return Parcel(
        id=row.id,
        key=row.key,
        lane=row.lane,
        kind=row.kind,
        route=row.route,
        source=row.source,
        reference_id=row.reference_id,
        accepted_us=row.accepted_us,
        first_us=row.first_us or 0,
        attempts=attempts,
        payload=EMPTY_CARD if row.payload is None else row.payload,
        person=row.person_id,
        scope=row.scope or "",
        floor_id=row.floor_id or 0,
    )
