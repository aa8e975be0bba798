"""TLS in the daemon itself: certificates of callers, and a certificate that is renewed."""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from process_client import event
from process_daemon import Daemon, Site, activated, put_store, running_site
from process_tls import Authority, TlsCaller

pytestmark = pytest.mark.process


class World:
    """A daemon with TLS, and who may sign what."""

    def __init__(self, folder: Path) -> None:
        self.ours = Authority(folder, "ours")
        self.others = Authority(folder, "others")
        self.folder = folder
        crt, key, self.number = self.ours.issue("localhost", "server")
        self.settings = {
            "HTTP__TLS_CERTIFICATE": str(crt),
            "HTTP__TLS_KEY": str(key),
            "HTTP__TLS_CLIENT_CA": str(self.ours.path),
        }
        self.friend = self.ours.issue("friend", "friend")[:2]
        self.stranger = self.others.issue("stranger", "stranger")[:2]
        self.site: Site

    def caller(self, own: tuple[Path, Path] | None) -> TlsCaller:
        (url,) = self.site.daemon.log()[0]["events"]
        return TlsCaller(url, self.ours.path, own)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("tls"))
    given: dict[str, Any] = dict(made.settings)
    with running_site(made.folder, **given) as made.site:
        yield made


def test_whoever_has_a_certificate_of_the_authority_is_let_in(world: World) -> None:
    assert world.caller(world.friend).post(event("call.queued"))[0] == 202


def test_nobody_else_is_let_in(world: World) -> None:
    for own in (None, world.stranger):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            world.caller(own).post(event("call.queued"))


def test_who_speaks_no_tls_is_not_answered(world: World) -> None:
    (url,) = world.site.daemon.log()[0]["events"]
    plain = http.client.HTTPConnection("127.0.0.1", urlsplit(url).port, timeout=10)
    plain.request("POST", "/v1/events", "{}")
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        plain.getresponse()
    plain.close()


def test_old_versions_of_tls_are_not_spoken(world: World) -> None:
    caller = world.caller(world.friend)
    caller.context.set_ciphers("ALL:@SECLEVEL=0")
    caller.context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        caller.context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        caller.connect()


def test_a_renewed_certificate_is_taken_up_and_connections_go_on(world: World) -> None:
    caller = world.caller(world.friend)
    before = caller.connect()
    assert caller.post(event("call.queued"), before)[0] == 202
    _, _, renewed = world.ours.issue("localhost", "server")
    assert world.site.daemon.reload()["event"] == "settings read again"
    assert caller.post(event("call.queued")) == (202, renewed)
    assert caller.post(event("call.queued"), before)[0] == 202
    before.close()


def test_authorities_are_read_again_too(world: World) -> None:
    kept = world.ours.path.read_bytes()
    world.caller(world.friend).post(event("call.queued"))
    caller = world.caller(world.stranger)
    world.ours.path.write_bytes(kept + world.others.path.read_bytes())
    world.site.daemon.reload()
    assert caller.post(event("call.queued"))[0] == 202
    world.ours.path.write_bytes(kept)
    world.site.daemon.reload()
    # No session of before opens the door either.
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        caller.post(event("call.queued"))


def test_a_certificate_that_does_not_fit_is_refused_and_the_old_one_stays(world: World) -> None:
    key = Path(world.settings["HTTP__TLS_KEY"])
    kept = key.read_bytes()
    world.others.issue("localhost", "other")
    key.write_bytes((world.folder / "other.key").read_bytes())
    try:
        refused = world.site.daemon.reload()
    finally:
        key.write_bytes(kept)
    assert refused["problem"].startswith("http.tls_key: is not the key of ")
    assert world.caller(world.friend).post(event("call.queued"))[0] == 202


def test_a_socket_of_systemd_and_one_in_the_file_system_speak_tls_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    put_store(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = {
            "BRIDGE_CENTION__BASE_URL": "http://127.0.0.1:9",
            "BRIDGE_CENTION__WORKSPACE": "demo",
            "BRIDGE_CENTION__TOKEN": "t",
            "BRIDGE_STORE__URL": f"sqlite:///{tmp_path / 'bridge.db'}",
            "BRIDGE_ADMIN__LISTEN": "127.0.0.1:0",
        } | {f"BRIDGE_{name}": value for name, value in world.settings.items()}
        daemon = Daemon(
            settings, command=activated(listener.fileno()), pass_fds=[listener.fileno()]
        )
        try:
            daemon.start()
            caller = TlsCaller(f"https://127.0.0.1:{port}", world.ours.path, world.friend)
            assert caller.post(event("call.queued"))[0] == 202
            _, _, renewed = world.ours.issue("localhost", "server")
            daemon.reload()
            assert caller.post(event("call.queued")) == (202, renewed)
        finally:
            daemon.close()
    path = tmp_path / "d.sock"
    daemon = Daemon({**settings, "BRIDGE_HTTP__LISTEN": f"unix:{path}"})
    try:
        daemon.start()
        daemon.reload()
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(str(path))
            with caller.context.wrap_socket(plain, server_hostname="localhost") as one:
                body = json.dumps(event("call.queued")).encode()
                one.sendall(
                    b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                )
                assert one.recv(12) == b"HTTP/1.1 202"
    finally:
        daemon.close()
    assert not path.exists()


def test_renewing_over_and_over_leaves_nothing_behind_and_the_log_is_quiet(world: World) -> None:
    folder = Path(f"/proc/{world.site.daemon.process.pid}/fd")
    world.site.daemon.reload()
    before = len(list(folder.iterdir()))
    for _ in range(5):
        assert world.site.daemon.reload()["event"] == "settings read again"
    assert world.caller(world.friend).post(event("call.queued"))[0] == 202
    end_s = time.monotonic() + 10
    while len(list(folder.iterdir())) > before + 1 and time.monotonic() < end_s:
        world.caller(world.friend).post(event("call.queued"))
    assert len(list(folder.iterdir())) <= before + 1
    odd = [one for one in world.site.daemon.log() if one["event"].startswith("the loop met")]
    assert odd == []
