"""The deliveries' part of the simulated store; see `sim_store`."""

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace
from sim_rows import Row, Rows

from bridge.domain.contacts import EMPTY_CARD, Person
from bridge.domain.deliveries import STOPPED_STATES, Draft, Kind, State, Tier
from bridge.ports import Attempt, Claim, Gate, Order, Parcel, Settlement


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
                    trace = row.trace if one.trace is None else one.trace
                    self.rows.put(replace(row, payload=draft.payload, trace=trace))
                continue
            if any(row.key == draft.key for row in self.rows.delivered.values()):
                continue
            due_us = max(one.accepted_us, draft.not_before_us or 0)
            self.rows.put(
                Row(
                    id=self.rows.next_id("outbox"),
                    key=draft.key,
                    lane=draft.lane,
                    position=draft.position,
                    kind=draft.kind,
                    route=draft.route,
                    state=self._first_state(draft),
                    due_us=due_us,
                    accepted_us=due_us,
                    tier=int(due_us > one.accepted_us),
                    expires_us=draft.expires_us,
                    source=one.source,
                    reference_id=one.reference_id,
                    event_id=one.event_id,
                    payload=draft.payload,
                    trace=one.trace,
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

    def want_cards(
        self,
        people: Sequence[Person],
        accepted_us: int,
        traces: Mapping[str, str] | None = None,
    ) -> None:
        for person in people:
            key = f"contact:{person.id}"
            trace = (traces or {}).get(person.id)
            known = self.rows.by_key.get(key)
            before = None if known is None else self.rows.outbox[known]
            if before is not None and before.state not in {State.DELIVERED, State.DEAD}:
                if trace is not None:
                    self.rows.put(replace(before, trace=trace))
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
                trace=trace,
            )
            self.rows.put(fresh)

    def adopt(self, routes: Collection[str], default: str) -> int:
        over = {State.DELIVERED, State.GIVEN_UP}
        waiting = self.rows.in_states(one for one in State if one not in over)
        strays = [
            row for row in waiting if row.route not in routes and row.kind is not Kind.WATEMPLATE
        ]
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
        for told, telling in list(self.rows.told.items()):
            later = replace(telling, at_us=telling.at_us + drift_us)
            self.rows.set(self.rows.told, told, later)
        return len(waiting) + len(timed) + len(self.rows.pauses) + len(self.rows.told)

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

    def stocked_of(self, kinds: Collection[Kind]) -> set[Gate]:
        return {gate for gate, rows in self.rows.by_gate.items() if rows and gate.kind in kinds}

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
            parcel = _parcel(taken, taken.attempts)
            parcels.append(replace(parcel, is_later=claim.tier is Tier.LATER))
        return parcels

    def _heads(self, claim: Claim) -> list[Row]:
        ids = self.rows.by_gate.get(claim.gate)
        if not ids:
            return []
        ready = [
            row
            for row in (self.rows.outbox[row_id] for row_id in ids)
            if row.expires_us is None or row.expires_us > claim.now_us
        ]
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
        trace=row.trace,
    )
