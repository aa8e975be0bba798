"""Ask for known weaknesses in what is locked, by pip-audit; say plainly when nobody could be asked.

python tools/audit.py TOOL LOCK…

Exits with 0 where none is known, 1 where one is, and 2 where the database can't be had: then
nothing was checked.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

# What requests, urllib3 and pip-audit say of a service that can't be reached.
UNREACHABLE: Final = re.compile(
    r"ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Max retries exceeded"
    r"|Name or service not known|failed to resolve|Connection refused|Network is unreachable"
    r"|ServiceError|HTTPError|Client Error|Server Error",
    re.IGNORECASE,
)
TIMEOUT_S: Final = 120


def main(arguments: Sequence[str]) -> int:
    """Ask about each lock, and return the exit code."""
    tool, *locks = arguments
    command = [tool, "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    for lock in locks:
        command += ["--requirement", lock]
    try:
        ended = subprocess.run(  # noqa: S603 - the tool that the Makefile installed
            command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return _unasked(f"no answer within {TIMEOUT_S} seconds")
    if ended.returncode == 0:
        sys.stdout.write(f"No known weakness in {', '.join(locks)}.\n")
        return 0
    if not ended.stdout.strip() and UNREACHABLE.search(ended.stderr):
        # The last line alone: those before it are a traceback.
        return _unasked(ended.stderr.strip().splitlines()[-1].strip()[:200])
    sys.stdout.write(ended.stdout)
    sys.stderr.write(ended.stderr)
    return 1


def _unasked(why: str) -> int:
    sys.stderr.write(
        "NOT CHECKED: the database of known weaknesses can't be reached, so nothing is known either"
        f" way. Run this where the internet is. ({why})\n"
    )
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
