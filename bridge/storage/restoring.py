"""Putting a backup in the store's place: checked first, and at no moment half of it there.

Nothing here asks or waits: whoever calls holds the daemon's lock on the store.
"""

import contextlib
import os
import shutil
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec import Struct

from bridge.domain.deliveries import PENDING_STATES, STOPPED_STATES, Kind, State
from bridge.domain.errors import BackupFailed
from bridge.storage.backups import (
    DATABASE,
    FORMAT,
    MANIFEST,
    Manifest,
    Progress,
    digest_in,
    sha256_of,
    working_folder,
)
from bridge.storage.engine import unfinished_mark
from bridge.storage.files import beside, sync_folder
from bridge.storage.schema import KNOWN_SCHEMAS

# Kept with what is held, and shown with it.
HELD_WHY: Final = "restored from a backup: it may have been delivered since"
_SQLITE_MAGIC: Final = b"SQLite format 3\0"
_CHUNK_BYTES: Final = 2**20
_MANIFEST_BYTES_MAX: Final = 64 * 2**10
# What every schema of the bridge's has.
_TABLES: Final = frozenset(("alembic_version", "meta", "events", "calls", "outbox", "people"))
_LOGS: Final = ("-wal", "-shm")
# How long a command beside this one may take to end.
BUSY_S: Final = 5.0


class Contents(Struct, frozen=True, gc=False, kw_only=True):
    """What is in a store. `waiting` is by kind; `newest_us` in microseconds since 1970.

    `unsettled` are calls that have yet to be settled: a rule may act on them then. `provisioned` is
    how many things of a contact centre it knows that were set up in Cention.
    """

    schema: str
    events: int
    newest_us: int | None
    waiting: Mapping[str, int]
    stopped: int
    unsettled: int
    provisioned: int


class Unpacked(Struct, frozen=True, gc=False, kw_only=True):
    """A backup beside the store, whole and ready to take its place.

    `made_us` is None where it is a bare database, which says nothing of itself.
    """

    database: Path
    files: tuple[Path, ...]
    made_us: int | None
    contents: Contents


@contextlib.contextmanager
def unpacked(file: Path, store: Path, progress: Progress) -> Iterator[Unpacked]:
    """Unpack a backup beside the store that it is for, and look through it.

    It may be one of `backup`'s, or the bare file of a database that nobody has open.

    Raises:
        BackupFailed: it is damaged or somebody else's, a newer release made it, or there is no
            room for it.
    """
    try:
        with working_folder(store.parent) as folder:
            yield _unpack(file, folder, progress)
    except OSError as error:
        raise BackupFailed(f"{file}: can't be restored ({error.strerror or error})") from error


def _unpack(file: Path, folder: Path, progress: Progress) -> Unpacked:
    database = folder / DATABASE
    manifest = None
    files: tuple[Path, ...] = ()
    with file.open("rb") as source:
        is_bare = source.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
        source.seek(0)
        if is_bare:
            log = Path(f"{file}-wal")
            if log.is_file() and log.stat().st_size:
                raise BackupFailed(f"{file}: has a log beside it, so it is no backup; use `backup`")
            _write(source, database)
        else:
            manifest, files = _take_apart(file, source, folder, progress)
    contents = _checked(file, database)
    return Unpacked(
        database=database,
        files=files,
        made_us=manifest.made_us if manifest else None,
        contents=contents,
    )


