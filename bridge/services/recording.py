"""Recording: what came of an attempt is written down, with all that follows from it."""

import re
from collections.abc import Collection, Sequence
from typing import Final, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from bridge.domain.contacts import Card, Person
from bridge.domain.deliveries import Kind, State
from bridge.domain.outcomes import Reply, Ruling, Verdict, is_in_order
from bridge.domain.retry import RetryPolicy
from bridge.domain.watemplates import Manners
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
# What becomes of an errand that may or may not have been made.
IN_DOUBT: Final = {
    "reconcile": State.DOUBTFUL,
    "resend": State.READY,
    "hold": State.HELD,
}
PROBE_US: Final = 60_000_000
_NOT_AGAIN: Final = "in doubt: it may have arrived, and is not sent a second time"
# An id that a database could have given.
_ID: Final = re.compile(r"[0-9]{1,15}")
_OUTCOMES: Final = {
    Verdict.DELIVERED: "delivered",
    Verdict.RETRY: "retried",
    Verdict.IN_DOUBT: "in_doubt",
    Verdict.REJECTED: "dead",
    Verdict.UNAUTHORISED: "paused",
}


class DispatchPolicy(Struct, frozen=True, gc=False, kw_only=True):
    """What a site has decided about delivery.

    `refresh_us` is how long a card is believed; `shared_numbers` (with plus) go on none. `manners`
    are about messages.
    """

    in_doubt: InDoubtPolicy = "resend"
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    in_flight_max: int = 32
    refresh_us: int = 30 * 86_400_000_000
    shared_numbers: frozenset[str] = frozenset()
    manners: Manners = field(default_factory=Manners)

    def unclear(self, kind: Kind) -> State:
        """Return what becomes of a delivery that may or may not have arrived.

        Nobody is to be written to twice: without a look-up, a message is given up.
        """
        if kind is Kind.WATEMPLATE and self.in_doubt == "resend":
            return State.GIVEN_UP
        return State.READY if kind.is_repeatable else IN_DOUBT[self.in_doubt]

    def missing(self, person: Person, now_us: int) -> Card:
        """Return what Cention lacks of somebody."""
        return person.missing(now_us, self.refresh_us, self.shared_numbers)


class Result(Struct, frozen=True, gc=False, kw_only=True):
    """An attempt that is over: what was sent with which token, what came back, what it means."""

    parcel: Parcel
    reply: Reply
    ruling: Ruling
    token_mark: str


