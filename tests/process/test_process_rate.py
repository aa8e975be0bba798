"""The pace of requests, as the upstream sees it."""

import itertools

import pytest
from process_client import AGENT, event
from process_daemon import NewSite
from process_upstream import NEW

pytestmark = pytest.mark.process

PER_MINUTE = 60


def test_requests_are_paced_from_the_first_second_on_and_over_a_restart(new_site: NewSite) -> None:
    site = new_site(CENTION__REQUESTS_PER_MINUTE=str(PER_MINUTE))
    site.accept(*(event("voicemail.left", **AGENT) for _ in range(PER_MINUTE)))
    site.upstream.wait_for(lambda upstream: len(upstream.of_kind(NEW)) >= 2)
    site.daemon.kill9()
    before = len(site.upstream.of_kind(NEW))
    site.daemon.start()
    site.upstream.wait_for(lambda upstream: len(upstream.of_kind(NEW)) >= before + 2)
    times_s = [one.at_s for one in site.upstream.of_kind(NEW)]
    # A burst after a quiet time may be a tenth of a minute's worth; here there was none.
    assert len(times_s) <= PER_MINUTE // 10 + (times_s[-1] - times_s[0]) * PER_MINUTE / 60
    gaps_s = [after - before for before, after in itertools.pairwise(times_s)]
    assert max(gaps_s) > 0.5
    assert sum(gap_s > 0.5 for gap_s in gaps_s) >= 2
