"""What a traced process did to a store: strace's lines, read as a list of operations.

Only one store and one file of acknowledgements are looked at. What the replay could not follow (a
rename, a `write` without offset, a shared memory map that is written to) is refused, so that a
SQLite that works otherwise can't quietly make the test prove nothing.

An operation stands where it was completed; an acknowledgement stands where it began, since whoever
is told may know from then on. A sync covers what was completed when the sync began.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Every system call that can change a file or a folder, or make a change last. `sync` and `syncfs`
# are left out: not to see them makes the model stricter.
TRACED: Final = (
    *("open", "openat", "openat2", "creat", "mmap"),
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "copy_file_range", "sendfile"),
    *("truncate", "ftruncate", "fallocate", "fsync", "fdatasync"),
    *("unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink"),
)
# SQLite makes the shared index anew after a crash, so what is in it doesn't matter.
IGNORED_SUFFIX: Final = "-shm"

_OPENING: Final = frozenset({"open", "openat", "openat2", "creat"})
_SYNCS: Final = frozenset({"fsync", "fdatasync"})
_ON_NAMES: Final = frozenset({"unlink", "unlinkat"})
_ON_OPEN_FILES: Final = _SYNCS | {"write", "pwrite64", "ftruncate", "fallocate", "mmap"}
_LINE: Final = re.compile(rb"(\d+) +(.*)", re.DOTALL)
_CALL: Final = re.compile(rb"(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(.*)", re.DOTALL)
_HEX: Final = rb"((?:\\x[0-9a-f]{2})*)"
_TEXT: Final = re.compile(rb'"' + _HEX + rb'"(\.\.\.)?')
_FILE: Final = re.compile(rb"<" + _HEX + rb">(\(deleted\))?")
_UNFINISHED: Final = b" <unfinished ...>"
_RESUMED: Final = re.compile(rb"<\.\.\. \w+ resumed>(.*)", re.DOTALL)
_DELETED: Final = " (deleted)"
_SYNCHRONOUS_FLAGS: Final = (b"O_SYNC", b"O_DSYNC", b"O_DIRECT")


class TraceError(Exception):
    """The traced process did something to the store that the replay doesn't model."""


@dataclass(frozen=True, slots=True)
class Create:
    """A file was made; it is empty."""

    name: str


@dataclass(frozen=True, slots=True)
class Unlink:
    """A file's name was removed."""

    name: str


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes were written at an offset."""

    name: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file was given a size, in bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """A file (or, without a name, the folder) was synced: what `covers` counts is on disk."""

    name: str
    covers: int


@dataclass(frozen=True, slots=True)
class Ack:
    """An event was acknowledged."""

    event_id: str


Operation = Create | Unlink | Write | Truncate | Sync | Ack


@dataclass(frozen=True, slots=True)
class _Begun:
    """The first half of a call that another thread's line came between."""

    text: bytes
    covers: int


def read_trace(lines: Iterable[bytes], folder: Path, acks: Path) -> list[Operation]:
    """Read the lines of `strace -f -y -xx` into what happened to a store.

    Args:
        lines: strace's output, a line a call or half a call.
        folder: the store's folder, empty when the trace began.
        acks: the file that acknowledgements are written to, a line `ack <event id>` each.

    Raises:
        TraceError: something was done that the replay doesn't model.
    """
    reader = _Reader(folder, acks)
    for line in lines:
        reader.read(line.rstrip(b"\n"))
    return reader.operations


