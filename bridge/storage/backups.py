"""A backup: one tar with the database as it was at one moment, and the files beside the store.

The daemon goes on meanwhile. Its members, in this order: `bridge.db`, then
`attachments/<two digits>/<digest>` for each file of an answer, then `backup.json`. What tells of
the rest comes last, so a backup that was cut anywhere is known as such.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from msgspec import Struct

from bridge import __version__
from bridge.domain.errors import BackupFailed
from bridge.storage.engine import open_reader, path_of
from bridge.storage.files import beside, sync_folder

DATABASE: Final = "bridge.db"
MANIFEST: Final = "backup.json"
FILES: Final = "attachments"
FORMAT: Final = 1
_FILE: Final = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{62})")
_MAKING: Final = ".aventa-bridge.making-"
_LEFT_S: Final = 60.0
_BUSY_S: Final = 10.0
# What was written is synced step by step: all at once, the daemon's own syncs would wait for it.
_PAGES_A_STEP: Final = 2_000
_BYTES_A_STEP: Final = 8 * 2**20
# More costs the phone system's machine more time than it saves on its disk.
_GZIP_LEVEL: Final = 1
_GZIPPED: Final = frozenset((".gz", ".tgz"))

# Told how much is done, of how much; in units of which nothing is said.
Progress = Callable[[int, int], None]


class Manifest(Struct, frozen=True, gc=False, kw_only=True):
    """What a backup says of itself. `made_us` is in microseconds since 1970."""

    format: int
    release: str
    schema: str
    made_us: int
    database_bytes: int
    database_sha256: str
    files: int


class Made(Struct, frozen=True, gc=False, kw_only=True):
    """A backup that is on disk. `left_out` are files that were damaged before."""

    path: Path
    size_bytes: int
    schema: str
    files: int
    left_out: int


def back_up(url: str, target: Path, *, now_us: int, force: bool, progress: Progress) -> Made:
    """Write a backup of a store, beside whoever works on it; it is whole once it has its name.

    Every event that was acknowledged before the call is in it. The folder needs room for the
    database twice, for a while. Only its owner may read the file.

    Raises:
        BackupFailed: it can't be written, or the store can't be read or is damaged.
        StoreUnusable: there is no store.
    """
    target = target.absolute()
    with _written(target):
        _refuse(target, path_of(url).absolute(), force=force)
    with _written(target), working_folder(target.parent) as folder:
        copy, archive = folder / DATABASE, folder / "archive"
        open_reader(url).dispose()  # says in its own words where there is none
        _copy_database(path_of(url), copy, progress)
        schema = _check_copy(copy)
        with _opened_for_writing(archive) as file:
            gzip = target.suffix in _GZIPPED
            files, left_out = _pack(
                file,
                copy,
                beside(path_of(url).absolute()),
                _Said(schema=schema, made_us=now_us, gzip=gzip),
                progress,
            )
        size = archive.stat().st_size
        _refuse(target, path_of(url).absolute(), force=force)
        archive.replace(target)
        sync_folder(target.parent)
    return Made(path=target, size_bytes=size, schema=schema, files=files, left_out=left_out)


def _refuse(target: Path, store: Path, *, force: bool) -> None:
    """Refuse a place that would cost something that is there."""
    if target.parent.resolve() == store.parent.resolve() and (
        target.name == store.name or target.name.startswith((f"{store.name}-", f"{store.name}."))
    ):
        raise BackupFailed(f"{target}: is the store's own name; choose another")
    if not target.parent.is_dir():
        raise BackupFailed(f"{target.parent}: there is no such folder")
    if target.is_dir() or (target.exists() and not target.is_file()):
        raise BackupFailed(f"{target}: is no file")
    if target.exists() and not force:
        raise BackupFailed(f"{target}: is there already; --force writes over it")


@contextlib.contextmanager
def _written(target: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, tarfile.TarError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BackupFailed(f"{target}: can't be written ({reason})") from error


@contextlib.contextmanager
def working_folder(parent: Path) -> Iterator[Path]:
    """Make a folder for its owner alone, for as long as something is in the making.

    One that was left by a process that was killed is removed first.

    Raises:
        OSError: it can't be made.
    """
    _clear_up(parent)
    folder = Path(tempfile.mkdtemp(prefix=_MAKING, dir=parent))
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # As long as it is locked, somebody is at work in it.
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _clear_up(parent: Path) -> None:
    """Remove what a process has left in the making that could not clear up: it holds callers."""
    for folder in parent.glob(f"{_MAKING}*"):
        # What can't be looked at is somebody else's.
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # One that was just made may have yet to be locked.
                if time.time() - os.fstat(handle).st_mtime > _LEFT_S:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def _copy_database(store: Path, copy: Path, progress: Progress) -> None:
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as into:
        # Whatever is lost of the copy is lost with the whole backup.
        into.execute("PRAGMA journal_mode=OFF")
        into.execute("PRAGMA synchronous=OFF")
        with contextlib.closing(_snapshot(store)) as source, copy.open("rb") as written:

            def step(_status: int, left: int, total: int) -> None:
                os.fdatasync(written.fileno())
                progress(total - left, total)

            try:
                source.backup(into, pages=_PAGES_A_STEP, progress=step)
            except (sqlite3.Error, OSError) as error:
                raise BackupFailed(f"the database can't be copied: {error}") from error


def _snapshot(path: Path) -> sqlite3.Connection:
    """Open a store as it is at this moment, for as long as the connection is open.

    Without a transaction of its own, a backup in steps would begin anew with each commit of the
    daemon's (https://www.sqlite.org/c3ref/backup_finish.html). In WAL mode it holds up nobody; the
    log grows meanwhile.
    """
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise BackupFailed(f"the store can't be read: {error}") from error
    return connection


def _check_copy(copy: Path) -> str:
    """Look through the copy, and return its schema."""
    try:
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            # One file, wherever it is taken.
            connection.execute("PRAGMA journal_mode=DELETE")
            said = connection.execute("PRAGMA quick_check(1)").fetchone()
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise BackupFailed(f"the store can't be backed up: {error}") from error
    if said != ("ok",):
        raise BackupFailed(
            "the store is damaged, and so would be its backup; keep the last good one"
        )
    return str(row[0]) if row else ""


@contextlib.contextmanager
def _opened_for_writing(path: Path) -> Iterator["_Steady"]:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as file:
        yield _Steady(file)
        os.fsync(file.fileno())


class _Steady(io.RawIOBase):
    """A file that is synced while it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = _BYTES_A_STEP

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: Any) -> int:
        view = memoryview(data)
        while view:
            # A raw file may take less than it is given.
            view = view[self._file.write(view) :]
        self._left -= len(data)
        if self._left <= 0:
            os.fdatasync(self._file.fileno())
            self._left = _BYTES_A_STEP
        return len(data)


