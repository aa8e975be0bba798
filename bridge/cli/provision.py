"""`aventa-bridge provision`: a contact centre from a file, over Cention's administration API."""

import contextlib
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple, NoReturn

import typer

from bridge.app import provisioning
from bridge.cli import provision_words as words
from bridge.cli.common import (
    ConfigOption,
    JsonOption,
    SecretsOption,
    YesOption,
    at_terminal,
    confirm,
    counted,
    fail,
    open_store,
    print_json,
    read_settings,
    shown,
)
from bridge.cli.provision_state import app as state_app
from bridge.cli.provision_state import import_, read_ref
from bridge.domain.centre import Centre, Thing, written
from bridge.domain.centre_plan import Plan, Record, Standing, ids_of, plan
from bridge.domain.centre_routes import HEAD, area_routes, as_toml, unreached
from bridge.domain.centre_values import Ref
from bridge.domain.errors import CentreUnready, StoreError
from bridge.services.provisioning import Outcome, Result
from bridge.settings import Settings, SettingsError
from bridge.storage.provisioning import ProvisionLock, SqlCentreState

app = typer.Typer(
    help="A contact centre from a file: organizations, areas, routings and tags in Cention.",
    epilog="Example: aventa-bridge provision plan -f centre.toml",
    no_args_is_help=True,
)
app.command("import")(import_)
app.add_typer(state_app, name="state")

_DEFAULT_FILE: Final = Path("centre.toml")
FileOption = Annotated[Path, typer.Option("--file", "-f", help="The centre's file.")]
RoutesOption = Annotated[
    Path | None,
    typer.Option(
        "--write-routes",
        help="Write the bridge's [[routes]] for areas with voice to this file.",
        show_default=False,
    ),
]


class _Desk(NamedTuple):
    """What a command works with."""

    settings: Settings
    state: SqlCentreState
    records: Sequence[Record]
    file: str

    @property
    def names(self) -> words.Names:
        return words.names_of(self.records)

    @property
    def place(self) -> str:
        return provisioning.scope_of(self.settings)


@app.command("plan")
def plan_(
    file: FileOption = _DEFAULT_FILE,
    detailed_exitcode: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="Exit with 2 where there is something to do."),
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Show what `apply` would do: + create, ~ change, - delete. Nothing is sent.

    Example: aventa-bridge provision plan -f centre.toml --detailed-exitcode
    """
    # With --detailed-exitcode, 2 means one thing only.
    with _errors_as(1 if detailed_exitcode else 2):
        settings = read_settings(config, secrets_dir)
        centre = _read(file)
        with _desk(settings, file) as desk:
            planned = plan(centre.things, desk.records)
            warnings = [*_elsewhere(desk), *_warnings(settings, centre, planned)]
            if json:
                print_json(words.plan_json(planned, desk.names, desk.place, warnings))
            else:
                _show(planned, desk, warnings)
    if detailed_exitcode and (planned.steps or planned.unsure):
        raise typer.Exit(2)


@app.command()
def apply(
    file: FileOption = _DEFAULT_FILE,
    yes: YesOption = False,
    retry: Annotated[
        list[str] | None,
        typer.Option(
            "--retry",
            metavar="KIND.NAME",
            help="Make again what was never answered; you have seen that it is not there.",
        ),
    ] = None,
    write_routes: RoutesOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Do what `plan` shows, in an order in which it can be done; it may be cut off anywhere.

    What was never answered is not made again: say `import` where it is there, --retry where not.

    Example: aventa-bridge provision apply -f centre.toml --yes
    """
    settings = read_settings(config, secrets_dir)
    centre = _read(file)
    refs = [read_ref(*one.partition(".")[::2]) for one in retry or ()]
    with _working_desk(settings, file) as desk:
        wanted = {thing.ref for thing in centre.things}
        again = _again(desk, refs, wanted)
        records = [one for one in desk.records if one.ref not in again]
        planned = plan(centre.things, records)
        outcome = _carry_out(desk, planned, wanted, again, yes=yes, json=json)
        ids = ids_of(desk.state.records())
        warnings = _warnings(settings, centre, planned)
        _tell_end(outcome, desk, warnings, json=json)
        if write_routes is not None:
            _write_routes(write_routes, centre.things, ids, settings)
    if not outcome.is_done:
        raise typer.Exit(1)


