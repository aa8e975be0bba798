"""Dispatch: the head of each lane is claimed, sent, judged and recorded.

A claim is committed as *sending* before anything leaves, so that after a crash what may have left
is known. Lanes are independent; within one, order is kept, since only heads are ready.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from bridge.domain.contacts import Card
from bridge.domain.deliveries import Kind, State
from bridge.domain.errors import StoreUnavailable
from bridge.domain.outcomes import judge
from bridge.domain.routes import DEFAULT_ROUTE
from bridge.ports import (
    Clock,
    Entropy,
    Gate,
    Log,
    Meter,
    Parcel,
    Pause,
    Sender,
    Settlement,
    Transaction,
    Writer,
)
from bridge.services.limiter import Pace
from bridge.services.recording import PROBE_US, DispatchPolicy, Recorded, Recorder, Result

POLL_S: Final = 1.0
CARDS_SHARE: Final = 4
RATE_PAUSE_S: Final = 5.0
RATE_PAUSE_MAX_S: Final = 300.0
STORE_RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """One base URL and workspace: its routes, and how many requests a minute it takes."""

    scope: str
    routes: frozenset[str]
    per_minute: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A request for parcels: which gates, in which order, how many at most, how many cards."""

    gates: Sequence[Gate]
    limit: int
    cards: int


@dataclass(slots=True)
class _Lane:
    """One upstream at work."""

    upstream: Upstream
    pace: Pace
    hot: set[Gate] = field(default_factory=set)
    turn: int = 0
    in_flight: int = 0
    cards_in_flight: int = 0


