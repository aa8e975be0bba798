"""What the door allows, and who may come to it, of the daemon as a whole."""

import stat
from pathlib import Path

import pytest
from process_client import PROBLEM, Client, event
from process_daemon import NewSite

pytestmark = pytest.mark.process


def test_who_sends_more_than_it_may_is_asked_to_come_back(new_site: NewSite) -> None:
    site = new_site(HTTP__EVENTS_PER_MINUTE="3")
    assert site.post([event("call.queued") for _ in range(4)]).status == 202
    reply = site.post(event("call.queued"))
    assert (reply.status, reply.media_type) == (503, PROBLEM)
    # One is owed, and the next takes as long again: 20 seconds each, less what has passed.
    assert 20 < int(reply.headers["retry-after"]) <= 40
    assert site.daemon.metric("bridge_throttled_total", source="aventa") == 1
    # It isn't the bridge that can't.
    assert site.daemon.metric("bridge_events_total", type="", outcome="unavailable") == 0


def test_what_is_refused_and_kept_counts_as_an_event(new_site: NewSite) -> None:
    site = new_site(HTTP__EVENTS_PER_MINUTE="4")
    hook = {"Content-Type": "application/json"}
    replies = [site.post(b"{"), site.post([])]
    replies += [
        site.daemon.events.request("POST", "/v1/hooks/sipgate-io", raw, hook)
        for raw in (b"{", b'{"event": "other"}')
    ]
    assert [one.status for one in replies] == [400, 422, 400, 422]
    replies = [site.post(b"{") for _ in range(3)]
    assert [one.status for one in replies] == [400, 400, 503]


def test_a_unix_socket_is_open_to_whom_the_settings_say(new_site: NewSite, tmp_path: Path) -> None:
    path = tmp_path / "events.sock"
    site = new_site(HTTP__LISTEN=f"unix:{path}", HTTP__SOCKET_MODE="0660")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert Client(f"unix:{path}").post(event("call.queued")).status == 202
    assert site.daemon.terminate() == 0
    assert not path.exists()
