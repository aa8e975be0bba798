import errno
import gzip
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from backed import (
    CONTENT,
    DIGEST,
    NOW_US,
    damage,
    dump,
    file_size_limit,
    make_backup,
    members,
    put_back,
    put_file,
    silent,
    url_of,
)

from bridge.domain.errors import BackupFailed, StoreUnusable
from bridge.storage import restoring
from bridge.storage.backups import DATABASE, MANIFEST, back_up, working_folder
from bridge.storage.engine import open_engine
from bridge.storage.files import beside
from bridge.storage.schema import KNOWN_SCHEMAS

pytest_plugins = ["backed_fixtures"]


def deny_at(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    look = Path.stat

    def stat_unless(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if self == place:
            raise PermissionError(errno.EACCES, "Permission denied")
        return look(self, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat_unless)


class TestBackup:
    @pytest.mark.parametrize("name", ["b.tar", "b.tar.gz"])
    def test_what_is_restored_is_what_was_backed_up(
        self, store: Path, fresh: Path, tmp_path: Path, name: str
    ) -> None:
        made = make_backup(store, tmp_path / name)
        assert (made.schema, made.files, made.left_out) == (KNOWN_SCHEMAS[-1], 1, 0)
        assert made.size_bytes == made.path.stat().st_size
        assert put_back(made.path, fresh) is None
        assert dump(fresh) == dump(store)
        assert (beside(fresh) / DIGEST[:2] / DIGEST).read_bytes() == CONTENT

    def test_a_name_that_says_so_makes_it_smaller(self, store: Path, tmp_path: Path) -> None:
        plain, small = (make_backup(store, tmp_path / one) for one in ("b.tar", "b.tar.gz"))
        assert small.size_bytes < plain.size_bytes
        assert gzip.decompress(small.path.read_bytes())

    def test_only_its_owner_may_read_it_and_nothing_else_is_left(
        self, backup: Path, tmp_path: Path
    ) -> None:
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600
        assert {one.name for one in tmp_path.iterdir()} == {"store", "b.tar"}

    def test_what_tells_of_the_rest_comes_last(self, backup: Path) -> None:
        assert list(members(backup)) == [DATABASE, f"attachments/{DIGEST[:2]}/{DIGEST}", MANIFEST]

    def test_what_is_in_the_log_only_is_in_it(self, store: Path, tmp_path: Path) -> None:
        engine = open_engine(url_of(store))
        with engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM events")
        made = make_backup(store, tmp_path / "b.tar")
        engine.dispose()
        with restoring.unpacked(made.path, tmp_path / "x.db", silent) as found:
            assert found.contents.events == 0

    def test_a_writer_does_not_wait_for_it_nor_make_it_begin_anew(
        self, store: Path, tmp_path: Path
    ) -> None:
        engine = open_engine(url_of(store))
        steps = 0

        def write(_done: int, _total: int) -> None:
            nonlocal steps
            steps += 1
            assert steps < 10_000
            with engine.begin() as connection:
                connection.exec_driver_sql("UPDATE calls SET last_us = last_us + 1")

        with closing(sqlite3.connect(store)) as connection:
            connection.execute("CREATE TABLE ballast (x)")
            connection.execute("INSERT INTO ballast VALUES (zeroblob(40000000))")
            connection.commit()
        before = dump(store)
        made = back_up(
            url_of(store), tmp_path / "b.tar", now_us=NOW_US, force=False, progress=write
        )
        engine.dispose()
        assert steps > 4
        (tmp_path / "copy.db").write_bytes(members(made.path)[DATABASE])
        assert dump(tmp_path / "copy.db") == before != dump(store)

    def test_a_file_that_is_there_stays_unless_it_is_to_be_written_over(
        self, store: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "b.tar"
        target.write_text("precious")
        with pytest.raises(BackupFailed, match="is there already; --force"):
            make_backup(store, target)
        assert target.read_text() == "precious"
        make_backup(store, target, force=True)
        assert DATABASE in members(target)

    @pytest.mark.parametrize("name", ["bridge.db", "bridge.db-wal", "bridge.db.lock"])
    def test_the_stores_own_names_are_refused(self, store: Path, name: str) -> None:
        before = dump(store)
        with pytest.raises(BackupFailed, match="the store's own name"):
            make_backup(store, store.with_name(name), force=True)
        assert dump(store) == before

    def test_a_folder_that_is_not_there_and_what_is_no_file_are_refused(
        self, store: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(BackupFailed, match="no such folder"):
            make_backup(store, tmp_path / "none" / "b.tar")
        with pytest.raises(BackupFailed, match="is no file"):
            make_backup(store, tmp_path, force=True)
        with pytest.raises(BackupFailed, match="is no file"):
            make_backup(store, Path(os.devnull), force=True)

    def test_a_place_that_may_not_be_looked_at_is_refused_in_a_line(
        self, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As /root is to the bridge's user; for root, who may run this, there is no such folder.
        deny_at(monkeypatch, tmp_path / "b.tar")
        with pytest.raises(BackupFailed, match=r"b.tar: can't be written \(Permission denied\)"):
            make_backup(store, tmp_path / "b.tar")

    def test_what_a_killed_one_left_goes_with_the_next_and_what_is_in_the_making_stays(
        self, store: Path, tmp_path: Path
    ) -> None:
        left = tmp_path / ".aventa-bridge.making-12345678"
        left.mkdir()
        (left / "bridge.db").write_text("callers")
        with working_folder(tmp_path) as busy:
            for folder in (left, busy):
                os.utime(folder, (NOW_US // 1e6, NOW_US // 1e6))
            make_backup(store, tmp_path / "b.tar")
            assert {one.name for one in tmp_path.iterdir()} == {"store", "b.tar", busy.name}

    def test_without_a_store_there_is_no_backup(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnusable, match="there is no store"):
            make_backup(tmp_path / "none.db", tmp_path / "b.tar")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("at", ["copy", "archive"])
    def test_a_full_disk_leaves_nothing_and_the_last_backup_as_it_was(
        self, store: Path, tmp_path: Path, at: str
    ) -> None:
        target = tmp_path / "b.tar"
        target.write_text("the last one")
        size = {"copy": 40_000, "archive": store.stat().st_size + 1024}[at]
        with file_size_limit(size), pytest.raises(BackupFailed, match="can't be"):
            make_backup(store, target, force=True)
        assert target.read_text() == "the last one"
        assert {one.name for one in tmp_path.iterdir()} == {"store", "b.tar"}

    def test_a_damaged_store_makes_no_backup(self, store: Path, tmp_path: Path) -> None:
        damage(store)
        with pytest.raises(BackupFailed, match=r"damaged|malformed"):
            make_backup(store, tmp_path / "b.tar")
        assert {one.name for one in tmp_path.iterdir()} == {"store"}

    def test_a_damaged_file_of_an_answer_is_left_out_and_counted(
        self, store: Path, tmp_path: Path
    ) -> None:
        put_file(store, b"torn")
        put_file(store, b"half", f"making-{'0' * 57}")
        made = make_backup(store, tmp_path / "b.tar")
        assert (made.files, made.left_out) == (0, 1)
        assert list(members(made.path)) == [DATABASE, MANIFEST]
