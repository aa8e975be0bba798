import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli_site import NAME, Site, event, filled
from typer.testing import CliRunner

from bridge.cli import backups, common
from bridge.cli.shell import app
from bridge.storage.engine import DaemonLock
from bridge.storage.provisioning import ProvisionLock


def fill(site: Site) -> None:
    site.take(event("call.answered", minutes=2), event("call.ended"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("store"), fill)


@pytest.fixture
def site(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, store, monkeypatch)


@pytest.fixture
def backup(site: Site, tmp_path: Path) -> Path:
    file = tmp_path / "b.tar"
    assert site.run("backup", file).exit_code == 0
    return file


def events_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM events").fetchone()
    assert isinstance(count, int)
    return count


class TestBackup:
    def test_it_says_where_and_how_much(self, site: Site, tmp_path: Path) -> None:
        file = tmp_path / "b.tar"
        result = site.run("backup", file)
        size = file.stat().st_size
        assert (result.exit_code, result.stderr) == (0, "")
        expected = f"{file}: {size:,} bytes, schema 0007, 0 files of answers, "
        assert result.stdout.startswith(expected)

    def test_a_script_reads_it_as_json(self, site: Site, tmp_path: Path) -> None:
        file = tmp_path / "b.tar"
        said = site.read("backup", file)
        assert said.pop("seconds") > 0
        assert said == {
            "path": str(file),
            "bytes": file.stat().st_size,
            "schema": "0007",
            "files": 0,
            "damaged_files": 0,
        }

    def test_a_damaged_file_of_an_answer_is_told(self, site: Site, tmp_path: Path) -> None:
        place = tmp_path / "bridge.db.attachments" / "ab" / f"ab{'0' * 62}"
        place.parent.mkdir(parents=True)
        place.write_text("torn")
        result = site.run("backup", tmp_path / "b.tar")
        assert result.exit_code == 0
        assert "1 file of answers left out" in result.stderr

    def test_what_is_there_is_not_written_over_unasked(self, site: Site, backup: Path) -> None:
        result = site.run("backup", backup)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "--force" in result.stderr
        assert site.run("backup", backup, "--force").exit_code == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_one_that_is_ended_on_the_way_leaves_nothing(
        self,
        site: Site,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        number: signal.Signals,
    ) -> None:
        monkeypatch.setattr("bridge.storage.backups._pack", lambda *_: signal.raise_signal(number))
        before = {one.name for one in tmp_path.iterdir()}
        # Whoever runs the tests by nohup has them ignore SIGHUP, and so does the command then.
        handler = signal.signal(number, signal.SIG_DFL)
        try:
            assert site.run("backup", tmp_path / "b.tar").exit_code == 1
        finally:
            signal.signal(number, handler)
        assert {one.name for one in tmp_path.iterdir()} == before

    def test_without_a_store_it_is_the_settings_that_are_wrong(
        self, site: Site, tmp_path: Path
    ) -> None:
        site.store.unlink()
        result = site.run("backup", tmp_path / "b.tar")
        assert result.exit_code == 2
        assert "there is no store" in result.stderr


class TestRestore:
    def test_what_is_in_it_is_told_before_it_is_put_in_place(
        self, site: Site, backup: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site.take(event("call.answered", referenceId="r2"))
        monkeypatch.setattr(common, "at_terminal", lambda: True)
        result = site.run("restore", backup, answer="n\n")
        assert (result.exit_code, events_in(site.store)) == (1, 3)
        assert "2 events, the newest 20" in result.stdout
        assert "The store now: 3 events" in result.stdout
        assert "new_errand 1" in result.stdout
        result = site.run("restore", backup, answer="y\n")
        assert (result.exit_code, events_in(site.store)) == (0, 2)
        assert "leaves at the next start, again if it had left since" in result.stdout
        [aside] = site.folder.glob("bridge.db.before-restore-*Z")
        assert str(aside) in result.stdout
        assert events_in(aside) == 3

    def test_nobody_who_could_be_asked_changes_nothing(self, site: Site, backup: Path) -> None:
        result = site.run("restore", backup)
        assert result.exit_code == 2
        assert "--yes" in result.stderr
        assert not list(site.folder.glob("*before-restore*"))

    def test_a_script_reads_it_as_json(self, site: Site, backup: Path) -> None:
        said = site.read("restore", backup, "--yes")
        assert said.pop("seconds") > 0
        assert said.pop("made_at").startswith("20")
        assert said.pop("newest_event_at").startswith("20")
        assert Path(said.pop("replaced")).exists()
        assert said == {
            "path": str(site.store),
            "schema": "0007",
            "events": 2,
            "waiting": {"contact_card": 1, "end_errand": 1, "new_errand": 1},
            "stopped": 0,
            "unsettled_calls": 0,
            "provisioned": 0,
            "held": 0,
            "files": 0,
        }

    def test_held_errands_are_dead_letters_with_the_reason(self, site: Site, backup: Path) -> None:
        result = site.run("restore", backup, "--yes", "--hold")
        assert "Held for a person: 1 errand; " in result.stdout
        assert "provision" not in result.stdout
        assert site.states() == {"new_errand": "held", "end_errand": "parked"}
        [letter] = site.read("dead-letters", "list", "--state", "held")
        assert "restored from a backup" in letter["error"]

    def test_calls_that_are_yet_to_be_settled_are_told_for_they_are_not_held(
        self, site: Site, backup: Path
    ) -> None:
        site.take(event("call.queued", referenceId="r2"))
        site.run("backup", backup, "--force")
        said = site.run("restore", backup, "--yes", "--hold").stdout
        assert "Yet to be settled in it: 1 call." in said

    def test_beside_a_daemon_it_refuses(self, site: Site, backup: Path) -> None:
        lock = DaemonLock(f"sqlite:///{site.store}")
        result = site.run("restore", backup, "--yes")
        lock.release()
        assert result.exit_code == 1
        assert "another daemon is at work on" in result.stderr
        assert "stop it first (systemctl stop aventa-bridge.socket" in result.stderr
        assert site.run("restore", backup, "--yes").exit_code == 0

    def test_a_centre_that_may_have_grown_since_is_told(self, site: Site, backup: Path) -> None:
        # Only the store that is replaced knows of it.
        with closing(sqlite3.connect(site.store)) as connection:
            connection.execute(
                "INSERT INTO provisioned VALUES ('x', 'area', 'desk', 'done', 1, 1, '{}', '{}', 0)"
            )
            connection.commit()
        said = site.run("restore", backup, "--yes").stdout
        assert "What `provision` set up after the backup was made is not known any more" in said

    def test_beside_provision_it_refuses(self, site: Site, backup: Path) -> None:
        with ProvisionLock(f"sqlite:///{site.store}"):
            result = site.run("restore", backup, "--yes")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "another `provision` command is at work on this store" in result.stderr

    def test_a_damaged_backup_is_told_in_one_line(self, site: Site, backup: Path) -> None:
        backup.write_bytes(backup.read_bytes()[:5000])
        result = site.run("restore", backup, "--yes")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"{backup}: is damaged or not whole; use another backup\n"

    def test_a_file_that_is_not_there_is_wrong_usage(self, site: Site, tmp_path: Path) -> None:
        assert site.run("restore", tmp_path / "none", "--yes").exit_code == 2

    def test_it_makes_the_folder_that_the_settings_name(self, site: Site, backup: Path) -> None:
        site.store = site.folder / "new" / "bridge.db"
        site.config.write_text(site.config.read_text().replace("/bridge.db", "/new/bridge.db"))
        assert site.run("restore", backup, "--yes").exit_code == 0
        assert events_in(site.store) == 2

    def test_an_older_schema_is_told(self, site: Site, backup: Path) -> None:
        with closing(sqlite3.connect(site.store)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '0004'")
            connection.commit()
        site.run("backup", backup, "--force")
        said = site.run("restore", backup, "--yes").stdout
        assert "It has schema 0004; the next start brings it to 0007." in said

    def test_nobody_is_named(self, site: Site, backup: Path) -> None:
        result = site.run("restore", backup, "--yes")
        assert NAME not in result.output
        assert "60123456789" not in result.output


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_its_help_says_what_it_means(command: str) -> None:
    said = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "100"}).stdout
    assert "Example: aventa-bridge" in said
    assert "Exit codes" in said
    if command == "restore":
        assert "MAY DOUBLE" in said


def test_a_bar_is_shown_on_a_terminal_once_it_takes_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    moments = iter([0.0, 0.5, 1.5, 2.0, *map(float, range(3, 1000))])
    seen: list[Any] = []
    monkeypatch.setattr(backups, "_clock_s", lambda: next(moments))
    with backups.bar("Backing up") as progress:
        progress(1, 4)
        seen.append(capsys.readouterr().err)
        progress(2, 4)
        progress(4, 4)
    seen.append(capsys.readouterr().err)
    assert seen[0] == ""
    assert "Backing up" in seen[1]
