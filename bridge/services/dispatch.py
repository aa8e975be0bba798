"""Dispatch: the head of each lane is claimed, sent, judged and recorded.

A claim is committed as *sending* before anything leaves, so that after a crash what may have left
is known. Lanes are independent; within one, order is kept, since only heads are ready.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final

from bridge.domain.deliveries import Kind, Tier
from bridge.domain.errors import StoreUnavailable
from bridge.domain.outcomes import Reply
from bridge.domain.routes import DEFAULT_ROUTE
from bridge.ports import (
    NO_TRACER,
    Clock,
    Entropy,
    Gate,
    Log,
    Meter,
    Parcel,
    Sender,
    Tracer,
    Transaction,
    Writer,
)
from bridge.services.breaker import BreakerState
from bridge.services.channels import Channel, Upstream, UpstreamGone
from bridge.services.claims import Claimed, Claims, Offer, Wanted, stocked_at
from bridge.services.courier import STORE_RETRY_S, Courier
from bridge.services.limiter import Pace
from bridge.services.recording import DispatchPolicy, Recorder
from bridge.services.verdicts import Settled

POLL_S: Final = 1.0
CARDS_SHARE: Final = 4
# What events may cause for which the answer is waited for: an offer is made for these.
OFFERED: Final = (Kind.NEW_ERRAND, Kind.END_ERRAND, Kind.CONTACT_CARD)
# Looking at the gates of many routes would hold the commit up for no good.
OFFER_ROUTES_MAX: Final = 4


class Dispatcher:
    """Sends what is due, within each upstream's rate. `on_doubt` is told when one is in doubt."""

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
        on_doubt: Callable[[], None] = lambda: None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        """Stand on these ports. `policy` and the upstreams can be replaced while running."""
        self._writer = writer
        self._clock = clock
        self._meter = meter
        self._log = log
        self._tracer = tracer
        self.on_doubt = on_doubt
        self.recorder = Recorder(clock=clock, entropy=entropy, sender=sender, policy=policy)
        self._courier = Courier(
            writer=writer,
            sender=sender,
            clock=clock,
            entropy=entropy,
            meter=meter,
            log=log,
            recorder=self.recorder,
            tracer=tracer,
        )
        self._claims = Claims(clock, policy)
        self._channels: dict[str, Channel] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._offers: set[Offer] = set()
        self._is_stopping = self._is_over = False
        self._is_polling = self._is_to_review = True
        self.reconfigure(policy, upstreams)

    @property
    def in_flight(self) -> int:
        """How many deliveries are on their way."""
        return len(self._tasks)

    @property
    def channels(self) -> Iterable[Channel]:
        """The upstreams at work."""
        return self._channels.values()

    def reconfigure(self, policy: DispatchPolicy, upstreams: Iterable[Upstream]) -> None:
        """Take new settings; an upstream that stays keeps its pace and what is known of it."""
        self._policy = self.recorder.policy = self._claims.policy = policy
        now_s = self._clock.monotonic()
        channels = {}
        for upstream in upstreams:
            channel = self._channels.get(upstream.scope)
            if channel is None:
                channel = Channel(upstream, Pace(upstream.per_minute, now_s), since_s=now_s)
            channel.take_settings(upstream, now_s)
            channels[upstream.scope] = channel
        for scope, channel in self._channels.items():
            if scope not in channels:
                channel.close()
        self._channels = channels
        self._is_polling = self._is_to_review = True
        self._wake.set()

    def wake(self, gates: Iterable[Gate], tiers: Iterable[Tier] = (Tier.LIVE,)) -> None:
        """Say that something may be waiting at these gates."""
        for gate in gates:
            for channel in self._channels.values():
                if gate.route in channel.upstream.routes:
                    channel.heat([gate], tiers)
        self._wake.set()

    def remind(self, gate: Gate, wait_us: int) -> None:
        """Say that something at this gate is due after so long."""
        at_s = self._clock.monotonic() + wait_us / 1e6
        for channel in self._channels.values():
            if gate.route in channel.upstream.routes:
                channel.remind(at_s, gate)
        self._wake.set()

    async def recover(self) -> None:
        """Decide about what was on its way when the bridge was last stopped or lost."""
        count = await self._writer.submit(self.recorder.recover, None)
        if count:
            self._log.warning("deliveries in doubt after a restart", count=count)
        await self.review()

    async def review(self) -> None:
        """Bring what waits into line with the settings; `run` does so after `reconfigure`.

        Gates are opened whose token was replaced, what waits at a route that is gone goes to the
        default, and what is being looked up goes by the policy of now.

        Raises:
            StoreUnavailable: it can't be done now.
        """
        routes = {route for one in self._channels.values() for route in one.upstream.routes}
        opened = await self._writer.submit(self.recorder.review, routes)
        if opened:
            self._log.info("pauses ended by a new token", count=opened)
        adopted = await self._writer.submit(_adopt, routes)
        if adopted:
            self._log.warning("deliveries of routes that are gone go by the default", count=adopted)
        self._is_to_review = False

    async def leave_to_read(self, scope: str) -> None:
        """Wait until a reading request may leave to an upstream: they share its pace.

        Raises:
            UpstreamGone: there is no such upstream any more.
        """
        if scope not in self._channels:
            raise UpstreamGone(scope)
        turn = self._channels[scope].queue_reader()
        self._wake.set()
        await turn

    def was_read(self, scope: str, what: str, reply: Reply) -> None:
        """Say what came of a reading request that had leave."""
        self._meter.read(what, reply)
        if scope in self._channels:
            self._courier.learn(self._channels[scope], reply, is_read=True)
        self._wake.set()

    def settled(self, settled: Iterable[Settled]) -> None:
        """Move on what was in doubt and is not any more."""
        for one in settled:
            parcel = one.parcel
            self._tell(one)
            if one.wait_us is not None:
                self.remind(Gate(route=parcel.route, kind=parcel.kind), one.wait_us)
            self.wake(one.gates, (Tier.LIVE, Tier.OLD))

    def _tell(self, one: Settled) -> None:
        parcel = one.parcel
        with self._tracer.looked_up(parcel) as span:
            span.say("outcome", one.outcome)
            self._meter.lookup(one.outcome)
            if one.is_dead:
                self._meter.delivery(parcel.kind, "dead")
                span.fail("dead")
            if one.outcome == "found":
                self._meter.delivery(parcel.kind, "delivered")
                self._courier.measure(parcel, self._channels.get(parcel.scope), span.exemplar)
            self._log.info(
                "looked up",
                kind=parcel.kind.value,
                route=parcel.route,
                reference=parcel.reference_id,
                outcome=one.outcome,
                remote_id=str(one.errand_id or ""),
                **span.marks,
            )

    def is_well(self, scope: str) -> bool:
        """Say whether an upstream answers, as far as is known."""
        channel = self._channels.get(scope)
        return channel is not None and channel.breaker.state is BreakerState.CLOSED

    async def run(self) -> None:
        """Work until `stop` is called."""
        polled_s = self._clock.monotonic()
        while not self._is_stopping:
            self._wake.clear()
            try:
                if self._is_to_review:
                    await self.review()
                if self._is_polling:
                    await self._poll()
                wait_s = await self._round()
            except StoreUnavailable as error:
                self._log.error("nothing can be claimed", error=str(error))
                wait_s = STORE_RETRY_S
            except Exception as error:  # noqa: BLE001 - what is fine goes on
                self._log.error("claiming failed", exc_info=error)
                wait_s = STORE_RETRY_S
            since_s = self._clock.monotonic() - polled_s
            if since_s >= POLL_S:
                polled_s = self._clock.monotonic()
                self._is_polling = True
                wait_s = 0.0
            await self._pause(min(wait_s, max(POLL_S - since_s, 0.0)))

    def refuse_work(self) -> None:
        """Claim nothing more; `run` returns."""
        self._is_stopping = True
        for offer in self._offers:
            offer.is_taken_back = True
        self._wake.set()

    async def stop(self, within_s: float) -> int:
        """Claim nothing more, and wait for what is on its way; return how many had to be left."""
        self.refuse_work()
        try:
            async with self._clock.timeout(within_s):
                while self._tasks or self._offers:
                    # Both say so when one of them is done.
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            pass
        self._is_over = True
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(left)

    async def _pause(self, seconds: float) -> None:
        try:
            async with self._clock.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _poll(self) -> None:
        """Look where something is ready, whoever made it so: a person, time, or a crash."""
        channels = list(self._channels.values())
        gates = [gate for channel in channels for gate in channel.gates()]
        sparse = frozenset(kind for channel in channels for kind in channel.upstream.sparse)
        stocked = await self._writer.submit(stocked_at, (gates, sparse))
        self._is_polling = False
        for channel in channels:
            channel.heat(gate for gate in stocked if gate.route in channel.upstream.routes)

    async def _round(self) -> float:
        """Claim and start what may leave now; return how long nothing more will be to do."""
        wait_s = POLL_S
        for channel in list(self._channels.values()):
            now_s = self._clock.monotonic()
            wait_s = min(wait_s, channel.recall(now_s))
            if channel.is_claiming or not (channel.hot or channel.has_readers):
                continue
            room = channel.room(now_s, self._policy.in_flight_max)
            if room and channel.is_readers_turn:
                channel.admit_reader(now_s)
                room = channel.room(now_s, self._policy.in_flight_max)
            if room and channel.hot:
                room -= await self._claim(channel, room)
            if room and channel.has_readers:
                channel.admit_reader(self._clock.monotonic())
            if channel.hot or channel.has_readers:
                now_s = self._clock.monotonic()
                wait_s = min(wait_s, channel.wait_s(now_s, self._policy.in_flight_max))
        return wait_s

    @property
    def _cards_max(self) -> int:
        return max(1, self._policy.in_flight_max // CARDS_SHARE)

    def offer(self, routes: AbstractSet[str]) -> Offer | None:
        """Return an offer to take what events of these routes cause in the commit that keeps them.

        None: nothing may leave just now, or it is for `run` to say what. An offer that is made is
        `taken_up`, whatever comes of it.
        """
        if self._is_stopping or len(routes) > OFFER_ROUTES_MAX:
            return None
        now_s = self._clock.monotonic()
        for channel in self._channels.values():
            here = channel.upstream.routes & routes
            room = channel.room(now_s, self._policy.in_flight_max) if here else 0
            is_well = channel.breaker.state is BreakerState.CLOSED
            if room and is_well and not (channel.is_claiming or channel.is_readers_turn):
                gates = [Gate(route=route, kind=kind) for route in here for kind in OFFERED]
                channel.heat(gates, (Tier.LIVE,))
                offer = Offer(self._claims, channel, self._wanted(channel, room))
                self._offers.add(offer)
                return offer
        return None

    def taken_up(self, offer: Offer, taken: Claimed | None) -> None:
        """Start what an offer took; None: it took nothing, since the commit failed."""
        self._offers.discard(offer)
        self._take(offer.channel, offer.wanted, taken)
        self._wake.set()

    def _wanted(self, channel: Channel, limit: int) -> Wanted:
        """Return what may leave of what may be waiting; `_take` says what came of it."""
        hot, channel.hot, channel.is_claiming = frozenset(channel.hot), set(), True
        # Cards never delay an errand: however slow they are, they fill a part of the room.
        cards = self._cards_max - channel.cards_in_flight
        return Wanted(
            scope=channel.upstream.scope,
            hot=hot,
            limit=limit,
            cards=min(limit, cards),
            turn=channel.turns,
            floor_id=self.recorder.highest_id(channel.upstream.scope),
            is_probe=channel.breaker.state is not BreakerState.CLOSED,
        )

    def _take(self, channel: Channel, wanted: Wanted, taken: Claimed | None) -> None:
        channel.is_claiming = False
        if taken is None:
            channel.hot |= wanted.hot
            return
        channel.hot |= taken.rest
        channel.spend(len(taken.parcels), self._clock.monotonic())
        # What a slow commit claimed after the end is left to the next start, to be found in doubt.
        for parcel in () if self._is_over else taken.parcels:
            self._start(channel, parcel)

    async def _claim(self, channel: Channel, limit: int) -> int:
        """Claim what may leave, and start it; return how many those are."""
        wanted = self._wanted(channel, limit)
        taken = None
        try:
            taken = await self._writer.submit(self._claims.take, wanted)
        finally:
            self._take(channel, wanted, taken)
        return len(taken.parcels)

    def _start(self, channel: Channel, parcel: Parcel) -> None:
        channel.in_flight += 1
        channel.cards_in_flight += parcel.kind is Kind.CONTACT_CARD
        task = asyncio.create_task(self._deliver(channel, parcel))
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, channel, parcel))

    def _done(self, channel: Channel, parcel: Parcel, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        channel.in_flight -= 1
        if parcel.kind is Kind.CONTACT_CARD:
            channel.cards_in_flight -= 1
            if channel.cards_in_flight + 1 >= self._cards_max:
                channel.heat([Gate(route=parcel.route, kind=parcel.kind)])
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # It stays marked as sending, and so is in doubt at the next start.
            self._log.error("a delivery's outcome is not known", exc_info=error)

    async def _deliver(self, channel: Channel, parcel: Parcel) -> None:
        recorded = await self._courier.carry(channel, parcel)
        if recorded.wait_us is not None:
            self.remind(Gate(route=parcel.route, kind=parcel.kind), recorded.wait_us)
        if recorded.outcome == "in_doubt":
            self.on_doubt()
        self.wake(recorded.gates, (Tier.LIVE, Tier.OLD))


def _adopt(tx: Transaction, asked: Sequence[set[str]]) -> list[int]:
    return [tx.adopt(routes, DEFAULT_ROUTE) for routes in asked]
