"""The Debian package in a clean Debian: installed, run, upgraded under load, removed and purged.

    python tests/package/package_run.py

It needs root, mmdebstrap, and a package in dist/. Exit code 0: all of it went as it has to.
"""

import shutil
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from package_load import Load, Sandbox, get, wait_until
from package_manager import LOOPBACK, Manager, free_port
from package_root import PackageError, Root, differences, run

_REPOSITORY: Final = Path(__file__).parents[2]
CACHE: Final = _REPOSITORY / "build" / "package-test"
_NEXT: Final = "999.0"
_ETC: Final = "etc/aventa-bridge"
_STATE: Final = "var/lib/aventa-bridge"
_SOURCES: Final = f"--config /{_ETC}/bridge.toml --secrets-dir /{_ETC}/secrets"
# So many events are answered before the upgrade begins, and again after it.
_EVENTS: Final = 100


def expect(what: str, *, so: bool) -> None:
    if not so:
        raise PackageError(f"not so: {what}")


def newest_package() -> Path:
    found = sorted((_REPOSITORY / "dist").glob("aventa-bridge_*.deb"))
    if not found:
        raise PackageError("there is no package in dist/; make deb")
    return max(found, key=lambda one: one.stat().st_mtime)


def _next_version(package: Path, folder: Path) -> Path:
    """Make a package that differs in its version, as the daemon tells it too."""
    unpacked = folder / "next"
    run("dpkg-deb", "--raw-extract", package, unpacked)
    control = unpacked / "DEBIAN" / "control"
    lines = control.read_text().splitlines(keepends=True)
    control.write_text(
        "".join(f"Version: {_NEXT}\n" if line.startswith("Version: ") else line for line in lines)
    )
    (module,) = unpacked.glob("opt/aventa-bridge/lib/python3*/site-packages/bridge/__init__.py")
    module.write_text(f'"""The next release."""\n\n__version__ = "{_NEXT}"\n')
    for compiled in module.parent.glob("__pycache__/__init__.*.pyc"):
        compiled.unlink()
    made = folder / f"aventa-bridge_{_NEXT}.deb"
    # It is read once, here: nothing is gained by making it small.
    run("dpkg-deb", "-Znone", "--build", unpacked, made)
    return made


