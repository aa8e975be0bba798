"""What `doctor` finds out on this machine: files, the store's disk, limits, the unit.

Everything here may take as long as a disk takes; whoever calls sets the limit.
"""

import contextlib
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from bridge.app.measured import LimitFacts, SecretFile, StoreFacts, UnitFacts
from bridge.settings import Settings
from bridge.storage.engine import path_of, unfinished_mark

UNIT: Final = "aventa-bridge"
_PROPERTIES: Final = (
    *("LoadState", "ActiveState", "SubState", "User", "DynamicUser", "LimitCORE"),
    "NeedDaemonReload",
    *("NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateDevices"),
)
_SYSTEMCTL_S: Final = 5.0
_SYNCS: Final = 9
_PAGE: Final = bytes(4096)
_CGROUPS: Final = Path("/sys/fs/cgroup")
_BUSY_S: Final = 2.0


def secret_files(
    settings: Settings, config: Path | None, secrets_dir: Path | None, environ: Mapping[str, str]
) -> list[SecretFile]:
    """Return what secrets are kept in, with who may read it."""
    found = []
    known = {0, os.geteuid(), _owner_of_folder(settings.store.url)}
    given = environ.get("CREDENTIALS_DIRECTORY")
    folder = secrets_dir or (Path(given) if given else None)
    if folder is not None and folder.is_dir():
        # What systemd gives may have an access list, whose mask stands where the group's bits do.
        looked_at = 0o777 if secrets_dir is not None else 0o707
        files = [folder, *sorted(one for one in folder.iterdir() if one.is_file())]
        found = [
            SecretFile(
                str(one),
                _mode(one) & looked_at,
                stranger=_stranger(one, known),
                is_sheltered=one != folder and not _mode(folder) & looked_at & 0o077,
            )
            for one in files
        ]
    if config is not None:
        tree = tomllib.loads(config.read_text(encoding="utf-8"))
        keys = tuple(_secrets_in(settings, tree))
        found.append(
            SecretFile(
                str(config),
                _mode(config),
                is_config=True,
                keys=keys,
                stranger=_stranger(config, known),
            )
        )
    return found


def _owner_of_folder(url: str) -> int:
    """Return whom the store's folder belongs to: the daemon's user; root if it isn't there.

    A folder that can't be looked at is as one that isn't there.
    """
    with contextlib.suppress(OSError):
        return path_of(url).absolute().parent.stat().st_uid
    return 0


def _stranger(path: Path, known: Collection[int]) -> int | None:
    owner = path.stat().st_uid
    return None if owner in known else owner


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _secrets_in(value: Any, written: Any, path: str = "") -> Iterator[str]:
    """Yield the keys of a settings file whose values are secrets."""
    if isinstance(value, SecretStr):
        yield path.lstrip(".")
    elif isinstance(value, BaseModel) and isinstance(written, dict):
        for key, inner in written.items():
            yield from _secrets_in(getattr(value, key, None), inner, f"{path}.{key}")
    elif isinstance(value, tuple) and isinstance(written, list) and value:
        if isinstance(value[0], SecretStr):
            yield path.lstrip(".")
            return
        for number, (one, inner) in enumerate(zip(value, written, strict=False)):
            yield from _secrets_in(one, inner, f"{path}.{number}")


def store(url: str) -> StoreFacts:
    """Look at the store and the disk that it is on."""
    path = path_of(url).absolute()
    sync_ms, error = _sync_ms(path.parent)
    free, total = _room(path.parent)
    disk: dict[str, Any] = {
        "sync_ms": sync_ms,
        "write_error": error,
        "free_bytes": free,
        "size_total": total,
        "is_relative": not path_of(url).is_absolute(),
    }
    if not path.exists():
        return StoreFacts(path=str(path), exists=False, **disk)
    about, folder = path.stat(), path.parent.stat()
    schema, schema_error = _schema(path)
    return StoreFacts(
        path=str(path),
        exists=True,
        owner=about.st_uid,
        folder_owner=folder.st_uid,
        user=os.geteuid(),
        mode=stat.S_IMODE(about.st_mode),
        size_bytes=about.st_size,
        schema=schema,
        schema_error=schema_error,
        strangers=_strangers(path, about.st_uid),
        daemon_pid=daemon_pid(path),
        **disk,
    )


