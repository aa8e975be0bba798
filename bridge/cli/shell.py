"""Every command but `run`, for the shell."""

from pathlib import Path
from typing import Annotated

import typer

from bridge import __version__
from bridge.cli import (
    agents,
    contacts,
    dead_letters,
    mapping,
    provision,
    quarantine,
    reports,
    routes,
)
from bridge.cli.backups import backup, restore
from bridge.cli.check import check
from bridge.cli.demo import demo
from bridge.cli.doctor import doctor
from bridge.cli.run import parser
from bridge.cli.sandbox import sandbox
from bridge.cli.simulate import simulate
from bridge.cli.trace import trace

app = typer.Typer(
    name="aventa-bridge",
    help="The bridge between an Aventa phone system and Cention.",
    no_args_is_help=True,
    # Neither the text of an error nor what was at hand: `ops.crash` says what may be told.
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the release."),
    ] = False,
) -> None:
    pass


@app.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
def run(
    _config: Annotated[Path | None, typer.Option("--config")] = None,
    _secrets_dir: Annotated[Path | None, typer.Option("--secrets-dir")] = None,
    _dry_run: Annotated[bool, typer.Option("--dry-run")] = False,
) -> None:
    """Run the daemon; see `aventa-bridge run --help`.

    The options stand here for the shell to complete; what reads them is `cli.run`.
    """
    typer.echo(parser().format_help())


app.command()(demo)
app.command()(check)
app.command()(sandbox)
app.command()(simulate)
app.command()(trace)
app.command()(backup)
app.command()(restore)
app.command()(doctor)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(contacts.app, name="contacts")
app.add_typer(routes.app, name="routes")
app.add_typer(reports.app, name="reports")
app.add_typer(agents.app, name="agents")
app.add_typer(mapping.app, name="mapping")
app.add_typer(provision.app, name="provision")
