"""Write `config/completions/`: what bash, zsh and fish need to complete `aventa-bridge`.

python tools/completions.py            writes it
python tools/completions.py --check    exits with 1 where a file is not as it would be

The scripts are Typer's own, as `_AVENTA_BRIDGE_COMPLETE=source_bash aventa-bridge` prints them.
They ask the command itself, so they never go stale; as files they can be installed for everybody.
"""

import contextlib
import io
import os
import sys
from typing import Final

from pages import settle

from bridge.cli.shell import app

PROGRAM: Final = "aventa-bridge"
VARIABLE: Final = "_AVENTA_BRIDGE_COMPLETE"
# Where each shell looks for a file of which name, in its own folder.
FILES: Final = {
    "bash": "config/completions/aventa-bridge",
    "zsh": "config/completions/_aventa-bridge",
    "fish": "config/completions/aventa-bridge.fish",
}
# zsh runs the file at the first completion; Typer's script only registers then, and completes
# nothing until the second.
ZSH_FIRST: Final = """\
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _aventa_bridge_completion "$@"
fi
"""


def script(shell: str) -> str:
    """Return the script for a shell, as a file of its own."""
    printed = io.StringIO()
    os.environ[VARIABLE] = f"source_{shell}"
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            app(prog_name=PROGRAM)
    finally:
        del os.environ[VARIABLE]
    # zsh wants `#compdef` in the first line.
    text = f"{printed.getvalue().strip()}\n"
    return f"{text}{ZSH_FIRST}" if shell == "zsh" else text


if __name__ == "__main__":
    sys.exit(settle({place: script(shell) for shell, place in FILES.items()}, sys.argv[1:]))