class _Reader:
    def __init__(self, folder: Path, acks: Path) -> None:
        self.operations: list[Operation] = []
        self._folder, self._acks = str(folder), str(acks)
        self._marks = (_escaped(self._folder), _escaped(self._acks))
        self._begun: dict[bytes, _Begun] = {}
        self._present: set[str] = set()

    def read(self, line: bytes) -> None:
        split = _LINE.fullmatch(line)
        if split is None:
            return
        thread, text = split.groups()
        covers = len(self.operations)
        resumed = _RESUMED.fullmatch(text)
        if resumed is not None:
            begun = self._begun.pop(thread, None)
            if begun is None:
                return
            text, covers = begun.text + resumed[1], begun.covers
        if not any(mark in text for mark in self._marks):
            return
        if text.endswith(_UNFINISHED):
            self._begin(thread, text.removesuffix(_UNFINISHED))
            return
        call = _CALL.fullmatch(text)
        if call is None:
            raise TraceError(f"strace's line can't be read: {text[:120]!r}")
        name, arguments, result, rest = call.groups()
        if result == b"?" or result.startswith(b"-"):
            return  # it failed, or was broken off: nothing was done
        self._take(name.decode(), arguments, int(result, 0), rest, covers)

    def _begin(self, thread: bytes, text: bytes) -> None:
        if text.startswith(b"write(") and self._file_of(text) == self._acks:
            self._acknowledge(text)
            return
        self._begun[thread] = _Begun(text, len(self.operations))

    def _take(self, call: str, arguments: bytes, result: int, rest: bytes, covers: int) -> None:
        if call in _OPENING:
            self._open(arguments, self._file_of(rest))
            return
        path: str | None
        if call in _ON_NAMES:
            path = self._path_of(arguments)
        elif call in _ON_OPEN_FILES:
            path = self._file_of(arguments)
        else:
            raise TraceError(f"the store was touched by {call}, which is not replayed")
        if path == self._acks and call == "write":
            self._acknowledge(arguments)
        elif path == self._folder and call in _SYNCS:
            self.operations.append(Sync("", covers))
        elif (name := self._name(path)) is not None:
            self._change(call, name, arguments, result, covers)

    def _open(self, arguments: bytes, path: str | None) -> None:
        name = self._name(path)
        if name is None:
            return
        if any(flag in arguments for flag in _SYNCHRONOUS_FLAGS):
            raise TraceError(f"{name} was opened with flags that are not replayed")
        if name not in self._present:
            self._present.add(name)
            self.operations.append(Create(name))
        elif b"O_TRUNC" in arguments:
            self.operations.append(Truncate(name, 0))

    def _change(self, call: str, name: str, arguments: bytes, result: int, covers: int) -> None:
        if name not in self._present:
            raise TraceError(f"{name} was changed by {call} and never made")
        match call:
            case "pwrite64":
                offset = int(arguments.rpartition(b",")[2])
                self.operations.append(Write(name, offset, _data(arguments)[:result]))
            case "ftruncate":
                self.operations.append(Truncate(name, int(arguments.rpartition(b",")[2])))
            case _ if call in _SYNCS:
                self.operations.append(Sync(name, covers))
            case "unlink" | "unlinkat":
                self._present.remove(name)
                self.operations.append(Unlink(name))
            case "mmap" if b"MAP_SHARED" not in arguments or b"PROT_WRITE" not in arguments:
                return
            case _:
                raise TraceError(f"{name} was changed by {call}, which is not replayed")

    def _acknowledge(self, arguments: bytes) -> None:
        for line in _data(arguments).decode().splitlines():
            word, _, event_id = line.partition(" ")
            if word == "ack":
                self.operations.append(Ack(event_id))

    def _name(self, path: str | None) -> str | None:
        """Return the name of a file of the store; None: it is none, or no longer has a name."""
        if path is None or not path.startswith(f"{self._folder}/") or path.endswith(_DELETED):
            return None
        name = path.removeprefix(f"{self._folder}/")
        return None if name.endswith(IGNORED_SUFFIX) else name

    @staticmethod
    def _file_of(text: bytes) -> str | None:
        """Return the path of the first file that is open, as strace tells it beside its number."""
        found = _FILE.search(text)
        if found is None:
            return None
        return _unescaped(found[1]).decode() + (_DELETED if found[2] else "")

    @staticmethod
    def _path_of(arguments: bytes) -> str:
        found = _TEXT.search(arguments)
        path = "" if found is None else _unescaped(found[1]).decode()
        if not path.startswith("/"):
            raise TraceError(f"a path from the root was expected: {arguments[:120]!r}")
        return path


def _data(arguments: bytes) -> bytes:
    found = _TEXT.search(arguments)
    if found is None or found[2]:
        raise TraceError("strace cut what was written; give it a larger -s")
    return _unescaped(found[1])


def _escaped(text: str) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in text.encode())


def _unescaped(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b"\\x", b"").decode())
