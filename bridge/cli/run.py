"""`aventa-bridge run`: the daemon. It loads neither Typer nor rich: imports are memory."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bridge import __version__
from bridge.app.main import Sources
from bridge.app.main import run as run_daemon

DESCRIPTION = """\
Run the bridge until SIGTERM. SIGHUP reads the settings again.

Settings come from a TOML file, the environment (BRIDGE_CENTION__TOKEN and so on) and files in
$CREDENTIALS_DIRECTORY or --secrets-dir; the environment is the strongest. The file is optional.
"""
EXAMPLE = """\
example:
  aventa-bridge run --config /etc/aventa-bridge/bridge.toml
"""


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = argparse.ArgumentParser(
        prog="aventa-bridge run",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--config", type=Path, metavar="FILE", help="the settings, as TOML")
    made.add_argument("--secrets-dir", type=Path, metavar="DIR", help="a folder of secret files")
    made.add_argument(
        "--dry-run",
        action="store_true",
        help="keep every event with all that it causes, and send nothing; what was kept leaves at"
        " the next start without this, so give a trial a store of its own (BRIDGE_STORE__URL)",
    )
    made.add_argument("--version", action="version", version=__version__)
    return made


def run(arguments: Sequence[str]) -> int:
    """Run the daemon; return the exit code."""
    options = parser().parse_args(arguments)
    sources = Sources(options.config, options.secrets_dir)
    return run_daemon(sources, is_dry=options.dry_run)