@app.command()
def destroy(
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            help="Not read: what is deleted is what the state has.",
            show_default=False,
        ),
    ] = None,
    yes: YesOption = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Delete all that was set up, each thing before what it needs.

    Example: aventa-bridge provision destroy -f centre.toml
    """
    settings = read_settings(config, secrets_dir)
    with _working_desk(settings, file or _DEFAULT_FILE) as desk:
        planned = plan((), desk.records)
        outcome = _carry_out(desk, planned, yes=yes, json=json)
        _tell_end(outcome, desk, [], json=json)
    if not outcome.is_done:
        raise typer.Exit(1)


@app.command()
def routes(
    file: FileOption = _DEFAULT_FILE,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Print the bridge's own [[routes]] for the areas with voice that were made.

    Example: aventa-bridge provision routes -f centre.toml >> /etc/aventa-bridge/bridge.toml
    """
    settings = read_settings(config, secrets_dir)
    centre = _read(file)
    with _desk(settings, file) as desk:
        typer.echo(_routes(centre.things, ids_of(desk.records), settings), nl=False)
        for warning in _warnings(settings, centre, plan((), ())):
            typer.echo(shown(warning), err=True)


@contextlib.contextmanager
def _errors_as(code: int) -> Iterator[None]:
    try:
        yield
    except typer.Exit as error:
        raise typer.Exit(code if error.exit_code else 0) from None


def _read(file: Path) -> Centre:
    try:
        return provisioning.read_file(file)
    except SettingsError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(2) from None


@contextlib.contextmanager
def _desk(settings: Settings, file: Path) -> Iterator[_Desk]:
    try:
        with open_store(settings) as engine:
            state = provisioning.state_of(settings, engine)
            yield _Desk(settings, state, state.records(), str(file))
    except CentreUnready as error:
        fail(str(error), code=2)


@contextlib.contextmanager
def _working_desk(settings: Settings, file: Path) -> Iterator[_Desk]:
    """Give a desk to somebody who changes something, and to nobody else meanwhile."""
    try:
        provisioning.check_key(settings)
        with open_store(settings) as engine, ProvisionLock(settings.store.url):
            state = provisioning.state_of(settings, engine)
            yield _Desk(settings, state, state.records(), str(file))
    except CentreUnready as error:
        fail(str(error), code=2)


def _again(desk: _Desk, refs: Sequence[Ref], wanted: Collection[Ref]) -> list[Ref]:
    """Return what a person wants to be made again, having seen that it is not there."""
    unsure = [one.ref for one in desk.records if one.standing is Standing.CREATING]
    for ref in refs:
        if ref not in unsure:
            fail(f"{ref}: is not in doubt; take --retry {ref} out")
        if ref not in wanted:
            fail(f"{ref}: is not in the file; `provision state rm` forgets it")
    return list(refs)


def _carry_out(
    desk: _Desk,
    planned: Plan,
    wanted: Collection[Ref] = (),
    again: Sequence[Ref] = (),
    *,
    yes: bool,
    json: bool,
) -> Outcome:
    """Show a plan, ask, and do it; whatever is in doubt comes first, and stops it.

    `wanted` is what the file has.
    """
    if planned.unsure:
        _refuse(planned, desk, wanted, json=json)
    if not planned.steps:
        return Outcome(results=(), left=())
    if not json:
        _show(planned, desk, _elsewhere(desk))
    if not yes and at_terminal() and json:
        _show(planned, desk, _elsewhere(desk), err=True)
    confirm("Do this?", yes=yes)
    for ref in again:
        desk.state.forget(ref)
    return _do(planned, desk, json=json)


def _refuse(planned: Plan, desk: _Desk, wanted: Collection[Ref], *, json: bool) -> NoReturn:
    for record in planned.unsure:
        lines = words.unsure_lines(record.ref, desk.file, is_wanted=record.ref in wanted)
        typer.echo(shown_lines(lines), err=True)
    if json:
        nothing = Outcome(results=(), left=planned.steps)
        unsure = [record.ref for record in planned.unsure]
        print_json(words.outcome_json(nothing, desk.place, (), unsure))
    fail("Nothing was sent: say first what became of these.")