class _Said(Struct, frozen=True, gc=False, kw_only=True):
    schema: str
    made_us: int
    gzip: bool


def _pack(
    file: _Steady, copy: Path, attachments: Path, said: _Said, progress: Progress
) -> tuple[int, int]:
    """Write the tar; return how many files of answers are in it, and how many were damaged."""
    files = left_out = 0
    found = sorted(attachments.glob("??/*"))
    with _new_tar(file, gzip=said.gzip) as tar:
        size, sha256 = copy.stat().st_size, _add(tar, copy, DATABASE, said.made_us)
        progress(1, len(found) + 2)
        for place, path in enumerate(found):
            name = f"{path.parent.name}/{path.name}"
            if _FILE.fullmatch(name) is None:
                continue
            # One that has gone meanwhile had its time: nobody asks for it any more.
            with contextlib.suppress(FileNotFoundError):
                if sha256_of(path) == path.name:
                    _add(tar, path, f"{FILES}/{name}", said.made_us)
                    files += 1
                else:
                    left_out += 1
            progress(place + 2, len(found) + 2)
        manifest = Manifest(
            format=FORMAT,
            release=__version__,
            schema=said.schema,
            made_us=said.made_us,
            database_bytes=size,
            database_sha256=sha256,
            files=files,
        )
        content = msgspec.json.encode(manifest)
        tar.addfile(_member(MANIFEST, len(content), said.made_us), io.BytesIO(content))
    return files, left_out


def _new_tar(file: Any, *, gzip: bool) -> tarfile.TarFile:
    if gzip:
        return tarfile.open(fileobj=file, mode="w:gz", compresslevel=_GZIP_LEVEL)
    return tarfile.open(fileobj=file, mode="w")


class _Hashing(io.RawIOBase):
    """A file whose digest is known once it has been read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self.digest.update(chunk)
        return chunk


def _add(tar: tarfile.TarFile, path: Path, name: str, made_us: int) -> str:
    """Add a file; return its SHA-256."""
    with path.open("rb") as file:
        hashing: Any = _Hashing(file)
        tar.addfile(_member(name, os.fstat(file.fileno()).st_size, made_us), hashing)
        return str(hashing.digest.hexdigest())


def _member(name: str, size: int, made_us: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600
    member.mtime = made_us // 1_000_000
    return member


def sha256_of(path: Path) -> str:
    """Return the digest of a file's content, in hexadecimal.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_in(name: str) -> str:
    """Return the digest that a member of a backup is named by; empty: it is no answer's file."""
    found = _FILE.fullmatch(name.removeprefix(f"{FILES}/"))
    return found[2] if found and name.startswith(f"{FILES}/") else ""
