"""Stores that are backed up and put back, for the tests that ask for this plugin."""

import shutil
from pathlib import Path

import pytest
from backed import make_backup, make_store, put_file


@pytest.fixture(scope="module")
def backed_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store to be copied: making one takes longer."""
    path = tmp_path_factory.mktemp("made") / "bridge.db"
    make_store(path)
    return path


@pytest.fixture
def store(tmp_path: Path, backed_store: Path) -> Path:
    """A store with something of everything in it, and a file of an answer."""
    path = tmp_path / "store" / "bridge.db"
    path.parent.mkdir()
    shutil.copy(backed_store, path)
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