def _do(planned: Plan, desk: _Desk, *, json: bool) -> Outcome:
    """Carry a plan out; where the state can't be kept, scripts are told all the same what came."""
    results: list[Result] = []
    with _telling(planned, desk, json=json) as tell:

        def keep(result: Result) -> None:
            results.append(result)
            tell(result)

        try:
            return provisioning.carry_out(desk.settings, planned, desk.state, keep)
        except StoreError:
            if json:
                left = planned.steps[len(results) :]
                outcome = Outcome(results=tuple(results), left=left)
                print_json(words.outcome_json(outcome, desk.place, ()))
            raise


@contextlib.contextmanager
def _telling(planned: Plan, desk: _Desk, *, json: bool) -> Iterator[Callable[[Result], None]]:
    """Give what tells of each result: beside a progress bar on a terminal, else line by line."""

    def line(result: Result) -> str:
        return shown_lines(words.result_line(result, desk.file))

    if not sys.stderr.isatty():
        yield lambda result: None if json else typer.echo(line(result))
        return
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
    from rich.progress import Progress  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("Setting up", total=len(planned.steps))

        def tell(result: Result) -> None:
            progress.advance(bar)
            progress.console.print(Text(line(result)))

        yield tell


def _tell_end(outcome: Outcome, desk: _Desk, warnings: Sequence[str], *, json: bool) -> None:
    if json:
        print_json(words.outcome_json(outcome, desk.place, warnings))
        return
    done = sum(result.ending.value == "done" for result in outcome.results)
    if not outcome.results and not outcome.left:
        typer.echo("Nothing to do.")
    elif outcome.is_done:
        typer.echo(f"Done: {counted(done, 'request')}.")
    else:
        left = len(outcome.results) - done + len(outcome.left)
        typer.echo(f"Done: {counted(done, 'request')}; not done: {left}.", err=True)
    for warning in warnings:
        typer.echo(shown(warning), err=True)


def _show(planned: Plan, desk: _Desk, warnings: Sequence[str], *, err: bool = False) -> None:
    typer.echo(f"{desk.file} → {desk.place}", err=err)
    for line in words.plan_lines(planned, desk.names):
        typer.echo(shown(line), err=err)
    typer.echo(words.counts(planned), err=err)
    for warning in warnings:
        typer.echo(shown(warning), err=True)


def shown_lines(text: str) -> str:
    """Return several lines fit for a terminal."""
    return "\n".join(map(shown, text.split("\n")))


def _elsewhere(desk: _Desk) -> list[str]:
    """Return what to say where nothing is known of this place, but of what may be the same one."""
    if desk.records:
        return []
    return [
        f"Note: nothing is known of {desk.place}, but {counted(count, 'thing')} of {scope}; if it"
        " is the same under another address, set that back, or all is made twice"
        for scope, count in desk.state.elsewhere().items()
    ]


def _warnings(settings: Settings, centre: Centre, planned: Plan) -> list[str]:
    """Return what a person should know, and nothing is done about."""
    routes_known = settings.route_table().routes
    said = [f"{ref}: {text}" for ref, text in unreached(centre.things, routes_known)]
    said += [
        f"{new}: looks like {old} under another name; `provision state mv {old.kind} {old.name}"
        f" {new.name}` keeps it, instead of one deleted and another made"
        for old, new in planned.renamed
    ]
    said += [
        f"{ref}: {written(key)} is not in the file any more; Cention keeps what it has"
        for ref, key in planned.kept
    ]
    return [f"Note: {one}" for one in said]


def _routes(things: Sequence[Thing], ids: dict[Ref, int], settings: Settings) -> str:
    workspace = provisioning.workspace_of(settings)
    other = workspace if workspace != settings.cention.workspace else None
    return as_toml(area_routes(things, ids), other)


def _write_routes(
    path: Path, things: Sequence[Thing], ids: dict[Ref, int], settings: Settings
) -> None:
    """Write the routes; what somebody else wrote is left as it is."""
    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(HEAD):
            fail(f"{path}: is there already, and was not made by `provision`; name another file")
        path.write_text(_routes(things, ids, settings), encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        fail(f"{path}: can't be written ({reason})")
