"""Fetching the files that answers carry, keeping them by digest, and removing them again."""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from bridge.domain.answers import KeptFile
from bridge.domain.outcomes import Reply, is_failing
from bridge.ports import (
    Clock,
    FeedbackMeter,
    FileReader,
    FileReading,
    FileStore,
    Log,
    Transaction,
    Writer,
)
from bridge.services.channels import UpstreamGone
from bridge.services.reading import Turns

_SWEPT_AT_ONCE: Final = 200
# A file that no answer names may be one that is just being kept.
STRAY_AFTER_S: Final = 3600.0
# What may be mended meanwhile: the token's claims, too, by a person.
_PASSING: Final = frozenset({401, 403, 425, 429})
UNAVAILABLE: Final = "unavailable"


class FileFetcher:
    """Fetches files and keeps them. `lock` is to be held until an answer says that it has one."""

    def __init__(
        self,
        *,
        writer: Writer,
        clock: Clock,
        log: Log,
        meter: FeedbackMeter,
        reader: FileReader,
        files: FileStore,
        turns: Turns,
    ) -> None:
        """Stand on these ports."""
        self._writer = writer
        self._clock = clock
        self._log = log
        self._meter = meter
        self._reader = reader
        self._files = files
        self._turns = turns
        # A file is not to be removed between its being written and its answer's saying so.
        self.lock = asyncio.Lock()

    async def fetch(self, scope: str, file: KeptFile, within_s: float) -> FileReading | None:
        """Ask a workspace for a file; None: nothing can come now."""
        try:
            async with self._clock.timeout(within_s):
                await self._turns.leave_to_read(scope)
        except (TimeoutError, UpstreamGone):
            return None
        reading = await self._reader.file(scope, file.name)
        self._turns.was_read(scope, file.name.type.value, reading.reply)
        if not is_failing(reading.reply) and reading.reply.status not in _PASSING:
            return reading
        self._tell(reading.reply)
        return None

    def _tell(self, reply: Reply) -> None:
        said = reply.failure.value if reply.failure else reply.status
        if reply.status in {401, 403}:
            hint = "the token needs the claim to get attachments"
            self._log.error("a file can't be fetched yet", status=said, hint=hint)
        else:
            self._log.warning("a file can't be fetched yet", status=said)

    async def settle(self, file: KeptFile, reading: FileReading | None) -> KeptFile:
        """Keep what was fetched, or why nothing was. To be called with the lock held.

        Raises:
            StoreUnavailable: it can't be kept now.
        """
        error = UNAVAILABLE if reading is None else _error_of(reading)
        self._meter.file(error or "kept")
        if error or reading is None or reading.content is None:
            return replace(file, error=error)
        return replace(
            file,
            title=reading.title,
            content_type=reading.content_type,
            content_id=reading.content_id,
            size=len(reading.content),
            sha256=await self._files.keep(reading.content),
        )

    async def sweep(self, *, with_strays: bool = False) -> None:
        """Remove the files that no answer needs any more.

        Args:
            with_strays: also those that none ever named, since a crash came in between.

        Raises:
            StoreUnavailable: the store can't be asked now.
        """
        async with self.lock:
            while spent := await self._writer.submit(_spent, None):
                gone = await self._files.drop(spent)
                await self._writer.submit(_forget, gone)
                if left := len(spent) - len(gone):
                    self._log.error("files of answers can't be removed", count=left)
                    break
            if with_strays:
                found = await self._files.strays(STRAY_AFTER_S)
                held = await self._writer.submit(_held, found)
                await self._files.drop([one for one in found if one not in held])


def _error_of(reading: FileReading) -> str:
    """Say in a word why a file will not be had; empty: it is here."""
    status = reading.reply.status
    if reading.is_too_large:
        return "too_large"
    if 200 <= status < 300:
        return "unreadable" if reading.content is None else ""
    if status in {404, 410}:
        return "not_found"
    return "redirected" if 300 <= status < 400 else "refused"


def _spent(tx: Transaction, asked: Sequence[None]) -> list[list[str]]:
    return [tx.spent_files(_SWEPT_AT_ONCE) for _ in asked]


def _forget(tx: Transaction, digests: Sequence[Sequence[str]]) -> list[None]:
    for some in digests:
        tx.forget_files(some)
    return [None] * len(digests)


def _held(tx: Transaction, digests: Sequence[Sequence[str]]) -> list[set[str]]:
    return [tx.held_files(some) for some in digests]
