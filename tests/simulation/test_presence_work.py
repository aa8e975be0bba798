"""What is done about agents' presence is no more than is needed, and certain on disk first."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from sim_loop import START_US
from test_presence_machine import AGENTS, PresenceMachine

from bridge.domain.errors import StoreBroken
from bridge.domain.events import Agent, CallEvent, EventType
from bridge.domain.outcomes import Failure, Reply
from bridge.domain.presence import Held, Presence, Roster, There
from bridge.ports.presence import InfoReading
from bridge.services.folding import Happening
from bridge.services.presence_courier import Outcome, PresenceCourier
from bridge.storage.transaction import SqlTransaction


def world() -> PresenceMachine:
    machine = PresenceMachine()
    machine.begin(seed=1)
    return machine


def answered(machine: PresenceMachine, agent: str) -> CallEvent:
    number = AGENTS.index(agent)
    return CallEvent(
        source="aventa",
        event_id=f"of-{agent}",
        type=EventType.CALL_ANSWERED,
        occurred_us=machine.clock.now_us(),
        route="default",
        reference_id=f"r-{agent}",
        agent=Agent(number, number),
    )


def row_of(machine: PresenceMachine, agent: str) -> Presence | None:
    with machine.engine.begin() as connection:
        return SqlTransaction(connection).presence().presences([agent]).get(agent)


class Refusing:
    """A desk where everybody is online, and a status can't be set."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.puts = 0

    def knows(self, agent: str) -> bool:
        return bool(agent)

    async def info(self, agent: str) -> InfoReading:
        return InfoReading(reply=Reply(status=200), there=There("online", "1"), remote_id=agent)

    async def put(self, agent: str, status: str) -> Reply:
        self.puts += bool(agent and status)
        return self.reply


def courier(machine: PresenceMachine, desk: Any, per_minute: int = 6000) -> PresenceCourier:
    return PresenceCourier(
        desk=desk,
        clock=machine.clock,
        entropy=machine.chance,
        meter=machine.quiet,
        log=machine.quiet,
        per_minute=per_minute,
    )


async def _intend(_presence: Presence, _held: Held | None) -> bool:
    return True


def attempt(machine: PresenceMachine, desk: Any) -> Outcome:
    wish = Presence(agent="ann", is_busy=True, version=1, asked_us=START_US)
    work = courier(machine, desk)

    async def later() -> Outcome:
        await asyncio.sleep(1.0)
        return await work.attempt(wish, _intend)

    return machine.loop.run_until_complete(later())


def test_an_answered_call_is_asked_about_before_anything_is_looked_up() -> None:
    machine = world()
    names: list[str] = []
    writer = machine.presences._writer  # noqa: SLF001 - what it commits is what is counted
    submit = writer.submit

    async def counting(handler: Any, item: Any) -> Any:
        names.append(handler.__name__)
        return await submit(handler, item)

    writer.submit = counting  # type: ignore[method-assign]
    machine.desk.requests = 0
    with machine.engine.begin() as connection:
        happening = Happening(answered(machine, "ann"), machine.clock.now_us())
        machine.presences.note(SqlTransaction(connection), [happening], machine.clock.now_us())

    async def at_once() -> None:
        machine.presences.noted()
        for _ in range(3):
            await asyncio.sleep(0)

    machine.loop.run_until_complete(at_once())
    assert (machine.desk.requests, names) == (1, [])
    machine.time_goes_by(4.0)
    assert [one for one in names if one != "_look"] == ["_intend", "_record"]
    assert machine.desk.requests == 3
    assert machine.chats.of_token("ann").status == "offline"
    machine._kill()  # noqa: SLF001 - the call goes on
    machine.loop.close()
    machine.engine.dispose()


def test_a_wish_of_a_commit_that_failed_sets_nobody_away() -> None:
    machine = world()
    puts: list[str] = []
    put = machine.desk.put

    async def noting(agent: str, status: str) -> Reply:
        puts.append(agent)
        return await put(agent, status)

    machine.desk.put = noting  # type: ignore[method-assign]
    before = row_of(machine, "ann")
    with machine.engine.connect() as connection, connection.begin() as begun:
        happening = Happening(answered(machine, "ann"), machine.clock.now_us())
        machine.presences.note(SqlTransaction(connection), [happening], machine.clock.now_us())
        begun.rollback()
    machine.loop.run_until_complete(machine._noted())  # noqa: SLF001 - what ingest does
    machine.time_goes_by(10.0)
    after = row_of(machine, "ann")
    assert puts == []
    assert after is not None
    assert before is not None
    assert (after.version, after.held, after.is_busy) == (before.version, None, False)
    machine.teardown()


