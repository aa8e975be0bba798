"""Recording: what came of an attempt is written down, with all that follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from bridge.domain.contacts import Card
from bridge.domain.deliveries import Kind, State
from bridge.domain.outcomes import Reply, Ruling, Verdict
from bridge.domain.retry import RetryPolicy
from bridge.ports import (
    Attempt,
    Clock,
    Entropy,
    Gate,
    Parcel,
    Pause,
    Sender,
    Settlement,
    Transaction,
)

InDoubtPolicy = Literal["reconcile", "resend", "hold"]
PROBE_US: Final = 60_000_000
_OUTCOMES: Final = {
    Verdict.DELIVERED: "delivered",
    Verdict.RETRY: "retried",
    Verdict.IN_DOUBT: "in_doubt",
    Verdict.REJECTED: "dead",
    Verdict.UNAUTHORISED: "paused",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchPolicy:
    """What a site has decided about delivery. `refresh_us`: how long a card is believed."""

    in_doubt: InDoubtPolicy = "resend"
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    in_flight_max: int = 32
    refresh_us: int = 30 * 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An attempt that is over: what was sent with which token, what came back, what it means."""

    parcel: Parcel
    reply: Reply
    ruling: Ruling
    token_mark: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was written: the outcome as it is counted, the gates that may hold more now."""

    outcome: str
    gates: frozenset[Gate] = frozenset()
    contact: str = ""


class Recorder:
    """Turns results into what the store keeps."""

    def __init__(
        self, *, clock: Clock, entropy: Entropy, sender: Sender, policy: DispatchPolicy
    ) -> None:
        """Stand on these ports."""
        self._clock = clock
        self._entropy = entropy
        self._sender = sender
        self.policy = policy

    def record(self, tx: Transaction, results: Sequence[Result]) -> list[Recorded]:
        """Write down a commit's results, and move their lanes on."""
        now_us = self._clock.now_us()
        settlements: list[Settlement] = []
        attempts: list[Attempt] = []
        recorded: list[Recorded] = []
        delivered: list[str] = []
        stopped: list[str] = []
        for result in results:
            settlement = self._settlement(result, now_us)
            outcome = _outcome(result, settlement)
            contact = ""
            gates: set[Gate] = set()
            if settlement.state is State.DELIVERED:
                delivered.append(result.parcel.lane)
                if isinstance(result.parcel.payload, Card):
                    contact, settlement = self._acknowledge(tx, result, settlement, now_us)
                    gates.add(Gate(route=result.parcel.route, kind=Kind.CONTACT_CARD))
            elif settlement.state in {State.DEAD, State.HELD}:
                stopped.append(result.parcel.lane)
            self._keep_gate(tx, result, now_us)
            settlements.append(settlement)
            attempts.append(_attempt(result, outcome, now_us))
            recorded.append(Recorded(outcome, frozenset(gates), contact))
        tx.settle(settlements)
        tx.add_attempts(attempts)
        opened = tx.promote(delivered, now_us) if delivered else set()
        if stopped:
            tx.park(stopped)
        return [Recorded(one.outcome, one.gates | opened, one.contact) for one in recorded]

    def recover(self, tx: Transaction, _items: Sequence[None]) -> list[int]:
        """Decide about what was on its way: what may be repeated is, the rest is in doubt."""
        now_us = self._clock.now_us()
        parcels = tx.sending()
        settlements = []
        for parcel in parcels:
            is_sent_again = parcel.kind.is_repeatable or self.policy.in_doubt == "resend"
            settlements.append(
                Settlement(
                    id=parcel.id,
                    state=State.READY if is_sent_again else State.HELD,
                    due_us=now_us,
                    attempts=parcel.attempts,
                    error="in doubt: the bridge stopped while it was on its way",
                )
            )
        tx.settle(settlements)
        tx.park(
            [
                parcel.lane
                for parcel, settlement in zip(parcels, settlements, strict=True)
                if settlement.state is State.HELD
            ]
        )
        return [sum(not parcel.kind.is_repeatable for parcel in parcels)]

    def review_gates(self, tx: Transaction, _items: Sequence[None]) -> list[int]:
        """Open the gates whose refused token has been replaced; return how many."""
        opened = [
            pause
            for pause in tx.pauses()
            if pause.token_mark and pause.token_mark != self._sender.token_mark(pause.route)
        ]
        tx.clear_pauses(opened)
        return [len(opened)]

    def _settlement(self, result: Result, now_us: int) -> Settlement:
        parcel, reply, verdict = result.parcel, result.reply, result.ruling.verdict
        state, due_us, attempts, error = State.READY, now_us, parcel.attempts, _said(reply)
        if verdict is Verdict.DELIVERED:
            state, error = State.DELIVERED, ""
        elif verdict is Verdict.REJECTED:
            state = State.DEAD
        elif verdict is Verdict.UNAUTHORISED or result.ruling.pauses_rate:
            attempts -= 1
        elif verdict is Verdict.IN_DOUBT and self.policy.in_doubt != "resend":
            state = State.HELD
        else:
            delay_us = self.policy.retry.next_delay_us(
                attempts=parcel.attempts,
                first_us=parcel.first_us,
                now_us=now_us,
                chance=self._entropy.random(),
                after_s=reply.retry_after_s,
            )
            if delay_us is None:
                state = State.DEAD
            else:
                due_us += delay_us
        return Settlement(
            id=parcel.id,
            state=state,
            due_us=due_us,
            attempts=attempts,
            remote_id=reply.remote_id,
            error=error,
            done_us=now_us if state is State.DELIVERED else None,
        )

    def _acknowledge(
        self, tx: Transaction, result: Result, settlement: Settlement, now_us: int
    ) -> tuple[str, Settlement]:
        """Note what Cention has of a person now; more may have become known meanwhile."""
        parcel = result.parcel
        person = tx.people({parcel.person}).get(parcel.person)
        if person is None or not isinstance(parcel.payload, Card):
            return "", settlement
        outcome = "updated" if person.confirmed else "created"
        after = person.acknowledged(parcel.payload, result.reply.remote_id, now_us)
        tx.save_people([after], [])
        if after.missing(now_us, self.policy.refresh_us):
            settlement = Settlement(
                id=parcel.id, state=State.READY, due_us=now_us, attempts=0, remote_id=""
            )
        return outcome, settlement

    def _keep_gate(self, tx: Transaction, result: Result, now_us: int) -> None:
        """Shut the gate that was refused, or open it again after a probe that went well.

        A 401 is about the token: all of every route that uses it. A 403 is about what the token may
        do: this kind only.
        """
        parcel, verdict = result.parcel, result.ruling.verdict
        if verdict is Verdict.UNAUTHORISED:
            status = result.reply.status
            if result.token_mark != self._sender.token_mark(parcel.route):
                return  # the token was replaced while this was on its way
            tx.save_pauses(
                [
                    Pause(
                        route=route,
                        kind=None if status == 401 else parcel.kind,
                        reason=str(status),
                        since_us=now_us,
                        probe_us=now_us + PROBE_US,
                        token_mark=result.token_mark,
                    )
                    for route in self._sender.sharing(parcel.route)
                ]
            )
        elif parcel.is_probe and verdict is Verdict.DELIVERED:
            routes = set(self._sender.sharing(parcel.route))
            tx.clear_pauses(
                [
                    pause
                    for pause in tx.pauses()
                    if pause.token_mark
                    and pause.route in routes
                    and pause.kind in {None, parcel.kind}
                ]
            )


def _outcome(result: Result, settlement: Settlement) -> str:
    if settlement.state is State.DEAD:
        return "dead"
    return _OUTCOMES[result.ruling.verdict]


def _said(reply: Reply) -> str:
    status = str(reply.status) if reply.failure is None else reply.failure.value
    return f"{status}: {reply.detail}" if reply.detail else status


def _attempt(result: Result, outcome: str, now_us: int) -> Attempt:
    reply = result.reply
    return Attempt(
        delivery_id=result.parcel.id,
        at_us=now_us - round(reply.seconds * 1e6),
        seconds=reply.seconds,
        outcome=outcome,
        status=reply.status,
        detail=reply.failure.value if reply.failure else reply.detail,
    )
