"""However the daemon or a command breaks, it tells kinds of errors and places, and nothing else."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from process_client import AGENT, PROBLEM, event
from process_daemon import (
    Site,
    bare_environment,
    minimal_settings,
    put_store,
    run_to_end,
    running_site,
)
from process_upstream import DEADLINE_S

pytestmark = pytest.mark.process

UPSTREAM = "http://127.0.0.1:9"
PLANTED = re.compile(r"kanari|704447771", re.IGNORECASE)
PERSON: dict[str, Any] = {
    "callerNumber": "+46704447771",
    "callerName": "Kanarina",
    "extraData": {"callReason": "kanariesjuka"},
}
# Python runs this before the program: a fault at its heart, whose text quotes a caller.
BROKEN = """\
import asyncio, threading, warnings
TEXT = "+46704447771 Kanarina kanarie-token"
def fail(*args, **kwargs):
    kanari = TEXT
    try:
        {{}}[kanari]
    except KeyError as error:
        raise ValueError(f"no {{kanari}}") from error
async def fail_soon(*args, **kwargs):
    fail()
{patch}
"""
FAULTS = {
    "at the start": "import bridge.app.main as at; at.open_engine = fail",
    "in the migrations": "import bridge.app.main as at; at.prepare = fail",
    "in the wiring": "import bridge.app.daemon as at; at.Bridge._wire = fail",
    "before it listens": "import bridge.app.daemon as at; at.spare_collector = fail",
    "in a task": "import bridge.app.daemon as at; at.Upkeep.run = fail_soon",
    "in the dispatcher": "import bridge.app.daemon as at; at.Dispatcher.run = fail_soon",
    "in the writer": "import bridge.app.daemon as at; at.SharedCommit._work_off = fail",
}
# What goes wrong beside the road, and ends nothing.
NOISE = """\
import bridge.app.daemon as at
class Gone:
    def __del__(self):
        fail()
async def watch(self):
    loop = asyncio.get_running_loop()
    loop.call_soon(fail, TEXT)
    loop.create_task(fail_soon(TEXT))
    loop.call_exception_handler({"message": TEXT, "handle": TEXT})
    thread = threading.Thread(target=fail, args=(TEXT,), name=TEXT)
    thread.start()
    Gone()
    warnings.warn(TEXT, RuntimeWarning)
    fail_soon(TEXT)
    thread.join()
    for _ in range(3):
        await asyncio.sleep(0)
    import gc
    gc.collect()
