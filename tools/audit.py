"""Ask for known weaknesses in what is locked, by pip-audit; say plainly what nobody could tell.

python tools/audit.py PIP_AUDIT LOCK…

Exits with 0 where none is known of any package, 1 where one is, and 2 where some or all packages
could not be looked up. pip-audit itself calls that a success, so its figures are read, not its
words.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

TIMEOUT_S: Final = 180


def main(arguments: Sequence[str]) -> int:
    """Ask about all locks, and return the exit code."""
    tool, *locks = arguments
    command = [tool, "--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json"]
    for lock in locks:
        command += ["--requirement", lock]
    try:
        ended = subprocess.run(  # noqa: S603 - the tool that the Makefile installed
            command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return _unasked(f"no answer within {TIMEOUT_S} seconds")
    try:
        packages: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        # The last line alone: those before it are a traceback.
        said = ended.stderr.strip().splitlines() or ["it said nothing"]
        return _unasked(said[-1].strip()[:200])
    return _tell(packages, locks)


def _tell(packages: Sequence[dict[str, Any]], locks: Sequence[str]) -> int:
    weak = [one for one in packages if one.get("vulns")]
    for one in weak:
        for found in one["vulns"]:
            mended = ", ".join(found.get("fix_versions", [])) or "no release yet"
            sys.stdout.write(f"{one['name']} {one['version']}: {found['id']}; mended in {mended}\n")
    skipped = sorted({one["name"] for one in packages if "skip_reason" in one})
    if skipped:
        names = ", ".join(skipped[:5]) + (", …" if skipped[5:] else "")
        _unasked(f"{len(skipped)} of {len(packages)} packages are not known there: {names}")
    if weak:
        return 1
    if skipped:
        return 2
    sys.stdout.write(f"No known weakness in the {len(packages)} packages of {', '.join(locks)}.\n")
    return 0


def _unasked(why: str) -> int:
    sys.stderr.write(
        "NOT CHECKED: the database of known weaknesses could not be asked about all that is locked,"
        f" so nothing is known of the rest. Run this where the internet is. ({why})\n"
    )
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
