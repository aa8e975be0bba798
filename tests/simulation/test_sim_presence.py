"""Presence is folded on the simulated store as on the SQL one, and in any order to the same end."""

from itertools import permutations
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from sim_presence import SimPresence
from sim_rows import Rows
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from bridge.domain.events import Agent, CallEvent, EventType
from bridge.domain.presence import Roster
from bridge.services.presence_folding import PresenceFolder, PresencePolicy
from bridge.storage import tables
from bridge.storage.presence import SqlPresence

AGENTS: Final = ("ann", "bob")
KEYS: Final = [("aventa", f"r{number}", way) for number in range(3) for way in ("in", "out")]
POLICY: Final = PresencePolicy(
    roster=Roster(desks={Agent(number, number): name for number, name in enumerate(AGENTS)}),
    wrap_up_us=3_000_000,
    stale_after_us=50_000_000,
)
S: Final = 1_000_000


def _event(number: int, kind: EventType, reference: int, agent: int | None, at_s: int) -> CallEvent:
    return CallEvent(
        source="aventa",
        event_id=f"e{number}",
        type=kind,
        occurred_us=1_000 * S + at_s * S,
        route="default",
        reference_id="" if kind.is_of_agent else f"r{reference}",
        agent=None if agent is None else Agent(agent, agent),
    )


events = st.builds(
    _event,
    number=st.integers(0, 10**6),
    kind=st.sampled_from(EventType),
    reference=st.integers(0, 2),
    agent=st.sampled_from([None, 0, 1, 7]),
    at_s=st.integers(0, 200),
)


@settings(max_examples=60, deadline=None)
@given(commits=st.lists(st.tuples(st.lists(events, min_size=1, max_size=4), st.integers(0, 40))))
def test_both_stores_come_to_the_same(commits: list[tuple[list[CallEvent], int]]) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    tables.metadata.create_all(engine)
    folder, now_us = PresenceFolder(POLICY), 1_000 * S
    with engine.begin() as connection:
        sides = (SimPresence(Rows()), SqlPresence(connection))
        for some, passed_s in commits:
            now_us += passed_s * S
            seen = []
            for tx in sides:
                released = folder.release(tx, now_us, 100)
                folded = folder.fold(tx, some, now_us)
                due = sorted(one.agent for one in tx.due_presences(now_us, 10))
                seen.append(
                    (
                        released,
                        folded,
                        tx.presences(AGENTS),
                        tx.busy(AGENTS),
                        tx.legs(KEYS),
                        due,
                        tx.next_due_us(now_us),
                        len(tx.stale_legs(now_us, 10)),
                    )
                )
            assert seen[0] == seen[1]
        assert sides[0].forget_agents(["ann"], now_us + 1) == sides[1].forget_agents(
            ["ann"], now_us + 1
        )
    engine.dispose()


def test_who_is_on_a_call_that_went_silent_is_let_go_and_its_end_changes_nothing() -> None:
    tx, folder = SimPresence(Rows()), PresenceFolder(POLICY)
    folder.fold(tx, [_event(1, EventType.CALL_ANSWERED, 0, 0, 0)], 1_000 * S)
    assert folder.release(tx, 1_049 * S, 10) == 0
    assert folder.release(tx, 1_050 * S, 10) == 1
    assert folder.release(tx, 1_050 * S, 10) == 0
    released = tx.presences(["ann"])["ann"]
    assert (released.is_busy, released.due_us) == (False, 1_053 * S)
    folder.fold(tx, [_event(2, EventType.CALL_ENDED, 0, 0, 60)], 1_060 * S)
    assert tx.presences(["ann"])["ann"] == released


def test_agents_whom_nobody_knows_are_counted_by_why() -> None:
    tx = SimPresence(Rows())
    told = [
        _event(1, EventType.CALL_ANSWERED, 0, 7, 0),
        _event(2, EventType.AGENT_UNAVAILABLE, 0, 7, 0),
        _event(3, EventType.CALL_ENDED, 0, None, 0),
    ]
    folded = PresenceFolder(POLICY).fold(tx, told, 1_000 * S)
    assert folded.unknown == {"unknown_desk": 2}


def test_in_whatever_order_events_come_the_same_is_wanted() -> None:
    told = [
        _event(1, EventType.CALL_QUEUED, 0, None, 0),
        _event(2, EventType.CALL_ANSWERED, 0, 0, 0),
        _event(3, EventType.CALL_TRANSFERRED, 0, 1, 30),
        _event(4, EventType.OUTBOUND_ANSWERED, 1, 0, 31),
        _event(5, EventType.CALL_ENDED, 2, None, 10),
        _event(6, EventType.CALL_ANSWERED, 2, 0, 40),
    ]
    for order in permutations(told):
        tx = SimPresence(Rows())
        for number, one in enumerate(order):
            PresenceFolder(POLICY).fold(tx, [one], 2_000 * S + number)
        assert tx.busy(AGENTS) == {"ann", "bob"}
        assert {one.agent for one in tx.due_presences(3_000 * S, 10)} == {"ann", "bob"}