at.Bridge._watch = watch
"""


def broken(folder: Path, patch: str) -> str:
    """Return a PYTHONPATH by which a program is broken so."""
    place = folder / "broken"
    place.mkdir()
    (place / "sitecustomize.py").write_text(BROKEN.format(patch=patch))
    return str(place)


@contextmanager
def broken_site(folder: Path, patch: str) -> Iterator[Site]:
    with running_site(folder, is_started=False) as site:
        site.daemon.settings["PYTHONPATH"] = broken(folder, patch)
        site.daemon.start()
        yield site


def check(text: str) -> None:
    """Check that what was printed tells what broke and where, and nothing else."""
    assert not PLANTED.search(text), text
    assert "Traceback" not in text


@pytest.mark.parametrize("where", FAULTS)
def test_a_daemon_that_breaks_tells_kinds_and_places_alone(tmp_path: Path, where: str) -> None:
    put_store(tmp_path)
    settings = minimal_settings(UPSTREAM, tmp_path) | {
        "PYTHONPATH": broken(tmp_path, FAULTS[where])
    }
    ended = run_to_end(settings)
    assert ended.returncode == 1, ended
    check(ended.stdout + ended.stderr)
    if where == "in the writer":
        assert "the store's writer has failed: ValueError" in ended.stderr
        return
    said = json.loads(ended.stderr.splitlines()[-1])
    assert said["event"] in {"crashed", "the bridge can't go on"}
    assert said["errors"][-2:] == ["ValueError", "KeyError"]
    assert any("sitecustomize.py:" in place and "in fail" in place for place in said["places"])


def test_before_there_is_a_log_it_is_told_in_plain_lines(tmp_path: Path) -> None:
    patch = "import bridge.app.main as at; at.Sources.load = fail"
    settings = minimal_settings(UPSTREAM, tmp_path) | {"PYTHONPATH": broken(tmp_path, patch)}
    ended = run_to_end(settings)
    assert ended.returncode == 1
    check(ended.stderr)
    assert ended.stderr.startswith("aventa-bridge: crashed: ValueError from KeyError\n  at ")


def test_a_request_that_breaks_the_daemon_is_answered_and_told_without_its_words(
    tmp_path: Path,
) -> None:
    patch = "import bridge.services.ingest as at; at.Ingest.take = fail_soon"
    with broken_site(tmp_path, patch) as site:
        reply = site.post(event("call.answered", **PERSON, **AGENT))
        assert (reply.status, reply.media_type) == (503, PROBLEM)
        check(reply.body.decode() + str(reply.headers))
        line = site.daemon.wait_line(lambda one: one["event"] == "a request failed")
        assert line["error_type"] == "ValueError"
        assert site.daemon.terminate() == 0
        check("\n".join(site.daemon.lines))


def test_an_event_that_cannot_be_folded_is_kept_apart_and_told_without_its_words(
    tmp_path: Path,
) -> None:
    patch = "import bridge.services.folding as at; at.fold = fail"
    with broken_site(tmp_path, patch) as site:
        reply = site.post(event("call.answered", **PERSON, **AGENT))
        assert reply.status == 422
        check(reply.body.decode())
        site.daemon.wait_line(lambda one: one["event"] == "an event can't be processed")
        assert site.daemon.terminate() == 0
        check("\n".join(site.daemon.lines))


def test_what_goes_wrong_beside_the_road_is_told_so_too_and_ends_nothing(tmp_path: Path) -> None:
    patch = NOISE
    with broken_site(tmp_path, patch) as site:
        for what in (
            "the loop met an error",
            "the loop met something odd",
            "a thread crashed",
            "an error was ignored",
            "library warning",
        ):
            site.daemon.wait_line(lambda one, what=what: one["event"] == what)  # type: ignore[misc]
        site.accept(event("call.queued", **PERSON))
        site.daemon.drain()
        assert site.daemon.terminate() == 0
        check("\n".join(site.daemon.lines))


def test_a_daemon_that_is_shot_tells_where_it_was_and_nothing_else(tmp_path: Path) -> None:
    with running_site(tmp_path) as site:
        site.settle(event("call.answered", **PERSON, **AGENT))
        site.daemon.process.send_signal(signal.SIGABRT)
        assert site.daemon.process.wait(DEADLINE_S) == -signal.SIGABRT
        site.daemon.wait_line(lambda one: "in _run_loop" in one.get("text", ""))
        text = "\n".join(site.daemon.lines)
        assert "Fatal Python error: Aborted" in text
        assert not PLANTED.search(text)


@pytest.mark.parametrize("command", [["trace", "r1"], ["quarantine", "list"], ["contacts", "show"]])
def test_a_command_that_breaks_tells_kinds_and_places_alone(
    tmp_path: Path, command: list[str]
) -> None:
    put_store(tmp_path)
    patch = (
        "import bridge.storage.stories as a, bridge.storage.refusals as b,"
        " bridge.storage.queries as c; a.story = b.rows = c.people = fail"
    )
    named = ["+46704447771"] if command[0] == "contacts" else []
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "bridge", *command, *named],
        env=bare_environment(
            minimal_settings(UPSTREAM, tmp_path) | {"PYTHONPATH": broken(tmp_path, patch)}
        ),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 1, ended
    check(ended.stdout + ended.stderr)
    assert ended.stderr.startswith("aventa-bridge: crashed: ValueError from KeyError\n  at ")
