import pytest

from bridge.services.breaker import OPEN_AFTER, WAIT_MAX_S, Breaker, BreakerState


def opened(now_s: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(OPEN_AFTER):
        breaker.failed(now_s, 0.999)
    return breaker


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker()
    for _ in range(OPEN_AFTER - 1):
        breaker.failed(0.0, 0.5)
    assert breaker.room(0.0) is None
    breaker.failed(0.0, 0.5)
    assert breaker.room(0.0) == 0
    assert breaker.state == BreakerState.OPEN


def test_one_success_among_failures_keeps_it_closed() -> None:
    breaker = Breaker()
    for _ in range(5):
        for _ in range(OPEN_AFTER - 1):
            breaker.failed(0.0, 0.5)
        breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED


def test_after_a_wait_one_request_may_see_how_it_is() -> None:
    breaker = opened()
    assert breaker.room(0.4) == 0
    assert breaker.wait_s(0.4) == pytest.approx(0.6, abs=0.01)
    assert breaker.room(1.0) == 1
    assert breaker.state is BreakerState.HALF_OPEN
    breaker.sent()
    assert breaker.room(1.0) == 0
    assert breaker.wait_s(1.0) == 0.0


def test_a_probe_that_goes_well_closes_it() -> None:
    breaker = opened()
    breaker.room(1.0)
    breaker.sent()
    breaker.succeeded()
    assert breaker.room(1.0) is None


def test_probes_that_fail_come_more_rarely_but_never_more_than_seconds_apart() -> None:
    breaker, now_s, waits = opened(), 0.0, []
    for _ in range(20):
        wait_s = breaker.wait_s(now_s)
        waits.append(wait_s)
        now_s += wait_s
        assert breaker.room(now_s) == 1
        breaker.sent()
        breaker.failed(now_s, 0.999)
    assert waits == sorted(waits)
    assert waits[0] < 1.01
    assert max(waits) <= WAIT_MAX_S


def test_probes_of_many_bridges_are_spread() -> None:
    early, late = Breaker(), Breaker()
    for _ in range(OPEN_AFTER):
        early.failed(0.0, 0.0)
        late.failed(0.0, 0.999)
    assert early.wait_s(0.0) < 0.6 * late.wait_s(0.0)


def test_what_failed_before_it_opened_and_tells_late_changes_nothing() -> None:
    breaker = opened()
    wait_s = breaker.wait_s(0.0)
    breaker.failed(0.1, 0.999)
    assert breaker.wait_s(0.0) == wait_s


def test_what_went_well_before_it_opened_and_tells_late_closes_it() -> None:
    breaker = opened()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
