"""What the disk can do to the daemon: nothing that was promised is lost, nothing leaves twice."""

import contextlib
import http.client
import os
import resource
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from process_client import AGENT, PROBLEM, Reply, event
from process_daemon import RUN, Daemon, NewSite, Site, running_site
from process_upstream import NEW, Answer, Gate

pytestmark = pytest.mark.process

# How long an end may take that is to be at once, the interpreter's own on a busy machine included.
AT_ONCE_S: Final = 10.0
SHUTDOWN_S: Final = 1.0
_SYNCS: Final = "fsync,fdatasync"
_DISK_BYTES: Final = 16 * 2**20


def answered(reference: str | None = None) -> dict[str, Any]:
    """Return an event that makes one errand, and nothing else."""
    return event("call.answered", reference, **AGENT)


def store_of(site: Site) -> Path:
    return Path(site.daemon.settings["BRIDGE_STORE__URL"].removeprefix("sqlite:///"))


def check_refused(reply: Reply) -> None:
    assert (reply.status, reply.media_type) == (503, PROBLEM)
    assert int(reply.headers["retry-after"]) > 0


def check_delivered_once(site: Site, *events: dict[str, Any]) -> None:
    """Check that each event's errand arrived once, and nothing else did."""
    site.daemon.drain()
    for one in events:
        assert [seen.kind for seen in site.upstream.of_call(one["referenceId"])] == [NEW]
    assert len(site.upstream.seen) == len(events)


# A sync that fails, once and from then on: after the first, a success would prove nothing.


def _tracer(*options: str) -> list[str]:
    # -D: the daemon stays our child, and signals reach it.
    return ["strace", "-f", "-D", "-qq", "--seccomp-bpf", "-o", os.devnull, *options]