def _sync_ms(folder: Path) -> tuple[float | None, str]:
    """Return how long a write and its sync take in a folder, or why they can't be done."""
    # The store's folder may have to be made yet: then it is the folder that it will be made in.
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    took = []
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(_SYNCS):
                started_s = time.monotonic()
                os.write(file.fileno(), _PAGE)
                os.fsync(file.fileno())
                took.append(time.monotonic() - started_s)
    except OSError as error:
        return None, f"{folder}: can't be written ({error.strerror})"
    return median(took) * 1000, ""


def _room(folder: Path) -> tuple[int, int]:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    said = os.statvfs(folder)
    return said.f_bavail * said.f_frsize, said.f_blocks * said.f_frsize


def _strangers(path: Path, owner: int) -> tuple[str, ...]:
    beside = sorted(path.parent.glob(f"{path.name}[-.]*"))
    # One may go while it is looked at.
    found = []
    for one in beside:
        with contextlib.suppress(OSError):
            if one.stat().st_uid != owner:
                found.append(one.name)
    return tuple(found)


def _schema(path: Path) -> tuple[str | None, str]:
    if unfinished_mark(path).exists():
        return None, f"{path}: a restore was cut short, so no daemon starts"
    try:
        with contextlib.closing(_opened(path)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        if "no such table" in str(error):
            return None, ""
        return None, f"{path}: can't be read ({error})"
    return (str(row[0]) if row else None), ""


def _opened(path: Path) -> sqlite3.Connection:
    # Whoever closes a store last would otherwise bring its log into it.
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)


def newest_event(url: str) -> float | None:
    """Return when the newest event came, in Unix seconds; None: none has.

    Raises:
        OSError: the store can't be read.
    """
    path = path_of(url).absolute()
    if not path.is_file():
        return None
    try:
        with contextlib.closing(_opened(path)) as connection:
            (newest_us,) = connection.execute("SELECT max(received_us) FROM events").fetchone()
    except sqlite3.Error as error:
        raise OSError(None, f"the store can't be read ({error})") from error
    return None if newest_us is None else newest_us / 1e6


def daemon_pid(store_path: Path) -> int | None:
    """Return which process holds the daemon's lock on a store: None: none, 0: it can't be told.

    Read from the kernel's list (proc(5), /proc/locks), for trying the lock would keep out a daemon
    that starts at that moment.
    """
    try:
        about = Path(f"{store_path}.lock").stat()
    except FileNotFoundError:
        return None
    place = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    for line in lines:
        words = line.split()
        if "FLOCK" in words and place in words:
            # Of a process that isn't in this namespace the number is 0 or negative.
            return max(int(words[words.index(place) - 1]), 0)
    return None


def limits(pid: int | None) -> LimitFacts:
    """Return the limits of the daemon, as far as they may be read, else this command's own."""
    if pid:
        with contextlib.suppress(OSError, ValueError):
            text = Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
            [line] = [one for one in text.splitlines() if one.startswith("Max open files")]
            soft = line.removeprefix("Max open files").split()[0]
            files = None if soft == "unlimited" else int(soft)
            return _with_memory(files, pid, is_daemon=True)
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = None if soft_limit == resource.RLIM_INFINITY else soft_limit
    return _with_memory(files, os.getpid(), is_daemon=False)


def _with_memory(files: int | None, pid: int, *, is_daemon: bool) -> LimitFacts:
    most, used = memory(pid)
    return LimitFacts(is_daemon, files, most, used)


def memory(pid: int) -> tuple[int | None, int | None]:
    """Return what a process's control group allows and uses (cgroups(7), version 2)."""
    tightest: tuple[int | None, int | None] = (None, None)
    with contextlib.suppress(OSError, ValueError):
        text = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
        inside = text.rpartition("0::")[2].splitlines()[0].lstrip("/")
        group = _CGROUPS / inside
        for one in (group, *group.parents):
            if not one.is_relative_to(_CGROUPS):
                break
            with contextlib.suppress(OSError, ValueError):
                most = int((one / "memory.max").read_text(encoding="ascii"))
                used = int((one / "memory.current").read_text(encoding="ascii"))
                if tightest[0] is None or most < tightest[0]:
                    tightest = (most, used)
    return tightest


def unit() -> UnitFacts:
    """Return what systemd says of the bridge's unit."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return UnitFacts(skipped="there is no systemd here")
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [systemctl, "show", UNIT, "-p", ",".join(_PROPERTIES)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SYSTEMCTL_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return UnitFacts(skipped="systemctl doesn't answer")
    said = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if done.returncode or not said:
        return UnitFacts(skipped="systemd doesn't run here")
    if said.get("LoadState") != "loaded":
        return UnitFacts(skipped=f"there is no unit {UNIT}")
    return UnitFacts(properties=said)
