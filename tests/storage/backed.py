"""Backups of a store that holds something of everything, and what may become of them."""

import hashlib
import io
import resource
import signal
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bridge.storage import restoring
from bridge.storage.backups import Made, back_up
from bridge.storage.engine import open_engine
from bridge.storage.files import beside
from bridge.storage.schema import prepare

DATA = Path(__file__).parents[1] / "data"
CONTENT = b"an invoice"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NOW_US = 1_700_000_000_000_000


def silent(_done: int, _total: int) -> None:
    pass


def url_of(store: Path) -> str:
    return f"sqlite:///{store}"


def put_file(store: Path, content: bytes = CONTENT, digest: str = DIGEST) -> Path:
    place = beside(store) / digest[:2] / digest
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


def make_backup(store: Path, target: Path, *, force: bool = False) -> Made:
    return back_up(url_of(store), target, now_us=NOW_US, force=force, progress=silent)


def put_back(
    file: Path, store: Path, *, hold: bool = False, suffix: str = ".before"
) -> Path | None:
    with restoring.unpacked(file, store, silent) as found:
        if hold:
            restoring.hold(found.database)
        return restoring.put_in_place(found, store, suffix)


def dump(store: Path) -> list[str]:
    with closing(sqlite3.connect(store)) as connection:
        return list(connection.iterdump())


def members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as tar:
        return {one.name: getattr(tar.extractfile(one), "read", bytes)() for one in tar}


def rewrite(file: Path, changed: dict[str, bytes | None]) -> None:
    """Write a backup anew with some of its members as given; None leaves one out."""
    found = members(file) | changed
    with tarfile.open(file, "w") as tar:
        for name, content in found.items():
            if content is not None:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond this, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def damage(path: Path) -> None:
    """Write nonsense over the pages of the middle."""
    content = bytearray(path.read_bytes())
    for start in range(8192, len(content), 4096):
        content[start : start + 16] = b"\xde\xad\xbe\xef" * 4
    path.write_bytes(content)


def make_store(path: Path) -> None:
    """Make a store with something of everything in it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATA / "store_0004.sql").read_text(encoding="ascii"))
    engine = open_engine(url_of(path))
    prepare(engine)
    engine.dispose()
