"""The way in: `aventa-bridge` and `python -m bridge`."""

import sys


def main() -> None:
    """Run a command. `run` goes by a road of its own, which loads only what the daemon needs."""
    if sys.argv[1:2] == ["run"]:
        from bridge.cli.run import run  # noqa: PLC0415 - the daemon's road

        sys.exit(run(sys.argv[2:]))
    from bridge.cli.shell import app  # noqa: PLC0415 - everything else's

    app()


if __name__ == "__main__":
    main()