@pytest.mark.parametrize(
    "reply",
    [Reply(status=401), Reply(status=429), Reply(failure=Failure.NOT_CONNECTED)],
    ids=["refused", "too many", "not connected"],
)
def test_what_has_not_come_to_pass_for_certain_is_held_by_nobody(reply: Reply) -> None:
    machine = world()
    outcome = attempt(machine, Refusing(reply))
    assert outcome.held is None
    machine.teardown()


def test_what_may_have_come_to_pass_is_held() -> None:
    machine = world()
    for reply in (Reply(status=502), Reply(failure=Failure.LOST)):
        outcome = attempt(machine, Refusing(reply))
        assert outcome.held is not None
        assert (outcome.held.before, outcome.held.doubt) == (There("online", "1"), "offline")
    machine.teardown()


def test_at_a_slow_pace_what_was_asked_is_told_too() -> None:
    machine = world()
    desk = Refusing(Reply(status=200))
    work = courier(machine, desk, per_minute=20)

    async def one_after_the_other() -> None:
        for name in AGENTS:
            wish = Presence(agent=name, is_busy=True, version=1, asked_us=START_US)
            await work.attempt(wish, _intend)

    machine.loop.run_until_complete(one_after_the_other())
    assert desk.puts == len(AGENTS)
    machine.teardown()


def test_a_store_that_is_broken_keeps_nobody_waiting() -> None:
    machine = world()

    async def broken(_handler: Any, _item: Any) -> Any:
        raise StoreBroken("gone")

    machine.presences._writer.submit = broken  # type: ignore[method-assign,assignment]  # noqa: SLF001 - the store
    outcome = Outcome(tried=Presence(agent="ann"), outcome="set")

    async def kept() -> None:
        async with asyncio.timeout(5):
            await machine.presences._kept(outcome)  # noqa: SLF001 - what waits

    with pytest.raises(StoreBroken):
        machine.loop.run_until_complete(kept())
    machine._kill()  # noqa: SLF001 - nothing comes to rest without a store
    machine.loop.close()
    machine.engine.dispose()


def test_who_leaves_the_settings_while_unavailable_is_put_back() -> None:
    machine = world()
    machine.an_agent_is_unavailable("ann")
    machine.at_rest()
    assert machine.chats.of_token("ann").status == "offline"
    policy = machine.presences._policy  # noqa: SLF001 - the one that it was begun with
    roster = Roster(desks={Agent(1, 1): "bob"}, emails={"bob@example.com": "bob"})

    async def reload() -> None:
        machine.presences.reconfigure(replace(policy, roster=roster))

    machine.loop.run_until_complete(reload())
    machine.time_goes_by(10.0)
    assert machine.chats.of_token("ann").status == "online"
    machine.people["ann"].is_away = False
    machine.teardown()


@pytest.mark.parametrize("talk_s", [0.1, 4.0, 25.0])
def test_a_request_that_comes_to_pass_late_leaves_nobody_away(talk_s: float) -> None:
    machine = world()
    machine.the_weather_changes("late", 0.0)
    machine.a_call_is_answered("c1", "ann")
    machine.time_goes_by(1.0)
    machine.the_weather_changes("none", 0.0)
    machine.time_goes_by(talk_s)
    machine.a_caller_hangs_up("c1")
    machine.at_rest()
    assert machine.chats.of_token("ann").status == "online"
    machine.teardown()


def test_a_request_that_comes_to_pass_late_puts_nobody_back_who_is_on_a_call() -> None:
    machine = world()
    machine.a_call_is_answered("c1", "ann")
    machine.time_goes_by(4.0)
    machine.a_caller_hangs_up("c1")
    machine.time_goes_by(4.0)
    machine.the_weather_changes("late", 2.0)
    machine.the_weather_changes("none", 0.0)
    machine.a_call_is_answered("c2", "ann")
    machine.at_rest()
    assert machine.chats.of_token("ann").status == "offline"
    machine.a_caller_hangs_up("c2")
    machine.teardown()