def _take_apart(
    file: Path, source: IO[bytes], folder: Path, progress: Progress
) -> tuple[Manifest, tuple[Path, ...]]:
    """Write a tar's members into the folder, each once its content is known to be right."""
    manifest, files = b"", []
    total = os.fstat(source.fileno()).st_size
    try:
        with tarfile.open(fileobj=source, mode="r|*") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is None:
                    raise _foreign(file)
                if member.name == MANIFEST:
                    manifest = content.read(_MANIFEST_BYTES_MAX)
                elif member.name == DATABASE:
                    _write(content, folder / DATABASE)
                elif digest := digest_in(member.name):
                    files.append(folder / digest)
                    _write(content, files[-1])
                    if sha256_of(files[-1]) != digest:
                        raise _damaged(file)
                else:
                    raise _foreign(file)
                progress(source.tell(), total)
    except tarfile.ReadError as error:
        # What begins as a backup and goes on otherwise was one.
        raise (_damaged(file) if (folder / DATABASE).exists() else _foreign(file)) from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _damaged(file) from error
    return _read_manifest(file, manifest, folder / DATABASE, len(files)), tuple(files)


def _read_manifest(file: Path, content: bytes, database: Path, files: int) -> Manifest:
    if not content or not database.exists():
        raise _damaged(file)
    try:
        said = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise _damaged(file) from error
    if said.format > FORMAT:
        raise BackupFailed(
            f"{file}: was made by release {said.release}, whose backups this one can't read;"
            " install that release"
        )
    if said.files != files or said.database_sha256 != sha256_of(database):
        raise _damaged(file)
    return said


def _damaged(file: Path) -> BackupFailed:
    return BackupFailed(f"{file}: is damaged or not whole; use another backup")


def _foreign(file: Path) -> BackupFailed:
    return BackupFailed(f"{file}: is no backup of the bridge's")


def _write(source: IO[bytes], place: Path) -> None:
    handle = os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        shutil.copyfileobj(source, file, _CHUNK_BYTES)
        file.flush()
        os.fsync(file.fileno())


def _checked(file: Path, database: Path) -> Contents:
    """Look through a database that is to be the store, and say what is in it."""
    try:
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
            # One that was copied bare may still say that it has a log.
            connection.execute("PRAGMA journal_mode=DELETE")
            said = connection.execute("PRAGMA quick_check(1)").fetchone()
            if said != ("ok",):
                raise _damaged(file)
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not {name for (name,) in tables} >= _TABLES:
                raise _foreign(file)
            contents = _contents(connection)
    except sqlite3.Error as error:
        raise _damaged(file) from error
    if contents.schema not in KNOWN_SCHEMAS:
        raise BackupFailed(
            f"{file}: has schema {contents.schema}, this release knows {KNOWN_SCHEMAS[-1]};"
            " install the release that made it"
        )
    return contents


def contents_of(store: Path) -> Contents | None:
    """Say what is in a store, to compare; None where there is none, or none that can be read."""
    if not store.is_file():
        return None
    try:
        address = f"{store.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            return _contents(connection)
    except sqlite3.Error:
        return None


def _contents(connection: sqlite3.Connection) -> Contents:
    # In words that every schema understands, for a backup may be older than this release.
    version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    events, newest_us = connection.execute(
        "SELECT count(*), max(received_us) FROM events"
    ).fetchone()
    (unsettled,) = connection.execute(
        "SELECT count(*) FROM calls WHERE timer_us IS NOT NULL"
    ).fetchone()
    found = connection.execute("SELECT kind, state, count(*) FROM outbox GROUP BY kind, state")
    waiting: dict[str, int] = {}
    stopped = 0
    for kind, state, count in found:
        if state in PENDING_STATES:
            waiting[kind] = waiting.get(kind, 0) + count
        elif state in STOPPED_STATES:
            stopped += count
    # Only newer schemas have it.
    has_centre = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'provisioned'")
    provisioned = 0
    if has_centre.fetchone():
        (provisioned,) = connection.execute("SELECT count(*) FROM provisioned").fetchone()
    return Contents(
        schema=str(version[0]) if version else "none",
        events=events,
        newest_us=newest_us,
        waiting=waiting,
        stopped=stopped,
        unsettled=unsettled,
        provisioned=provisioned,
    )


