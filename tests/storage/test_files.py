import asyncio
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.domain.errors import StoreUnavailable
from bridge.storage.engine import open_engine
from bridge.storage.files import AnswerFiles, folder_of

CONTENT = b"%PDF-1.7 an invoice"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
HOUR_S = 3600.0


@pytest.fixture
def files(tmp_path: Path) -> AnswerFiles:
    return AnswerFiles(tmp_path / "files")


@pytest.fixture
def any_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def kept(files: AnswerFiles) -> list[str]:
    """Return the names of all that is in the folder, unfinished files too."""
    return sorted(path.name for path in files.folder.glob("*/*"))


def age(path: Path, seconds: float) -> None:
    then_s = time.time() - seconds
    os.utime(path, (then_s, then_s))


def failing(error: OSError) -> Any:
    def fail(*_arguments: Any, **_named: Any) -> Any:
        raise error

    return fail


def test_the_files_are_beside_their_store(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'bridge.db'}")
    try:
        assert folder_of(engine).parent == tmp_path
    finally:
        engine.dispose()


async def test_a_file_is_kept_under_the_digest_of_its_content(files: AnswerFiles) -> None:
    assert await files.keep(CONTENT) == DIGEST
    assert files.path(DIGEST) == files.folder / DIGEST[:2] / DIGEST
    assert files.path(DIGEST).read_bytes() == CONTENT
    assert kept(files) == [DIGEST]


async def test_an_empty_file_is_kept_too(files: AnswerFiles) -> None:
    digest = await files.keep(b"")
    assert digest == hashlib.sha256().hexdigest()
    assert files.path(digest).read_bytes() == b""


def test_no_folder_is_made_before_there_is_something_to_keep(files: AnswerFiles) -> None:
    assert not files.folder.exists()


@pytest.mark.usefixtures("any_umask")
async def test_only_the_owner_may_read_whatever_the_umask(files: AnswerFiles) -> None:
    await files.keep(CONTENT)
    assert mode_of(files.folder) == mode_of(files.folder / DIGEST[:2]) == 0o700
    assert mode_of(files.path(DIGEST)) == 0o600


async def test_the_same_content_is_kept_once(files: AnswerFiles) -> None:
    await files.keep(CONTENT)
    before = files.path(DIGEST).stat()
    assert await files.keep(CONTENT) == DIGEST
    assert files.path(DIGEST).stat().st_ino == before.st_ino
    assert kept(files) == [DIGEST]


async def test_many_at_once_keep_the_same_content_whole(files: AnswerFiles) -> None:
    others = [bytes([one]) for one in range(20)]
    contents = [*[CONTENT] * 20, *others]
    digests = await asyncio.gather(*map(files.keep, contents))
    assert digests == [hashlib.sha256(one).hexdigest() for one in contents]
    assert kept(files) == sorted(set(digests))


async def test_a_file_of_another_length_is_written_anew(files: AnswerFiles) -> None:
    await files.keep(CONTENT)
    files.path(DIGEST).write_bytes(CONTENT[:3])
    await files.keep(CONTENT)
    assert files.path(DIGEST).read_bytes() == CONTENT