class Recorded(Struct, frozen=True, gc=False):
    """What was written: the outcome as it is counted, the gates that may hold more now.

    `wait_us` is how long until it is tried again; None: it isn't, or not by itself.
    """

    outcome: str
    gates: frozenset[Gate] = frozenset()
    contact: str = ""
    wait_us: int | None = None


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
        # By scope. Too low costs a look-up some reading and nothing else.
        self._highest: dict[str, int] = {}

    def highest_id(self, scope: str) -> int:
        """Return the highest id that an errand of a workspace is known to have."""
        return self._highest.get(scope, 0)

    def saw_id(self, scope: str, errand_id: int) -> None:
        """Note that there is an errand of this id."""
        self._highest[scope] = max(errand_id, self.highest_id(scope))

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
                if result.parcel.kind.may_lead:
                    delivered.append(result.parcel.lane)
                if isinstance(result.parcel.payload, Card):
                    contact, settlement = self._acknowledge(tx, result, settlement, now_us)
                    gates.add(Gate(route=result.parcel.route, kind=Kind.CONTACT_CARD))
            elif settlement.state is State.DEAD and result.parcel.kind is Kind.ANSWER:
                # What comes after it says nothing that hangs on it.
                delivered.append(result.parcel.lane)
            elif settlement.state in {State.DEAD, State.HELD}:
                stopped.append(result.parcel.lane)
            self._keep_gate(tx, result, now_us)
            settlements.append(settlement)
            attempts.append(_attempt(result, outcome, now_us))
            wait_us = settlement.due_us - now_us if settlement.tier else None
            recorded.append(Recorded(outcome, frozenset(gates), contact, wait_us))
        self._learn_ids(tx, results)
        tx.settle(settlements)
        tx.add_attempts(attempts)
        opened = tx.promote(delivered, now_us) if delivered else set()
        if stopped:
            tx.park(stopped)
        return [replace(one, gates=one.gates | opened) for one in recorded]

    def _learn_ids(self, tx: Transaction, results: Sequence[Result]) -> None:
        """Note the ids of errands that were made.

        A new one that is not higher than what was known before shows that ids don't only grow (a
        restored backup, an id that was none): what was believed is given up.
        """
        known = dict(self._highest)
        for one in results:
            scope, remote_id = one.parcel.scope, one.reply.remote_id
            if not one.parcel.kind.makes_errand or not _ID.fullmatch(remote_id):
                continue
            errand_id = int(remote_id)
            if errand_id <= one.parcel.floor_id:
                self._highest[scope] = errand_id
            else:
                self.saw_id(scope, errand_id)
        if self.policy.in_doubt == "reconcile":
            new = {scope: one for scope, one in self._highest.items() if known.get(scope) != one}
            tx.save_highest_ids(new)

    def recover(self, tx: Transaction, _items: Sequence[None]) -> list[int]:
        """Decide about what was on its way: what may be repeated is, the rest is in doubt.

        Returns:
            How many were in doubt.
        """
        for scope, highest in tx.highest_ids().items():
            self.saw_id(scope, highest)
        parcels = tx.sending()
        self._settle_unclear(tx, parcels)
        return [sum(not parcel.kind.is_repeatable for parcel in parcels)]

    def _settle_unclear(self, tx: Transaction, parcels: Sequence[Parcel]) -> None:
        now_us = self._clock.now_us()
        settlements = [
            Settlement(
                id=parcel.id,
                state=(state := self.policy.unclear(parcel.kind)),
                due_us=now_us,
                attempts=parcel.attempts,
                tier=1,
                error="in doubt: what became of it is not known",
                done_us=now_us if state is State.GIVEN_UP else None,
            )
            for parcel in parcels
        ]
        tx.settle(settlements)
        held = {one.id for one in settlements if one.state is State.HELD}
        tx.park([parcel.lane for parcel in parcels if parcel.id in held])

    def review(self, tx: Transaction, asked: Sequence[Collection[str]]) -> list[int]:
        """Go by new settings: of these routes, and by the policy of now.

        Returns:
            How many gates were opened, since their route is gone or their token was replaced.
        """
        return [self._review(tx, routes) for routes in asked]

    def _review(self, tx: Transaction, routes: Collection[str]) -> int:
        if self.policy.in_doubt != "reconcile":
            self._settle_unclear(tx, tx.doubtful())
        opened = [
            pause
            for pause in tx.pauses()
            if pause.token_mark
            and (
                pause.route not in routes
                or pause.token_mark != self._sender.token_mark(pause.route)
            )
        ]
        tx.clear_pauses(opened)
        return len(opened)

    def _settlement(self, result: Result, now_us: int) -> Settlement:
        parcel, reply, verdict = result.parcel, result.reply, result.ruling.verdict
        state, due_us, attempts, error = State.READY, now_us, parcel.attempts, _said(reply)
        if verdict is Verdict.DELIVERED:
            state, error = State.DELIVERED, ""
        elif verdict is Verdict.REJECTED:
            state = State.DEAD
        elif verdict is Verdict.UNAUTHORISED or result.ruling.pauses_rate:
            attempts -= 1
        elif verdict is Verdict.IN_DOUBT and self.policy.unclear(parcel.kind) is not State.READY:
            state = self.policy.unclear(parcel.kind)
            error = _NOT_AGAIN if state is State.GIVEN_UP else error
        else:
            state, due_us = self.later(parcel, now_us, reply.retry_after_s)
        return Settlement(
            id=parcel.id,
            state=state,
            due_us=due_us,
            attempts=attempts,
            tier=int(state is State.READY and attempts > 0),
            remote_id=reply.remote_id,
            error=error,
            done_us=now_us if state in {State.DELIVERED, State.GIVEN_UP} else None,
        )

    def later(self, parcel: Parcel, now_us: int, after_s: float | None = None) -> tuple[State, int]:
        """Return the state of what is to be tried again, and when that is."""
        delay_us = self.policy.retry.next_delay_us(
            attempts=parcel.attempts,
            first_us=parcel.first_us,
            now_us=now_us,
            chance=self._entropy.random(),
            after_s=after_s,
        )
        return (State.DEAD, now_us) if delay_us is None else (State.READY, now_us + delay_us)

    def _acknowledge(
        self, tx: Transaction, result: Result, settlement: Settlement, now_us: int
    ) -> tuple[str, Settlement]:
        """Note what Cention has of a person now; more may have become known meanwhile."""
        parcel = result.parcel
        person = tx.people({parcel.person}).get(parcel.person)
        if person is None or not isinstance(parcel.payload, Card):
            return "", settlement
        outcome = "updated" if person.confirmed else "created"
        after = person.acknowledged(
            parcel.payload, result.reply.remote_id, now_us, self.policy.shared_numbers
        )
        tx.save_people([after], [])
        if self.policy.missing(after, now_us):
            settlement = Settlement(
                id=parcel.id, state=State.READY, due_us=now_us, attempts=0, remote_id=""
            )
        return outcome, settlement

    def _keep_gate(self, tx: Transaction, result: Result, now_us: int) -> None:
        """Shut the gate that was refused, or open it again after a probe that went well.

        A 401 is about the token: all of every route that uses it. A 403 is about what the token may
        do: this kind only. Many a 404 is about the workspace: all of every route that leads there.
        """
        parcel, status = result.parcel, result.reply.status
        if result.ruling.verdict is Verdict.UNAUTHORISED:
            if result.token_mark != self._sender.token_mark(parcel.route):
                return  # the token was replaced while this was on its way
            tx.save_pauses(
                [
                    Pause(
                        route=route,
                        kind=parcel.kind if status == 403 else None,
                        reason=str(status),
                        since_us=now_us,
                        probe_us=now_us + PROBE_US,
                        token_mark=self._sender.token_mark(route),
                    )
                    for route in self._sender.sharing(parcel.route, status)
                ]
            )
        elif parcel.is_probe and is_in_order(result.reply):
            tx.clear_pauses(
                [
                    pause
                    for pause in tx.pauses()
                    if pause.token_mark
                    and pause.kind in {None, parcel.kind}
                    and pause.route in self._sender.sharing(parcel.route, int(pause.reason))
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
