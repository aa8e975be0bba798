"""`aventa-bridge dead-letters`: deliveries that have stopped, and what a person does about them."""

import time
from typing import Annotated, Any, Final

import orjson
import typer

from bridge.cli.common import (
    AllOption,
    ConfigOption,
    JsonOption,
    LimitOption,
    SecretsOption,
    Veil,
    YesOption,
    batches,
    clock_time,
    confirm,
    counted,
    fail,
    one_of_both,
    open_store,
    plain,
    print_json,
    print_table,
    read_settings,
    reading,
    shown,
)
from bridge.domain.deliveries import Kind
from bridge.settings import Settings
from bridge.storage import queries, repairs

_ONE: Final = "delivery"
_MANY: Final = "deliveries"

app = typer.Typer(
    help="Deliveries that were refused for good (dead), are in doubt (held) or wait behind one of"
    " these (parked).",
    epilog="Example: aventa-bridge dead-letters list --kind new_errand",
    no_args_is_help=True,
)

KindOption = Annotated[
    Kind | None, typer.Option("--kind", help="Of this kind only.", show_default=False)
]
Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="As `list` shows them.", min=1)]


@app.command("list")
def list_(
    kind: KindOption = None,
    limit: LimitOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """List what has stopped, the oldest first.

    Example: aventa-bridge dead-letters list --kind new_errand
    """
    with reading(read_settings(config, secrets_dir)) as connection:
        rows = queries.dead_letters(connection, kind=kind, limit=limit)
    veil = Veil()
    for row in rows:
        row["error"] = veil.words(row["error"])
    if json:
        print_json([plain(row) for row in rows])
    elif not rows:
        typer.echo("There are no dead letters.")
    else:
        print_table(
            ("id", "kind", "route", "state", "call", "tries", "accepted (UTC)", "what was said"),
            [
                (
                    str(row["id"]),
                    row["kind"],
                    row["route"],
                    row["state"],
                    row["reference_id"],
                    str(row["attempts"]),
                    clock_time(row["accepted_us"]),
                    row["error"],
                )
                for row in rows
            ],
        )


@app.command()
def show(
    delivery_id: Annotated[int, typer.Argument(metavar="ID", help="As `list` shows it.", min=1)],
    reveal: Annotated[bool, typer.Option("--reveal", help="Hide nothing.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Show one delivery: what it holds, and every attempt with the upstream's own words.

    Numbers are masked and texts hidden, unless --reveal.

    Example: aventa-bridge dead-letters show 17
    """
    with reading(read_settings(config, secrets_dir)) as connection:
        row = queries.delivery(connection, delivery_id)
    if row is None:
        fail(f"There is no delivery {delivery_id}; `dead-letters list` shows those there are.")
    veil = Veil(is_off=reveal)
    row["payload"] = veil.document(row["payload"])
    row["error"] = veil.words(row["error"])
    for one in row["tries"]:
        one["detail"] = veil.words(one["detail"])
    if json:
        print_json({**plain(row), "tries": [plain(one) for one in row["tries"]]})
    else:
        _print(row)


def _print(row: dict[str, Any]) -> None:
    lines = (
        ("delivery", f"{row['id']}, {row['kind']}, {row['state']}"),
        ("route", row["route"]),
        ("call", row["reference_id"]),
        ("event", row["event_id"]),
        ("accepted", clock_time(row["accepted_us"])),
        ("errand", row["remote_id"]),
        ("last said", row["error"]),
    )
    for label, value in lines:
        if value:
            typer.echo(f"{label:<10} {shown(value)}")
    if row["tries"]:
        print_table(
            ("tried (UTC)", "came of it", "status", "ms", "what was said"),
            [
                (
                    clock_time(one["at_us"]),
                    one["outcome"],
                    str(one["status"] or ""),
                    str(one["millis"]),
                    one["detail"],
                )
                for one in row["tries"]
            ],
        )
    else:
        typer.echo("It was not tried.")
    if row["payload"] is not None:
        typer.echo(orjson.dumps(row["payload"], option=orjson.OPT_INDENT_2).decode())


@app.command()
def replay(
    ids: Ids = None,
    everything: AllOption = False,
    kind: KindOption = None,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Send stopped deliveries again, once the cause is mended.

    One that waits behind another takes that one along, so that an errand is created before it
    is ended. A held one may have arrived: look in Cention first.

    Example: aventa-bridge dead-letters replay --all --kind new_errand
    """
    settings = read_settings(config, secrets_dir)
    chosen, strangers = _choose(settings, ids, everything, kind)
    count = 0
    with open_store(settings) as engine:
        for some in batches(chosen, "Replaying"):
            with engine.begin() as connection:
                count += repairs.replay(connection, some, time.time_ns() // 1000)
    _finish("will be sent again", count, strangers)


@app.command()
def drop(
    ids: Ids = None,
    everything: AllOption = False,
    kind: KindOption = None,
    yes: YesOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Remove stopped deliveries for good, and what waits behind them.

    An errand whose creation is dropped is not ended either, even if its end is still to come.

    Example: aventa-bridge dead-letters drop 17
    """
    settings = read_settings(config, secrets_dir)
    chosen, strangers = _choose(settings, ids, everything, kind)
    if chosen:
        what = counted(len(chosen), _ONE, _MANY)
        confirm(f"Drop {what}, with what waits behind, for good?", yes=yes)
    count = 0
    with open_store(settings) as engine:
        for some in batches(chosen, "Dropping"):
            with engine.begin() as connection:
                count += repairs.drop(connection, some)
    _finish("dropped", count, strangers)


def _choose(
    settings: Settings, ids: list[int] | None, everything: bool, kind: Kind | None
) -> tuple[list[int], list[int]]:
    """Return those of the wanted deliveries that have stopped, and the ids that have not."""
    one_of_both(ids, everything)
    with reading(settings) as connection:
        chosen = queries.stopped_ids(connection, ids=ids or None, kind=kind)
    return chosen, sorted(set(ids or []) - set(chosen))


def _finish(done: str, count: int, strangers: list[int]) -> None:
    typer.echo(f"{counted(count, _ONE, _MANY)} {done}.")
    for one in strangers:
        typer.echo(f"{one}: is no such dead letter", err=True)
    if strangers:
        raise typer.Exit(1)
