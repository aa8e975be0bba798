"""What a service manager gives to the daemon and hears from it (systemd's sd-daemon(3))."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_client import AGENT, Client, event, new_reference
from process_daemon import Daemon, NewSite, activated, minimal_settings
from process_upstream import DEADLINE_S

from bridge.sandbox.serve import LOOPBACK, listen

pytestmark = pytest.mark.process


class Manager:
    """Hears what services tell the service manager."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(DEADLINE_S)
        self.socket.bind(address)

    def hear(self, state: str) -> list[str]:
        """Wait for a state; return what was said up to it."""
        heard: list[str] = []
        while state not in heard:
            heard.extend(self.socket.recv(4096).decode().splitlines())
        return heard


@contextlib.contextmanager
def managed(address: str) -> Iterator[Manager]:
    manager = Manager(address)
    try:
        yield manager
    finally:
        manager.socket.close()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name (unix(7): 108 bytes)."""
    with tempfile.TemporaryDirectory(prefix="bridge-") as folder:
        yield Path(folder)


def test_the_manager_hears_ready_then_the_watchdog_then_stopping(
    new_site: NewSite, short_folder: Path
) -> None:
    site = new_site(is_started=False)
    address = str(short_folder / "notify")
    site.daemon.settings |= {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
    with managed(address) as manager:
        site.daemon.start()
        assert "STOPPING=1" not in manager.hear("READY=1")
        for _ in range(3):
            manager.hear("WATCHDOG=1")
        assert site.daemon.terminate() == 0
        manager.hear("STOPPING=1")


def test_an_abstract_address_is_told_too_and_no_watchdog_that_did_not_ask(
    new_site: NewSite,
) -> None:
    site = new_site(is_started=False)
    name = f"bridge-test-{os.getpid()}"
    site.daemon.settings |= {"NOTIFY_SOCKET": f"@{name}"}
    with managed(f"\0{name}") as manager:
        site.daemon.start()
        manager.hear("READY=1")
        assert site.daemon.terminate() == 0
        assert manager.hear("STOPPING=1") == ["STOPPING=1"]


def test_an_environment_left_over_from_another_service_does_no_harm(
    new_site: NewSite, short_folder: Path
) -> None:
    site = new_site(is_started=False)
    site.daemon.settings |= {
        "NOTIFY_SOCKET": str(short_folder / "gone"),
        "WATCHDOG_USEC": "1000",
        "WATCHDOG_PID": "1",
        "LISTEN_FDS": "1",
        "LISTEN_PID": "1",
    }
    site.daemon.start()
    site.settle(event("call.answered", **AGENT))
    assert site.daemon.terminate() == 0


def test_a_socket_that_the_manager_passes_is_served_instead_of_the_address(
    tmp_path: Path,
) -> None:
    with listen(0) as passed:
        descriptor = passed.fileno()
        daemon = Daemon(
            minimal_settings("http://127.0.0.1:9", tmp_path),
            command=activated(descriptor),
            pass_fds=[descriptor],
        )
        daemon.settings["BRIDGE_HTTP__LISTEN"] = "127.0.0.1:1"
        try:
            daemon.start()
            url = f"http://{LOOPBACK}:{passed.getsockname()[1]}"
            assert daemon.events.url == url
            assert Client(url).post(event("call.queued")).status == 202
            assert daemon.terminate() == 0
        finally:
            daemon.close()


def test_a_unix_socket_is_served_and_removed_and_one_left_by_a_kill_is_replaced(
    new_site: NewSite, short_folder: Path
) -> None:
    path = short_folder / "events.sock"
    site = new_site(HTTP__LISTEN=f"unix:{path}", ADMIN__LISTEN=f"unix:{short_folder}/admin.sock")
    assert site.daemon.events.url == f"unix:{path}"
    site.daemon.kill9()
    assert path.is_socket()
    site.daemon.start()
    reference = new_reference()
    site.settle(event("call.answered", reference, **AGENT))
    assert len(site.upstream.of_call(reference)) == 1
    assert site.daemon.admin.get("/livez").status == 200
    assert site.daemon.terminate() == 0
    assert not path.exists()
