"""What was promised with a 202 is kept, however the process ends."""

import contextlib
import http.client
import json
import signal
import sqlite3
import time
from collections.abc import Iterator

import pytest
from process_client import AGENT, JSON, PROBLEM, event, new_number, new_reference, send
from process_daemon import NewSite, Site
from process_upstream import CARD, END, NEW, Answer, Gate

pytestmark = pytest.mark.process

SHUTDOWN_S = 1.0
# What a stop may take beside what is set: the interpreter's own end on a busy machine.
SLACK_S = 9.0


def accepted_call(site: Site) -> str:
    reference = new_reference()
    site.accept(
        event("call.answered", reference, callerNumber=new_number(), **AGENT),
        event("call.ended", reference, **AGENT),
    )
    return reference


def check_delivered_once(site: Site, *references: str) -> None:
    """Check that each call's errand and end arrived once, with one card each, and no more."""
    site.daemon.drain()
    for reference in references:
        assert [one.kind for one in site.upstream.of_call(reference)] == [NEW, END]
    assert len(site.upstream.of_kind(CARD)) == len(references)
    assert len(site.upstream.seen) == 3 * len(references)


def test_an_errand_accepted_just_before_a_kill_arrives_once_after_the_next_start(
    new_site: NewSite,
) -> None:
    site = new_site(is_open=False)
    reference = new_reference()
    answered = event("call.answered", reference, callerNumber=new_number(), **AGENT)
    site.accept(answered, event("call.ended", reference, **AGENT))
    site.daemon.kill9()
    site.upstream.open()
    site.daemon.start()
    assert site.post(answered).status == 200
    assert site.post({**answered, "queueName": "other"}).status == 409
    check_delivered_once(site, reference)


def test_errands_survive_one_kill_after_the_other_while_the_upstream_refuses(
    new_site: NewSite,
) -> None:
    site = new_site(is_open=False)
    references = [accepted_call(site)]
    for _ in range(2):
        site.daemon.kill9()
        site.daemon.start()
        references.append(accepted_call(site))
    site.daemon.kill9()
    site.upstream.open()
    site.daemon.start()
    check_delivered_once(site, *references)


def test_after_a_kill_within_a_request_the_same_message_is_sent_again(new_site: NewSite) -> None:
    site = new_site()
    site.upstream.answer_next(NEW, Answer(gate=Gate()))
    reference = new_reference()
    site.accept(event("call.answered", reference, **AGENT))
    site.upstream.wait_for(lambda upstream: upstream.of_call(reference))
    site.daemon.kill9()
    site.daemon.start()
    site.daemon.drain()
    first, again = site.upstream.of_call(reference)
    assert first.body == again.body
    in_doubt = [line for line in site.daemon.log() if "in doubt" in line["event"]]
    assert [line["count"] for line in in_doubt] == [1]


def test_a_stop_while_a_request_hangs_is_in_time_and_the_work_is_done_after_it(
    new_site: NewSite,
) -> None:
    site = new_site(DELIVERY__SHUTDOWN_SECONDS=str(SHUTDOWN_S))
    site.upstream.answer_next(NEW, Answer(gate=Gate()))
    reference = accepted_call(site)
    site.upstream.wait_for(lambda upstream: upstream.of_call(reference))
    started_s = time.monotonic()
    site.daemon.process.send_signal(signal.SIGTERM)
    site.daemon.wait_line(lambda line: line["event"] == "stopping")
    late = event("call.queued")
    is_late_kept = is_taken(site, late)
    assert site.daemon.process.wait(SHUTDOWN_S + SLACK_S) == 0
    assert time.monotonic() - started_s < SHUTDOWN_S + SLACK_S
    assert site.daemon.wait_line(lambda line: line["event"] == "stopped")["left_in_flight"] == 1
    site.daemon.start()
    assert site.post(late).status == (200 if is_late_kept else 202)
    site.daemon.drain()
    first, again, end = site.upstream.of_call(reference)
    assert (first.kind, again.kind, end.kind) == (NEW, NEW, END)
    assert first.body == again.body


def is_taken(site: Site, body: object) -> bool:
    """Say whether a daemon that is just stopping promised to keep an event."""
    try:
        reply = site.post(body)
    except (OSError, http.client.HTTPException):
        return False
    assert reply.status == 202 or (reply.status, reply.media_type) == (503, PROBLEM)
    return reply.status == 202


def test_a_stop_waits_for_the_answer_to_a_request_that_is_under_way(new_site: NewSite) -> None:
    site = new_site()
    gate = Gate()
    site.upstream.answer_next(NEW, Answer(status=201, gate=gate))
    reference = new_reference()
    site.accept(event("call.answered", reference, **AGENT))
    site.upstream.wait_for(lambda upstream: upstream.of_call(reference))
    site.daemon.process.send_signal(signal.SIGTERM)
    site.daemon.wait_line(lambda line: line["event"] == "stopping")
    gate.open()
    assert site.daemon.process.wait(SLACK_S) == 0
    assert site.daemon.wait_line(lambda line: line["event"] == "stopped")["left_in_flight"] == 0
    assert site.daemon.figures().pending == {}


def test_a_stop_waits_for_no_idle_client(new_site: NewSite) -> None:
    site = new_site()
    idle = [site.daemon.events.connect() for _ in range(8)]
    for connection in idle:
        body = json.dumps(event("call.queued")).encode()
        assert send(connection, "POST", "/v1/events", body, {"Content-Type": JSON}).status == 202
    idle += [site.daemon.events.connect(), site.daemon.admin.connect()]
    assert send(idle[-1], "GET", "/metrics").status == 200
    try:
        started_s = time.monotonic()
        assert site.daemon.terminate(SLACK_S) == 0
        assert time.monotonic() - started_s < SLACK_S / 2
    finally:
        for connection in idle:
            connection.close()


def test_an_event_in_hand_is_kept_although_its_sender_hangs_up(site: Site) -> None:
    reference = new_reference()
    answered = event("call.answered", reference, **AGENT)
    body = json.dumps(answered).encode()
    with locked_store(site):
        sender = site.daemon.events.connect()
        sender.request("POST", "/v1/events", body, {"Content-Type": JSON})
        # Answered without the store, and read after the event: that one is in hand by now.
        assert site.daemon.events.get("/").status == 404
        sender.close()
        assert site.daemon.events.get("/").status == 404
    assert site.post(answered).json["status"] == "duplicate"
    site.daemon.drain()
    assert [one.kind for one in site.upstream.of_call(reference)] == [NEW]


@contextlib.contextmanager
def locked_store(site: Site) -> Iterator[None]:
    """Keep the daemon from writing, as another writer would; it waits for 10 seconds."""
    path = site.daemon.settings["BRIDGE_STORE__URL"].removeprefix("sqlite:///")
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()
