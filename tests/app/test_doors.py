from pathlib import Path

import pytest

from bridge.app.doors import certificate_ends_s, judge_certificate

TLS = Path(__file__).parents[1] / "data" / "tls"
DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("days", "verdict", "words"),
    [
        (-1, "fail", "has expired"),
        (3, "warn", "in 3 days"),
        (13.9, "warn", "in 14 days"),
        (15, "ok", "15"),
    ],
)
def test_a_certificate_is_judged_by_the_days_that_it_has_left(
    days: float, verdict: str, words: str
) -> None:
    found = judge_certificate(1e9 + days * DAY_S, 1e9, 14 * DAY_S)
    assert found.verdict == verdict
    assert words in found.detail
    assert bool(found.advice) is (verdict != "ok")


def test_how_long_a_certificate_is_good_is_read_off_it() -> None:
    assert certificate_ends_s(str(TLS / "localhost.crt")) > 4e9
    with pytest.raises(ValueError, match=r"."):
        certificate_ends_s(str(TLS / "localhost.key"))
