"""What is shipped: its licences, its locks, and a wheel that anybody can build again."""

import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bridge import __version__

ROOT = Path(__file__).parents[2]
LICENCES = ROOT / "tools" / "licences.py"
AUDIT = ROOT / "tools" / "audit.py"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, *map(str, command)], check=False, capture_output=True, text=True
    )


@pytest.fixture
def licences(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(LICENCES.parent))
    spec = importlib.util.spec_from_file_location("licences", LICENCES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_that_is_shipped_has_a_licence_that_is_allowed_and_the_page_lists_it() -> None:
    ended = run(LICENCES, "--check")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    "expression", ["GPL-3.0-only", "MIT AND LGPL-2.1-or-later", "unknown", "", "Proprietary"]
)
def test_a_licence_that_nobody_has_allowed_is_refused(
    licences: ModuleType, expression: str
) -> None:
    assert list(licences.refused({"some": "MIT", "other": expression})) == [f"other: {expression}"]


@pytest.mark.parametrize(
    "lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda x: x.name
)
def test_a_lock_pins_each_package_by_its_hashes_and_names_no_host(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--(extra-)?index|--find)", text, re.MULTILINE)
    packages = re.split(r"\n(?=[a-z0-9])", text.strip())
    for package in packages:
        assert re.match(r"[a-z0-9-]+==\S+", package), package
        assert "--hash=sha256:" in package, package


def test_the_wheel_is_the_same_bytes_when_it_is_built_again(tmp_path: Path) -> None:
    ended = run(ROOT / "tools" / "wheel.py", tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    (wheel,) = tmp_path.iterdir()
    assert ended.stdout.split() == [hashlib.sha256(wheel.read_bytes()).hexdigest(), wheel.name]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "bridge/__main__.py" in names
    assert "bridge/storage/migrations/env.py" in names
    assert "bridge/mappings/sipgate-io.toml" in names
    assert not [name for name in names if not name.startswith(("bridge/", "aventa_bridge-"))]


def audited(folder: Path, *packages: dict[str, Any] | str) -> subprocess.CompletedProcess[str]:
    """Run the audit with a stand-in for pip-audit, which prints this about packages, or a text."""
    answer = folder / "answer"
    tool = folder / "pip-audit"
    if packages and isinstance(packages[0], str):
        answer.write_text(packages[0])
        tool.write_text(f"#!/bin/sh\ncat {answer} >&2; exit 1\n")
    else:
        answer.write_text(json.dumps({"dependencies": packages, "fixes": []}))
        tool.write_text(f"#!/bin/sh\ncat {answer}\n")
    tool.chmod(0o755)
    return run(AUDIT, tool, "requirements/run.txt")


WELL = {"name": "yarl", "version": "1.25.1", "vulns": []}
WEAK = {
    "name": "jinja2",
    "version": "2.10",
    "vulns": [{"id": "PYSEC-0000-1", "fix_versions": ["2.10.1"]}],
}
UNKNOWN = {"name": "attrs", "skip_reason": "Dependency not found on PyPI"}


def test_an_audit_that_could_ask_nobody_says_so_and_is_no_success(tmp_path: Path) -> None:
    ended = audited(tmp_path, "Traceback\nConnectionError: Max retries exceeded\n")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("NOT CHECKED: ")
    assert "Traceback" not in ended.stderr


def test_an_audit_of_which_some_packages_were_not_looked_up_is_no_success(tmp_path: Path) -> None:
    ended = audited(tmp_path, WELL, UNKNOWN)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "1 of 2 packages are not known there: attrs" in ended.stderr


def test_an_audit_that_found_something_fails_and_shows_it(tmp_path: Path) -> None:
    ended = audited(tmp_path, WELL, WEAK, UNKNOWN)
    assert ended.returncode == 1
    assert ended.stdout == "jinja2 2.10: PYSEC-0000-1; mended in 2.10.1\n"


def test_an_audit_that_found_nothing_says_what_it_looked_at(tmp_path: Path) -> None:
    ended = audited(tmp_path, WELL)
    said = "No known weakness in the 1 packages of requirements/run.txt.\n"
    assert (ended.returncode, ended.stdout) == (0, said)


@pytest.mark.service
@pytest.mark.skipif(not (ROOT / ".venv" / "supply").exists(), reason="needs make sbom's tools")
def test_the_list_of_parts_is_the_lock_and_the_same_bytes_again(tmp_path: Path) -> None:
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file in files:
        ended = run(ROOT / "tools" / "sbom.py", ROOT / ".venv" / "supply", file)
        assert (ended.returncode, ended.stderr) == (0, "")
    first, second = (file.read_text() for file in files)
    assert first == second
    assert str(ROOT) not in first
    assert set(re.findall(r"https?://([^/\"]+)/simple", first)) == {"pypi.org"}
    parts = {part["name"]: part for part in json.loads(first)["components"]}
    assert parts["jinja2"]["licenses"] == [{"expression": "BSD-3-Clause"}]
    needed = {one["ref"]: one["dependsOn"] for one in json.loads(first)["dependencies"]}
    assert parts["jinja2"]["purl"] in needed[f"pkg:pypi/aventa-bridge@{__version__}"]
    assert needed[parts["jinja2"]["purl"]] == [parts["markupsafe"]["purl"]]
