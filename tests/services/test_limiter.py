import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.services.limiter import Pace


def drained(per_minute: int, steps: list[float]) -> list[float]:
    """Return when requests leave if as many leave as may, looked at after each step."""
    now_s, moments = 0.0, list[float]()
    pace = Pace(per_minute, now_s)
    for step in steps:
        now_s += step
        count = pace.available(now_s)
        pace.take(count, now_s)
        moments += [now_s] * count
    return moments


@given(st.integers(1, 2000), st.lists(st.floats(0, 20), max_size=60))
def test_no_window_of_sixty_seconds_passes_the_limit(per_minute: int, steps: list[float]) -> None:
    moments = drained(per_minute, steps)
    for at in set(moments):
        assert sum(at <= one < at + 60 for one in moments) <= per_minute


@pytest.mark.parametrize(
    ("per_minute", "share"), [(1, 0.95), (10, 0.95), (100, 0.95), (950, 0.95), (1_000_000, 0.95)]
)
def test_a_backlog_uses_nearly_all_of_the_limit(per_minute: int, share: float) -> None:
    minutes = 2 if per_minute > 100 else 30
    moments = drained(per_minute, [0.01] * 6000 * (minutes + 1))
    assert sum(60 <= one < 60 * (minutes + 1) for one in moments) >= share * per_minute * minutes


@given(
    st.integers(1, 2000),
    st.lists(st.floats(0, 20), max_size=40),
    st.lists(st.floats(0, 20), max_size=40),
)
def test_no_window_passes_the_limit_though_the_process_is_another_one(
    per_minute: int, before: list[float], after: list[float]
) -> None:
    stopped_s = sum(before)
    moments = [
        *drained(per_minute, before),
        *(stopped_s + at for at in drained(per_minute, after)),
    ]
    for at in set(moments):
        assert sum(at <= one < at + 60 for one in moments) <= per_minute


def test_it_starts_empty_so_that_a_restart_spends_nothing_twice() -> None:
    assert Pace(950, 0.0).available(0.0) == 0


def test_it_says_how_long_to_wait() -> None:
    pace = Pace(950, 0.0)
    wait_s = pace.wait_s(0.0)
    assert 0 < wait_s < 0.1
    assert pace.available(wait_s + 1e-9) == 1


def test_a_pause_lets_nothing_leave_until_it_is_over() -> None:
    pace = Pace(950, 0.0)
    pace.pause(10.0, 20.0)
    assert pace.available(29.9) == 0
    assert pace.wait_s(10.0) == 20.0
    assert pace.available(30.0) == 8


def test_what_leaves_late_is_counted_when_it_leaves() -> None:
    pace = Pace(950, 0.0)
    asked_s = 60.0
    count = pace.available(asked_s)
    # A slow disk: by then the bucket would be full once more, if it had been emptied before.
    pace.take(count, asked_s + 5.0)
    assert pace.available(asked_s + 5.0) == 0
