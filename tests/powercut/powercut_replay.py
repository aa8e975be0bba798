"""What a disk may hold after a power cut: a model of files, syncs, and what is lost between them.

What it models:

- What a sync covered is on disk. Every other write, truncation, new name and removed name is in
  doubt: at the cut each may have happened or not, whatever the others did (`Choice`). Writes to the
  same place keep their order.
- A write may be torn: of its parts in sectors of 512 bytes, some reached the disk and others did
  not. It may also be trashed: such a part may hold anything. Bytes beside a write are never
  changed, which SQLite presumes too ("powersafe overwrite").
- A file may have grown to the size that a lost write would have given it, with zeros there.
- A new file's name lasts from the next sync of its folder; syncing the file alone is not enough.
  The folder itself is there before the first operation.

What it doesn't: a disk that lies about syncs or loses what was synced, a file system that turns the
order of two names around in ways that need a rename, and the shared index (`-shm`), which SQLite
makes anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from powercut_log import Ack, Create, Operation, Sync, Truncate, Unlink, Write

SECTOR_BYTES: Final = 512
Image = dict[str, bytes]


class Choice(StrEnum):
    """What becomes of what no sync has covered."""

    DROPPED = "dropped"  # none of it is there
    KEPT = "kept"  # all of it is there
    BY_FILE = "by-file"  # of each file (and of the folder) all or nothing
    SUBSET = "subset"  # each change by itself, whole
    TORN = "torn"  # each change by itself, writes in sectors
    TRASHED = "trashed"  # as torn, and sectors may hold anything


_IN_PARTS: Final = frozenset({Choice.TORN, Choice.TRASHED})


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A change that is not certain. `at` is its place among the operations."""

    at: int
    inode: int
    change: Create | Unlink | Write | Truncate

    @property
    def is_of_folder(self) -> bool:
        return isinstance(self.change, Create | Unlink)


class Disk:
    """A folder on a disk, operation by operation: what is certain, and what is in doubt."""

    def __init__(self) -> None:
        """Start with an empty folder."""
        self.acknowledged: list[str] = []
        self.position = 0
        self._contents: dict[int, bytearray] = {}
        self._names: dict[str, int] = {}
        self._live: dict[str, int] = {}
        self._doubts: list[_Doubt] = []
        self._inodes = 0

    def apply(self, operation: Operation) -> None:
        """Let the next operation happen."""
        match operation:
            case Ack():
                self.acknowledged.append(operation.event_id)
            case Sync():
                self._sync(operation)
            case Create():
                self._inodes += 1
                self._live[operation.name] = self._inodes
                self._contents[self._inodes] = bytearray()
                self._doubts.append(_Doubt(self.position, self._inodes, operation))
            case Unlink():
                inode = self._live.pop(operation.name)
                self._doubts.append(_Doubt(self.position, inode, operation))
            case Write() | Truncate():
                inode = self._live[operation.name]
                self._doubts.append(_Doubt(self.position, inode, operation))
        self.position += 1

    def image(self, choice: Choice, chance: Random) -> Image:
        """Return the files that are found after a cut here, by name.

        The same chance gives the same files.
        """
        survivors = list(_survivors(self._doubts, choice, chance))
        names = dict(self._names)
        for doubt, _ in survivors:
            _rename(names, doubt)
        contents = {inode: bytearray(self._contents[inode]) for inode in names.values()}
        for doubt, parts in survivors:
            if doubt.inode in contents and not doubt.is_of_folder:
                for part in parts:
                    _change(contents[doubt.inode], part)
        if choice not in {Choice.DROPPED, Choice.KEPT}:
            self._grow(contents, chance)
        return {name: bytes(contents[inode]) for name, inode in names.items()}

    def _sync(self, sync: Sync) -> None:
        inode = self._live[sync.name] if sync.name else None
        left: list[_Doubt] = []
        for doubt in self._doubts:
            is_same = doubt.is_of_folder if inode is None else doubt.inode == inode
            if not is_same or (inode is not None and doubt.is_of_folder) or doubt.at >= sync.covers:
                left.append(doubt)
            elif isinstance(doubt.change, Write | Truncate):
                _change(self._contents[doubt.inode], doubt.change)
            else:
                _rename(self._names, doubt)
        self._doubts = left
        used = {*self._names.values(), *self._live.values(), *(one.inode for one in left)}
        self._contents = {inode: self._contents[inode] for inode in used}

    def _grow(self, contents: dict[int, bytearray], chance: Random) -> None:
        for inode in sorted(contents):
            ends = [
                one.change.offset + len(one.change.data)
                for one in self._doubts
                if one.inode == inode and isinstance(one.change, Write)
            ]
            if ends and chance.random() < 0.25:
                content = contents[inode]
                content.extend(bytes(max(0, chance.choice(ends) - len(content))))


def _survivors(
    doubts: list[_Doubt], choice: Choice, chance: Random
) -> Iterator[tuple[_Doubt, list[Write | Truncate]]]:
    """Yield the changes that are there after all, with the parts of each that are."""
    # Nearly all, about half and nearly none are different dangers.
    share = chance.choice((0.05, 0.5, 0.95))
    by_file = {
        inode: chance.random() < 0.5
        for inode in sorted({0 if one.is_of_folder else one.inode for one in doubts})
    }
    for doubt in doubts:
        match choice:
            case Choice.DROPPED:
                is_there = False
            case Choice.KEPT:
                is_there = True
            case Choice.BY_FILE:
                is_there = by_file[0 if doubt.is_of_folder else doubt.inode]
            case _:
                is_there = chance.random() < share
        change = doubt.change
        if is_there:
            yield doubt, [change] if isinstance(change, Write | Truncate) else []
        elif isinstance(change, Write) and choice in _IN_PARTS and chance.random() < 0.5:
            yield doubt, list(_torn(change, chance, is_trashed=choice is Choice.TRASHED))


def _torn(write: Write, chance: Random, *, is_trashed: bool) -> Iterator[Write]:
    start, end = write.offset, write.offset + len(write.data)
    while start < end:
        stop = min(end, start - start % SECTOR_BYTES + SECTOR_BYTES)
        data = write.data[start - write.offset : stop - write.offset]
        fate = chance.random()
        if is_trashed and fate < 0.25:
            yield Write(write.name, start, chance.randbytes(len(data)))
        elif fate < 0.5:
            yield Write(write.name, start, data)
        start = stop


def _rename(names: dict[str, int], doubt: _Doubt) -> None:
    if isinstance(doubt.change, Create):
        names[doubt.change.name] = doubt.inode
    elif isinstance(doubt.change, Unlink) and names.get(doubt.change.name) == doubt.inode:
        del names[doubt.change.name]


def _change(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        content.extend(bytes(max(0, change.size - len(content))))
        del content[change.size :]
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data
