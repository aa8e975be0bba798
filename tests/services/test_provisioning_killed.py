"""The worked example killed at each of its requests, with the state on disk."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from centre_world import SANDBOX_KINDS, Cention, Clock, Killed

from bridge.app.provisioning import read_file
from bridge.domain.centre_plan import Plan, Record, Standing, plan
from bridge.services.limiter import Pace
from bridge.services.provisioning import Outcome, Provisioner
from bridge.storage.engine import open_engine
from bridge.storage.provisioning import SqlCentreState
from bridge.storage.schema import prepare

THINGS = read_file(Path(__file__).parents[2] / "config" / "centre.example.toml").things


@contextlib.contextmanager
def opened(store: Path) -> Iterator[SqlCentreState]:
    """Give the state as a process of its own has it."""
    engine = open_engine(f"sqlite:///{store}")
    try:
        yield SqlCentreState(engine, "https://cention.example/s/demo", Clock())
    finally:
        engine.dispose()


def apply(store: Path, cention: Cention) -> Outcome:
    clock = Clock()
    with opened(store) as state:
        provisioner = Provisioner(
            state=state, administration=cention, clock=clock, pace=Pace(1_000_000, clock.now_s)
        )
        return asyncio.run(provisioner.apply(planned(state)))


def planned(state: SqlCentreState) -> Plan:
    return plan(THINGS, state.records())


def say(store: Path, cention: Cention) -> Record:
    """Do what a person does about the one thing in doubt: look, then say import or --retry."""
    with opened(store) as state:
        [doubt] = [one for one in state.records() if one.standing is Standing.CREATING]
        assert planned(state).unsure == (doubt,)
        known = {one.remote_id for one in state.records()}
        things = cention.book.shown("demo")[SANDBOX_KINDS[doubt.ref.kind]]
        strangers = {int(one) for one in things} - known
        if strangers:
            state.settle(doubt.ref, strangers.pop(), doubt.pending)
        else:
            state.forget(doubt.ref)
    assert not strangers
    return doubt


@pytest.mark.parametrize("dies_after", [False, True])
def test_at_each_request_and_run_again_nothing_is_made_twice(
    tmp_path: Path, *, dies_after: bool
) -> None:
    store = tmp_path / "bridge.db"
    engine = open_engine(f"sqlite:///{store}")
    prepare(engine)
    engine.dispose()
    cention, doubted = Cention(dies_after=dies_after), list[Record]()
    for number in range(1, len(THINGS) + 1):
        # One that was not done is sent once more.
        cention.dies_at = number if dies_after else 2 * number - 1
        with pytest.raises(Killed):
            apply(store, cention)
        doubted.append(say(store, cention))
    assert apply(store, cention).is_done
    assert [one.ref for one in doubted] == [thing.ref for thing in THINGS]
    with opened(store) as state:
        assert planned(state).steps == ()
    assert sum(map(len, cention.book.shown("demo").values())) == len(THINGS)
