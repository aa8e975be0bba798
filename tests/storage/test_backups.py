import gzip
import hashlib
import io
import os
import resource
import shutil
import signal
import sqlite3
import stat
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bridge.domain.errors import BackupFailed, StoreUnusable
from bridge.storage import restoring
from bridge.storage.backups import DATABASE, MANIFEST, Made, back_up
from bridge.storage.engine import open_engine
from bridge.storage.files import beside
from bridge.storage.restoring import Contents
from bridge.storage.schema import KNOWN_SCHEMAS, current_schema, prepare

DATA = Path(__file__).parents[1] / "data"
CONTENT = b"an invoice"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NOW_US = 1_700_000_000_000_000


def silent(_done: int, _total: int) -> None:
    pass


def url_of(store: Path) -> str:
    return f"sqlite:///{store}"


def put_file(store: Path, content: bytes = CONTENT, digest: str = DIGEST) -> Path:
    place = beside(store) / digest[:2] / digest
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


def make_backup(store: Path, target: Path, *, force: bool = False) -> Made:
    return back_up(url_of(store), target, now_us=NOW_US, force=force, progress=silent)


def put_back(file: Path, store: Path, *, hold: bool = False) -> Path | None:
    with restoring.unpacked(file, store, silent) as found:
        if hold:
            restoring.hold(found.database)
        return restoring.put_in_place(found, store, ".before")


def dump(store: Path) -> list[str]:
    with closing(sqlite3.connect(store)) as connection:
        return list(connection.iterdump())


def members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as tar:
        return {one.name: getattr(tar.extractfile(one), "read", bytes)() for one in tar}


def rewrite(file: Path, changed: dict[str, bytes | None]) -> None:
    """Write a backup anew with some of its members as given; None leaves one out."""
    found = members(file) | changed
    with tarfile.open(file, "w") as tar:
        for name, content in found.items():
            if content is not None:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store with something of everything in it, to be copied: making one takes longer."""
    path = tmp_path_factory.mktemp("made") / "bridge.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATA / "store_0004.sql").read_text(encoding="ascii"))
    engine = open_engine(url_of(path))
    prepare(engine)
    engine.dispose()
    return path


@pytest.fixture
def store(tmp_path: Path, made: Path) -> Path:
    """A store with something of everything in it, and a file of an answer."""
    path = tmp_path / "store" / "bridge.db"
    path.parent.mkdir()
    shutil.copy(made, path)
    put_file(path)
    return path


@pytest.fixture
def backup(store: Path, tmp_path: Path) -> Path:
    return make_backup(store, tmp_path / "b.tar").path


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    folder = tmp_path / "fresh"
    folder.mkdir()
    return folder / "bridge.db"


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond this, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


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


def damage(path: Path) -> None:
    """Write nonsense over the pages of the middle."""
    content = bytearray(path.read_bytes())
    for start in range(8192, len(content), 4096):
        content[start : start + 16] = b"\xde\xad\xbe\xef" * 4
    path.write_bytes(content)


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
        with pytest.raises(BackupFailed, match="has schema 9999, this release knows 0005"):
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
