"""What is done about agents' presence is no more than is needed, fair, and certain on disk first."""

import asyncio
from typing import Any

import pytest
from sim_loop import START_US
from sqlalchemy import Connection
from test_presence_machine import AGENTS, Dice, PresenceMachine

from bridge.domain.errors import StoreBroken
from bridge.domain.events import Agent, CallEvent, EventType
from bridge.domain.outcomes import Failure, Reply
from bridge.domain.presence import Held, Presence, There
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
        entropy=Dice(machine.chance),
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


def test_an_answered_call_costs_two_commits_beside_its_own() -> None:
    machine = world()
    begun: list[str] = []
    writer = machine.presences._writer  # noqa: SLF001 - what it commits is what is counted
    submit = writer.submit

    async def counting(handler: Any, item: Any) -> Any:
        if handler != machine.presences._look:  # noqa: SLF001 - the poll that is made anyway
            begun.append(handler.__name__)
        elif machine.presences.in_flight:
            begun.append("_look while something is under way")
        return await submit(handler, item)

    writer.submit = counting  # type: ignore[method-assign]
    machine.desk.requests = 0
    machine.a_call_is_answered("c1", "ann")
    machine.time_goes_by(0.9)
    machine.time_goes_by(2.0)
    assert [one for one in begun if one != "_look while something is under way"] == [
        "_intend",
        "_record",
    ]
    assert machine.desk.requests == 3
    machine.a_caller_hangs_up("c1")
    machine.teardown()


def test_a_wish_of_a_commit_that_failed_sets_nobody_away() -> None:
    machine = world()
    puts: list[str] = []
    put = machine.desk.put

    async def noting(agent: str, status: str) -> Reply:
        puts.append(agent)
        return await put(agent, status)

    machine.desk.put = noting  # type: ignore[method-assign]
    before = row_of(machine, "ann")
    connection: Connection
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
        assert outcome.held == Held(before=There("online", "1"), wanted="offline")
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

    machine.presences._writer.submit = broken  # type: ignore[method-assign]  # noqa: SLF001 - the store
    outcome = Outcome(tried=Presence(agent="ann"), outcome="set")

    async def kept() -> None:
        async with asyncio.timeout(5):
            await machine.presences._kept(outcome)  # noqa: SLF001 - what waits

    with pytest.raises(StoreBroken):
        machine.loop.run_until_complete(kept())
    machine._kill()  # noqa: SLF001 - nothing comes to rest without a store
    machine.loop.close()
    machine.engine.dispose()
