"""A stand-in for systemd in a Debian without one: it holds the socket and runs the service.

systemd can't be started in a container that has none. Of what it does for the bridge this does what
the package is about: the socket outlives the daemon, `systemctl` starts and restarts it as its user
with its credentials, and a start is over once the daemon says that it is ready.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from typing import Final

from package_root import PackageError, Root

LOOPBACK: Final = "127.0.0.1"
_PATIENCE_S: Final = 60.0
_STATE: Final = "/var/lib/aventa-bridge"
_CREDENTIALS: Final = "/run/stand-in/credentials"
# In the daemon's process: its root, its socket, its user, and then the daemon itself.
_ENTER: Final = """
import os, sys
root, descriptor, user, group = sys.argv[1], *map(int, sys.argv[2:5])
os.dup2(descriptor, 3, inheritable=True)
os.chroot(root)
os.chdir("/")
os.setgroups([])
os.setgid(group)
os.setuid(user)
os.umask(0o077)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[5], sys.argv[5:])
"""
# Each call is noted, and what has to be done is asked for and waited for. What is about links alone
# (enabling) the real one does without a manager.
_SYSTEMCTL: Final = """#!/bin/sh
echo "$*" >> /run/stand-in/calls
case " $* " in
*" daemon-reload "*) ;;
*" is-enabled "*) echo enabled ;;
*" is-active "*) test -e /run/stand-in/active ;;
*" start "* | *" restart "* | *" stop "*)
    echo "$*" > /run/stand-in/ask
    read -r answer < /run/stand-in/answer
    test "$answer" = done
    ;;
*) exec /usr/bin/systemctl "$@" ;;
esac
"""


class Manager:
    """Runs the bridge in a root as its unit says, where `systemctl` asks for it."""

    def __init__(self, root: Root) -> None:
        """Take systemd's place. The socket is open from now on, and nothing runs yet."""
        self._root = root
        self._place = root.path("run/stand-in")
        self._place.mkdir(parents=True)
        self.socket = socket.create_server((LOOPBACK, 0), backlog=1024)
        self.url = f"http://{LOOPBACK}:{self.socket.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._heard.settimeout(_PATIENCE_S)
        self._heard.bind(str(self._place / "notify"))
        (self._place / "notify").chmod(0o666)
        (self._place / "calls").touch()
        (self._place / "log").touch()
        for name in ("ask", "answer"):
            os.mkfifo(self._place / name)
        root.path("run/systemd/system").mkdir(parents=True)
        program = root.path("usr/local/bin/systemctl")
        program.write_text(_SYSTEMCTL)
        program.chmod(0o755)
        threading.Thread(target=self._serve, daemon=True).start()

    def calls(self) -> list[str]:
        """Return what `systemctl` was called with since the last time that this was asked."""
        path = self._place / "calls"
        lines = path.read_text().splitlines()
        path.write_text("")
        return lines

    def log(self) -> str:
        """Return what the daemon wrote."""
        return (self._place / "log").read_text()

    def close(self) -> None:
        """End the daemon, and let the socket go."""
        self._stop()
        self.socket.close()
        self._heard.close()

    def _serve(self) -> None:
        while True:
            asked = (self._place / "ask").read_text().split()
            try:
                if "restart" in asked or "stop" in asked:
                    self._stop()
                if "restart" in asked or "start" in asked:
                    self._start()
                answer = "done"
            except (OSError, PackageError) as error:
                answer = f"failed: {error!r}"
            (self._place / "answer").write_text(f"{answer}\n")

    def _start(self) -> None:
        if self._process is not None:
            return
        user, group = self._root.user("aventa-bridge")
        self._pass_secrets(user, group)
        descriptor = self.socket.fileno()
        with (self._place / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [
                    sys.executable, "-c", _ENTER, self._root.folder, str(descriptor), str(user),
                    str(group), "/opt/aventa-bridge/bin/aventa-bridge", "run",
                    "--config", "/etc/aventa-bridge/bridge.toml",
                ],
                env={
                    "PATH": "/usr/bin:/bin",
                    "NOTIFY_SOCKET": "/run/stand-in/notify",
                    "STATE_DIRECTORY": _STATE,
                    "CREDENTIALS_DIRECTORY": _CREDENTIALS,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[descriptor],
            )  # fmt: skip
        while b"READY=1" not in self._heard.recv(4096).splitlines():
            pass
        (self._place / "active").touch()

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(_PATIENCE_S)
        self._process = None
        (self._place / "active").unlink(missing_ok=True)
        if code:
            raise PackageError(f"the daemon ended with {code}")

    def _pass_secrets(self, user: int, group: int) -> None:
        """Copy each secret as LoadCredential= does."""
        folder = self._root.path(_CREDENTIALS)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        os.chown(folder, user, group)
        for secret in self._root.path("etc/aventa-bridge/secrets").iterdir():
            copy = folder / f"bridge_{secret.name}"
            copy.write_bytes(secret.read_bytes())
            copy.chmod(0o400)
            os.chown(copy, user, group)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
