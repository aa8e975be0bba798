"""Lines on their way out, which hold up nobody: not where nobody reads, nor where nobody is left.

A line is written at once where there is room for it. Where there is none, it is kept, in bounds,
and a thread that is there only for as long as something is kept sees it out. What doesn't fit or
can't be written is lost, and counted.
"""

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Final, TextIO

# A pipe that has room has room for as much at once (POSIX: PIPE_BUF; Linux: 4,096 bytes).
PIECE_BYTES: Final = select.PIPE_BUF
KEPT_BYTES_MAX: Final = 1024 * 1024


class Lines:
    """Writes whole lines to a stream; with no stream, to nobody."""

    def __init__(self, stream: TextIO | None) -> None:
        """Write to what is beneath the stream, past its own buffer; else to the stream itself."""
        self._stream = stream
        self._fd = _fd_of(stream)
        self._poll = select.poll()
        if self._fd is not None:
            self._poll.register(self._fd, select.POLLOUT)
        # Lines may be said while one is being written, by what the collector comes upon.
        self._lock = threading.RLock()
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._lost = 0
        # Whether the last that was written came through.
        self._is_heard = True
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Write a line, which ends as such, or keep it until there is room."""
        if self._fd is None:
            self._write_text(line)
            return
        with self._lock:
            if not self._kept and len(line) <= PIECE_BYTES and self._poll.poll(0):
                written = self._written(self._fd, line)
                if written == len(line):
                    return
                line = line[written:]
            self._keep(line)
            self._see_out(self._fd)
            if self._kept and self._thread is None:
                self._start(self._fd)

    def take_lost(self) -> int:
        """Return how many lines were lost since this was asked last, once others come through."""
        if not self._lost or self._kept or not self._is_heard:
            return 0
        with self._lock:
            lost, self._lost = self._lost, 0
        return lost

    def close(self, seconds: float) -> None:
        """Wait so long at most for what is kept to leave."""
        until_s = time.monotonic() + seconds
        while self._fd is not None and self._kept and (left_s := until_s - time.monotonic()) > 0:
            _wait_for_room(self._fd, left_s)
            with self._lock:
                self._see_out(self._fd)

    def _write_text(self, line: bytes) -> None:
        if self._stream is not None:
            # A closed one raises ValueError.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(line.decode(errors="replace"))

    def _written(self, fd: int, piece: bytes) -> int:
        """Return how much of a piece is off our hands."""
        try:
            written = os.write(fd, piece)
        except BlockingIOError:
            return 0
        except OSError:
            # Nobody is there any more, or the disk is full: waiting doesn't help this line.
            self._lost += 1
            self._is_heard = False
            return len(piece)
        self._is_heard = True
        return written

    def _keep(self, line: bytes) -> None:
        if self._kept_bytes + len(line) > KEPT_BYTES_MAX:
            self._lost += 1
            return
        self._kept.append(line)
        self._kept_bytes += len(line)

    def _see_out(self, fd: int) -> None:
        """Write what is kept for as long as there is room."""
        while self._kept and self._poll.poll(0):
            line = self._kept.popleft()
            written = self._written(fd, line[:PIECE_BYTES])
            self._kept_bytes -= written
            if written < len(line):
                self._kept.appendleft(line[written:])
            if not written:
                return

    def _start(self, fd: int) -> None:
        self._thread = threading.Thread(target=self._stand_by, args=(fd,), name="log", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # No thread can be had: what is kept leaves with the next line.
            self._thread = None

    def _stand_by(self, fd: int) -> None:
        while True:
            _wait_for_room(fd)
            with self._lock:
                self._see_out(fd)
                if not self._kept:
                    self._thread = None
                    return


def _wait_for_room(fd: int, seconds: float | None = None) -> None:
    """Wait until something can be written. By a poll of its own: none serves two at a time."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll(None if seconds is None else seconds * 1000)


def _fd_of(stream: TextIO | None) -> int | None:
    if stream is None:
        return None
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def is_journal(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Tell whether a stream leads to systemd's journal (`$JOURNAL_STREAM`, systemd.exec(5))."""
    fd = _fd_of(stream)
    if fd is None or not environ.get("JOURNAL_STREAM"):
        return False
    try:
        here = os.fstat(fd)
    except OSError:
        return False
    return environ["JOURNAL_STREAM"] == f"{here.st_dev}:{here.st_ino}"
