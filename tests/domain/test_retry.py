from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.retry import RetryPolicy
from bridge.domain.units import SECOND_US

POLICY = RetryPolicy()
HOUR_US = 3600 * SECOND_US
GIVEN_UP = -1


def delay_us(
    attempts: int, *, chance: float = 0.5, age_us: int = 0, after_s: float | None = None
) -> int:
    found = POLICY.next_delay_us(
        attempts=attempts, first_us=0, now_us=age_us, chance=chance, after_s=after_s
    )
    return GIVEN_UP if found is None else found


def test_there_are_about_eight_tries_in_the_first_two_minutes() -> None:
    now_us, tries = 0, 1
    while now_us < 120 * SECOND_US:
        now_us += delay_us(tries)
        tries += 1
    assert 7 <= tries <= 10


def test_the_delay_never_passes_the_cap_and_is_jittered_there_too() -> None:
    assert delay_us(60, chance=0.999999) <= HOUR_US
    assert delay_us(60, chance=0.1) < delay_us(60, chance=0.9)


def test_it_is_tried_for_more_than_75_hours_and_then_given_up() -> None:
    assert delay_us(90, age_us=75 * HOUR_US) >= 0
    assert delay_us(90, age_us=76 * HOUR_US) == GIVEN_UP


def test_a_time_during_which_nothing_was_tried_does_not_count_against_it() -> None:
    assert delay_us(1, age_us=100 * HOUR_US) >= 0


def test_retry_after_lengthens_the_delay_within_bounds() -> None:
    assert delay_us(1, chance=0.0, after_s=30) == 30 * SECOND_US
    assert delay_us(1, chance=0.0, after_s=10**9) == HOUR_US
    assert delay_us(1, chance=0.0, after_s=-5) == 0


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 1e12))
def test_the_delay_is_never_negative_nor_above_the_cap(
    attempts: int, chance: float, after_s: float | None
) -> None:
    assert 0 <= delay_us(attempts, chance=chance, after_s=after_s) <= HOUR_US
