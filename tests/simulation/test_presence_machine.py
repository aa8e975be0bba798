"""Agents, calls, transfers, deeds of their own, outages and kills, against One View's sandbox.

Real services and store in virtual time. At rest, whoever is on a call is offline, unless they have
put themselves back since they took it, and everyone else is as they left themselves.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from sim_loop import START_US, SimClock, VirtualLoop
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import StaticPool

from bridge.domain.events import Agent, CallEvent, EventType
from bridge.domain.outcomes import Failure, Reply
from bridge.domain.presence import Roster, There
from bridge.ports.presence import InfoReading
from bridge.sandbox.chats import ChatDesk
from bridge.services.folding import Happening
from bridge.services.presence import Presences
from bridge.services.presence_folding import PresencePolicy
from bridge.storage import tables
from bridge.storage.transaction import SqlTransaction

AGENTS: Final = ("ann", "bob", "cyd")
CALLS: Final = ("c1", "c2", "c3", "c4")
OWN: Final = ("online", "break", "meeting")
WRAP_UP_S: Final = 5.0
REST_S: Final = 200.0
FAULTS: Final = ("none", "down", "lost", "done_and_lost", "error", "busy")
# So much later one that is "late" comes to pass, though its answer was lost. By chance it may undo
# what somebody chose meanwhile, which nobody can tell: test_presence_work.py has it by itself.
LATE_S: Final = 20.0
agents = st.sampled_from(AGENTS)
calls = st.sampled_from(CALLS)


class Weather:
    """An `AgentDesk` on the sandbox's model, behind a network that fails as it is told to."""

    def __init__(self, chats: ChatDesk, clock: SimClock, chance: Random) -> None:
        self.chats = chats
        self.fault = "none"
        self.requests = 0
        self._clock = clock
        self._chance = chance

    def knows(self, agent: str) -> bool:
        return agent in AGENTS

    async def info(self, agent: str) -> InfoReading:
        found: dict[str, Any] = {}

        def effect() -> None:
            found.update(self.chats.of_token(agent).info(self._now_s()))

        reply = await self._ask(effect, is_read=True)
        if reply.status != 200:
            return InfoReading(reply=reply)
        there = There(found["status"], found["updatedAt"])
        return InfoReading(reply=reply, there=there, remote_id=found["id"])

    async def put(self, agent: str, status: str) -> Reply:
        return await self._ask(
            lambda: self.chats.put_status(self.chats.of_token(agent), status, self._now_s())
        )

    def _now_s(self) -> float:
        return self._clock.now_us() / 1e6

    async def _ask(self, effect: Any, *, is_read: bool = False) -> Reply:
        self.requests += 1
        fault = self.fault
        await asyncio.sleep(self._chance.random() * 0.4)
        if fault == "down":
            return Reply(failure=Failure.NOT_CONNECTED)
        if fault == "error":
            return Reply(status=500)
        if fault == "busy":
            return Reply(status=429, retry_after_s=2.0)
        if fault == "late" and not is_read:
            asyncio.get_running_loop().call_later(LATE_S, effect)
            return Reply(failure=Failure.LOST)
        if fault != "lost":
            effect()
        await asyncio.sleep(self._chance.random() * 0.4)
        return Reply(status=200) if fault in {"none", "late"} else Reply(failure=Failure.LOST)


class PlainWriter:
    """A `ports.Writer` without a thread: each item is a commit of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def submit(self, handler: Any, item: Any) -> Any:
        return (await self.submit_all(handler, [item]))[0]

    async def submit_all(self, handler: Any, items: Any) -> list[Any]:
        await asyncio.sleep(0.001)
        with self.engine.begin() as connection:
            return list(handler(SqlTransaction(connection), items))


class Quiet:
    """A log and a meter that keep what they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def debug(self, event: str, **_fields: object) -> None: ...
    def info(self, event: str, **_fields: object) -> None: ...
    def warning(self, event: str, **_fields: object) -> None: ...

    def error(self, event: str, **fields: object) -> None:
        self.told.append(f"{event}: {fields}")

    def changed(self, to: str, outcome: str) -> None: ...
    def took(self, to: str, seconds: float) -> None: ...
    def unknown(self, why: str) -> None: ...
    def asked(self, what: str, reply: Reply) -> None: ...
    def agents(self, counts: Mapping[str, int]) -> None: ...
    def breaker(self, state: int) -> None: ...