@pytest.fixture(scope="session")
def _strace() -> None:
    """Skip where no system call can be made to fail."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed; on Debian: apt-get install strace")
    tried = subprocess.run(  # noqa: S603 - our own arguments
        [*_tracer("-e", f"inject={_SYNCS}:error=EIO"), "sync", "-d", str(Path(__file__))],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Input/output error" not in tried.stderr:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()[-100:]}")


def post_until_refused(daemon: Daemon, size: int) -> tuple[list[dict[str, Any]], ...]:
    """Post one batch after the other; return the events that were accepted, and the last ones."""
    accepted: list[dict[str, Any]] = []
    while True:
        batch = [answered() for _ in range(size)]
        try:
            reply = daemon.events.post(batch)
        except (OSError, http.client.HTTPException):
            return accepted, batch
        if reply.status != 202:
            check_refused(reply)
            return accepted, batch
        accepted += batch


def check_went_on(
    site: Site, accepted: list[dict[str, Any]], refused: list[dict[str, Any]]
) -> None:
    """Check that after a restart all that was accepted is known, and all arrives once."""
    site.upstream.open()
    site.daemon.start()
    results = site.post([*accepted, *refused]).json["results"]
    assert {one["status"] for one in results[: len(accepted)]} == {"duplicate"}
    assert {one["status"] for one in results} <= {"accepted", "duplicate"}
    check_delivered_once(site, *accepted, *refused)


def check_ends(daemon: Daemon, code: int) -> None:
    """Check that it ends at once and by itself, says why, and accepts nothing meanwhile."""
    started_s = time.monotonic()
    while daemon.process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            check_refused(daemon.events.post(answered()))
        assert time.monotonic() - started_s < AT_ONCE_S
    assert daemon.process.returncode == code
    said = daemon.wait_line(lambda line: line["event"] == "the store can't be written any more")
    assert said["level"] == "error"
    assert "store.url" in said["reason"]


@pytest.mark.usefixtures("_strace")
@pytest.mark.parametrize("when", ["30", "30+"])
def test_after_a_sync_that_failed_nothing_is_accepted_and_the_daemon_ends_to_be_started_again(
    new_site: NewSite, when: str
) -> None:
    site = new_site(is_open=False, is_started=False)
    fault = ("-e", f"trace={_SYNCS}", "-e", f"inject={_SYNCS}:error=EIO:when={when}")
    with closing(Daemon(site.daemon.settings, command=[*_tracer(*fault), *RUN])) as failing:
        failing.start()
        accepted, refused = post_until_refused(failing, 1)
        check_ends(failing, 1)
    assert accepted
    check_went_on(site, accepted, refused)


@pytest.mark.usefixtures("_strace")
def test_a_checkpoint_whose_sync_fails_ends_the_daemon_too(new_site: NewSite) -> None:
    site = new_site(is_open=False)
    assert site.daemon.terminate() == 0
    # The log has another name, and is synced all right.
    database_only = ("-P", str(store_of(site)), "-e", f"trace={_SYNCS}")
    fault = (*database_only, "-e", f"inject={_SYNCS}:error=EIO:when=1")
    with closing(Daemon(site.daemon.settings, command=[*_tracer(*fault), *RUN])) as failing:
        failing.start()
        accepted, refused = post_until_refused(failing, 100)
        check_ends(failing, 1)
    assert accepted
    check_went_on(site, accepted, refused)


# Damage.


def test_a_damaged_store_ends_the_daemon_such_that_it_is_not_started_again(
    new_site: NewSite,
) -> None:
    site = new_site(is_open=False)
    site.accept(answered())
    assert site.daemon.terminate() == 0
    with closing(sqlite3.connect(store_of(site))) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'events'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with store_of(site).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)
    site.daemon.start()
    check_refused(site.post(answered()))
    check_ends(site.daemon, 2)


# Writes that fail, here because a file may have no bytes.


@contextlib.contextmanager
def no_writes(site: Site) -> Iterator[None]:
    """Let every write to a file fail."""
    pid, kind = site.daemon.process.pid, resource.RLIMIT_FSIZE
    before = resource.prlimit(pid, kind, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        if site.daemon.process.poll() is None:
            resource.prlimit(pid, kind, before)


def test_a_write_that_fails_is_503_until_it_works_again(site: Site) -> None:
    one = answered()
    with no_writes(site):
        check_refused(site.post(one))
        assert site.daemon.admin.get("/readyz").status == 503
        assert site.daemon.admin.get("/livez").status == 200
    assert site.post(one).status == 202
    site.daemon.drain()
    assert [seen.kind for seen in site.upstream.of_call(one["referenceId"])] == [NEW]


def test_a_stop_waits_no_longer_than_it_may_for_an_outcome_that_can_not_be_recorded(
    new_site: NewSite,
) -> None:
    site = new_site(DELIVERY__SHUTDOWN_SECONDS=str(SHUTDOWN_S))
    gate, one = Gate(), answered()
    site.upstream.answer_next(NEW, Answer(status=201, gate=gate))
    site.accept(one)
    site.upstream.wait_for(lambda upstream: upstream.of_call(one["referenceId"]))
    with no_writes(site):
        gate.open()
        site.daemon.wait_line(lambda line: line["event"] == "an outcome can't be recorded yet")
        started_s = time.monotonic()
        assert site.daemon.terminate() == 0
        assert time.monotonic() - started_s < SHUTDOWN_S + AT_ONCE_S
    site.daemon.start()
    site.daemon.drain()
    first, again = site.upstream.of_call(one["referenceId"])
    assert first.body == again.body


# A full disk.


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of a few MiB, or skip the test where that is not allowed."""
    place = folder / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={_DISK_BYTES}"]
    mounted = subprocess.run(  # noqa: S603 - our own arguments
        ["mount", *options, "tmpfs", str(place)],  # noqa: S607 - from the PATH, as root has it
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk can't be mounted here: {mounted.stderr.strip()[-100:]}")
    try:
        yield place
    finally:
        command = ["umount", "--lazy", str(place)]
        subprocess.run(command, check=True)  # noqa: S603 - our own arguments


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Leave no room on a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


def use_up_log(site: Site) -> None:
    """Post what has nothing sent, until the log has no room left from before."""
    log = Path(f"{store_of(site)}-wal")
    before = log.stat().st_size
    while log.stat().st_size == before:
        site.accept(event("call.queued"))


def test_a_full_disk_is_503_sends_nothing_and_is_forgotten_once_there_is_room(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path) as disk, running_site(disk) as site:
        use_up_log(site)
        gate, retry_after = Gate(), {"Retry-After": "2"}
        on_its_way, due_later, late = answered(), answered(), answered()
        for one, answer in (
            (on_its_way, Answer(status=201, gate=gate)),
            (due_later, Answer(status=503, headers=retry_after)),
        ):
            site.upstream.answer_next(NEW, answer, reference=one["referenceId"])
            site.accept(one)
        site.daemon.wait_line(lambda line: line.get("outcome") == "retried")
        before = len(site.upstream.seen)
        with filled(disk):
            check_refused(site.post(late))
            assert site.daemon.admin.get("/readyz").status == 503
            assert site.daemon.admin.get("/livez").status == 200
            gate.open()
            site.daemon.wait_line(lambda line: line["event"] == "an outcome can't be recorded yet")
            site.daemon.wait_line(lambda line: line["event"] == "nothing can be claimed")
            check_refused(site.post(late))
            assert len(site.upstream.seen) == before == 2
        assert site.post(late).status == 202
        site.daemon.drain()
        assert site.daemon.admin.get("/readyz").status == 200
        assert len(site.upstream.of_call(on_its_way["referenceId"])) == 1
        assert len(site.upstream.of_call(due_later["referenceId"])) == 2
        assert len(site.upstream.of_call(late["referenceId"])) == 1
        assert len(site.upstream.seen) == 4