class Trial:
    """One package's life in one root."""

    def __init__(self, root: Root, manager: Manager, package: Path, following: Path) -> None:
        self._root, self._manager = root, manager
        self._package, self._following = package, following
        self._admin = f"{LOOPBACK}:{free_port()}"
        self._sandbox: Sandbox | None = None
        self._load = Load(manager.url)
        self._clean = root.contents()

    def installed(self) -> None:
        """A package that was just installed is enabled, and not started before it is set up."""
        self._root.put(self._package)
        user, group = self._root.user("aventa-bridge")
        for path, mode, owner in (
            (f"{_ETC}/bridge.toml", 0o100640, (0, group)),
            (f"{_ETC}/secrets", 0o040700, (0, 0)),
            (_STATE, 0o040700, (user, group)),
        ):
            status = self._root.path(path).stat()
            found = status.st_mode, (status.st_uid, status.st_gid)
            expect(f"{path} is {mode:o} of {owner}", so=found == (mode, owner))
        for wanted in (
            "multi-user.target.wants/aventa-bridge.service",
            "sockets.target.wants/aventa-bridge.socket",
        ):
            link = self._root.path("etc/systemd/system") / wanted
            expect(f"{wanted} is enabled", so=link.is_symlink())
        asked = self._manager.calls()
        expect("nothing is started yet", so=not any(" start " in f" {one} " for one in asked))
        self._root.run("aventa-bridge", "--help")
        for wanted in (
            "man/man1/aventa-bridge.1.gz",
            "bash-completion/completions/aventa-bridge",
            "zsh/vendor-completions/_aventa-bridge",
            "fish/vendor_completions.d/aventa-bridge.fish",
        ):
            expect(f"{wanted} is there", so=self._root.path(f"usr/share/{wanted}").is_file())

    def set_up(self) -> None:
        """Once it is set up, installing it again starts it, and an event arrives at Cention."""
        self._sandbox = Sandbox(self._root)
        toml = self._root.path(_ETC) / "bridge.toml"
        to_cention = (
            f'base_url = "{self._sandbox.url}"\nworkspace = "{self._sandbox.workspace}"\n'
            "requests_per_minute = 1000000"
        )
        text = toml.read_text()
        for section, lines in (
            ("cention", to_cention),
            ("admin", f'listen = "{self._admin}"'),
        ):
            text = text.replace(f"[{section}]\n", f"[{section}]\n{lines}\n", 1)
        toml.write_text(text)
        token = toml.parent / "secrets" / "cention.token"
        token.write_text(self._sandbox.token)
        token.chmod(0o600)
        wrote = self._root.put(self._package)
        asked = self._manager.calls()
        is_asked = any(" start " in f" {one} " for one in asked)
        expect(f"it is started, but {asked}; dpkg wrote: {wrote}", so=is_asked)
        self._load.post()
        self._arrived()
        # From a folder that is not the service's.
        found = self._root.run("sh", "-c", f"cd /root && aventa-bridge doctor {_SOURCES}")
        expect(f"doctor finds the store: {found}", so=f"/{_STATE}/bridge.db" in found)

    def upgraded(self) -> None:
        """An upgrade under load refuses no connection and loses no event."""
        self._load.start()
        try:
            self._answered(_EVENTS)
            wrote = self._root.put(self._following)
            self._answered(len(self._load.accepted) + _EVENTS)
        finally:
            self._load.end()
        expect(f"the store is backed up: {wrote}", so="the store is backed up: /" in wrote)
        if _NEXT not in get(f"http://{self._admin}/metrics").decode():
            raise PackageError(f"the old daemon still runs; dpkg wrote: {wrote}")
        expect(f"no connection fails: {self._load.failures}", so=not self._load.failures)
        expect(f"each is accepted: {self._load.statuses}", so=set(self._load.statuses) == {202})
        self._kept()
        self._arrived()
        self._backed_up()

    def removed(self) -> None:
        """A package that is removed leaves settings and store."""
        self._root.run("dpkg", "--remove", "aventa-bridge")
        expect("the program is gone", so=not self._root.path("opt/aventa-bridge").exists())
        for path in (f"{_ETC}/bridge.toml", f"{_STATE}/bridge.db"):
            expect(f"{path} is kept", so=self._root.path(path).exists())

    def purged(self) -> None:
        """A package that is purged leaves nothing."""
        self._root.run("dpkg", "--purge", "aventa-bridge")
        left = differences(self._clean, self._root.contents())
        expect("all is as it was before, but for:\n" + "\n".join(left), so=not left)

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()

    def _answered(self, count: int) -> None:
        wait_until(lambda: len(self._load.accepted) >= count, f"{count} events are accepted")

    def _kept(self) -> None:
        store = self._root.path(_STATE) / "bridge.db"
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
            kept = {one for (one,) in connection.execute("SELECT event_id FROM events")}
        lost = {event for event, _ in self._load.accepted} - kept
        expect(f"each event that was accepted is kept: {len(lost)} lost", so=not lost)

    def _arrived(self) -> None:
        sandbox = self._sandbox
        if sandbox is None:
            raise PackageError("nothing was set up")
        references = {reference for _, reference in self._load.accepted}
        wait_until(lambda: references <= sandbox.steps().keys(), "each call has its errand")
        several = [steps for steps in sandbox.steps().values() if len(steps) != 1]
        expect(f"each call has one errand: {several[:3]}", so=not several)

    def _backed_up(self) -> None:
        backup = self._root.path(_STATE) / "before-upgrade.backup"
        expect("the store was backed up before the upgrade", so=backup.exists())
        expect("it is its owner's alone", so=backup.stat().st_mode & 0o777 == 0o600)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _lint(package: Path) -> None:
    if shutil.which("lintian") is None:
        say("lintian is not installed: the package is not checked by it")
        return
    # Run as root, as where nothing else is.
    run("lintian", "--allow-root", "--fail-on", "error,warning", package)
    say(f"lintian has nothing against {package.name}")


def main() -> int:
    """Run all of it; return the exit code."""
    began_s = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="bridge-package-") as name, ExitStack() as stack:
            folder, package = Path(name), newest_package()
            _lint(package)
            root = stack.enter_context(closing(Root(folder / "root", CACHE)))
            manager = stack.enter_context(closing(Manager(root)))
            following = _next_version(package, folder)
            trial = stack.enter_context(closing(Trial(root, manager, package, following)))
            for part in (
                trial.installed,
                trial.set_up,
                trial.upgraded,
                trial.removed,
                trial.purged,
            ):
                try:
                    part()
                except PackageError as error:
                    say(f"{part.__doc__}\n  FAILED: {error}\n{manager.log()[-3000:]}")
                    return 1
                say(f"{part.__doc__}  ({time.monotonic() - began_s:.0f} s)")
    except PackageError as error:
        say(f"FAILED: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