class Dispatcher:
    """Sends what is due, within each upstream's rate."""

    def __init__(  # noqa: PLR0913 - the ports it stands on, each by name
        self,
        *,
        writer: Writer,
        sender: Sender,
        clock: Clock,
        entropy: Entropy,
        meter: Meter,
        log: Log,
        policy: DispatchPolicy,
        upstreams: Iterable[Upstream],
    ) -> None:
        """Stand on these ports. `policy` and the upstreams can be replaced while running."""
        self._writer = writer
        self._sender = sender
        self._clock = clock
        self._meter = meter
        self._log = log
        self._recorder = Recorder(clock=clock, entropy=entropy, sender=sender, policy=policy)
        self._lanes: dict[str, _Lane] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self.reconfigure(policy, upstreams)

    @property
    def in_flight(self) -> int:
        """How many deliveries are on their way."""
        return len(self._tasks)

    def reconfigure(self, policy: DispatchPolicy, upstreams: Iterable[Upstream]) -> None:
        """Take new settings; an upstream that stays keeps the pace it has."""
        self._policy = self._recorder.policy = policy
        now_s = self._clock.monotonic()
        lanes = {}
        for upstream in upstreams:
            lane = self._lanes.get(upstream.scope)
            if lane is None or lane.upstream.per_minute != upstream.per_minute:
                lane = _Lane(upstream, Pace(upstream.per_minute, now_s))
            lane.upstream = upstream
            lanes[upstream.scope] = lane
        self._lanes = lanes
        self._heat_all()

    def wake(self, gates: Iterable[Gate]) -> None:
        """Say that something may be waiting at these gates."""
        for gate in gates:
            for lane in self._lanes.values():
                if gate.route in lane.upstream.routes:
                    lane.hot.add(gate)
        self._wake.set()

    async def recover(self) -> None:
        """Decide about what was on its way when the bridge was last stopped or lost."""
        count = await self._writer.submit(self._recorder.recover, None)
        if count:
            self._log.warning("deliveries in doubt after a restart", count=count)
        await self.review_gates()

    async def review_gates(self) -> None:
        """Open the gates whose refused token is gone, and see that nothing waits where none is."""
        opened = await self._writer.submit(self._recorder.review_gates, None)
        if opened:
            self._log.info("pauses ended by a new token", count=opened)
        adopted = await self._writer.submit(self._adopt, None)
        if adopted:
            self._log.warning("deliveries of routes that are gone go by the default", count=adopted)

    def _adopt(self, tx: Transaction, items: Sequence[None]) -> list[int]:
        routes = {route for lane in self._lanes.values() for route in lane.upstream.routes}
        return [tx.adopt(routes, DEFAULT_ROUTE), *(0 for _ in items[1:])]

    async def run(self) -> None:
        """Work until `stop` is called."""
        polled_s = self._clock.monotonic()
        while not self._is_stopping:
            self._wake.clear()
            try:
                wait_s = await self._round()
            except StoreUnavailable as error:
                self._log.error("nothing can be claimed", error=str(error))
                wait_s = STORE_RETRY_S
            since_s = self._clock.monotonic() - polled_s
            if since_s >= POLL_S:
                polled_s = self._clock.monotonic()
                self._heat_all()
                wait_s = 0.0
            await self._pause(min(wait_s, max(POLL_S - since_s, 0.0)))

    def refuse_work(self) -> None:
        """Claim nothing more; `run` returns."""
        self._is_stopping = True
        self._wake.set()

    async def stop(self, within_s: float) -> int:
        """Claim nothing more, and wait for what is on its way; return how many had to be left."""
        self.refuse_work()
        try:
            async with self._clock.timeout(within_s):
                while self._tasks:
                    await asyncio.wait(set(self._tasks), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(left)

    def _heat_all(self) -> None:
        for lane in self._lanes.values():
            lane.hot = {
                Gate(route=route, kind=kind) for route in lane.upstream.routes for kind in Kind
            }

    async def _pause(self, seconds: float) -> None:
        try:
            async with self._clock.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _round(self) -> float:
        """Claim and start what may leave now; return how long nothing more will be to do."""
        wait_s = POLL_S
        for lane in self._lanes.values():
            if not lane.hot:
                continue
            room = self._policy.in_flight_max - lane.in_flight
            now_s = self._clock.monotonic()
            limit = min(room, lane.pace.available(now_s))
            if limit <= 0:
                wait_s = min(wait_s, lane.pace.wait_s(now_s)) if room > 0 else wait_s
                continue
            parcels = await self._claim(lane, limit)
            if lane.hot:
                wait_s = 0.0
            for parcel in parcels:
                self._start(lane, parcel)
        return wait_s

    def _start(self, lane: _Lane, parcel: Parcel) -> None:
        is_card = parcel.kind is Kind.CONTACT_CARD
        lane.in_flight += 1
        lane.cards_in_flight += is_card
        task = asyncio.create_task(self._deliver(lane, parcel))
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, lane, parcel))

    def _done(self, lane: _Lane, parcel: Parcel, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        lane.in_flight -= 1
        if parcel.kind is Kind.CONTACT_CARD:
            lane.cards_in_flight -= 1
            lane.hot.add(Gate(route=parcel.route, kind=parcel.kind))
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # It stays marked as sending, and so is in doubt at the next start.
            self._log.error("a delivery's outcome is not known", exc_info=error)

    async def _claim(self, lane: _Lane, limit: int) -> list[Parcel]:
        gates = sorted(lane.hot, key=lambda gate: (gate.route, gate.kind))
        lane.turn += 1
        first = lane.turn % len(gates)
        gates = gates[first:] + gates[:first]
        lane.hot = set()
        try:
            # Cards never delay an errand: however slow they are, they fill a part of the room.
            cards = max(1, self._policy.in_flight_max // CARDS_SHARE) - lane.cards_in_flight
            wanted = _Wanted(gates, limit, min(limit, cards))
            parcels, rest = await self._writer.submit(self._take, wanted)
        except BaseException:
            lane.hot.update(gates)
            raise
        lane.hot |= rest
        lane.pace.take(len(parcels))
        return parcels

    def _take(
        self, tx: Transaction, wanted: Sequence[_Wanted]
    ) -> list[tuple[list[Parcel], set[Gate]]]:
        """Claim parcels; with them come the gates that may hold more."""
        now_us = self._clock.now_us()
        pauses = list(tx.pauses())
        answers = []
        for one in wanted:
            parcels: list[Parcel] = []
            rest: set[Gate] = set()
            for gate in one.gates:
                limit = one.limit - len(parcels)
                if limit <= 0:
                    rest.add(gate)
                    continue
                if gate.kind is Kind.CONTACT_CARD:
                    cards = sum(parcel.kind is Kind.CONTACT_CARD for parcel in parcels)
                    limit = min(limit, one.cards - cards)
                    if limit <= 0:
                        continue  # looked at again when one of those under way is back
                shut = [
                    pause
                    for pause in pauses
                    if pause.route == gate.route and pause.kind in {None, gate.kind}
                ]
                if shut:
                    found = _probe(tx, gate, shut, now_us)
                    pauses = list(tx.pauses())
                else:
                    found = tx.claim(gate, limit, now_us)
                if len(found) == limit:
                    rest.add(gate)
                parcels.extend(found)
            answers.append((self._written(tx, parcels, now_us), rest))
        return answers

    def _written(self, tx: Transaction, parcels: list[Parcel], now_us: int) -> list[Parcel]:
        """Write the contact cards among them, and drop those with nothing left to say."""
        people = tx.people({parcel.person for parcel in parcels if parcel.person})
        written: list[Parcel] = []
        empty: list[Settlement] = []
        for parcel in parcels:
            if parcel.kind is not Kind.CONTACT_CARD:
                written.append(parcel)
                continue
            person = people.get(parcel.person)
            card = person.missing(now_us, self._policy.refresh_us) if person else Card()
            if card:
                written.append(replace(parcel, payload=card))
            else:
                empty.append(
                    Settlement(
                        id=parcel.id,
                        state=State.DELIVERED,
                        due_us=now_us,
                        attempts=parcel.attempts - 1,
                        done_us=now_us,
                    )
                )
        tx.settle(empty)
        return written

    async def _deliver(self, lane: _Lane, parcel: Parcel) -> None:
        mark = self._sender.token_mark(parcel.route)
        reply = await self._sender.send(parcel)
        ruling = judge(parcel.kind, reply)
        self._meter.upstream(parcel.kind, reply)
        if ruling.pauses_rate:
            asked_s = RATE_PAUSE_S if reply.retry_after_s is None else reply.retry_after_s
            lane.pace.pause(self._clock.monotonic(), min(asked_s, RATE_PAUSE_MAX_S))
        result = Result(parcel=parcel, reply=reply, ruling=ruling, token_mark=mark)
        recorded = await self._record(result)
        self._tell(result, recorded.outcome)
        if recorded.contact:
            self._meter.contact(recorded.contact)
        self.wake(recorded.gates)

    async def _record(self, result: Result) -> Recorded:
        while True:
            try:
                return await self._writer.submit(self._recorder.record, result)
            except StoreUnavailable as error:
                # What left must be recorded, and until it is nothing else leaves: claims need the
                # same store.
                self._log.error("an outcome can't be recorded yet", error=str(error))
                await self._clock.sleep(STORE_RETRY_S)

    def _tell(self, result: Result, outcome: str) -> None:
        parcel, reply = result.parcel, result.reply
        self._meter.delivery(parcel.kind, outcome)
        if outcome == "delivered":
            self._meter.delivered(parcel.kind, (self._clock.now_us() - parcel.accepted_us) / 1e6)
        say = self._log.info if outcome == "delivered" else self._log.warning
        say(
            "delivery",
            kind=parcel.kind.value,
            route=parcel.route,
            reference=parcel.reference_id,
            attempt=parcel.attempts,
            outcome=outcome,
            status=reply.status or (reply.failure.value if reply.failure else ""),
            millis=round(reply.seconds * 1000, 1),
            remote_id=reply.remote_id,
        )


def _probe(tx: Transaction, gate: Gate, shut: Sequence[Pause], now_us: int) -> list[Parcel]:
    """Let one through a shut gate now and then; none while a hand keeps it shut."""
    if any(not pause.token_mark or 0 < pause.probe_us - now_us <= PROBE_US for pause in shut):
        return []
    found = [replace(parcel, is_probe=True) for parcel in tx.claim(gate, 1, now_us)]
    if found:
        probe_us = now_us + PROBE_US
        tx.save_pauses([replace(pause, probe_us=probe_us) for pause in shut])
    return found


def upstreams_of(scopes: Mapping[str, Iterable[str]], per_minute: int) -> list[Upstream]:
    """Return the upstreams of routes by scope."""
    return [Upstream(scope, frozenset(routes), per_minute) for scope, routes in scopes.items()]
