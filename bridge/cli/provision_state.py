"""`aventa-bridge provision import` and `state`: what is known of a centre, set right by hand."""

import contextlib
from collections.abc import Iterator
from typing import Annotated

import typer

from bridge.app import provisioning
from bridge.cli import provision_words as words
from bridge.cli.common import (
    ConfigOption,
    JsonOption,
    SecretsOption,
    clock_time,
    fail,
    open_store,
    plain,
    print_json,
    print_table,
    read_settings,
)
from bridge.domain.centre_plan import Record, Standing
from bridge.domain.centre_reading import is_name
from bridge.domain.centre_values import ID_MAX, Kind, Ref
from bridge.domain.errors import CentreUnready
from bridge.settings import Settings
from bridge.storage.provisioning import ProvisionLock, SqlCentreState

app = typer.Typer(
    help="What the bridge knows of the centre: Cention can't be asked.",
    epilog="Example: aventa-bridge provision state list",
    no_args_is_help=True,
)

KindArgument = Annotated[
    str, typer.Argument(metavar="KIND", help="organization, area, tag, keyword, autotag or sip.")
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name in the file.")]


def read_ref(kind: str, name: str) -> Ref:
    """Read a kind and a name; exits with 2 where they are none."""
    if kind not in tuple(Kind):
        fail(f"{kind}: is no kind; there are {', '.join(Kind)}", code=2)
    if not is_name(name):
        fail(f"{name or '(nothing)'}: is no name; use a-z, 0-9, underscore and hyphen", code=2)
    return Ref(Kind(kind), name)


def import_(
    kind: KindArgument,
    name: NameArgument,
    remote_id: Annotated[
        int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="The id that Cention gave it.")
    ],
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Take over what is in Cention already, also what was made and never answered.

    The next `apply` sends every field that the file has, since nothing is known of them; of what
    was never answered, what was sent is known.

    Example: aventa-bridge provision import area reception 3
    """
    ref = read_ref(kind, name)
    with _state(read_settings(config, secrets_dir)) as state:
        records = {one.ref: one for one in state.records()}
        known = records.get(ref)
        if known is not None and known.remote_id is not None:
            fail(f"{ref}: is known as {known.remote_id}; `provision state rm` it first")
        for other in records.values():
            if other.ref.kind is ref.kind and other.remote_id == remote_id:
                fail(f"{ref}: {remote_id} is {other.ref}; name each once")
        state.settle(ref, remote_id, {} if known is None else known.pending)
    sent = "" if known is None else ", with what was sent"
    typer.echo(f"{ref}: taken over as {remote_id}{sent}.")


@app.command("list")
def list_(
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """List what is known, and what was never answered.

    Example: aventa-bridge provision state list --json
    """
    with _state(read_settings(config, secrets_dir)) as state:
        records = state.records()
    names = words.names_of(records)
    if json:
        print_json(
            [
                {**words.record_json(one, names), **plain({"changed_us": one.changed_us})}
                for one in records
            ]
        )
        return
    print_table(
        ("thing", "id", "changed", "in doubt"),
        [
            (
                str(one.ref),
                "" if one.remote_id is None else str(one.remote_id),
                clock_time(one.changed_us),
                words.STANDINGS[one.standing],
            )
            for one in records
        ],
    )


@app.command()
def rm(
    kind: KindArgument,
    name: NameArgument,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Forget something; Cention keeps it. If the file has it, it is made anew.

    Example: aventa-bridge provision state rm tag vip
    """
    ref = read_ref(kind, name)
    with _state(read_settings(config, secrets_dir)) as state:
        known = _known(state, ref)
        state.forget(ref)
    number = "" if known.remote_id is None else f" Cention has it as {known.remote_id}."
    typer.echo(f"{ref}: forgotten.{number}")


@app.command()
def mv(
    kind: KindArgument,
    name: NameArgument,
    new_name: Annotated[str, typer.Argument(metavar="NEW-NAME", help="Its name from now on.")],
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Know something by another name, as the file has it now; nothing is sent.

    Example: aventa-bridge provision state mv area reception front-desk
    """
    ref, new = read_ref(kind, name), read_ref(kind, new_name)
    with _state(read_settings(config, secrets_dir)) as state:
        known = _known(state, ref)
        if known.standing is Standing.CREATING:
            fail(f"{ref}: its creation was never answered; `import` or --retry it first")
        if new in {one.ref for one in state.records()}:
            fail(f"{new}: is there already")
        state.rename(ref, new.name)
    typer.echo(f"{ref}: is {new} from now on.")


def _known(state: SqlCentreState, ref: Ref) -> Record:
    known = {one.ref: one for one in state.records()}
    if ref not in known:
        fail(f"{ref}: nothing is known of it; see `provision state list`")
    return known[ref]


@contextlib.contextmanager
def _state(settings: Settings) -> Iterator[SqlCentreState]:
    """Give the state to one command at a time."""
    try:
        with open_store(settings) as engine, ProvisionLock(settings.store.url):
            yield provisioning.state_of(settings, engine)
    except CentreUnready as error:
        fail(str(error), code=2)
