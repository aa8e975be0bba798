from random import Random

import pytest
from powercut_log import Ack, Create, Operation, Sync, Truncate, Unlink, Write
from powercut_replay import SECTOR_BYTES, Choice, Disk, Image
from powercut_survey import Cut, images, plan

SEEDS = range(200)


def after(*operations: Operation) -> Disk:
    disk = Disk()
    for operation in operations:
        disk.apply(operation)
    return disk


def found(disk: Disk, choice: Choice, seed: int = 0) -> Image:
    return disk.image(choice, Random(seed))  # noqa: S311 - to be had again


def all_found(disk: Disk, choice: Choice) -> list[Image]:
    return [found(disk, choice, seed) for seed in SEEDS]


def on_disk(content: bytes = b"") -> tuple[Operation, ...]:
    """A file with this content, certain, in three operations."""
    return Create("a"), Write("a", 0, content), Sync("a", 2), Sync("", 3)


@pytest.mark.parametrize("choice", Choice)
def test_what_was_synced_is_there_whatever_happens(choice: Choice) -> None:
    disk = after(*on_disk(b"certain"))
    assert all(one == {"a": b"certain"} for one in all_found(disk, choice))


def test_what_no_sync_covered_is_dropped_or_kept() -> None:
    disk = after(*on_disk(b"certain"), Write("a", 7, b" or not"), Create("b"))
    assert found(disk, Choice.DROPPED) == {"a": b"certain"}
    assert found(disk, Choice.KEPT) == {"a": b"certain or not", "b": b""}


def test_a_sync_makes_nothing_certain_that_came_after_it_began() -> None:
    disk = after(*on_disk(), Write("a", 0, b"1"), Write("a", 1, b"2"), Sync("a", 5))
    assert found(disk, Choice.DROPPED) == {"a": b"1"}


def test_a_sync_of_one_file_is_none_of_another() -> None:
    disk = after(*on_disk(), Create("b"), Sync("", 5), Write("b", 0, b"x"), Sync("a", 7))
    assert found(disk, Choice.DROPPED) == {"a": b"", "b": b""}


def test_a_new_file_lasts_only_from_a_sync_of_its_folder() -> None:
    written = Create("a"), Write("a", 0, b"x"), Sync("a", 2)
    assert found(after(*written), Choice.DROPPED) == {}
    assert found(after(*written, Sync("", 3)), Choice.DROPPED) == {"a": b"x"}


def test_a_removed_file_is_gone_only_after_a_sync_of_its_folder() -> None:
    disk = after(*on_disk(b"x"), Unlink("a"))
    assert found(disk, Choice.DROPPED) == {"a": b"x"}
    disk.apply(Sync("", 5))
    assert found(disk, Choice.DROPPED) == {}


def test_a_name_that_is_used_again_is_another_file() -> None:
    disk = after(*on_disk(b"old"), Unlink("a"), Create("a"), Write("a", 0, b"new"), Sync("a", 7))
    assert found(disk, Choice.DROPPED) == {"a": b"old"}
    assert found(disk, Choice.KEPT) == {"a": b"new"}


def test_a_truncation_may_happen_or_not_until_it_is_synced() -> None:
    disk = after(*on_disk(b"longer"), Truncate("a", 2))
    assert {one["a"] for one in all_found(disk, Choice.SUBSET)} == {b"longer", b"lo"}
    disk.apply(Sync("a", 5))
    assert found(disk, Choice.DROPPED) == {"a": b"lo"}


def test_of_several_writes_any_may_survive_alone_and_holes_are_zero() -> None:
    disk = after(*on_disk(b""), Write("a", 0, b"1"), Write("a", 1, b"2"))
    seen = {one["a"] for one in all_found(disk, Choice.SUBSET)}
    assert seen == {b"", b"\0", b"\0\0", b"1", b"1\0", b"\0" + b"2", b"12"}


def test_writes_to_one_place_keep_their_order() -> None:
    disk = after(*on_disk(b"0"), Write("a", 0, b"1"), Write("a", 0, b"2"))
    assert found(disk, Choice.KEPT) == {"a": b"2"}
    assert {one["a"] for one in all_found(disk, Choice.SUBSET)} == {b"0", b"1", b"2"}


def test_of_a_file_all_or_nothing_survives_whatever_becomes_of_another() -> None:
    start = (*on_disk(), Create("b"), Sync("", 5))
    disk = after(*start, *(Write(name, at, b"x") for at in range(2) for name in "ab"))
    seen = {
        (one["a"].strip(b"\0"), one["b"].strip(b"\0")) for one in all_found(disk, Choice.BY_FILE)
    }
    assert seen == {(b"", b""), (b"xx", b""), (b"", b"xx"), (b"xx", b"xx")}


def test_a_torn_write_survives_in_sectors_of_the_disk() -> None:
    start, end = SECTOR_BYTES - 10, SECTOR_BYTES * 3
    disk = after(*on_disk(bytes(end)), Write("a", start, b"x" * (end - start)))
    seen = {one["a"] for one in all_found(disk, Choice.TORN)}
    assert len(seen) == 8
    for content in seen:
        assert set(content[:start]) == {0}
        for first, last in ((start, 512), (512, 1024), (1024, 1536)):
            assert len(set(content[first:last])) == 1


def test_a_trashed_sector_holds_anything_and_bytes_beside_the_write_stay() -> None:
    disk = after(*on_disk(b"-" * 2048), Write("a", 100, b"x" * 1000))
    seen = [one["a"] for one in all_found(disk, Choice.TRASHED)]
    assert any(set(one[100:1100]) - set(b"-x") for one in seen)
    assert all(one[:100] + one[1100:] == b"-" * 1048 for one in seen)


def test_the_same_chance_gives_the_same_files() -> None:
    disk = after(*on_disk(b"0" * 4096), *(Write("a", at, b"x" * 600) for at in range(0, 4000, 300)))
    for choice in Choice:
        assert found(disk, choice, 7) == found(disk, choice, 7)


def test_cuts_are_as_many_as_asked_for_all_different_and_reach_from_first_to_last() -> None:
    operations = [*on_disk(b"x"), Ack("e1"), *(Write("a", at, b"x") for at in range(95))]
    cuts = plan(operations, 150)
    assert len(cuts) == len(set(cuts)) == 150
    assert cuts == sorted(cuts)
    assert (cuts[0].position, cuts[-1].position) == (0, 100 - 1)
    assert {cut.choice for cut in cuts} == set(Choice)


def test_half_of_the_cuts_come_right_after_something_is_promised() -> None:
    operations = [*on_disk(b"x"), Ack("e1"), *(Write("a", at, b"x") for at in range(995))]
    positions = [cut.position for cut in plan(operations, 20)]
    assert sum(position in {3, 4, 5} for position in positions) >= 10


def test_each_image_comes_with_what_was_acknowledged_before_it() -> None:
    operations: list[Operation] = [Ack("e1"), Create("a"), Ack("e2")]
    cuts = [Cut(position, Choice.KEPT) for position in range(4)]
    told = [(image, list(acks)) for _, image, acks in images(operations, cuts, seed=1)]
    assert told == [
        ({}, []),
        ({}, ["e1"]),
        ({"a": b""}, ["e1"]),
        ({"a": b""}, ["e1", "e2"]),
    ]


def test_a_cut_is_written_such_that_it_can_be_read() -> None:
    cut = Cut(12, Choice.BY_FILE, 3)
    assert Cut.parse(str(cut)) == cut
