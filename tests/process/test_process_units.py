"""The units and fragments as systemd's own programs read them."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.service

_UNITS: Final = Path(__file__).parents[2] / "systemd"
_EXPOSURE_MAX: Final = 1.3


def _systemd(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed; on Debian: apt-get install systemd")
    return subprocess.run(  # noqa: S603 - systemd's own program
        [found, *arguments], capture_output=True, text=True, check=False
    )


def _silent(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def _installed(folder: Path) -> Sequence[Path]:
    """Copy the units, with a program that is there for the one that they are about."""
    for unit in _UNITS.glob("aventa-bridge.*"):
        text = unit.read_text().replace("/opt/aventa-bridge/bin/aventa-bridge", "/bin/true")
        (folder / unit.name).write_text(text)
    return sorted(folder.iterdir())


def test_nothing_is_wrong_with_the_units(tmp_path: Path) -> None:
    units = _installed(tmp_path)
    assert [unit.suffix for unit in units] == [".service", ".socket"]
    _silent(_systemd("systemd-analyze", "verify", "--man=no", *units))


def test_the_service_runs_nothing_that_a_small_debian_does_without() -> None:
    text = (_UNITS / "aventa-bridge.service").read_text()
    programs = {line.split()[0] for line in re.findall(r"^Exec\w+=(.*)$", text, re.MULTILINE)}
    assert programs == {"/opt/aventa-bridge/bin/aventa-bridge", "/bin/sh"}


def test_no_exit_code_is_given_up_on_which_the_socket_would_start_again_without_a_pause() -> None:
    text = (_UNITS / "aventa-bridge.service").read_text()
    assert "Restart=on-failure\n" in text
    assert "RestartSec=5s\n" in text
    assert "RestartPreventExitStatus=" not in text


def test_the_service_is_exposed_no_more_than_it_has_to_be(tmp_path: Path) -> None:
    (service, _) = _installed(tmp_path)
    done = _systemd("systemd-analyze", "security", "--offline=true", "--no-pager", service)
    found = re.search(r"Overall exposure level .*: ([0-9.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= _EXPOSURE_MAX


def test_the_user_and_the_folders_are_made_as_the_service_needs_them(tmp_path: Path) -> None:
    (tmp_path / "etc/aventa-bridge").mkdir(parents=True)
    settings = tmp_path / "etc/aventa-bridge/bridge.toml"
    settings.touch(mode=0o644)
    _systemd("systemd-sysusers", f"--root={tmp_path}", _UNITS / "sysusers.d/aventa-bridge.conf")
    users = (tmp_path / "etc/passwd").read_text()
    assert re.search(
        r"^aventa-bridge:x:\d+:\d+:Aventa bridge:/var/lib/aventa-bridge:/usr/sbin/nologin$",
        users,
        re.MULTILINE,
    )
    group = re.search(
        r"^aventa-bridge:x:(\d+):", (tmp_path / "etc/group").read_text(), re.MULTILINE
    )
    assert group is not None
    fragment = _UNITS / "tmpfiles.d/aventa-bridge.conf"
    _silent(_systemd("systemd-tmpfiles", "--create", f"--root={tmp_path}", fragment))
    state = tmp_path / "var/lib/aventa-bridge"
    assert (state.stat().st_mode & 0o777, state.stat().st_gid) == (0o700, int(group[1]))
    assert (settings.stat().st_mode & 0o777, settings.stat().st_gid) == (0o640, int(group[1]))
    assert (tmp_path / "etc/aventa-bridge/secrets").stat().st_mode & 0o777 == 0o700
