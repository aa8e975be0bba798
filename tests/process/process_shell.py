"""The shell's commands as processes, beside a daemon."""

import json
import subprocess
import sys
from typing import Any

from process_daemon import Daemon, bare_environment
from process_upstream import DEADLINE_S


def command(daemon: Daemon, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command with a daemon's settings, beside it or without it."""
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "bridge", *map(str, arguments)],
        env=bare_environment(daemon.settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def told(done: subprocess.CompletedProcess[str]) -> Any:
    """Return what a command that succeeded has printed as JSON."""
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)