@dataclass
class Person:
    """An agent as they see themselves: `has_changed` since they took their last call."""

    own: str = "online"
    is_away: bool = False
    has_changed: bool = False
    calls: set[str] = field(default_factory=set)

    @property
    def is_wanted_away(self) -> bool:
        return bool(self.calls) or self.is_away


class PresenceMachine(RuleBasedStateMachine):
    """The world: what is done to it, and what has to be true when it rests."""

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.loop = VirtualLoop()
        self.chance = Random(seed)  # noqa: S311 - a simulation
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        tables.metadata.create_all(self.engine)
        self.clock = SimClock(self.loop, lambda: 0, lambda _step: None)
        self.chats = ChatDesk()
        for name in AGENTS:
            self.chats.add(f"{name}@example.com", name, "online", START_US / 1e6)
        self.desk = Weather(self.chats, self.clock, self.chance)
        self.people = {name: Person() for name in AGENTS}
        self.holders: dict[str, str] = {}
        self.uses = dict.fromkeys(CALLS, 0)
        self.count = 0
        self.quiet = Quiet()
        self._start()
        self._pass(1.0)

    def _start(self) -> None:
        self.presences = Presences(
            writer=PlainWriter(self.engine),
            desk=self.desk,
            clock=self.clock,
            entropy=self.chance,
            meter=self.quiet,
            log=self.quiet,
            policy=PresencePolicy(
                roster=Roster(
                    desks={Agent(number, number): name for number, name in enumerate(AGENTS)},
                    emails={f"{name}@example.com": name for name in AGENTS},
                ),
                wrap_up_us=round(WRAP_UP_S * 1e6),
            ),
        )
        self.running = self.loop.create_task(self.presences.run())

    def _pass(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def _say(self, kind: str, *, call: str = "", agent: str = "", ago_s: float = 0.0) -> None:
        self.count += 1
        by_email = self.chance.random() < 0.3
        desk = Agent(AGENTS.index(agent), AGENTS.index(agent)) if agent else None
        # Whoever sits at another's desk is told by agentId.
        other = Agent(0, 0) if by_email and agent else desk
        event = CallEvent(
            source="aventa",
            event_id=f"e{self.count}",
            type=EventType(kind),
            occurred_us=self.clock.now_us() - round(ago_s * 1e6),
            route="default",
            reference_id=f"{call}.{self.uses[call]}" if call else "",
            agent=other,
            agent_id=f"{agent.upper()}@example.com" if by_email and agent else "",
        )
        with self.engine.begin() as connection:
            tx = SqlTransaction(connection)
            happening = Happening(event, self.clock.now_us())
            self.presences.note(tx, [happening], self.clock.now_us())
        self.loop.run_until_complete(self._noted())
        self._pass(self.chance.choice([0.001, 0.2, 1.5]))

    async def _noted(self) -> None:
        self.presences.noted()

    def _hold(self, call: str, agent: str) -> None:
        before = self.holders.get(call)
        if before is not None and before != agent:
            self.people[before].calls.discard(call)
        if before != agent:
            self.people[agent].has_changed = False
        self.holders[call] = agent
        self.people[agent].calls.add(call)

    @rule(call=calls, agent=agents)
    def a_call_is_answered(self, call: str, agent: str) -> None:
        if call in self.holders:
            return
        self._hold(call, agent)
        self._say("call.answered", call=call, agent=agent)

    @rule(call=calls, agent=agents)
    def a_call_is_passed_on(self, call: str, agent: str) -> None:
        if call not in self.holders:
            return
        self._hold(call, agent)
        self._say("call.transferred", call=call, agent=agent)

    @rule(call=calls)
    def a_caller_hangs_up(self, call: str) -> None:
        if call not in self.holders:
            return
        self.people[self.holders.pop(call)].calls.discard(call)
        self._say("call.ended", call=call)
        self.uses[call] += 1

    @rule(call=calls, agent=agents)
    def an_end_comes_before_its_beginning(self, call: str, agent: str) -> None:
        if call in self.holders:
            return
        self._say("call.ended", call=call)
        self._say("call.answered", call=call, agent=agent, ago_s=30.0)
        self.uses[call] += 1

    @rule(call=calls, agent=agents, deed=st.sampled_from((*OWN, "offline", "kill", *FAULTS)))
    def a_whole_call_and_what_happens_in_it(self, call: str, agent: str, deed: str) -> None:
        if call in self.holders:
            return
        self.a_call_is_answered(call, agent)
        if deed == "offline":
            self.an_agent_goes_offline_at_rest(agent)
        elif deed == "kill":
            self.it_is_killed_and_started_again(0.3, 0.0)
        elif deed in OWN:
            self.an_agent_sets_their_status(agent, deed)
        else:
            self.the_weather_changes(deed, 3.0)
        self.a_caller_hangs_up(call)

    @rule(agent=agents)
    def an_agent_is_unavailable(self, agent: str) -> None:
        person = self.people[agent]
        if not person.is_wanted_away:
            person.has_changed = False
        person.is_away = True
        self._say("agent.unavailable", agent=agent)

    @rule(agent=agents)
    def an_agent_is_available(self, agent: str) -> None:
        self.people[agent].is_away = False
        self._say("agent.available", agent=agent)

    @rule(agent=agents, status=st.sampled_from(OWN))
    def an_agent_sets_their_status(self, agent: str, status: str) -> None:
        self._set_own(agent, status)

    @rule(agent=agents)
    def an_agent_goes_offline_at_rest(self, agent: str) -> None:
        """Elsewhere it can't be told from a lost request of the bridge's own."""
        self.at_rest()
        self._set_own(agent, "offline")
        self._pass(1.0)

    def _set_own(self, agent: str, status: str) -> None:
        self._pass(1.0)
        self.people[agent].own = status
        self.people[agent].has_changed = True
        self.chats.of_token(agent).set(status, self.clock.now_us() / 1e6, "agent")

    @rule(fault=st.sampled_from(FAULTS), seconds=st.sampled_from([0.0, 3.0, 60.0]))
    def the_weather_changes(self, fault: str, seconds: float) -> None:
        self.desk.fault = fault
        self._pass(seconds)

    @rule(after_s=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9]), down_s=st.sampled_from([0.0, 30.0]))
    def it_is_killed_and_started_again(self, after_s: float, down_s: float) -> None:
        self._pass(after_s)
        self._kill()
        self._pass(down_s)
        self._start()

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 10.0]))
    def time_goes_by(self, seconds: float) -> None:
        self._pass(seconds)

    @rule()
    def at_rest(self) -> None:
        self.desk.fault = "none"
        self._pass(REST_S)
        for name, person in self.people.items():
            status = self.chats.of_token(name).status
            if not person.is_wanted_away:
                assert status == person.own, (name, status, person)
            elif person.has_changed:
                assert status in {"offline", person.own}, (name, status, person)
            else:
                assert status == "offline", (name, status, person)
        before = self.desk.requests
        self._pass(REST_S)
        assert self.desk.requests == before, "at rest nothing is asked"
        assert self.quiet.told == []

    def _kill(self) -> None:
        tasks = [one for one in asyncio.all_tasks(self.loop) if not one.done()]
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.at_rest()
        finally:
            self._kill()
            self.loop.close()
            self.engine.dispose()


