import pytest

from bridge.domain.deliveries import Kind
from bridge.domain.outcomes import Failure, Reply, Verdict, judge

CREATES = (Kind.NEW_ERRAND, Kind.WATEMPLATE)
REPEATABLE = (Kind.END_ERRAND, Kind.CONTACT_CARD)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (201, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (302, Verdict.REJECTED),
        (400, Verdict.REJECTED),
        (404, Verdict.REJECTED),
        (422, Verdict.REJECTED),
        (401, Verdict.UNAUTHORISED),
        (403, Verdict.UNAUTHORISED),
        (425, Verdict.RETRY),
        (429, Verdict.RETRY),
        (503, Verdict.RETRY),
    ],
)
def test_a_clear_answer_means_the_same_for_every_kind(
    kind: Kind, status: int, verdict: Verdict
) -> None:
    assert judge(kind, Reply(status=status)).verdict is verdict


@pytest.mark.parametrize("status", [408, 500, 502, 504, 520])
def test_an_unclear_answer_leaves_a_create_in_doubt_and_repeats_the_rest(status: int) -> None:
    for kind in CREATES:
        assert judge(kind, Reply(status=status)).verdict is Verdict.IN_DOUBT
    for kind in REPEATABLE:
        assert judge(kind, Reply(status=status)).verdict is Verdict.RETRY


def test_a_lost_answer_is_in_doubt_and_a_failed_connection_is_not() -> None:
    for kind in CREATES:
        assert judge(kind, Reply(failure=Failure.LOST)).verdict is Verdict.IN_DOUBT
    for kind in REPEATABLE:
        assert judge(kind, Reply(failure=Failure.LOST)).verdict is Verdict.RETRY
    for kind in Kind:
        assert judge(kind, Reply(failure=Failure.NOT_CONNECTED)).verdict is Verdict.RETRY


def test_only_a_429_slows_the_whole_upstream_down() -> None:
    assert judge(Kind.NEW_ERRAND, Reply(status=429)).pauses_rate
    assert not judge(Kind.NEW_ERRAND, Reply(status=503)).pauses_rate