def hold(database: Path) -> int:
    """Hold for a person each errand that a backup has yet to make; return how many.

    What waits behind them stays behind them. Ends, contact cards and answers that wait for no
    errand leave as they would have: sent twice, they do no more than once.
    """
    made = [kind for kind in Kind if kind.makes_errand]
    heads = [State.READY, State.SENDING, State.DOUBTFUL]
    is_head = f"kind IN ({_marks(made)}) AND state IN ({_marks(heads)})"
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            f"UPDATE outbox SET state = ? WHERE state = ? AND lane IN"  # noqa: S608 - marks
            f" (SELECT lane FROM outbox WHERE {is_head})",
            (State.PARKED, State.BLOCKED, *made, *heads),
        )
        count = connection.execute(
            f"UPDATE outbox SET state = ?, error = ? WHERE {is_head}",  # noqa: S608 - marks
            (State.HELD, HELD_WHY, *made, *heads),
        ).rowcount
        connection.execute("COMMIT")
    return count


def _marks(values: list[Kind] | list[State]) -> str:
    return ", ".join("?" * len(values))


def put_in_place(backup: Unpacked, store: Path, suffix: str) -> Path | None:
    """Let a backup be the store; return where the one that it replaces is kept, if there was one.

    Whenever this is cut short, there is a whole store in its place: the old one, or the new one.
    Where the old one was damaged and has a log, the two can't be exchanged at once: if this is cut
    short then, no daemon starts on what is left until it is done again.

    Raises:
        BackupFailed: the folder can't be written, or another command is at work on the store.
    """
    aside = store.with_name(f"{store.name}{suffix}") if store.exists() else None
    try:
        _add_files(backup, store)
        own_as_folder(backup.database, store.parent)
        if aside is not None:
            # A damaged one is left as it is, its log too: SQLite might clear up what is of use.
            if contents_of(store) is not None:
                _settle(store)
            # A second name first, then the new one over the first: never neither of them.
            os.link(store, aside)
        # Only a damaged store still has one; it would be read as the new one's.
        logs = [log for end in _LOGS if (log := Path(f"{store}{end}")).exists()]
        unfinished = unfinished_mark(store)
        if logs:
            unfinished.touch(mode=0o600)
            own_as_folder(unfinished, store.parent)
            sync_folder(store.parent)
        for log in logs:
            if aside is not None:
                log.replace(f"{aside}{log.name.removeprefix(store.name)}")
            log.unlink(missing_ok=True)
        sync_folder(store.parent)
        backup.database.replace(store)
        sync_folder(store.parent)
        unfinished.unlink(missing_ok=True)
        sync_folder(store.parent)
    except OSError as error:
        raise BackupFailed(f"{store}: can't be replaced ({error.strerror or error})") from error
    return aside


def _settle(store: Path) -> None:
    """Bring a store's log into its file, so that one name is all of it.

    Raises:
        BackupFailed: somebody has it open, or there is no room.
    """
    try:
        with contextlib.closing(sqlite3.connect(store, timeout=BUSY_S)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise BackupFailed(f"{store}: can't be put aside ({error})") from error
    log = Path(f"{store}-wal")
    if log.exists() and log.stat().st_size:
        raise BackupFailed(f"{store}: another command is at work on it; wait for its end")


def _add_files(backup: Unpacked, store: Path) -> None:
    """Put the files of answers beside the store; what is there already has the same content."""
    folder = beside(store)
    for file in backup.files:
        place = folder / file.name[:2] / file.name
        for made in (folder, place.parent):
            if not made.exists():
                made.mkdir(mode=0o700)
                own_as_folder(made, store.parent)
                sync_folder(made.parent)
        own_as_folder(file, store.parent)
        file.replace(place)
        sync_folder(place.parent)


def own_as_folder(path: Path, folder: Path) -> None:
    """Give what root has made to whom the store's folder belongs: the daemon isn't root.

    Raises:
        OSError: the disk fails.
    """
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
