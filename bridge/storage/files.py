"""Files beside the store, each under the digest of its content: what answers carry."""

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from bridge.domain.errors import StoreUnavailable

SUFFIX: Final = ".attachments"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MAKING: Final = "making-"


def folder_of(engine: Engine) -> Path:
    """Return where the files of a store are: beside it, under its name."""
    return beside(Path(engine.url.database or "").absolute())


def beside(store: Path) -> Path:
    """Return where the files of a store are, by its database file."""
    return store.with_name(f"{store.name}{SUFFIX}")


class AnswerFiles:
    """A `ports.FileStore` in a folder, which only its owner may read."""

    def __init__(self, folder: Path) -> None:
        """Keep them there; it is made when there is something to keep."""
        self.folder = folder
        self._written: set[Path] = set()

    def path(self, digest: str) -> Path:
        """Return where a file is, or would be."""
        return self.folder / digest[:2] / digest

    async def keep(self, content: bytes) -> str:
        """Keep a file; return its SHA-256 in hexadecimal once it is on disk.

        Raises:
            StoreUnavailable: it can't be kept now.
        """
        try:
            return await asyncio.to_thread(self._keep, content)
        except OSError as error:
            raise StoreUnavailable(
                f"a file can't be kept beside the store: {error.strerror}"
            ) from error

    def _keep(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        place = self.path(digest)
        for folder in (self.folder, place.parent):
            # One that is there already may be of a process that was killed before its name was
            # written.
            if folder not in self._written or not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
                sync_folder(folder.parent)
                self._written.add(folder)
        if place.exists() and place.stat().st_size == len(content):
            sync_folder(place.parent)  # as with folders
            return digest
        # Under another name until it is whole: whoever finds one by its digest finds all of it.
        handle, name = tempfile.mkstemp(prefix=_MAKING, dir=place.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(place)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(place.parent)
        return digest

    async def drop(self, digests: Collection[str]) -> list[str]:
        """Remove files; return those that are not there any more."""
        return await asyncio.to_thread(self._drop, digests)

    def _drop(self, digests: Collection[str]) -> list[str]:
        gone = []
        for digest in digests:
            with contextlib.suppress(OSError):
                self.path(digest).unlink(missing_ok=True)
                gone.append(digest)
        return gone

    async def strays(self, older_than_s: float) -> list[str]:
        """Return the digests of all files that were written longer ago; remove unfinished ones."""
        return await asyncio.to_thread(self._strays, older_than_s)

    def _strays(self, older_than_s: float) -> list[str]:
        # A file's age is told by the machine's clock, whoever has set it.
        before_s = time.time() - older_than_s
        found = []
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime >= before_s:
                    continue
                if path.name.startswith(_MAKING):
                    path.unlink(missing_ok=True)
                elif _DIGEST.fullmatch(path.name):
                    found.append(path.name)
        return found


def sync_folder(folder: Path) -> None:
    """Have a folder's entries written: a new name is on disk only then.

    Raises:
        OSError: the disk fails.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
