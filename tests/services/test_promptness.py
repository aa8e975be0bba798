"""Whether an errand counts as delivered in time: what Cention's own trouble delays does not."""

import pytest

from bridge.domain.outcomes import Failure, Promptness, Reply
from bridge.services.breaker import BreakerState
from bridge.services.channels import Channel, Upstream
from bridge.services.limiter import Pace

WELL = Reply(status=201)
FAILING = Reply(status=503)


@pytest.fixture
def channel() -> Channel:
    return Channel(Upstream("s", frozenset({"default"}), 60), Pace(60, 0.0))


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [(0.0, Promptness.PROMPT), (2.0, Promptness.PROMPT), (2.001, Promptness.LATE)],
)
def test_two_seconds_are_in_time(channel: Channel, age_s: float, expected: Promptness) -> None:
    channel.answered(WELL, 90.0, 0.5)
    assert channel.promptness(age_s, 100.0) is expected


@pytest.mark.parametrize("reply", [FAILING, Reply(failure=Failure.LOST), Reply(status=429)])
def test_what_was_asked_for_before_the_upstream_failed_is_excused(
    channel: Channel, reply: Reply
) -> None:
    channel.answered(reply, 90.0, 0.5)
    assert channel.promptness(20.0, 100.0) is Promptness.EXCUSED


def test_what_was_asked_for_after_it_failed_is_late(channel: Channel) -> None:
    channel.answered(FAILING, 90.0, 0.5)
    assert channel.promptness(9.0, 100.0) is Promptness.LATE


def test_a_pause_that_the_upstream_asked_for_excuses_what_comes_within_it(channel: Channel) -> None:
    channel.answered(Reply(status=429, retry_after_s=30.0), 90.0, 0.5)
    assert channel.promptness(5.0, 110.0) is Promptness.EXCUSED


def test_what_waited_for_the_breaker_to_close_is_excused(channel: Channel) -> None:
    while channel.breaker.state is BreakerState.CLOSED:
        channel.answered(FAILING, 50.0, 0.5)
    channel.answered(WELL, 60.0, 0.5)
    assert channel.promptness(5.0, 62.0) is Promptness.EXCUSED
    assert channel.promptness(5.0, 66.0) is Promptness.LATE


def test_what_fails_to_be_read_excuses_nothing(channel: Channel) -> None:
    channel.answered(FAILING, 90.0, 0.5, is_read=True)
    assert channel.promptness(20.0, 100.0) is Promptness.LATE


def test_what_was_tried_before_the_start_is_excused(channel: Channel) -> None:
    channel.since_s = 95.0
    assert channel.promptness(20.0, 100.0, was_tried=True) is Promptness.EXCUSED
    assert channel.promptness(20.0, 100.0) is Promptness.LATE
    assert channel.promptness(4.0, 100.0, was_tried=True) is Promptness.LATE


@pytest.mark.parametrize("status", [401, 404, 422])
def test_a_refusal_is_no_trouble_of_the_upstream(channel: Channel, status: int) -> None:
    channel.answered(Reply(status=status), 90.0, 0.5)
    assert channel.promptness(20.0, 100.0) is Promptness.LATE
