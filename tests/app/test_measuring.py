import fcntl
import os
import resource
import subprocess
from pathlib import Path

import pytest

from bridge.app import measuring
from bridge.app.judging import judge_store
from bridge.app.measured import SecretFile
from bridge.settings import load_settings
from bridge.storage.engine import DaemonLock, open_engine, unfinished_mark
from bridge.storage.schema import prepare

TOML = """\
[http]
auth_tokens = ["one-token"]
[cention]
base_url = "https://api.cention.example"
workspace = "demo"
token = "a-token"
[[routes]]
name = "sales"
queue_names = ["Sales"]
token = "another-token"
[[routes]]
name = "rest"
queue_names = ["Rest"]
workspace = "rest"
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "bridge.db"
    engine = open_engine(f"sqlite:///{path}")
    prepare(engine)
    engine.dispose()
    return path


class TestSecrets:
    def test_each_file_and_what_the_settings_hold_is_looked_at(self, tmp_path: Path) -> None:
        config, folder = tmp_path / "bridge.toml", tmp_path / "secrets"
        config.write_text(TOML)
        config.chmod(0o644)
        folder.mkdir(mode=0o700)
        (folder / "callbacks.secret").write_text("a-secret")
        (folder / "callbacks.secret").chmod(0o604)
        settings = load_settings(config=config, secrets_dir=folder, environ={})
        expected = [
            SecretFile(str(folder), 0o700),
            SecretFile(str(folder / "callbacks.secret"), 0o604, is_sheltered=True),
            SecretFile(
                str(config),
                0o644,
                is_config=True,
                keys=("http.auth_tokens", "cention.token", "routes.0.token"),
            ),
        ]
        assert measuring.secret_files(settings, config, folder, {}) == expected
        # As a mask of systemd's access list has it.
        (folder / "callbacks.secret").chmod(0o644)
        given = {"CREDENTIALS_DIRECTORY": str(folder)}
        assert measuring.secret_files(settings, config, None, given) == expected
        assert measuring.secret_files(settings, None, None, {}) == []

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_a_file_of_somebody_elses_is_told_unless_it_is_the_daemons(
        self, tmp_path: Path
    ) -> None:
        config, state = tmp_path / "bridge.toml", tmp_path / "state"
        state.mkdir()
        config.write_text(f'{TOML}[store]\nurl = "sqlite:///{state}/bridge.db"\n')
        os.chown(config, 4711, 4711)
        settings = load_settings(config=config, secrets_dir=None, environ={})
        [found] = measuring.secret_files(settings, config, None, {})
        assert found.stranger == 4711
        os.chown(state, 4711, 4711)
        [found] = measuring.secret_files(settings, config, None, {})
        assert found.stranger is None


class TestStore:
    def test_a_store_that_is_well_is_said_to_be(self, store: Path) -> None:
        facts = measuring.store(f"sqlite:///{store}")
        assert (facts.exists, facts.mode, facts.schema) == (True, 0o600, "0007")
        assert facts.sync_ms is not None
        assert 0 < facts.free_bytes <= facts.size_total
        assert facts.daemon_pid is None

    def test_one_that_is_not_there_yet_is_measured_where_it_will_be(self, tmp_path: Path) -> None:
        facts = measuring.store(f"sqlite:///{tmp_path / 'a' / 'b' / 'bridge.db'}")
        assert (facts.exists, facts.sync_ms is None) == (False, False)
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_can_not_be_written_is_a_failure(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(**_given: object) -> None:
            raise PermissionError(13, "Permission denied")

        # As root, whom nothing stops, sees it.
        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
        facts = measuring.store(f"sqlite:///{store}")
        assert facts.write_error == f"{store.parent}: can't be written (Permission denied)"
        [found] = [one for one in judge_store(facts) if one.check == "store disk"]
        assert found.verdict == "fail"

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing stops root from writing")
    def test_a_read_only_folder_is_a_failure(self, store: Path) -> None:
        store.parent.chmod(0o500)
        try:
            facts = measuring.store(f"sqlite:///{store}")
        finally:
            store.parent.chmod(0o700)
        assert "can't be written" in facts.write_error

    @pytest.mark.parametrize(
        ("content", "schema", "said"),
        [(b"", None, ""), (b"no database, but long enough to look like one", None, "can't be")],
    )
    def test_what_is_no_store_is_told(
        self, store: Path, content: bytes, schema: str | None, said: str
    ) -> None:
        store.write_bytes(content)
        facts = measuring.store(f"sqlite:///{store}")
        assert facts.schema == schema
        assert said in facts.schema_error

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_what_belongs_to_another_user_beside_it_is_told(self, store: Path) -> None:
        for end in ("-wal", "-shm", ".lock"):
            Path(f"{store}{end}").touch()
        os.chown(f"{store}.lock", 4711, 4711)
        assert measuring.store(f"sqlite:///{store}").strangers == ("bridge.db.lock",)

    def test_a_restore_that_was_cut_short_is_told(self, store: Path) -> None:
        unfinished_mark(store).touch()
        assert "was cut short" in measuring.store(f"sqlite:///{store}").schema_error

    def test_who_holds_the_lock_is_told_without_trying_it(self, store: Path) -> None:
        lock = DaemonLock(f"sqlite:///{store}")
        assert measuring.daemon_pid(store) == os.getpid()
        lock.release()
        assert measuring.daemon_pid(store) is None
        with Path(f"{store}.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            assert measuring.daemon_pid(store) == os.getpid()

    def test_the_newest_event_is_none_where_there_is_none(self, store: Path) -> None:
        assert measuring.newest_event(f"sqlite:///{store}") is None
        store.unlink()
        assert measuring.newest_event(f"sqlite:///{store}") is None
        store.write_bytes(b"no database, but long enough to look like one")
        with pytest.raises(OSError, match="can't be read"):
            measuring.newest_event(f"sqlite:///{store}")


class TestLimits:
    def test_those_of_the_daemon_are_read_where_one_runs(self) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        own = measuring.limits(None)
        other = measuring.limits(os.getpid())
        assert (own.is_daemon, own.open_files) == (False, soft)
        assert (other.is_daemon, other.open_files) == (True, soft)
        assert own.memory_bytes == other.memory_bytes

    def test_of_a_process_that_is_gone_this_commands_are_told(self) -> None:
        assert not measuring.limits(2**22 + 1).is_daemon

    def test_the_tightest_group_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = Path(f"/proc/{os.getpid()}/cgroup").read_text()
        if "0::" not in text:
            pytest.skip("no unified control groups here")
        inside = text.rpartition("0::")[2].splitlines()[0].lstrip("/")
        group = tmp_path / inside
        group.mkdir(parents=True, exist_ok=True)
        (group / "memory.max").write_text("max\n")
        (tmp_path / "memory.current").write_text("10\n")
        monkeypatch.setattr(measuring, "_CGROUPS", tmp_path)
        (tmp_path / "memory.max").write_text("1000\n")
        assert measuring.memory(os.getpid()) == (1000, 10)


class TestUnit:
    @pytest.fixture
    def systemctl(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        path = tmp_path / "systemctl"
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        return path

    @pytest.mark.parametrize(
        ("script", "said"),
        [
            ("exit 1", "systemd doesn't run here"),
            ("echo LoadState=not-found", "there is no unit aventa-bridge"),
        ],
    )
    def test_why_nothing_is_known_is_said(self, systemctl: Path, script: str, said: str) -> None:
        systemctl.write_text(f"#!/bin/sh\n{script}\n")
        systemctl.chmod(0o755)
        assert measuring.unit().skipped == said

    def test_without_systemd_it_is_skipped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        assert measuring.unit().skipped == "there is no systemd here"

    def test_one_that_does_not_answer_is_not_waited_for(
        self, systemctl: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def late(*_given: object, **_more: object) -> None:
            raise subprocess.TimeoutExpired("systemctl", 5)

        systemctl.write_text("#!/bin/sh\n")
        systemctl.chmod(0o755)
        monkeypatch.setattr("subprocess.run", late)
        assert measuring.unit().skipped == "systemctl doesn't answer"

    def test_what_it_says_is_read(self, systemctl: Path) -> None:
        systemctl.write_text("#!/bin/sh\necho LoadState=loaded\necho User=a=b\n")
        systemctl.chmod(0o755)
        assert measuring.unit().properties == {"LoadState": "loaded", "User": "a=b"}
