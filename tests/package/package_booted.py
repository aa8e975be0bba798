"""The Debian package under a real systemd: the unit's own sandbox, socket, credentials, reload.

    python tests/package/package_booted.py

systemd is started as the first process of namespaces of its own, in a clean Debian. It needs what
package_run.py needs, and a machine that allows that (root, cgroups of version 2 that can be
mounted). Exit code 0: all of it went as it has to, or this machine doesn't allow it, which is said.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Final

from package_load import Load, Sandbox, wait_until
from package_root import PackageError, Root, archive, run
from package_run import CACHE, expect, newest_package, say

# The units' own addresses: nobody else is in this network.
_EVENTS: Final = "http://127.0.0.1:8080"
_ETC: Final = "etc/aventa-bridge"
_RESTARTS: Final = 10
_BETWEEN: Final = 40
_APART: Final = "BRIDGE_PACKAGE_NETWORK"
# In namespaces of its own: what systemd wants to find, as in a container, and then systemd.
_BOOT: Final = """
set -e
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
# Nothing of this machine's is to be set by it.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,ro,bind "$root/proc/sys"
cd "$root"
mkdir -p mnt/old
pivot_root . mnt/old
umount -l /mnt/old
# As systemd itself has it outside of containers: credentials are mounted by another process.
mount --make-rshared /
exec env -i container=package PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system
"""
_GROUPS: Final = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/groups"
mount -t cgroup2 cgroup2 "$1/groups"
mkdir "$1/groups/$2"
echo $$ >"$1/groups/$2/cgroup.procs"
unshare --pid --fork --kill-child --cgroup --mount --ipc --uts sh -c "$3" boot "$4" || true
echo $$ >"$1/groups/cgroup.procs"
find "$1/groups/$2" -depth -type d -exec rmdir {} +
"""


