from hand_clock import HandClock

from bridge.inbound.turnstile import THROTTLED, Turnstile
from bridge.services.allowance import Allowance


class Meter:
    def __init__(self) -> None:
        self.sources: list[str] = []

    def throttled(self, source: str) -> None:
        self.sources.append(source)


def test_a_minutes_worth_comes_at_once_and_then_as_many_as_the_limit_says() -> None:
    allowance = Allowance(60, now_s=0.0)
    taken, now_s = 0, 0.0
    while now_s < 300:
        if not allowance.wait_s(now_s):
            allowance.spend(1)
            taken += 1
        else:
            now_s += 0.125
    assert taken in {60 + 299, 60 + 300}


def test_after_the_time_that_it_names_something_may_come() -> None:
    allowance = Allowance(7, now_s=0.0)
    allowance.spend(12)
    wait_s = allowance.wait_s(0.0)
    assert allowance.wait_s(wait_s - 0.01) > 0
    assert allowance.wait_s(wait_s + 1e-6) == 0


def test_a_batch_beyond_a_minutes_worth_comes_in_and_is_paid_off() -> None:
    allowance = Allowance(60, now_s=0.0)
    assert not allowance.wait_s(0.0)
    allowance.spend(180)
    assert allowance.wait_s(0.0) == 121


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    allowance = Allowance(60, now_s=100.0)
    allowance.spend(60)
    assert allowance.wait_s(50.0) == 1.0
    assert allowance.wait_s(100.5) == 0.5


def test_who_posts_too_fast_gets_503_and_when_to_come_back() -> None:
    meter = Meter()
    turnstile = Turnstile("front-desk", HandClock(), meter)
    assert turnstile.refuse() is None
    turnstile.limit(30)
    turnstile.passed(31)
    answer = turnstile.refuse()
    assert answer is not None
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "4"
    assert answer[THROTTLED]
    assert meter.sources == ["front-desk"]


def test_the_same_limit_read_again_changes_nothing_and_none_lifts_it() -> None:
    turnstile = Turnstile("aventa", HandClock(), Meter())
    turnstile.limit(30)
    turnstile.passed(31)
    turnstile.limit(30)
    assert turnstile.refuse() is not None
    turnstile.limit(None)
    assert turnstile.refuse() is None
