"""The way in: `aventa-bridge` and `python -m bridge`."""

import sys

from bridge.ops import crash


def main() -> None:
    """Run a command. `run` goes by a road of its own, which loads only what the daemon needs."""
    # Before Typer is loaded, which hands on to what it finds here.
    crash.install()
    if sys.argv[1:2] == ["run"]:
        from bridge.cli.run import run  # noqa: PLC0415 - the daemon's road

        sys.exit(run(sys.argv[2:]))
    from bridge.cli.shell import app  # noqa: PLC0415 - everything else's

    app()


if __name__ == "__main__":
    main()
