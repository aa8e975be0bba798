"""A backup of a busy bridge, and the bridge that goes on from it."""

import json
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from process_client import AGENT, event
from process_daemon import Daemon, NewSite
from process_shell import command, told
from process_upstream import DEADLINE_S, NEW

pytestmark = pytest.mark.process


def moved(daemon: Daemon, folder: Path) -> Daemon:
    """Return a daemon of the same settings on a store in another folder, which isn't there yet."""
    url = f"sqlite:///{folder / 'bridge.db'}"
    return Daemon({**daemon.settings, "BRIDGE_STORE__URL": url})


def test_every_event_that_was_acknowledged_before_a_backup_under_load_is_in_it(
    new_site: NewSite, tmp_path: Path
) -> None:
    site = new_site(is_open=False)
    before = [event("call.answered", **AGENT) for _ in range(300)]
    assert site.post(before).status == 202
    enough = threading.Event()
    during: list[dict[str, Any]] = []

    def load() -> None:
        while not enough.is_set():
            batch = [event("call.answered", **AGENT) for _ in range(20)]
            if site.post(batch).status == 202:
                during.extend(batch)

    posting = threading.Thread(target=load)
    posting.start()
    try:
        file = tmp_path / "b.tar.gz"
        made = told(command(site.daemon, "backup", file, "--json"))
    finally:
        enough.set()
        posting.join(DEADLINE_S)
    assert during
    assert (made["path"], made["bytes"]) == (str(file), file.stat().st_size)
    with closing(moved(site.daemon, tmp_path / "fresh")) as other:
        restored = told(command(other, "restore", file, "--yes", "--json"))
        assert restored["replaced"] is None
        assert len(before) <= restored["events"] <= len(before) + len(during)
        assert restored["waiting"] == {NEW.removeprefix("c3_")[:-1]: restored["events"]}
        site.daemon.terminate()
        site.upstream.open()
        other.start()
        results = other.events.post(before).json["results"]
        assert {one["status"] for one in results} == {"duplicate"}
        other.drain()
        for one in before:
            assert [seen.kind for seen in site.upstream.of_call(one["referenceId"])] == [NEW]


def test_what_was_delivered_since_is_sent_again_unless_it_is_held(
    new_site: NewSite, tmp_path: Path
) -> None:
    site = new_site(is_open=False)
    reference = "av-restored"
    site.accept(event("call.answered", reference, **AGENT), event("call.ended", reference, **AGENT))
    file = tmp_path / "b.tar"
    told(command(site.daemon, "backup", file, "--json"))
    site.upstream.open()
    site.daemon.drain()
    first = len(site.upstream.of_call(reference))
    refused = command(site.daemon, "restore", file, "--yes")
    assert refused.returncode == 1
    assert "another daemon is at work" in refused.stderr
    site.daemon.terminate()
    held = told(command(site.daemon, "restore", file, "--yes", "--hold", "--json"))
    assert (held["held"], Path(held["replaced"]).exists()) == (1, True)
    site.daemon.start()
    site.settle(event("call.answered", **AGENT))
    assert len(site.upstream.of_call(reference)) == first
    listed = command(site.daemon, "dead-letters", "list", "--state", "held", "--json")
    [letter] = json.loads(listed.stdout)
    assert letter["reference_id"] == reference
    dropped = command(site.daemon, "dead-letters", "drop", "--arrived", letter["id"], "--yes")
    assert dropped.returncode == 0, dropped.stderr
    # The end leaves now, for it waited for the errand; it does no more than the first one did.
    site.upstream.wait_for(lambda upstream: len(upstream.of_call(reference)) == first + 1)
    site.daemon.terminate()
    told(command(site.daemon, "restore", file, "--yes", "--json"))
    site.daemon.start()
    site.daemon.drain()
    assert [one.kind for one in site.upstream.of_call(reference)].count(NEW) == 2
