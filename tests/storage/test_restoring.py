import errno
import os
import sqlite3
import stat
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from backed import (
    DATA,
    DIGEST,
    NOW_US,
    dump,
    file_size_limit,
    make_backup,
    members,
    put_back,
    rewrite,
    silent,
    url_of,
)

from bridge.domain.errors import BackupFailed, StoreUnusable
from bridge.storage import restoring
from bridge.storage.backups import DATABASE, MANIFEST
from bridge.storage.engine import open_engine
from bridge.storage.files import beside
from bridge.storage.restoring import Contents
from bridge.storage.schema import KNOWN_SCHEMAS, current_schema, prepare

pytest_plugins = ["backed_fixtures"]


class TestRestore:
    def test_the_store_that_is_replaced_stays_whole_beside_it(
        self, store: Path, backup: Path
    ) -> None:
        engine = open_engine(url_of(store))
        with engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM events")
        before = dump(store)
        engine.dispose()
        aside = put_back(backup, store)
        assert aside == store.with_name("bridge.db.before")
        assert dump(aside) == before
        assert dump(store) != before
        assert stat.S_IMODE(store.stat().st_mode) == 0o600

    def test_a_log_of_the_store_that_is_replaced_is_never_read_as_the_new_ones(
        self, store: Path, backup: Path
    ) -> None:
        # As a crash leaves it, of a store that is too damaged to be opened.
        expected = dump(store)
        store.write_bytes(b"x" * 8192)
        for end in ("-wal", "-shm"):
            Path(f"{store}{end}").write_bytes(b"the old one's")
        aside = put_back(backup, store)
        assert dump(store) == expected
        assert aside is not None
        assert Path(f"{aside}-wal").read_bytes() == b"the old one's"

    def test_a_store_that_another_command_reads_is_not_replaced(
        self, store: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(restoring, "BUSY_S", 0.1)
        engine = open_engine(url_of(store))
        with closing(sqlite3.connect(store, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM events").fetchone()
            with engine.begin() as writer:
                writer.exec_driver_sql("DELETE FROM events")
            with pytest.raises(BackupFailed, match="another command is at work on it"):
                put_back(backup, store)
        engine.dispose()
        contents = restoring.contents_of(store)
        assert contents is not None
        assert contents.events == 0

    def test_one_that_is_cut_short_leaves_the_old_store(
        self, store: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, replace = dump(store), Path.replace

        def fail(self: Path, target: Path) -> Path:
            if target == store:
                raise OSError(errno.EIO, "Input/output error")
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", fail)
        with pytest.raises(BackupFailed, match=r"can't be replaced \(Input/output error\)"):
            put_back(backup, store)
        assert dump(store) == before

    def test_one_that_is_cut_short_over_a_damaged_store_lets_no_daemon_start_until_it_is_done_again(
        self, store: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected, replace = dump(store), Path.replace
        store.write_bytes(b"x" * 8192)
        Path(f"{store}-wal").write_bytes(b"the old one's")

        def fail(self: Path, target: Path) -> Path:
            if target == store:
                raise OSError(errno.EIO, "Input/output error")
            return replace(self, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", fail)
            with pytest.raises(BackupFailed, match="can't be replaced"):
                put_back(backup, store)
        with pytest.raises(StoreUnusable, match="was cut short; `aventa-bridge restore` it again"):
            open_engine(url_of(store))
        put_back(backup, store, suffix=".again")
        open_engine(url_of(store)).dispose()
        assert dump(store) == expected
        assert store.with_name("bridge.db.before-wal").read_bytes() == b"the old one's"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_root_gives_it_to_whom_its_folder_belongs(self, fresh: Path, backup: Path) -> None:
        os.chown(fresh.parent, 4711, 4712)
        put_back(backup, fresh)
        made = [fresh, beside(fresh), *beside(fresh).glob("*"), *beside(fresh).glob("*/*")]
        assert {(one.stat().st_uid, one.stat().st_gid) for one in made} == {(4711, 4712)}

    def test_a_log_without_a_store_is_taken_away(self, fresh: Path, backup: Path) -> None:
        Path(f"{fresh}-wal").write_bytes(b"nobody's")
        put_back(backup, fresh)
        assert not Path(f"{fresh}-wal").exists()

    def test_it_says_what_is_in_it(self, store: Path, fresh: Path, backup: Path) -> None:
        with restoring.unpacked(backup, fresh, silent) as found:
            assert found.made_us == NOW_US
            assert found.contents == restoring.contents_of(store)
            contents = found.contents
        assert contents.events > 0
        assert contents.newest_us is not None
        assert contents.waiting
        assert contents.stopped > 0
        assert list(fresh.parent.iterdir()) == []

    def test_of_a_store_that_can_not_be_read_nothing_is_said(self, tmp_path: Path) -> None:
        assert restoring.contents_of(tmp_path / "none.db") is None
        (tmp_path / "x.db").write_text("no database at all, but long enough to be taken for one")
        assert restoring.contents_of(tmp_path / "x.db") is None

    @pytest.mark.parametrize("schema", KNOWN_SCHEMAS[:-1])
    def test_an_older_schemas_store_is_restored_and_brought_to_this_ones(
        self, fresh: Path, tmp_path: Path, schema: str
    ) -> None:
        old = tmp_path / "old.db"
        with closing(sqlite3.connect(old)) as connection:
            connection.executescript((DATA / f"store_{schema}.sql").read_text(encoding="ascii"))
        made = make_backup(old, tmp_path / "b.tar")
        assert made.schema == schema
        put_back(made.path, fresh, hold=True)
        engine = open_engine(url_of(fresh))
        prepare(engine)
        with engine.connect() as connection:
            assert current_schema(connection) == KNOWN_SCHEMAS[-1]
        engine.dispose()
        contents = restoring.contents_of(fresh)
        assert isinstance(contents, Contents)
        assert contents.events > 0

    def test_a_bare_database_is_taken_too(self, store: Path, fresh: Path, tmp_path: Path) -> None:
        bare = tmp_path / "bare.db"
        with closing(sqlite3.connect(store)) as one, closing(sqlite3.connect(bare)) as other:
            one.backup(other)
        put_back(bare, fresh)
        assert dump(fresh) == dump(store)

    def test_a_database_with_a_log_beside_it_is_refused(self, store: Path, fresh: Path) -> None:
        Path(f"{store}-wal").write_bytes(b"something")
        with pytest.raises(BackupFailed, match="has a log beside it"):
            put_back(store, fresh)


class TestWhatIsNotRestored:
    @pytest.fixture(autouse=True)
    def _nothing_is_changed(self, store: Path) -> Iterator[None]:
        before = dump(store)
        yield
        assert dump(store) == before
        assert {one.name for one in store.parent.iterdir()} <= {
            "bridge.db",
            "bridge.db-wal",
            "bridge.db-shm",
            "bridge.db.attachments",
        }

    @pytest.mark.parametrize("part", [0.02, 0.5, 0.95])
    @pytest.mark.parametrize("name", ["b.tar", "b.tar.gz"])
    def test_one_that_was_cut_is_refused(
        self, store: Path, tmp_path: Path, name: str, part: float
    ) -> None:
        file = make_backup(store, tmp_path / name).path
        content = file.read_bytes()
        file.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(BackupFailed, match="is damaged or not whole"):
            put_back(file, store)

    @pytest.mark.parametrize("name", ["b.tar", "b.tar.gz"])
    def test_one_in_which_a_bit_has_turned_is_refused(
        self, store: Path, tmp_path: Path, name: str
    ) -> None:
        file = make_backup(store, tmp_path / name).path
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        with pytest.raises(BackupFailed, match="is damaged or not whole"):
            put_back(file, store)

    @pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 20_000, b"\x1f\x8b" + b"x" * 600])
    def test_what_is_no_archive_is_refused(
        self, store: Path, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(BackupFailed, match=r"is (no backup of the bridge's|damaged)"):
            put_back(tmp_path / "x", store)

    def test_somebody_elses_archive_is_refused(self, store: Path, backup: Path) -> None:
        rewrite(backup, {"../../etc/passwd": b"root"})
        with pytest.raises(BackupFailed, match="is no backup of the bridge's"):
            put_back(backup, store)

    def test_an_archive_with_a_link_in_it_is_refused(self, store: Path, backup: Path) -> None:
        with tarfile.open(backup, "w") as tar:
            member = tarfile.TarInfo(DATABASE)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member)
        with pytest.raises(BackupFailed, match="is no backup of the bridge's"):
            put_back(backup, store)

    def test_somebody_elses_database_is_refused(self, store: Path, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
            connection.execute("CREATE TABLE recipes (name)")
        with pytest.raises(BackupFailed, match="is no backup of the bridge's"):
            put_back(tmp_path / "x.db", store)

    def test_a_newer_releases_store_is_refused(self, store: Path, tmp_path: Path) -> None:
        newer = tmp_path / "newer.db"
        newer.write_bytes(store.read_bytes())
        with closing(sqlite3.connect(newer)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
        file = make_backup(newer, tmp_path / "b.tar").path
        with pytest.raises(BackupFailed, match="has schema 9999, this release knows 0007"):
            put_back(file, store)

    def test_a_newer_releases_kind_of_backup_is_refused(self, store: Path, backup: Path) -> None:
        said = members(backup)[MANIFEST].replace(b'"format":1', b'"format":2')
        rewrite(backup, {MANIFEST: said})
        with pytest.raises(BackupFailed, match="whose backups this one can't read"):
            put_back(backup, store)

    def test_one_without_its_last_part_or_a_file_is_refused(
        self, store: Path, tmp_path: Path
    ) -> None:
        for gone in (MANIFEST, DATABASE, f"attachments/{DIGEST[:2]}/{DIGEST}"):
            file = make_backup(store, tmp_path / "b.tar", force=True).path
            rewrite(file, {gone: None})
            with pytest.raises(BackupFailed, match="is damaged or not whole"):
                put_back(file, store)

    def test_one_with_other_content_than_it_says_is_refused(
        self, store: Path, backup: Path
    ) -> None:
        for changed in (
            {f"attachments/{DIGEST[:2]}/{DIGEST}": b"another invoice"},
            {MANIFEST: b"{}"},
        ):
            rewrite(backup, {**changed})
            with pytest.raises(BackupFailed, match="is damaged or not whole"):
                put_back(backup, store)

    def test_a_full_disk_changes_nothing(self, store: Path, backup: Path) -> None:
        with file_size_limit(20_000), pytest.raises(BackupFailed, match="can't be restored"):
            put_back(backup, store)


class TestHold:
    @pytest.fixture
    def restored(self, store: Path, backup: Path) -> dict[int, tuple[str, str, str]]:
        put_back(backup, store, hold=True)
        return states(store)

    def test_no_errand_is_left_to_be_made(self, restored: dict[int, tuple[str, str, str]]) -> None:
        making = {state for kind, state, _ in restored.values() if kind == "new_errand"}
        assert not making & {"ready", "sending", "doubtful", "blocked"}

    def test_why_stands_with_what_is_held(
        self, store: Path, backup: Path, restored: dict[int, tuple[str, str, str]]
    ) -> None:
        put_back(backup, store.with_name("other.db"))
        before = states(store.with_name("other.db"))
        newly = [
            error
            for number, (_, state, error) in restored.items()
            if state == "held" != before[number][1]
        ]
        assert set(newly) == {restoring.HELD_WHY}

    def test_what_waits_behind_stays_behind_and_the_rest_is_as_it_was(
        self, store: Path, backup: Path, restored: dict[int, tuple[str, str, str]]
    ) -> None:
        put_back(backup, store.with_name("other.db"))
        before = states(store.with_name("other.db"))
        for number, (kind, state, _) in restored.items():
            if kind in {"new_errand", "watemplate"}:
                continue
            expected = {before[number][1]}
            if before[number][1] == "blocked":
                expected.add("parked")
            assert state in expected


def states(store: Path) -> dict[int, tuple[str, str, str]]:
    with closing(sqlite3.connect(store)) as connection:
        found = connection.execute("SELECT id, kind, state, error FROM outbox")
        return {number: (kind, state, error) for number, kind, state, error in found}
