"""A daemon beside a sandbox, for as long as it is looked at; knows nothing of who looks."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Final

from contract_bodies import SECRET

ROOT: Final = Path(__file__).parents[2]
TOKEN: Final = "contract-token"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the daemon is: for events, and for operators."""

    events: str
    admin: str
    log: list[dict[str, Any]]


def _started(*arguments: str, **settings: str) -> subprocess.Popen[str]:
    named = ("PATH", "LANG", "TMPDIR", "HOME")
    environment = {name: os.environ[name] for name in named if name in os.environ}
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "bridge", *arguments],
        cwd=ROOT,
        env=environment | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _follow(stream: IO[str], into: list[dict[str, Any]]) -> None:
    """Read on, so that nobody waits to be heard; keep what says that something is wrong."""
    for line in stream:
        said = _parsed(line)
        if said.get("level") not in {"info", "warning", "debug"}:
            into.append(said)


def _parsed(line: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {"text": line}


@contextmanager
def running() -> Iterator[Addresses]:
    """Give a daemon with a sandbox behind it."""
    with TemporaryDirectory() as folder:
        sandbox = _started("sandbox", "--port", "0", "--requests-per-minute", "1000000", "--json")
        assert sandbox.stdout is not None
        given = json.loads(sandbox.stdout.readline())
        daemon = _started(
            "run",
            BRIDGE_CENTION__BASE_URL=given["base_url"],
            BRIDGE_CENTION__WORKSPACE=given["workspace"],
            BRIDGE_CENTION__TOKEN=given["token"],
            BRIDGE_CENTION__REQUESTS_PER_MINUTE="100000",
            BRIDGE_STORE__URL=f"sqlite:///{folder}/bridge.db",
            BRIDGE_HTTP__LISTEN="127.0.0.1:0",
            BRIDGE_HTTP__AUTH_TOKENS=json.dumps([TOKEN]),
            BRIDGE_CALLBACKS__SECRET=SECRET,
            BRIDGE_ADMIN__LISTEN="127.0.0.1:0",
            # Whatever moment is made up may be one of now.
            BRIDGE_RETENTION__JOURNAL_DAYS="3650",
            BRIDGE_LOG__FORMAT="json",
        )
        assert daemon.stdout is not None
        log: list[dict[str, Any]] = []
        try:
            ready: dict[str, Any] = {}
            while ready.get("event") != "ready":
                line = daemon.stdout.readline()
                if not line:
                    raise RuntimeError("the daemon did not start")
                ready = _parsed(line)
            for stream in (daemon.stdout, sandbox.stdout):
                threading.Thread(target=_follow, args=(stream, log), daemon=True).start()
            yield Addresses(ready["events"][0], ready["admin"][0], log)
        finally:
            for process in (daemon, sandbox):
                process.terminate()
                process.wait(30)
