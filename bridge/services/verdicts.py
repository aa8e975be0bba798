"""Verdicts on what is in doubt, each written down in the commit that decides it."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.deliveries import State
from bridge.ports import Attempt, Clock, Gate, Parcel, Settlement, Transaction
from bridge.services.recording import Recorder

Outcome = Literal["found", "absent", "held"]


class Case(Struct, frozen=True, kw_only=True):
    """A delivery in doubt. `is_over`: it was looked for long enough; `hidden_by`: but in vain."""

    parcel: Parcel
    is_over: bool
    hidden_by: str = ""


class Docket(Struct, frozen=True, kw_only=True):
    """What is to be decided about a workspace. `is_exclusive`: nobody else clears its lists."""

    scope: str
    cases: Sequence[Case]
    is_exclusive: bool


class Settled(Struct, frozen=True, kw_only=True):
    """What became of a delivery in doubt. `wait_us` is how long until it is sent again."""

    parcel: Parcel
    outcome: Outcome
    gates: frozenset[Gate] = frozenset()
    wait_us: int | None = None
    errand_id: int | None = None
    is_dead: bool = False


class Verdicts:
    """Decides by what was seen."""

    def __init__(self, clock: Clock, recorder: Recorder) -> None:
        """Stand on these."""
        self._clock = clock
        self._recorder = recorder

    def saw_id(self, scope: str, errand_id: int) -> None:
        """Note that a workspace has an errand of this id."""
        self._recorder.saw_id(scope, errand_id)

    def decide(self, tx: Transaction, dockets: Sequence[Docket]) -> list[list[Settled]]:
        """Settle what can be settled. What is no longer in doubt is left alone."""
        doubtful = {parcel.id for parcel in tx.doubtful()}
        return [self._decide(tx, docket, doubtful) for docket in dockets]

    def _decide(self, tx: Transaction, docket: Docket, doubtful: set[int]) -> list[Settled]:
        now_us = self._clock.now_us()
        cases = [case for case in docket.cases if case.parcel.id in doubtful]
        marked = tx.marked(docket.scope, {case.parcel.message_id for case in cases})
        settlements: list[Settlement] = []
        settled: list[Settled] = []
        attempts: list[Attempt] = []
        for case in cases:
            errand_id = marked.get(case.parcel.message_id)
            if errand_id is None and not case.is_over:
                continue
            hidden_by = case.hidden_by
            if not docket.is_exclusive:
                hidden_by = hidden_by or "others read, and so clear, the same lists"
            if errand_id is not None:
                outcome: Outcome = "found"
                settlement = _found(case.parcel, errand_id, now_us)
                detail = f"errand {errand_id} carries its marker"
            elif hidden_by:
                outcome, detail = "held", hidden_by
                settlement = _held(case.parcel, f"in doubt, and not to be known: {detail}", now_us)
            else:
                outcome, detail = "absent", "no errand carries its marker"
                settlement = self._again(case.parcel, now_us)
            settlements.append(settlement)
            attempts.append(_said(case.parcel, outcome, detail, now_us))
            wait_us = settlement.due_us - now_us if settlement.state is State.READY else None
            settled.append(
                Settled(
                    parcel=case.parcel,
                    outcome=outcome,
                    wait_us=wait_us,
                    errand_id=errand_id,
                    is_dead=settlement.state is State.DEAD,
                )
            )
        return self._written(tx, settlements, attempts, settled)

    def _written(
        self,
        tx: Transaction,
        settlements: Sequence[Settlement],
        attempts: Sequence[Attempt],
        settled: Sequence[Settled],
    ) -> list[Settled]:
        tx.settle(settlements)
        tx.add_attempts(attempts)
        lanes = {one.parcel.id: one.parcel.lane for one in settled}
        stopped = [lanes[one.id] for one in settlements if one.state in {State.HELD, State.DEAD}]
        if stopped:
            tx.park(stopped)
        found = [one.parcel.lane for one in settled if one.outcome == "found"]
        gates = frozenset(tx.promote(found, self._clock.now_us())) if found else frozenset()
        return [replace(one, gates=gates) for one in settled]

    def _again(self, parcel: Parcel, now_us: int) -> Settlement:
        state, due_us = self._recorder.later(parcel, now_us)
        return Settlement(
            id=parcel.id,
            state=state,
            due_us=due_us,
            attempts=parcel.attempts,
            tier=1,
            error="looked up, and not found",
        )


def _found(parcel: Parcel, errand_id: int, now_us: int) -> Settlement:
    return Settlement(
        id=parcel.id,
        state=State.DELIVERED,
        due_us=now_us,
        attempts=parcel.attempts,
        remote_id=str(errand_id),
        done_us=now_us,
    )


def _held(parcel: Parcel, why: str, now_us: int) -> Settlement:
    return Settlement(
        id=parcel.id, state=State.HELD, due_us=now_us, attempts=parcel.attempts, error=why
    )


def _said(parcel: Parcel, outcome: Outcome, detail: str, now_us: int) -> Attempt:
    return Attempt(
        delivery_id=parcel.id, at_us=now_us, seconds=0.0, outcome=outcome, status=0, detail=detail
    )