class Booted:
    """A Debian in which systemd is at work."""

    def __init__(self, root: Root, groups: Path) -> None:
        """Start it; it is there once it answers.

        Raises:
            PackageError: it doesn't.
        """
        self._root = root
        self._name = f"aventa-bridge-package-{os.getpid()}"
        groups.mkdir()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - read when it is asked for
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [
                _found("unshare"), "--mount", "sh", "-c", _GROUPS,
                "groups", str(groups), self._name, _BOOT, str(root.folder),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )  # fmt: skip
        self._init = 0
        wait_until(self._is_up, "systemd is up", lambda: self._process.poll() is not None)

    def __call__(self, *command: str) -> str:
        """Run a program in it, as root, in root's own folder; return what it wrote.

        Raises:
            PackageError: it ended with another code than 0.
        """
        return run(
            _found("nsenter"), f"--target={self._init}", "--mount", "--pid", "--ipc", "--uts",
            "--cgroup", "--root", "--wd=/root", "--", "/usr/bin/env", "-i", "LC_ALL=C.UTF-8",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", *command,
        )  # fmt: skip

    def log(self) -> str:
        """Return what the bridge's units have said."""
        with suppress(PackageError):
            return self("journalctl", "--no-pager", "-o", "cat", "-n", "30", "-u", "aventa-bridge*")
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def close(self) -> None:
        """End it, with all that runs in it, and leave no control group of it."""
        if self._init:
            # With the first process of a namespace all others end.
            os.kill(self._init, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()
        self._log.close()

    def _is_up(self) -> bool:
        if not self._init:
            # The shell's child is `unshare --fork`, and its child the first process.
            self._init = _child_of(_child_of(self._process.pid))
            return False
        try:
            return "running" in self("sh", "-c", "systemctl is-system-running || true")
        except PackageError:
            return False


def _child_of(process: int) -> int:
    """Return a process's child; 0: it has none yet."""
    with suppress(OSError):
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return int(children[0]) if children else 0
    return 0


def _found(program: str) -> str:
    return shutil.which(program) or program


class Trial:
    """The package's life under systemd."""

    def __init__(self, root: Root, booted: Booted) -> None:
        self._root, self._in = root, booted
        self._sandbox: Sandbox | None = None
        self._load = Load(_EVENTS)

    def started(self) -> None:
        """The service starts in its sandbox, and an event arrives at Cention."""
        package = newest_package()
        shutil.copyfile(package, self._root.path("root") / package.name)
        self._in("dpkg", "--install", f"/root/{package.name}")
        self._sandbox = sandbox = Sandbox(self._root)
        toml = self._root.path(_ETC) / "bridge.toml"
        to_cention = (
            f'[cention]\nbase_url = "{sandbox.url}"\nworkspace = "{sandbox.workspace}"\n'
            "requests_per_minute = 1000000\n"
        )
        toml.write_text(toml.read_text().replace("[cention]\n", to_cention, 1))
        token = toml.parent / "secrets" / "cention.token"
        token.write_text(sandbox.token)
        token.chmod(0o600)
        self._in("systemctl", "start", "aventa-bridge.socket", "aventa-bridge.service")
        self._load.post()
        wait_until(lambda: len(sandbox.steps()) == 1, "the call has its errand")

    def seen(self) -> None:
        """What doctor looks at is well: the daemon, its store and its unit."""
        found = {one["check"]: one for one in self._doctor()}
        for check in ("store", "store schema", "daemon", "last event", "systemd unit", "secrets"):
            expect(f"{check} is ok: {found[check]}", so=found[check]["verdict"] == "ok")

    def reloaded(self) -> None:
        """A reload reads the settings again."""
        self._in("systemctl", "reload", "aventa-bridge")
        wait_until(lambda: "settings read again" in self._in_log(), "the settings are read again")

    def restarted(self) -> None:
        """Ten restarts under load refuse no connection and lose no event."""
        sandbox = self._sandbox
        assert sandbox is not None
        self._load.start()
        try:
            for _ in range(_RESTARTS):
                before = len(self._load.accepted)
                wait_until(
                    lambda before=before: len(self._load.accepted) >= before + _BETWEEN,  # type: ignore[misc]
                    f"{_BETWEEN} events are accepted",
                )
                self._in("systemctl", "restart", "aventa-bridge")
        finally:
            self._load.end()
        expect(f"no connection fails: {self._load.failures}", so=not self._load.failures)
        expect(f"each is accepted: {self._load.statuses}", so=set(self._load.statuses) == {202})
        references = {reference for _, reference in self._load.accepted}
        wait_until(lambda: references <= sandbox.steps().keys(), "each call has its errand")

    def mended(self) -> None:
        """Settings that were wrong are taken up by themselves once they are mended."""
        toml = self._root.path(_ETC) / "bridge.toml"
        right = toml.read_text()
        toml.write_text(right.replace("\nworkspace = ", "\nworkspaces = ", 1))
        with suppress(PackageError):
            self._in("systemctl", "restart", "aventa-bridge")
        # An event that waits is nothing that starts it more often than every five seconds.
        expect("it waits before it tries again", so="auto-restart" in self._state())
        toml.write_text(right)
        wait_until(lambda: "running" in self._state(), "it runs again")
        self._load.post()

    def purged(self) -> None:
        """A package that is purged leaves nothing."""
        self._in("dpkg", "--purge", "aventa-bridge")
        for path in ("opt/aventa-bridge", _ETC, "var/lib/aventa-bridge"):
            expect(f"{path} is gone", so=not self._root.path(path).exists())
        said = self._in("systemctl", "list-units", "--all", "--no-legend", "aventa-bridge*")
        expect(f"no unit is left: {said}", so=not said.strip())

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()

    def _doctor(self) -> list[dict[str, Any]]:
        said = self._in(
            "aventa-bridge", "doctor", "--json",
            "--config", f"/{_ETC}/bridge.toml", "--secrets-dir", f"/{_ETC}/secrets",
        )  # fmt: skip
        findings: list[dict[str, Any]] = json.loads(said)
        return findings

    def _state(self) -> str:
        return self._in("systemctl", "show", "-p", "SubState", "aventa-bridge.service")

    def _in_log(self) -> str:
        return self._in("journalctl", "--no-pager", "-o", "cat", "-u", "aventa-bridge")


def main() -> int:
    """Run all of it; return the exit code."""
    if _APART not in os.environ:
        archive(CACHE)
        # A network of its own, so that the units' addresses are free; there is no other in it.
        unshare = _found("unshare")
        script = 'ip link set lo up && exec "$@"'
        command = [unshare, "--net", "sh", "-c", script, "net", sys.executable, *sys.argv]
        return subprocess.run(command, env={**os.environ, _APART: "1"}, check=False).returncode  # noqa: S603 - ourselves
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bridge-package-") as name, ExitStack() as stack:
        root = stack.enter_context(closing(Root(Path(name) / "root", CACHE)))
        try:
            booted = stack.enter_context(closing(Booted(root, Path(name) / "groups")))
        except PackageError as error:
            say(f"NOT TRIED under systemd, which this machine doesn't let start here: {error}")
            return 0
        trial = stack.enter_context(closing(Trial(root, booted)))
        for part in (
            trial.started,
            trial.seen,
            trial.reloaded,
            trial.restarted,
            trial.mended,
            trial.purged,
        ):
            try:
                part()
            except PackageError as error:
                say(f"{part.__doc__}\n  FAILED: {error}\n{booted.log()[-3000:]}")
                return 1
            say(f"{part.__doc__}  ({time.monotonic() - began_s:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
