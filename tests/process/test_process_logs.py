"""The daemon's lines: one wide line an event, as the journal wants them, and in nobody's way."""

import json
import os
import select
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from process_client import AGENT, Client, event, new_number, new_reference
from process_daemon import RUN, Site, bare_environment, minimal_settings, put_store
from process_upstream import DEADLINE_S, eventually

pytestmark = pytest.mark.process

UPSTREAM = "http://127.0.0.1:9"


def lines_of(site: Site, count: int, since: int = 0, **fields: object) -> list[dict[str, Any]]:
    """Wait for so many lines about events of which this is true."""

    def found() -> list[dict[str, Any]]:
        return [
            line
            for line in site.daemon.log(since)
            if line["event"] == "event"
            and all(line.get(name) == value for name, value in fields.items())
        ]

    eventually(lambda: len(found()) >= count)
    assert len(found()) == count
    return found()


def test_an_accepted_event_is_one_line_that_says_what_it_caused(site: Site) -> None:
    reference, number = new_reference(), new_number()
    answered = event("call.answered", reference, callerNumber=number, **AGENT)
    site.settle(answered)
    (line,) = lines_of(site, 1, reference=reference)
    assert line.pop("timestamp").endswith("Z")
    assert 0 < line.pop("millis") < 60_000
    assert line == {
        "event": "event",
        "level": "info",
        "type": "call.answered",
        "reference": reference,
        "route": "default",
        "rule": "default-errand",
        "outcome": "accepted",
        "caller": f"***{number[-2:]}",
        "caused": ["contact_card", "new_errand"],
    }


def test_what_came_before_or_differs_is_a_line_that_caused_nothing(site: Site) -> None:
    reference = new_reference()
    answered = event("call.answered", reference, callerNumber="anonymous", **AGENT)
    site.settle(answered)
    assert site.post(answered).status == 200
    assert site.post({**answered, "queueName": "Other"}).status == 409
    told = lines_of(site, 3, reference=reference)
    assert [(one["outcome"], one["level"], one["caller"]) for one in told] == [
        ("accepted", "info", "withheld"),
        ("duplicate", "info", "withheld"),
        ("conflict", "warning", "withheld"),
    ]
    assert told[1]["caused"] == told[2]["caused"] == []


def test_each_event_of_a_batch_has_a_line_and_each_refusal_says_where_it_is_kept(
    site: Site,
) -> None:
    since = len(site.daemon.lines)
    fine = [event("call.queued", new_reference()) for _ in range(20)]
    reply = site.post([*fine, event("call.queued", destNumber="nobody")])
    site.daemon.drain()
    told = lines_of(site, 21, since)
    assert [one["outcome"] for one in told] == ["accepted"] * 20 + ["rejected"]
    refused = told[-1]
    assert refused["quarantine"] == reply.json["results"][-1]["quarantineId"]
    assert (refused["status"], refused["type"], refused["peer"]) == (
        422,
        "call.queued",
        "127.0.0.1",
    )


def test_a_body_that_holds_no_event_is_a_line_too(site: Site) -> None:
    since = len(site.daemon.lines)
    assert site.post(b"{").status == 400
    (told,) = lines_of(site, 1, since)
    assert (told["outcome"], told["status"], told["type"]) == ("rejected", 400, "")


class Unread:
    """A daemon whose standard error is this, as a service manager would give it."""

    def __init__(self, folder: Path, stderr: int, **environ: str) -> None:
        put_store(folder)
        # Port 0 would be told in a line, which nobody may be there to read.
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        settings = minimal_settings(UPSTREAM, folder)
        settings["BRIDGE_HTTP__LISTEN"] = f"127.0.0.1:{port}"
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            RUN, env=bare_environment(settings) | environ, stdin=subprocess.DEVNULL, stderr=stderr
        )
        self.events = Client(f"http://127.0.0.1:{port}")

    def wait_ready(self) -> None:
        def answers() -> bool:
            try:
                return self.events.get("/").status == 404
            except OSError:
                return False

        eventually(answers)

    def end(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(DEADLINE_S)
        finally:
            self.process.kill()


def test_in_the_journal_each_line_begins_with_its_priority(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        at = os.fstat(theirs.fileno())
        stream = f"{at.st_dev}:{at.st_ino}"
        daemon = Unread(tmp_path, theirs.fileno(), JOURNAL_STREAM=stream)
        try:
            daemon.wait_ready()
            assert daemon.events.post(event("call.queued")).status == 202
            assert daemon.events.post({}).status == 422
        finally:
            assert daemon.end() == 0
        theirs.close()
        text = b"".join(iter(lambda: ours.recv(65536), b"")).decode()
    for line in text.splitlines():
        said = json.loads(line[3:])
        assert line[:3] == {"info": "<6>", "warning": "<4>", "error": "<3>"}[said["level"]]
    assert {"<6>", "<4>"} <= {line[:3] for line in text.splitlines()}


def test_a_start_that_is_refused_says_so_at_the_journals_priority_for_errors(
    tmp_path: Path,
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        at = os.fstat(theirs.fileno())
        environ = {"JOURNAL_STREAM": f"{at.st_dev}:{at.st_ino}", "BRIDGE_LOG__LEVEL": "loud"}
        daemon = Unread(tmp_path, theirs.fileno(), **environ)
        assert daemon.process.wait(DEADLINE_S) == 2
        assert ours.recv(65536).decode().startswith("<3>log.level: ")


def test_a_log_that_nobody_reads_holds_up_no_event(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    daemon = Unread(tmp_path, writer)
    os.close(writer)
    try:
        daemon.wait_ready()
        batch = [event("call.queued", new_reference()) for _ in range(500)]
        for number in range(12):
            again = [{**one, "eventId": f"{one['eventId']}-{number}"} for one in batch]
            assert daemon.events.post(again).status == 202
        text = b""
        while not text.endswith(b"\n") or text.count(b'"event":"event"') < 3_000:
            assert select.select([reader], [], [], DEADLINE_S)[0]
            text += os.read(reader, 1 << 20)
        assert all(json.loads(line) for line in text.splitlines())
    finally:
        assert daemon.end() == 0
        os.close(reader)


def test_a_log_that_is_shut_stops_no_event(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    daemon = Unread(tmp_path, writer)
    os.close(writer)
    try:
        daemon.wait_ready()
        os.close(reader)
        for _ in range(3):
            assert daemon.events.post(event("call.queued")).status == 202
    finally:
        assert daemon.end() == 0
