import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest

from bridge.ops import lines as lines_module
from bridge.ops.lines import PIECE_BYTES, Lines

LINE = b"x" * 199 + b"\n"


@dataclass
class Pipe:
    """A pipe that is written to by lines, and read only when a test does."""

    reader: int
    stream: TextIO
    is_read: bool = True

    def leave(self) -> None:
        """Read no more, for good."""
        self.is_read = False
        os.close(self.reader)

    def fill(self) -> None:
        """Leave no room in it."""
        os.set_blocking(self.stream.fileno(), False)
        try:
            while True:
                os.write(self.stream.fileno(), b"." * PIECE_BYTES)
        except BlockingIOError:
            pass
        finally:
            os.set_blocking(self.stream.fileno(), True)

    def read(self, count: int) -> bytes:
        """Wait for so many bytes, the filling aside."""
        found = b""
        while len(found) < count:
            found += os.read(self.reader, 65536).replace(b".", b"")
        return found


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w")
    made = Pipe(reader, stream)
    yield made
    if made.is_read:
        made.leave()
    # Nobody may be left who writes to what others may get the number of.
    for thread in threading.enumerate():
        if thread.name == "log":
            thread.join(10)
    stream.close()


def test_a_line_is_there_as_soon_as_it_is_written(pipe: Pipe) -> None:
    Lines(pipe.stream).write(LINE)
    assert os.read(pipe.reader, 65536) == LINE


def test_a_full_pipe_holds_up_nobody_and_loses_nothing(pipe: Pipe) -> None:
    pipe.fill()
    lines = Lines(pipe.stream)
    sent = [b"%03d" % number + LINE for number in range(100)]
    for one in sent:
        lines.write(one)  # were it to wait, this test would never end
    assert pipe.read(len(b"".join(sent))) == b"".join(sent)
    lines.close(10)
    assert lines.take_lost() == 0


def test_what_is_kept_leaves_without_another_line(pipe: Pipe) -> None:
    pipe.fill()
    Lines(pipe.stream).write(LINE)
    assert pipe.read(len(LINE)) == LINE


def test_the_thread_that_stood_by_is_gone_when_nothing_is_kept(pipe: Pipe) -> None:
    pipe.fill()
    Lines(pipe.stream).write(LINE)
    (thread,) = [one for one in threading.enumerate() if one.name == "log"]
    pipe.read(len(LINE))
    thread.join(10)
    assert not thread.is_alive()


def test_without_another_thread_what_is_kept_leaves_with_the_next_line(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    pipe.fill()
    lines = Lines(pipe.stream)
    lines.write(LINE)
    os.read(pipe.reader, PIECE_BYTES * 4)
    lines.write(b"next\n")
    assert pipe.read(len(LINE) + 5).endswith(b"next\n")


def test_what_is_kept_has_bounds_and_the_rest_is_counted(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "KEPT_BYTES_MAX", 10 * len(LINE))
    pipe.fill()
    lines = Lines(pipe.stream)
    for _ in range(25):
        lines.write(LINE)
    assert lines.take_lost() == 0  # it can't be told yet: there is no room
    assert pipe.read(10 * len(LINE)) == LINE * 10
    lines.close(10)
    assert lines.take_lost() == 15
    assert lines.take_lost() == 0


def test_a_long_line_goes_in_pieces_and_stays_whole(pipe: Pipe) -> None:
    line = b"y" * 500_000 + b"\n"
    lines = Lines(pipe.stream)
    lines.write(line)
    lines.write(LINE)
    assert pipe.read(len(line + LINE)) == line + LINE


def test_where_nobody_reads_any_more_lines_are_lost_and_nothing_fails(pipe: Pipe) -> None:
    pipe.leave()
    lines = Lines(pipe.stream)
    for _ in range(3):
        lines.write(LINE)
    assert lines.take_lost() == 0  # there is nobody to tell


def test_how_many_were_lost_is_known_once_others_come_through(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        lines = Lines(stream)
        full = os.open("/dev/full", os.O_WRONLY)
        fine = os.dup(stream.fileno())
        os.dup2(full, stream.fileno())
        lines.write(LINE)
        lines.write(LINE)
        assert lines.take_lost() == 0
        os.dup2(fine, stream.fileno())
        lines.write(LINE)
        assert lines.take_lost() == 2
        os.close(full)
        os.close(fine)
    assert (tmp_path / "log").read_bytes() == LINE


def test_when_the_reader_goes_away_what_is_kept_is_lost(pipe: Pipe) -> None:
    pipe.fill()
    lines = Lines(pipe.stream)
    lines.write(LINE)
    pipe.leave()
    lines.close(10)
    assert lines.take_lost() == 0


def test_a_stream_that_is_made_not_to_block_fails_nobody(pipe: Pipe) -> None:
    pipe.fill()
    os.set_blocking(pipe.stream.fileno(), False)
    Lines(pipe.stream).write(LINE)
    assert pipe.read(len(LINE)) == LINE


def test_closing_waits_no_longer_than_it_is_told(pipe: Pipe) -> None:
    pipe.fill()
    lines = Lines(pipe.stream)
    lines.write(LINE)
    lines.close(0.01)
    pipe.read(len(LINE))
