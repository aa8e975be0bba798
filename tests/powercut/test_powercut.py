"""The proof itself, in short; `powercut_run.py --cuts 1000` is the long one."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import powercut_run
import pytest
from powercut_log import Sync
from powercut_record import Recording, record, why_not
from powercut_survey import Survey, plan, survey
from powercut_writer import STORE_NAME

pytestmark = pytest.mark.service

SEED = 1
EVENTS = 120
WAL_NAME = f"{STORE_NAME}-wal"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    problem = why_not()
    if problem is not None:
        pytest.skip(problem)
    return tmp_path_factory.mktemp("powercut")


@pytest.fixture(scope="module")
def full(place: Path) -> Recording:
    """The store as the product runs it."""
    return record(place / "full", events=EVENTS, seed=SEED, is_normal=False)


@pytest.fixture(scope="module")
def normal(place: Path) -> Recording:
    """The same with `synchronous=NORMAL`."""
    return record(place / "normal", events=EVENTS, seed=SEED, is_normal=True)


def cut(recording: Recording, count: int) -> Survey:
    return survey(recording, plan(recording.operations, count), seed=SEED)


def taken_from(full: Recording, normal: Recording) -> Callable[..., Recording]:
    """What makes recordings, with these made already."""

    def instead(_folder: Path, *, is_normal: bool, **_given: int) -> Recording:
        return normal if is_normal else full

    return instead


def without_syncs_of(recording: Recording, name: str) -> Recording:
    """The same recording on a disk that ignores syncs of this file ("": of the folder)."""
    operations = [
        replace(one, covers=0) if isinstance(one, Sync) and one.name == name else one
        for one in recording.operations
    ]
    return Recording(recording.folder, operations)


def test_no_acknowledged_event_is_missing_after_a_power_cut_at_any_moment(full: Recording) -> None:
    assert full.acknowledged == EVENTS
    assert full.checkpoints >= 3
    result = cut(full, 160)
    assert result.findings == []
    assert result.cuts == 160
    assert result.reopened >= 16


def test_the_same_cuts_lose_events_where_commits_are_not_synced(normal: Recording) -> None:
    result = cut(normal, 30)
    assert result.losses
    assert result.damaged == 0


def test_a_disk_that_ignores_syncs_of_the_wal_loses_events(full: Recording) -> None:
    assert cut(without_syncs_of(full, WAL_NAME), 30).losses


def test_a_disk_that_ignores_syncs_of_the_database_damages_it(full: Recording) -> None:
    assert cut(without_syncs_of(full, STORE_NAME), 30).damaged


def test_a_disk_that_ignores_syncs_of_the_folder_loses_events(full: Recording) -> None:
    assert cut(without_syncs_of(full, ""), 30).losses


def test_the_command_says_what_was_lost_at_each_level(
    full: Recording,
    normal: Recording,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(powercut_run, "record", taken_from(full, normal))
    assert powercut_run.main(["--cuts", "24", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is True
    assert report["failures"] == []
    assert [(run["synchronous"], run["cuts"]) for run in report["runs"]] == [
        ("FULL", 24),
        ("NORMAL", 24),
    ]
    assert [run["lost"] > 0 for run in report["runs"]] == [False, True]


def test_a_failure_says_how_to_do_the_cut_again_which_then_leaves_its_files(
    normal: Recording,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(powercut_run, "record", taken_from(normal, normal))
    assert powercut_run.main(["--cuts", "24"]) == 1
    said = capsys.readouterr().out
    again = next(line for line in said.splitlines() if "--recording" in line)
    _, _, arguments = again.partition("powercut_run.py ")
    assert powercut_run.main(shlex.split(arguments)) == 1
    said = capsys.readouterr().out
    assert "missing: " in said
    assert (Path(said.rpartition("the files are in ")[2].strip()) / STORE_NAME).is_file()


def test_cuts_that_lose_nothing_where_they_should_prove_nothing(
    full: Recording, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(powercut_run, "record", taken_from(full, full))
    assert powercut_run.main(["--cuts", "6"]) == 1
    assert "show nothing" in capsys.readouterr().out
