import pytest

from bridge.domain.deliveries import Kind
from bridge.domain.outcomes import Failure, Reply, Verdict, is_failing, is_in_order, judge

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


@pytest.mark.parametrize("kind", [kind for kind in Kind if not kind.is_of_ticket])
@pytest.mark.parametrize(
    ("own_misses", "misses", "verdict"),
    [
        (1, 1, Verdict.RETRY),
        (2, 2, Verdict.RETRY),
        (3, 1, Verdict.REJECTED),
        (60, 2, Verdict.REJECTED),
        (1, 3, Verdict.UNAUTHORISED),
        (3, 3, Verdict.UNAUTHORISED),
    ],
)
def test_a_404_is_the_deliverys_own_or_its_workspaces(
    kind: Kind, own_misses: int, misses: int, verdict: Verdict
) -> None:
    ruling = judge(kind, Reply(status=404), own_misses=own_misses, misses=misses)
    assert ruling.verdict is verdict


@pytest.mark.parametrize("kind", [Kind.PICK_TICKET, Kind.CLOSE_ROOM])
def test_a_404_about_a_ticket_is_that_tickets(kind: Kind) -> None:
    ruling = judge(kind, Reply(status=404), own_misses=1, misses=9)
    assert ruling.verdict is Verdict.REJECTED


@pytest.mark.parametrize("failure", list(Failure))
def test_who_does_not_answer_is_failing(failure: Failure) -> None:
    assert is_failing(Reply(failure=failure))
    assert not is_in_order(Reply(failure=failure))


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_who_answers_with_an_error_of_its_own_is_failing(status: int) -> None:
    assert is_failing(Reply(status=status))
    assert not is_in_order(Reply(status=status))


@pytest.mark.parametrize("status", [401, 403, 404, 425, 429])
def test_who_refuses_the_bridge_is_not_failing_and_not_in_order(status: int) -> None:
    assert not is_failing(Reply(status=status))
    assert not is_in_order(Reply(status=status))


@pytest.mark.parametrize("status", [200, 201, 302, 400, 409, 422])
def test_who_answers_about_what_was_sent_is_in_order(status: int) -> None:
    assert not is_failing(Reply(status=status))
    assert is_in_order(Reply(status=status))
