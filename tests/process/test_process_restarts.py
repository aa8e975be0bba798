"""Restarts behind a socket that outlives the daemon, as systemd holds it for its services.

systemd-socket-activate can't stand in for that: it becomes the service at the first connection, and
its socket ends with it. So the test itself holds the socket, and passes it to each daemon in turn.
"""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import orjson
import pytest
from process_client import JSON, Client, event, send
from process_daemon import Daemon, activated, minimal_settings
from process_upstream import DEADLINE_S, Upstream, eventually
from sqlalchemy import select

from bridge.sandbox.serve import LOOPBACK, listen
from bridge.storage import tables
from bridge.storage.engine import open_reader

pytestmark = pytest.mark.process

_RESTARTS: Final = 10
_CALLERS: Final = 4
# So many events are answered before the next restart: each one happens under load.
_BETWEEN: Final = 40


class Load:
    """Callers that post one event after the other, and what came of each.

    Half of them keep their connection for as long as the answers let them; the others make one for
    each event.
    """

    def __init__(self, url: str) -> None:
        self.accepted: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.failures: list[str] = []
        self._client = Client(url)
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._post_on, args=(number % 2 == 0,), daemon=True)
            for number in range(_CALLERS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def has_accepted(self, count: int) -> bool:
        return len(self.accepted) >= count

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)

    def _post_on(self, is_kept: bool) -> None:  # noqa: FBT001 - a thread's argument
        connection: http.client.HTTPConnection | None = None
        while not self._over.is_set():
            try:
                connection = connection or self._client.connect()
                is_last = self._post(connection)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                is_last = True
            if connection is not None and (is_last or not is_kept):
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _post(self, connection: http.client.HTTPConnection) -> bool:
        """Post an event; return whether the connection has had its last answer."""
        one = event("call.answered")
        body = orjson.dumps(one)
        reply = send(connection, "POST", "/v1/events", body, {"Content-Type": JSON})
        self.statuses[reply.status] += 1
        if reply.status == 202:
            self.accepted.append(one["eventId"])
        return reply.headers.get("connection") == "close"


@contextmanager
def behind_a_socket(folder: Path, host: str = LOOPBACK) -> Iterator[tuple[Daemon, str]]:
    """Give a daemon that isn't started yet, and the address of the socket that it will serve."""
    upstream = Upstream()
    upstream.open()
    with listen(0, host=host) as passed:
        daemon = Daemon(
            minimal_settings(upstream.url, folder),
            command=activated(passed.fileno()),
            pass_fds=[passed.fileno()],
        )
        try:
            yield daemon, f"http://{LOOPBACK}:{passed.getsockname()[1]}"
        finally:
            daemon.close()
            upstream.close()


def kept(daemon: Daemon) -> set[str]:
    engine = open_reader(daemon.settings["BRIDGE_STORE__URL"])
    try:
        with engine.connect() as connection:
            return set(connection.scalars(select(tables.events.c.event_id)))
    finally:
        engine.dispose()


def _restart_under_load(daemon: Daemon, url: str) -> Load:
    daemon.start()
    load = Load(url)
    load.start()
    try:
        for _ in range(_RESTARTS):
            before = len(load.accepted)
            eventually(partial(load.has_accepted, before + _BETWEEN))
            assert daemon.terminate() == 0
            daemon.start()
    finally:
        load.end()
    return load


def test_ten_restarts_under_load_refuse_no_connection_and_lose_no_event(tmp_path: Path) -> None:
    with behind_a_socket(tmp_path) as (daemon, url):
        load = _restart_under_load(daemon, url)
        assert load.failures == []
        assert set(load.statuses) == {202}
        assert len(load.accepted) >= _RESTARTS * _BETWEEN
        assert set(load.accepted) <= kept(daemon)


def test_an_event_that_comes_while_no_daemon_runs_waits_for_the_next_one(tmp_path: Path) -> None:
    with behind_a_socket(tmp_path) as (daemon, url):
        connection = Client(url).connect()
        early = event("call.answered")
        connection.request("POST", "/v1/events", orjson.dumps(early), {"Content-Type": JSON})
        daemon.start()
        assert connection.getresponse().status == 202
        connection.close()
        assert early["eventId"] in kept(daemon)


def test_who_is_connected_when_the_daemon_stops_is_still_answered_and_told_to_go(
    tmp_path: Path,
) -> None:
    with behind_a_socket(tmp_path) as (daemon, url):
        daemon.start()
        connection = Client(url).connect()
        before = len(daemon.lines)
        daemon.process.terminate()
        daemon.wait_line(lambda line: line["event"] == "stopping", since=before)
        late = orjson.dumps(event("call.queued"))
        reply = send(connection, "POST", "/v1/events", late, {"Content-Type": JSON})
        connection.close()
        assert (reply.status, reply.headers["connection"]) == (202, "close")
        assert daemon.process.wait(DEADLINE_S) == 0


def test_a_socket_that_others_reach_is_refused_without_a_token_at_the_start_and_at_a_reload(
    tmp_path: Path,
) -> None:
    with behind_a_socket(tmp_path, "0.0.0.0") as (daemon, _):  # noqa: S104 - refused
        with pytest.raises(AssertionError, match=r"http\.auth_tokens: is missing"):
            daemon.start()
        assert daemon.process.wait(DEADLINE_S) == 2
        secrets = tmp_path / "secrets"
        secrets.mkdir()
        (secrets / "http.auth_tokens").write_text("let-me-in")
        daemon.settings["CREDENTIALS_DIRECTORY"] = str(secrets)
        daemon.start()
        (secrets / "http.auth_tokens").write_text("")
        assert daemon.reload()["event"] == "settings refused; the old ones stay in force"
