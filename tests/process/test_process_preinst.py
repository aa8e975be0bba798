"""What the Debian package does before an upgrade, with stand-ins for the commands that it calls."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.service

_PREINST = Path(__file__).parents[2] / "packaging/debian/aventa-bridge.preinst"
# Leaves out for whom: nobody but root could become somebody else.
_RUNUSER = '#!/bin/sh\nshift 3\nexec "$@"\n'


def upgrade(
    folder: Path, code: int, **environ: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run it where `aventa-bridge backup` ends with a code; return with what that was called."""
    called = folder / "called"
    bridge = f"""\
#!/bin/sh
case "$*" in *--help*) exit 0 ;; esac
echo "$STATE_DIRECTORY $*" >> {called}
echo "in its own words"
exit {code}
"""
    for name, text in (("aventa-bridge", bridge), ("runuser", _RUNUSER)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    done = subprocess.run(  # noqa: S603 - the package's own
        [shutil.which("sh") or "sh", str(_PREINST), "upgrade", "0.1.0"],
        env={"PATH": f"{folder}:{os.environ['PATH']}", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, called.read_text().splitlines()


def test_the_store_that_the_settings_name_is_backed_up_wherever_it_is(tmp_path: Path) -> None:
    # None is in the service's own folder here.
    done, called = upgrade(tmp_path, 0)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the store is backed up: in its own words" in done.stdout
    [asked] = called
    state = "/var/lib/aventa-bridge"
    sources = "--config /etc/aventa-bridge/bridge.toml"
    assert asked == f"{state} backup --force {sources} {state}/before-upgrade.backup"


def test_where_no_store_is_found_it_goes_on_and_says_so(tmp_path: Path) -> None:
    done, _ = upgrade(tmp_path, 2)
    assert done.returncode == 0
    assert "no store is found, so none is backed up: in its own words" in done.stdout


def test_a_store_that_can_not_be_backed_up_is_not_upgraded_unless_asked_for(
    tmp_path: Path,
) -> None:
    done, _ = upgrade(tmp_path, 1)
    assert done.returncode == 1
    assert "nothing was upgraded: in its own words" in done.stderr
    done, _ = upgrade(tmp_path, 1, AVENTA_BRIDGE_NO_BACKUP="1")
    assert done.returncode == 0
