"""An upstream that is back after a while, with ten thousand deliveries waiting for it."""

import time
from functools import partial

import pytest
from process_client import AGENT, event, new_reference
from process_daemon import NewSite, Site
from process_upstream import END, NEW, eventually

pytestmark = pytest.mark.process

WAITING = 10_000
PER_SECOND = 50
NEW_CALLS = 40


def keep_waiting(site: Site, count: int) -> list[str]:
    """Have so many calls accepted, each with its errand and its end."""
    references = [new_reference() for _ in range(count // 2)]
    for start in range(0, len(references), 250):
        batch = [
            event(kind, one, callerNumber="anonymous", **AGENT)
            for one in references[start : start + 250]
            for kind in ("call.answered", "call.ended")
        ]
        assert site.post(batch).status == 202
    return references


def errand_of(site: Site, reference: str) -> int:
    """Return how many requests had come when a call's errand came, itself included; 0: not yet."""
    seen = site.upstream.seen
    places = (
        place for place, one in enumerate(seen, 1) if one.kind == NEW and one.reference == reference
    )
    return next(places, 0)


def test_new_calls_overtake_a_backlog_which_goes_on_in_order(new_site: NewSite) -> None:
    site = new_site(is_open=False, CENTION__REQUESTS_PER_MINUTE=str(60 * PER_SECOND))
    keep_waiting(site, WAITING)
    site.upstream.open()
    site.upstream.wait_for(lambda upstream: len(upstream.seen) >= 20)
    overtook: list[int] = []
    waits_s: list[float] = []
    for _ in range(NEW_CALLS):
        reference = new_reference()
        before, took_s = len(site.upstream.seen), time.monotonic()
        site.accept(event("call.answered", reference, callerNumber="anonymous", **AGENT))
        overtook.append(eventually(partial(errand_of, site, reference)) - before)
        waits_s.append(time.monotonic() - took_s)
    # What leaves in a second, at the pace that is set: so a new call waits for less than that.
    assert max(overtook) <= PER_SECOND, (overtook, waits_s)
    old = len(site.upstream.seen) - NEW_CALLS
    eventually(lambda: len(site.upstream.seen) - NEW_CALLS >= old + PER_SECOND)
    order: dict[str, list[str]] = {}
    for one in site.upstream.seen:
        order.setdefault(one.reference, []).append(one.kind)
    assert all(kinds in ([NEW], [NEW, END]) for kinds in order.values())
