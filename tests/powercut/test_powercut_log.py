from pathlib import Path

import pytest
from powercut_log import (
    Ack,
    Create,
    Operation,
    Sync,
    TraceError,
    Truncate,
    Unlink,
    Write,
    read_trace,
)

STORE = Path("/s")
DB, WAL = "/s/bridge.db", "/s/bridge.db-wal"


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def file(path: str, number: int = 5) -> str:
    return f"{number}<{hexed(path)}>"


def made(path: str, flags: str = "O_RDWR|O_CREAT") -> str:
    return f'openat(AT_FDCWD<{hexed("/")}>, "{hexed(path)}", {flags}, 0644) = {file(path)}'


def wrote(path: str, data: str, offset: int, result: str | None = None) -> str:
    said = f'pwrite64({file(path)}, "{hexed(data)}", {len(data)}, {offset})'
    return f"{said} = {result or len(data)}"


def read(*calls: str) -> list[Operation]:
    lines = [call if call[0].isdigit() else f"77  {call}" for call in calls]
    return read_trace([f"{line}\n".encode() for line in lines], STORE, Path("/acks"))


def test_what_is_done_to_the_files_of_the_store_is_read_in_order() -> None:
    assert read(
        made(DB),
        wrote(DB, "page", 4096),
        f"ftruncate({file(DB)}, 8192) = 0",
        f"fdatasync({file(DB)}) = 0",
        f"fsync({file('/s')}) = 0",
        f'unlink("{hexed(DB)}") = 0',
    ) == [
        Create("bridge.db"),
        Write("bridge.db", 4096, b"page"),
        Truncate("bridge.db", 8192),
        Sync("bridge.db", 3),
        Sync("", 4),
        Unlink("bridge.db"),
    ]


def test_only_what_reached_the_file_of_a_short_or_failed_write_counts() -> None:
    calls = (
        made(DB),
        wrote(DB, "page", 0, "2"),
        wrote(DB, "page", 0, "-1 ENOSPC (No space left on device)"),
        wrote(DB, "page", 0, "? ERESTARTSYS (To be restarted)"),
    )
    assert read(*calls) == [Create("bridge.db"), Write("bridge.db", 0, b"pa")]


def test_a_file_is_made_once_and_made_anew_after_it_was_removed() -> None:
    gone = f'unlink("{hexed(DB)}") = 0'
    names = [type(one).__name__ for one in read(made(DB), made(DB), gone, made(DB))]
    assert names == ["Create", "Unlink", "Create"]


def test_a_file_that_is_opened_to_be_emptied_is_truncated() -> None:
    assert read(made(DB), made(DB, "O_WRONLY|O_CREAT|O_TRUNC"))[1:] == [Truncate("bridge.db", 0)]


def test_a_call_that_another_thread_came_between_counts_when_it_is_completed() -> None:
    begun, result = wrote(WAL, "frame", 32).split(" = ")
    assert read(
        made(WAL),
        f"77  {begun[:-1]} <unfinished ...>",
        f"78  {wrote(WAL, 'header', 0)}",
        f"77  <... pwrite64 resumed>) = {result}",
    )[1:] == [Write("bridge.db-wal", 0, b"header"), Write("bridge.db-wal", 32, b"frame")]


def test_a_sync_covers_only_what_was_completed_when_it_began() -> None:
    assert read(
        made(WAL),
        wrote(WAL, "a", 0),
        f"77  fdatasync({file(WAL)} <unfinished ...>",
        f"78  {wrote(WAL, 'b', 1)}",
        "77  <... fdatasync resumed>) = 0",
    )[-1] == Sync("bridge.db-wal", 2)


def test_an_acknowledgement_counts_from_when_it_begins() -> None:
    ack = f'write({file("/acks")}, "{hexed("ack e1" + chr(10))}", 7'
    assert read(
        made(WAL),
        f"77  {ack} <unfinished ...>",
        f"78  {wrote(WAL, 'b', 1)}",
        "77  <... write resumed>) = 7",
        f"{ack}) = 7",
    )[1:] == [Ack("e1"), Write("bridge.db-wal", 1, b"b"), Ack("e1")]


def test_other_files_the_shared_index_and_removed_files_are_left_out() -> None:
    assert (
        read(
            made("/elsewhere"),
            made(f"{DB}-shm"),
            wrote(f"{DB}-shm", "x", 4095),
            f"mmap(NULL, 32768, PROT_READ|PROT_WRITE, MAP_SHARED, {file(DB + '-shm')}, 0) = 0x7f00",
            f'pwrite64(5<{hexed(WAL)}>(deleted), "{hexed("x")}", 1, 0) = 1',
            "77  +++ exited with 0 +++",
        )
        == []
    )


@pytest.mark.parametrize(
    "call",
    [
        f'write({file(DB)}, "{hexed("x")}", 1) = 1',
        f"fallocate({file(DB)}, 0, 0, 4096) = 0",
        f"mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, {file(DB)}, 0) = 0x7f00",
        f'rename("{hexed(DB)}", "{hexed(WAL)}") = 0',
        f'pwritev({file(DB)}, [{{iov_base="{hexed("x")}", iov_len=1}}], 1, 0) = 1',
        f"copy_file_range({file('/other')}, NULL, {file(DB)}, NULL, 4096, 0) = 4096",
        f'pwrite64({file(DB)}, "{hexed("x")}"..., 4096, 0) = 4096',
        made(DB, "O_RDWR|O_DSYNC"),
        wrote(WAL, "x", 0),
        f'unlinkat({file("/s")}, "{hexed("bridge.db")}", 0) = 0',
        f"fdatasync({file(DB)}) is not a line of strace",
    ],
)
def test_what_the_replay_does_not_model_is_refused(call: str) -> None:
    with pytest.raises(TraceError):
        read(made(DB), call)


def test_a_map_that_nobody_else_sees_is_no_change() -> None:
    private = f"mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE, {file(DB)}, 0) = 0x7f00"
    reading = f"mmap(NULL, 4096, PROT_READ, MAP_SHARED, {file(DB)}, 0) = 0x7f00"
    assert read(made(DB), private, reading) == [Create("bridge.db")]
