"""The daemon as a process, as a supervisor would start and stop it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

from process_client import Client, Reply
from process_upstream import DEADLINE_S, Upstream, eventually
from prometheus_client.parser import text_string_to_metric_families

from bridge.storage import queries, refusals
from bridge.storage.engine import open_engine, open_reader
from bridge.storage.schema import prepare

RUN: Final = (sys.executable, "-m", "bridge", "run")
TOKEN: Final = "test-token"
# As systemd does it: the socket is the first descriptor after the standard three, and the
# variable names the process that is meant, which is known only in that process.
_ACTIVATED: Final = (
    sys.executable,
    "-c",
    """
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
""",
)
# What a process needs to be found and measured; of settings it inherits none.
_INHERITED: Final = ("PATH", "LANG", "TMPDIR", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


def bare_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with these settings and no others."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | dict(settings)


def minimal_settings(base_url: str, folder: Path) -> dict[str, str]:
    """Return the six keys that are enough; the ports are any that are free."""
    return {
        "BRIDGE_CENTION__BASE_URL": base_url,
        "BRIDGE_CENTION__WORKSPACE": "demo",
        "BRIDGE_CENTION__TOKEN": TOKEN,
        "BRIDGE_STORE__URL": f"sqlite:///{folder / 'bridge.db'}",
        "BRIDGE_HTTP__LISTEN": "127.0.0.1:0",
        "BRIDGE_ADMIN__LISTEN": "127.0.0.1:0",
    }


def activated(descriptor: int) -> tuple[str, ...]:
    """Return the command that runs the daemon on a listening socket that its parent holds."""
    return (*_ACTIVATED, str(descriptor), *RUN)


def run_to_end(
    settings: Mapping[str, str], *arguments: str | Path, command: Sequence[str] = RUN
) -> subprocess.CompletedProcess[str]:
    """Run a daemon that is to end by itself."""
    return subprocess.run(  # noqa: S603 - our own program
        [*command, *arguments],
        env=bare_environment(settings),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


class Daemon:
    """One store and its settings, and the process that is at work on them, if any."""

    def __init__(
        self,
        settings: Mapping[str, str],
        arguments: Sequence[str | Path] = (),
        *,
        command: Sequence[str] = RUN,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.settings = dict(settings)
        self.lines: list[str] = []
        self._command = [*command, *map(str, arguments)]
        self._pass_fds = pass_fds
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self.events = Client("")
        self.admin = Client("")

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    def start(self) -> Self:
        """Start it on its store, and wait until it is ready."""
        before = len(self.lines)
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            self._command,
            env=bare_environment(self.settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=self._pass_fds,
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (self._process.stdout, self._process.stderr)
        ]
        for reader in self._readers:
            reader.start()
        ready = self.wait_line(lambda line: line["event"] == "ready", since=before)
        self.events, self.admin = Client(ready["events"][0]), Client(ready["admin"][0])
        return self

    def _read(self, stream: Any) -> None:
        for line in stream:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        stream.close()
        with self._changed:
            self._changed.notify_all()

    def log(self, since: int = 0) -> list[dict[str, Any]]:
        """Return what it wrote from line `since` on; what is no JSON is under `text`."""
        return [_parsed(line) for line in self.lines[since:]]

    def wait_line(
        self,
        condition: Callable[[dict[str, Any]], bool],
        *,
        since: int = 0,
        deadline_s: float = DEADLINE_S,
    ) -> dict[str, Any]:
        """Return the first line from `since` on that a condition is true of."""
        end_s = time.monotonic() + deadline_s
        with self._changed:
            while True:
                for line in self.log(since):
                    if condition(line):
                        return line
                if self._is_over() or time.monotonic() >= end_s:
                    raise AssertionError(f"no such line; it wrote {self.lines[since:]}")
                # Not for the whole time: nobody wakes us when the process ends without a word.
                self._changed.wait(min(end_s - time.monotonic(), 0.5))

    def _is_over(self) -> bool:
        """Say whether the process has ended, and all that it wrote has been read."""
        return self.process.poll() is not None and not any(
            reader.is_alive() for reader in self._readers
        )

    def terminate(self, deadline_s: float = DEADLINE_S) -> int:
        """Send SIGTERM, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._reap(deadline_s)

    def kill9(self) -> None:
        """Take it away as a power cut would."""
        self.process.kill()
        self._reap(DEADLINE_S)

    def reload(self) -> dict[str, Any]:
        """Send SIGHUP, and return the line that says what came of it: one, for one mistake."""
        before = len(self.lines)
        self.process.send_signal(signal.SIGHUP)
        return self.wait_line(lambda line: line["event"].startswith("settings"), since=before)

    def _reap(self, deadline_s: float) -> int:
        try:
            return self.process.wait(deadline_s)
        finally:
            if self.process.returncode is not None:
                for reader in self._readers:
                    reader.join(DEADLINE_S)

    def close(self) -> None:
        """End it whatever state it is in."""
        if self._process is None or self._process.returncode is not None:
            return
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill9()

    def metrics(self) -> dict[str, float]:
        """Return every sample, by its name and labels as Prometheus writes them."""
        text = self.admin.get("/metrics").body.decode()
        return {
            _series(sample.name, sample.labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def metric(self, name: str, **labels: str) -> float:
        """Return one sample's value; a series that isn't there is 0."""
        return self.metrics().get(_series(name, labels), 0.0)

    def readiness(self) -> dict[str, dict[str, Any]]:
        """Return /readyz's lines by dependency."""
        reply = self.admin.get("/readyz")
        assert reply.status == 200
        lines = [json.loads(line) for line in reply.body.splitlines()]
        return {line["dependency"]: line for line in lines}

    def figures(self) -> queries.Figures:
        """Return what the store holds just now."""
        engine = open_reader(self.settings["BRIDGE_STORE__URL"])
        try:
            with engine.connect() as connection:
                return queries.figures(connection)
        finally:
            engine.dispose()

    def refusal(self, quarantine_id: str) -> dict[str, Any] | None:
        """Return what the quarantine has under an id."""
        engine = open_reader(self.settings["BRIDGE_STORE__URL"])
        try:
            with engine.connect() as connection:
                return refusals.one(connection, quarantine_id)
        finally:
            engine.dispose()

    def drain(self, deadline_s: float = DEADLINE_S) -> None:
        """Wait until nothing is left to be sent of what was accepted."""
        eventually(lambda: not sum(self.figures().pending.values()), deadline_s)


def _parsed(line: str) -> dict[str, Any]:
    with contextlib.suppress(json.JSONDecodeError):
        document = json.loads(line)
        if isinstance(document, dict):
            return {"event": "", **document}
    return {"event": "", "text": line}


def _series(name: str, labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name


class Site:
    """A daemon and its upstream."""

    def __init__(self, daemon: Daemon, upstream: Upstream) -> None:
        self.daemon = daemon
        self.upstream = upstream

    def post(self, body: object, content_type: str = "application/json") -> Reply:
        return self.daemon.events.post(body, content_type)

    def accept(self, *events: dict[str, Any]) -> None:
        """Post events, one request each, of which each must be accepted."""
        for one in events:
            reply = self.post(one)
            assert (reply.status, reply.json["status"]) == (202, "accepted"), reply

    def settle(self, *events: dict[str, Any]) -> None:
        """Have events accepted, and wait until all is sent that they cause."""
        self.accept(*events)
        self.daemon.drain()


@cache
def _empty_store() -> bytes:
    """Return a store's file as a daemon makes it: making one takes longer than copying it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bridge.db"
        engine = open_engine(f"sqlite:///{path}")
        prepare(engine)
        engine.dispose()
        return path.read_bytes()


def put_store(folder: Path) -> None:
    """Put an empty store where a daemon will look for one, unless there is one."""
    path = folder / "bridge.db"
    if not path.exists():
        path.write_bytes(_empty_store())


@contextlib.contextmanager
def running_site(
    folder: Path,
    *arguments: str | Path,
    without: Sequence[str] = (),
    is_open: bool = True,
    is_started: bool = True,
    **settings: str,
) -> Iterator[Site]:
    """Give a site with the six settings that are enough, and these.

    Args:
        folder: for the store, which is there already.
        arguments: of `run`.
        without: settings that are left out.
        is_open: whether the upstream takes connections.
        is_started: whether the daemon is.
        settings: further environment variables, without `BRIDGE_`.
    """
    put_store(folder)
    upstream = Upstream()
    if is_open:
        upstream.open()
    given = minimal_settings(upstream.url, folder)
    # As fast as can be, where the pace is not what a test is about.
    given["BRIDGE_CENTION__REQUESTS_PER_MINUTE"] = "1000000"
    given |= {f"BRIDGE_{name}": value for name, value in settings.items()}
    daemon = Daemon({k: v for k, v in given.items() if k not in without}, arguments)
    try:
        if is_started:
            daemon.start()
        yield Site(daemon, upstream)
    finally:
        upstream.let_go()
        daemon.close()
        upstream.close()


NewSite = Callable[..., Site]
