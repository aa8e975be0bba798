from dataclasses import replace

import pytest

from bridge.sandbox.figures import Snapshot
from bridge.sandbox.patience import (
    GIVE_UP_SECONDS,
    PUT_BACK_SECONDS,
    STALL_SECONDS,
    Patience,
    Stage,
)

ALL = Snapshot(errands_created=2, errands_ended=2, pending=0)


def test_without_faults_a_run_is_over_as_soon_as_all_has_arrived() -> None:
    patience = Patience(2)
    assert patience.look(Snapshot(errands_created=2, errands_ended=1, pending=1), 0.0) is (
        Stage.WAITING
    )
    assert patience.look(ALL, 0.5) is Stage.ARRIVED


def test_with_faults_nothing_may_have_moved_for_a_while() -> None:
    patience = Patience(2, still_seconds=2.0)
    card = Snapshot(errands_created=2, errands_ended=2, contacts=1, pending=0)
    assert patience.look(ALL, 0.0) is Stage.WAITING
    assert patience.look(card, 1.9) is Stage.WAITING
    assert patience.look(card, 3.8) is Stage.WAITING
    assert patience.look(card, 3.9) is Stage.ARRIVED


@pytest.mark.parametrize(
    "waiting",
    [replace(ALL, late_effects=1), replace(ALL, pending=1), replace(ALL, pending=None)],
)
def test_what_is_still_to_come_is_waited_for(waiting: Snapshot) -> None:
    assert Patience(2).look(waiting, 0.0) is Stage.WAITING


def test_what_nothing_is_on_its_way_for_is_not_waited_for_long() -> None:
    patience = Patience(2)
    held = Snapshot(errands_created=1, errands_ended=1, pending=0, stopped=1)
    assert patience.look(held, 100.0) is Stage.WAITING
    assert patience.look(held, 100.0 + GIVE_UP_SECONDS) is Stage.QUIET


def test_what_waits_and_never_moves_is_given_up() -> None:
    patience = Patience(2)
    stuck = Snapshot(errands_created=1, errands_ended=1, pending=1)
    assert patience.look(stuck, 100.0) is Stage.WAITING
    assert patience.look(stuck, 100.0 + STALL_SECONDS) is Stage.STALLED


def test_what_others_miss_may_be_put_back_for_a_while() -> None:
    patience = Patience(2)
    cleared = replace(ALL, others_cleared=1)
    assert patience.look(cleared, 100.0) is Stage.WAITING
    assert patience.look(cleared, 100.0 + GIVE_UP_SECONDS) is Stage.WAITING
    assert patience.look(cleared, 100.0 + PUT_BACK_SECONDS) is Stage.QUIET
    assert patience.look(ALL, 101.0 + PUT_BACK_SECONDS) is Stage.ARRIVED