def _begun() -> PresenceMachine:
    machine = PresenceMachine()
    machine.begin(seed=1)
    return machine


def test_who_goes_offline_themselves_during_a_call_stays_so() -> None:
    machine = _begun()
    machine.a_call_is_answered("c1", "ann")
    machine.an_agent_goes_offline_at_rest("ann")
    machine.a_caller_hangs_up("c1")
    machine.teardown()


def test_who_puts_themselves_back_is_set_away_by_the_next_call_and_gets_their_choice() -> None:
    machine = _begun()
    machine.a_call_is_answered("c1", "ann")
    machine.an_agent_sets_their_status("ann", "break")
    machine.a_call_is_answered("c2", "ann")
    machine.at_rest()
    assert machine.chats.of_token("ann").status == "offline"
    machine.a_caller_hangs_up("c1")
    machine.at_rest()
    machine.a_caller_hangs_up("c2")
    machine.teardown()


def test_a_kill_after_a_request_that_arrived_costs_nobody_their_status() -> None:
    for fault in ("lost", "done_and_lost"):
        machine = _begun()
        machine.an_agent_sets_their_status("ann", "meeting")
        machine.the_weather_changes(fault, 0.0)
        machine.a_call_is_answered("c1", "ann")
        machine.it_is_killed_and_started_again(0.9, 30.0)
        machine.a_caller_hangs_up("c1")
        machine.it_is_killed_and_started_again(0.5, 0.0)
        machine.teardown()


TestPresenceMachine = PresenceMachine.TestCase
TestPresenceMachine.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
