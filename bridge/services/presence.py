"""Presence at One View: what is wanted of each agent is brought about there, one agent at a time.

A wish is read anew each time something is done about it, so after an outage only the newest is
sent. Before an agent is set away, One View is asked how they are, and that is on disk before the
request leaves: whatever is lost after that, they get back what they had.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from bridge.domain.errors import StoreBroken, StoreUnavailable
from bridge.domain.presence import Held, Presence, Roster, wanted
from bridge.ports import Clock, Entropy, Log, Transaction, Writer
from bridge.ports.presence import AgentDesk, PresenceMeter
from bridge.services.breaker import BreakerState
from bridge.services.folding import Happening
from bridge.services.presence_courier import Outcome, PresenceCourier, way_of
from bridge.services.presence_folding import PresenceFolder, PresencePolicy

POLL_S: Final = 1.0
STORE_RETRY_S: Final = 1.0
_STALE_MAX: Final = 100
_FORGET_EVERY_S: Final = 3600.0


class Presences:
    """Brings agents' presence about; also the `Watcher` of the events that change it."""

    def __init__(
        self,
        *,
        writer: Writer,
        desk: AgentDesk,
        clock: Clock,
        entropy: Entropy,
        meter: PresenceMeter,
        log: Log,
        policy: PresencePolicy,
    ) -> None:
        """Stand on these ports. The policy can be replaced while running, by `reconfigure`."""
        self._writer = writer
        self._clock = clock
        self._meter = meter
        self._log = log
        self._wake = asyncio.Event()
        self._in_flight: dict[str, asyncio.Task[None]] = {}
        self._tried: dict[str, int] = {}
        self._is_running = self._is_stopping = False
        # Wishes as they were noted, for whoever may begin at once without looking them up.
        self._fresh: deque[Presence] = deque()
        # Whether something may be due that waits for room.
        self._has_more = False
        # By id at One View, in lower case: who that is.
        self._ids: dict[str, str] = {}
        # Of whom it has been said that nobody knows them: by why.
        self._unknown: Counter[str] = Counter()
        self._told: set[str] = set()
        self._is_to_survey = True
        self._departed: frozenset[str] = frozenset()
        self._forget_from_s = 0.0
        self._courier = PresenceCourier(
            desk=desk,
            clock=clock,
            entropy=entropy,
            meter=meter,
            log=log,
            per_minute=policy.per_minute,
        )
        self._take_policy(policy)

    def reconfigure(self, policy: PresencePolicy) -> None:
        """Take new settings; who was refused is tried again, and who left them is there again."""
        self._departed = (self._departed | self._policy.agents) - policy.agents
        self._take_policy(policy)
        self._told.clear()
        self._is_to_survey = True
        self._wake.set()

    def _take_policy(self, policy: PresencePolicy) -> None:
        self._policy = policy
        self._courier.take_settings(policy.status, policy.per_minute)
        # Ids are learnt while it runs.
        roster = replace(policy.roster, ids=self._ids)
        self._folder = PresenceFolder(replace(policy, roster=roster))

    @property
    def roster(self) -> Roster:
        """Who is who, with the ids that One View has told."""
        return self._folder.policy.roster

    @property
    def in_flight(self) -> int:
        """For how many agents something is being done."""
        return len(self._in_flight)

    def note(self, tx: Transaction, happenings: Sequence[Happening], now_us: int) -> None:
        """Note what a commit's events mean; see `services.ingest.Watcher`."""
        folded = self._folder.fold(tx.presence(), [one.event for one in happenings], now_us)
        self._unknown.update(folded.unknown)
        self._fresh.extend(folded.wishes)

    def noted(self) -> None:
        """Look at what is to be done: what was noted is on disk."""
        while self._unknown:
            why, count = self._unknown.popitem()
            for _ in range(count):
                self._meter.unknown(why)
            if why not in self._told:
                self._told.add(why)
                self._log.warning("an event names an agent who is none of [[agents]]", why=why)
        while self._fresh:
            wish = self._fresh.popleft()
            if self._may_begin(wish):
                self._begin(wish)
            else:
                # Whoever is under way wakes it when they are done.
                self._has_more = True
                if wish.agent not in self._in_flight:
                    self._wake.set()

    def _may_begin(self, wish: Presence) -> bool:
        """Say whether an agent can be seen to at once, without looking up what is due.

        A wish may have been noted by a commit that has failed, or is not done yet. So it is only
        one for which nothing leaves but a question, until it was found on disk (`_intend`).
        """
        is_first = wish.is_wanted_away and wish.held is None
        return (
            self._is_running
            and not self._is_stopping
            and is_first
            and wish.agent not in self._in_flight
            and self._room() > 0
            and self._courier.channel.breaker.state is BreakerState.CLOSED
        )

    def _room(self) -> int:
        """Return how many may be begun: no more than the pace lets finish within a second or so.

        What has been begun then need not wait long between asking and telling.
        """
        at_once = max(1, int(self._courier.channel.pace.per_second))
        return max(0, min(self._policy.in_flight_max, at_once) - len(self._in_flight))

    async def show(self) -> None:
        """Show how many agents are how.

        Raises:
            StoreUnavailable: that can't be told now.
        """
        known = await self._writer.submit(self._known, self._policy.agents)
        self._meter.agents(Counter(one.word for one in known))

    def _known(self, tx: Transaction, asked: Sequence[frozenset[str]]) -> list[list[Presence]]:
        presence = tx.presence()
        return [
            [known.get(agent, Presence(agent=agent)) for agent in agents]
            for agents in asked
            for known in [presence.presences(agents)]
        ]

    async def run(self) -> None:
        """Work until `stop` is called."""
        self._is_running = True
        while not self._is_stopping:
            self._wake.clear()
            try:
                if self._is_to_survey:
                    await self._survey()
                wait_s = await self._round()
            except StoreUnavailable as error:
                self._log.error("presence can't be looked up", error=str(error))
                wait_s = STORE_RETRY_S
            except Exception as error:  # noqa: BLE001 - what is fine goes on
                self._log.error("presence failed", exc_info=error)
                wait_s = STORE_RETRY_S
            await self._pause(min(wait_s, POLL_S))

    def refuse_work(self) -> None:
        """Begin nothing more; `run` returns."""
        self._is_stopping = True
        self._wake.set()

    async def stop(self, within_s: float) -> None:
        """Begin nothing more, and wait for what is under way; the rest is for the next start."""
        self.refuse_work()
        tasks = list(self._in_flight.values())
        try:
            async with self._clock.timeout(within_s):
                await asyncio.gather(*tasks, return_exceptions=True)
        except TimeoutError:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pause(self, seconds: float) -> None:
        try:
            async with self._clock.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _survey(self) -> None:
        """See to it that every agent's id is known, and that who was refused is tried again."""
        known = await self._writer.submit(self._surveyed, self._policy.agents)
        self._ids.update({one.remote_id.lower(): one.agent for one in known if one.remote_id})
        self._is_to_survey = False

    def _surveyed(self, tx: Transaction, asked: Sequence[frozenset[str]]) -> list[list[Presence]]:
        now_us, presence = self._clock.now_us(), tx.presence()
        found = []
        for agents in asked:
            known = presence.presences(agents)
            due = [
                replace(known.get(agent, Presence(agent=agent)), due_us=now_us, touched_us=now_us)
                for agent in sorted(agents)
                if agent not in known or _is_to_be_asked(known[agent])
            ]
            presence.save_presences(due)
            found.append(list(known.values()))
        gone = presence.presences(self._departed).values()
        presence.save_presences([_freed(one, now_us) for one in gone if one.is_away])
        return found

    async def _round(self) -> float:
        """Begin what can be begun; return how long until there is more."""
        now_s = self._clock.monotonic()
        room = self._room()
        probes = self._courier.channel.breaker.room(now_s)
        if probes is not None:
            room = 0 if self._in_flight else min(room, max(0, probes))
        self._has_more = False
        due, next_us = await self._writer.submit(self._look, room + len(self._in_flight))
        # Others may have begun meanwhile.
        room = min(room, self._room())
        for presence in due:
            if self._is_stopping:
                break
            if presence.agent in self._in_flight:
                # It may be a newer wish than the one under way.
                self._has_more |= presence.version != self._tried[presence.agent]
                continue
            if room <= 0:
                self._has_more = True
                break
            room -= 1
            self._begin(presence)
        self._has_more = self._has_more or room <= 0
        if probes is not None and not self._in_flight:
            return max(0.01, self._courier.channel.breaker.wait_s(now_s))
        if next_us is None:
            return POLL_S
        return max(0.0, (next_us - self._clock.now_us()) / 1e6)

    def _look(
        self, tx: Transaction, limits: Sequence[int]
    ) -> list[tuple[list[Presence], int | None]]:
        """Find who is due; who is on a call that went silent is let go first."""
        now_us, presence = self._clock.now_us(), tx.presence()
        self._folder.release(presence, now_us, _STALE_MAX)
        if self._clock.monotonic() >= self._forget_from_s:
            self._forget_from_s = self._clock.monotonic() + _FORGET_EVERY_S
            before_us = now_us - self._policy.forget_after_us
            presence.forget_agents(self._policy.agents, before_us)
        next_us = presence.next_due_us(now_us)
        return [(presence.due_presences(now_us, limit), next_us) for limit in limits]

    def _begin(self, presence: Presence) -> None:
        task = asyncio.create_task(self._serve(presence))
        self._in_flight[presence.agent] = task
        self._tried[presence.agent] = presence.version
        task.add_done_callback(lambda done: self._done(presence.agent, done))

    def _done(self, agent: str, task: asyncio.Task[None]) -> None:
        self._in_flight.pop(agent, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # It is still due, and is looked at again a little later: not at once, for ever.
            self._log.error("an agent's presence failed", agent=agent, exc_info=error)
            return
        if self._has_more:
            self._wake.set()

    async def _serve(self, presence: Presence) -> None:
        """Do what is due about one agent, and write down what came of it."""
        outcome = await self._courier.attempt(presence, self._keep_before)
        after = await self._kept(outcome)
        if after.remote_id:
            self._ids[after.remote_id.lower()] = after.agent
        self._has_more = self._has_more or after.due_us is not None
        self._tell(outcome)

    async def _kept(self, outcome: Outcome) -> Presence:
        while True:
            try:
                return await self._writer.submit(self._record, outcome)
            except StoreBroken:
                # This process writes nothing any more; the next one looks how the agent is.
                raise
            except StoreUnavailable as error:
                self._log.error("what came of presence can't be recorded yet", error=str(error))
                await self._clock.sleep(STORE_RETRY_S)

    async def _keep_before(self, presence: Presence, held: Held | None) -> bool:
        return await self._writer.submit(self._intend, (presence, held))

    def _intend(self, tx: Transaction, asked: Sequence[tuple[Presence, Held | None]]) -> list[bool]:
        """Keep what agents get back, before they are set away; False: the wish has changed."""
        presence = tx.presence()
        rows = presence.presences({one.agent for one, _ in asked})
        kept: list[Presence] = []
        is_current: list[bool] = []
        for tried, held in asked:
            row = rows.get(tried.agent)
            if row is None or not _is_same_wish(row, tried):
                is_current.append(False)
                continue
            is_current.append(True)
            kept.append(replace(row, held=held))
        presence.save_presences(kept)
        return is_current

    def _record(self, tx: Transaction, outcomes: Sequence[Outcome]) -> list[Presence]:
        presence = tx.presence()
        rows = presence.presences({one.tried.agent for one in outcomes})
        now_us = self._clock.now_us()
        recorded = [
            _recorded(rows.get(one.tried.agent, Presence(agent=one.tried.agent)), one, now_us)
            for one in outcomes
        ]
        presence.save_presences(recorded)
        return recorded

    def _tell(self, outcome: Outcome) -> None:
        presence, to = outcome.tried, way_of(outcome.tried)
        if outcome.outcome in {"put_off", "outdated", "nothing"}:
            return
        self._meter.changed(to, outcome.outcome)
        if outcome.outcome in {"failed", "gone"} or (
            outcome.refused and outcome.refused != presence.refused
        ):
            say = self._log.warning
        else:
            say = self._log.debug if outcome.refused else self._log.info
        say(
            "presence",
            agent=presence.agent,
            to=to,
            outcome=outcome.outcome,
            attempt=presence.attempts + 1,
            status=outcome.error,
        )


def _freed(row: Presence, now_us: int) -> Presence:
    """Take back that an agent is unavailable."""
    free = replace(row, is_away=False, touched_us=now_us)
    return wanted(row, free, has_taken=False, wrap_up_us=0, now_us=now_us)


def _is_same_wish(row: Presence, tried: Presence) -> bool:
    """Say whether what is on disk is what was begun with; a commit that failed left nothing."""
    return row.version == tried.version and row.is_wanted_away == tried.is_wanted_away


def _is_to_be_asked(known: Presence) -> bool:
    """Say whether an agent's id is to be learnt, or their last attempt to be made again.

    Who has something due that was not tried yet is asked then.
    """
    is_waiting = known.due_us is not None and not known.attempts
    return bool(known.error or not known.remote_id) and not is_waiting


def _recorded(row: Presence, outcome: Outcome, now_us: int) -> Presence:
    """Lay what came of an attempt over an agent; a wish that is newer stays as it is."""
    reading = outcome.reading
    if reading is not None and reading.there is not None:
        row = replace(
            row,
            seen=reading.there,
            seen_us=now_us,
            remote_id=reading.remote_id or row.remote_id,
        )
    row = replace(row, held=outcome.held, error=outcome.error, refused=outcome.refused)
    if not _is_same_wish(row, outcome.tried):
        return row
    is_settled = not outcome.error and outcome.outcome != "put_off"
    if is_settled:
        row = replace(row, is_to_assert=False)
    if outcome.retry_us is None:
        return replace(row, due_us=None, attempts=0, is_to_assert=False)
    attempts = 0 if is_settled else row.attempts + outcome.is_counted_as_attempt
    return replace(row, due_us=outcome.retry_us, attempts=attempts)
