from random import Random

import pytest

from bridge.sandbox.kills import START_SECONDS, Kill, plan_kills


def plan(seed: int, *, kills: int = 10, calls: int = 1000) -> list[Kill]:
    return plan_kills(Random(seed), kills=kills, calls=calls)  # noqa: S311 - chance in a test


@pytest.mark.parametrize("seed", range(20))
def test_there_are_as_many_kills_as_asked_for_in_the_order_of_the_calls(seed: int) -> None:
    kills = plan(seed)
    moments = [kill.after_calls for kill in kills]
    assert len(kills) == 10
    assert moments == sorted(moments)
    assert all(1 <= moment <= 1000 for moment in moments)


def test_the_same_seed_kills_at_the_same_moments() -> None:
    assert plan(1) == plan(1)
    assert plan(1) != plan(2)


def test_some_kills_but_never_the_first_hit_the_daemon_in_its_start() -> None:
    plans = [plan(seed) for seed in range(50)]
    assert all(kills[0].in_start_seconds is None for kills in plans)
    seconds = [
        kill.in_start_seconds
        for kills in plans
        for kill in kills
        if kill.in_start_seconds is not None
    ]
    assert 50 < len(seconds) < 200
    assert all(0 <= one <= START_SECONDS for one in seconds)


def test_nobody_is_killed_where_nobody_is_to_be() -> None:
    assert plan(1, kills=0) == []