async def test_a_file_bears_its_name_only_once_it_is_whole(
    files: AnswerFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_sync: list[list[str]] = []
    real = os.fsync

    def look(handle: int) -> None:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            assert os.fstat(handle).st_size == len(CONTENT)
            at_sync.append(kept(files))
        real(handle)

    monkeypatch.setattr(os, "fsync", look)
    await files.keep(CONTENT)
    [names] = at_sync
    assert DIGEST not in names
    assert kept(files) == [DIGEST]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Give what has been made to be on disk, in order."""
    found: list[Path] = []
    real = os.fsync

    def note(handle: int) -> None:
        found.append(Path(f"/proc/self/fd/{handle}").readlink())
        real(handle)

    monkeypatch.setattr(os, "fsync", note)
    return found


async def test_file_and_names_are_on_disk_before_a_file_counts_as_kept(
    files: AnswerFiles, synced: list[Path]
) -> None:
    await files.keep(CONTENT)
    place = files.path(DIGEST).parent
    assert synced[:2] == [files.folder.parent, files.folder]
    assert synced[2].parent == place
    assert synced[3:] == [place]


async def test_what_a_killed_process_left_is_on_disk_too_before_it_counts_as_kept(
    files: AnswerFiles, synced: list[Path]
) -> None:
    await files.keep(CONTENT)
    synced.clear()
    await AnswerFiles(files.folder).keep(CONTENT)
    assert synced == [files.folder.parent, files.folder, files.path(DIGEST).parent]


async def test_folders_that_were_removed_meanwhile_are_made_again(files: AnswerFiles) -> None:
    await files.keep(CONTENT)
    shutil.rmtree(files.folder)
    assert await files.keep(CONTENT) == DIGEST
    assert kept(files) == [DIGEST]


@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir"])
async def test_what_cannot_be_kept_leaves_nothing_behind_and_says_so_without_its_name(
    files: AnswerFiles, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    with monkeypatch.context() as patch:
        error = OSError(28, "No space left on device", str(files.path(DIGEST)))
        patch.setattr(os if call == "fsync" else Path, call, failing(error))
        with pytest.raises(StoreUnavailable) as caught:
            await files.keep(CONTENT)
    assert "No space left on device" in str(caught.value)
    assert DIGEST not in str(caught.value)
    assert kept(files) == []
    assert await files.keep(CONTENT) == DIGEST


async def test_a_store_that_is_away_can_keep_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await AnswerFiles(tmp_path / "gone" / "files").keep(CONTENT)


async def test_a_file_is_removed_by_its_digest_and_no_other(files: AnswerFiles) -> None:
    other = await files.keep(b"another")
    await files.keep(CONTENT)
    await files.drop([DIGEST])
    assert kept(files) == [other]


async def test_what_is_not_there_is_as_good_as_removed(files: AnswerFiles) -> None:
    await files.drop([DIGEST])
    await files.keep(CONTENT)
    await files.drop([DIGEST, DIGEST, "0" * 64, ""])
    assert kept(files) == []
    await files.drop([DIGEST])


async def test_what_was_removed_can_be_kept_again(files: AnswerFiles) -> None:
    await files.keep(CONTENT)
    await files.drop([DIGEST])
    assert await files.keep(CONTENT) == DIGEST
    assert files.path(DIGEST).read_bytes() == CONTENT


async def test_strays_are_files_that_were_written_long_enough_ago(files: AnswerFiles) -> None:
    old = await files.keep(b"old")
    await files.keep(b"new")
    age(files.path(old), HOUR_S + 60)
    assert await files.strays(HOUR_S) == [old]
    assert len(kept(files)) == 2


async def test_what_was_never_finished_is_removed_once_it_is_old(files: AnswerFiles) -> None:
    await files.keep(CONTENT)
    place = files.path(DIGEST).parent
    for name, seconds in (("making-old", HOUR_S + 60), ("making-new", 0.0)):
        (place / name).write_bytes(b"%PD")
        age(place / name, seconds)
    assert await files.strays(HOUR_S) == []
    assert kept(files) == sorted([DIGEST, "making-new"])


async def test_what_has_no_digest_for_a_name_is_left_alone(files: AnswerFiles) -> None:
    await files.keep(CONTENT)
    place = files.path(DIGEST).parent
    for name in ("README", DIGEST[:-1], f"{DIGEST}0", DIGEST.upper() + ".x"):
        (place / name).write_bytes(b"x")
        age(place / name, 2 * HOUR_S)
    assert await files.strays(HOUR_S) == []
    assert len(kept(files)) == 5


async def test_no_folder_has_no_strays(files: AnswerFiles) -> None:
    assert await files.strays(0.0) == []
