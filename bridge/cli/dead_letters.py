"""`aventa-bridge dead-letters`: deliveries that have stopped, and what a person does about them."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from sqlalchemy import Connection

from bridge.cli import letter, payloads
from bridge.cli.common import (
    AllOption,
    JsonOption,
    LimitOption,
    Veil,
    YesOption,
    clock_time,
    confirm,
    counted,
    fail,
    open_store,
    plain,
    print_json,
    reading,
    shown,
)
from bridge.cli.editing import changed
from bridge.cli.pile import (
    AfterOption,
    BeforeOption,
    EditOption,
    Filter,
    Pace,
    PaceOption,
    Pile,
    SettingsFrom,
    WithOption,
    check_one,
    check_selection,
    finish,
    grouped,
    in_batches,
    print_rows,
    some_text,
)
from bridge.domain.deliveries import Kind, State
from bridge.settings import Settings
from bridge.storage import dead_letters, queries, repairs

_PILE: Final = Pile(
    one="delivery",
    many="deliveries",
    none="There are no dead letters.",
    no_match="There are no dead letters of which all this is true.",
)
_US: Final = 1_000_000

app = typer.Typer(
    help="Deliveries that were refused for good (dead), are in doubt (held) or wait behind one of"
    " these (parked).",
    epilog="Example: aventa-bridge dead-letters list --kind new_errand",
    no_args_is_help=True,
)

Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="As `list` shows them.", min=1)]


@dataclass(frozen=True, kw_only=True)
class Which(Filter):
    """Which dead letters are meant: those of which all that is given is true."""

    kind: Annotated[
        Kind | None, typer.Option("--kind", help="Of this kind.", show_default=False)
    ] = None
    route: Annotated[
        str | None, typer.Option("--route", help="Of this route.", show_default=False)
    ] = None
    reference: Annotated[
        str | None, typer.Option("--reference", help="Of this call.", show_default=False)
    ] = None
    state: Annotated[
        Literal["dead", "held", "parked"] | None,
        typer.Option("--state", help="In this state.", show_default=False),
    ] = None
    error: Annotated[
        str | None,
        typer.Option(
            "--error",
            parser=some_text,
            metavar="TEXT",
            help="With this in what was said last, in small letters or capitals.",
            show_default=False,
        ),
    ] = None
    after: AfterOption = None
    before: BeforeOption = None
    everything: AllOption = False

    def stopped(self) -> dead_letters.Stopped:
        """Return it as the store takes it."""
        return dead_letters.Stopped(
            kind=self.kind,
            route=self.route,
            reference_id=self.reference,
            state=State(self.state) if self.state else None,
            error=self.error,
            after_us=self.after,
            before_us=self.before,
        )


@app.command("list")
@grouped
def list_(
    *,
    which: Which,
    limit: LimitOption = None,
    json: JsonOption = False,
    settings_from: SettingsFrom,
) -> None:
    """List what has stopped, the oldest first.

    Example: aventa-bridge dead-letters list --kind new_errand

    Example: aventa-bridge dead-letters list --state dead --error "422" --after 2026-11-21
    """
    with reading(settings_from.read()) as connection:
        rows = dead_letters.rows(connection, which.stopped(), limit)
    veil = Veil()
    for row in rows:
        row["error"] = veil.words(row["error"])
    if json:
        print_rows(rows)
        return
    columns = ("id", "kind", "route", "state", "call", "tries", "accepted (UTC)", "what was said")
    _PILE.print(rows, columns, _cells, which)


def _cells(row: dict[str, Any]) -> Sequence[str]:
    return (
        str(row["id"]),
        row["kind"],
        row["route"],
        row["state"],
        row["reference_id"],
        str(row["attempts"]),
        clock_time(row["accepted_us"]),
        row["error"],
    )


@app.command()
@grouped
def show(
    *,
    delivery_id: Annotated[int, typer.Argument(metavar="ID", help="As `list` shows it.", min=1)],
    reveal: Annotated[bool, typer.Option("--reveal", help="Hide nothing.")] = False,
    json: JsonOption = False,
    settings_from: SettingsFrom,
) -> None:
    """Show one delivery: what it holds, every attempt with the upstream's words, and its lane.

    Numbers are masked and texts hidden, unless --reveal.

    Example: aventa-bridge dead-letters show 17

    Example: aventa-bridge dead-letters show 17 --reveal --json
    """
    with reading(settings_from.read()) as connection:
        row = queries.delivery(connection, delivery_id)
        lane = dead_letters.around(connection, delivery_id)
    if row is None:
        fail(f"There is no delivery {delivery_id}; `dead-letters list` shows those there are.")
    letter.veil(row, Veil(is_off=reveal))
    if json:
        print_json({**plain(row), "tries": [plain(one) for one in row["tries"]], **lane})
    else:
        letter.print_one(row, lane)


@app.command()
@grouped
def replay(
    *,
    ids: Ids = None,
    which: Which,
    per_minute: PaceOption = None,
    edit: EditOption = False,
    given: WithOption = None,
    yes: YesOption = False,
    settings_from: SettingsFrom,
) -> None:
    """Send stopped deliveries again, once the cause is mended.

    One that waits behind another takes that one along, so that an errand is created before it
    is ended. They go after whatever comes in meanwhile. A held one may have arrived: look in
    Cention first.

    With --edit or --with, one delivery is changed first: the JSON that `show --reveal` prints.
    What an errand is known by has to stay as it is.

    Example: aventa-bridge dead-letters replay --state dead --per-minute 60

    Example: aventa-bridge dead-letters replay 17 --edit
    """
    if edit or given is not None:
        _replay_changed(
            settings_from, check_one(ids, which, "--edit or --with"), edit=edit, given=given
        )
        return
    check_selection(ids, which)
    settings = settings_from.read()
    chosen, strangers, total = _choose(settings, ids, which)
    with reading(settings) as connection:
        heads = dead_letters.heads(connection, chosen)
    if not ids:
        if not chosen:
            typer.echo(_PILE.nothing(which))
            return
        confirm(f"Replay {_PILE.counted(len(chosen))} and what stopped with them?", yes=yes)
    pace = Pace(per_minute=per_minute)
    now_us = _now_us()
    every_us = pace.gap_s * _US

    def work(connection: Connection, some: Sequence[int], before: int) -> int:
        return repairs.replay(connection, some, now_us + round(before * every_us), every_us)

    count = in_batches(settings, heads, "Replaying", work)
    if count:
        _say_replayed(count, total, pace.lasts(len(heads)))
    finish(strangers)


def _say_replayed(count: int, total: int, when: str) -> None:
    typer.echo(f"Replaying {count:,} of {total:,}, the last leaves {when}.")


def _replay_changed(
    settings_from: SettingsFrom, delivery_id: int, *, edit: bool, given: Path | None
) -> None:
    if edit and given is not None:
        raise typer.BadParameter("give --edit or --with, not both", param_hint="--with")
    settings = settings_from.read()
    with reading(settings) as connection:
        found = dead_letters.letters(connection, [delivery_id]).get(delivery_id)
        total = dead_letters.count(connection)
    if found is None:
        fail(_stranger(delivery_id))
    if found.payload is None:
        fail(
            f"{delivery_id}: can't be edited. What a contact card says is worked out when it is"
            " sent, from all that events have said; replay it as it is, or post another event."
            if found.kind is Kind.CONTACT_CARD
            else f"{delivery_id}: can't be edited, since its content is gone"
        )
    with _refusing(delivery_id):
        before = payloads.as_text(found.payload)
    with changed(before, edit=edit, given=given) as text:
        with _refusing(delivery_id):
            after = payloads.from_text(found.kind, text, found.payload)
        with open_store(settings) as engine, engine.begin() as connection:
            now_us = _now_us()
            if not repairs.revise(connection, delivery_id, found.payload, after, now_us):
                fail(f"{delivery_id}: has changed meanwhile, so nothing was done")
            count = repairs.replay(connection, [delivery_id], now_us)
    _say_replayed(count, total, "now")


@contextlib.contextmanager
def _refusing(delivery_id: int) -> Iterator[None]:
    """End the command with what is wrong with a payload, a line each."""
    try:
        yield
    except payloads.InvalidEdit as error:
        for issue in error.issues:
            typer.echo(shown(f"{issue.pointer or 'the text'}: {issue.detail}"), err=True)
        fail(f"{delivery_id}: was left as it is")


@app.command()
@grouped
def drop(
    *,
    ids: Ids = None,
    which: Which,
    arrived: Annotated[
        bool,
        typer.Option(
            "--arrived",
            help="Count it as created, since you have seen the errand in Cention; what waits"
            " behind it goes.",
        ),
    ] = False,
    errand: Annotated[
        int | None,
        typer.Option(
            "--errand", min=1, help="With --arrived: the errand's id there.", show_default=False
        ),
    ] = None,
    yes: YesOption = False,
    settings_from: SettingsFrom,
) -> None:
    """Remove stopped deliveries for good, and what waits behind them.

    An errand whose creation is dropped is not ended either, even if its end is still to come.
    With --arrived the errand is there, and is ended as ever.

    Example: aventa-bridge dead-letters drop 17

    Example: aventa-bridge dead-letters drop 17 --arrived --errand 4711
    """
    if errand is not None and not arrived:
        raise typer.BadParameter("goes with --arrived", param_hint="--errand")
    if arrived:
        _count_as_arrived(settings_from, check_one(ids, which, "--arrived"), errand, yes=yes)
        return
    check_selection(ids, which)
    settings = settings_from.read()
    chosen, strangers, _ = _choose(settings, ids, which)
    if not chosen and not ids:
        typer.echo(_PILE.nothing(which))
        return
    if chosen:
        confirm(f"Drop {_PILE.counted(len(chosen))}, with what waits behind, for good?", yes=yes)
    count = in_batches(
        settings, chosen, "Dropping", lambda connection, some, _: repairs.drop(connection, some)
    )
    typer.echo(f"{_PILE.counted(count)} dropped.")
    finish(strangers)


def _count_as_arrived(
    settings_from: SettingsFrom, delivery_id: int, errand: int | None, *, yes: bool
) -> None:
    settings = settings_from.read()
    with reading(settings) as connection:
        found = dead_letters.letters(connection, [delivery_id]).get(delivery_id)
        behind = dead_letters.around(connection, delivery_id)["behind"]
    if found is None:
        fail(_stranger(delivery_id))
    if not found.kind.makes_errand:
        fail(f"{delivery_id}: is of kind {found.kind}; only what creates an errand can be there")
    if found.state is State.PARKED:
        fail(f"{delivery_id}: was never sent, so it can't be there")
    confirm(f"Count {delivery_id} as created in Cention, and let go what waits behind?", yes=yes)
    with open_store(settings) as engine, engine.begin() as connection:
        if not repairs.arrive(connection, delivery_id, str(errand or ""), _now_us()):
            fail(f"{delivery_id}: has changed meanwhile, so nothing was done")
    follows = f"; {counted(len(behind), 'delivery goes', 'deliveries go')} on" if behind else ""
    typer.echo(f"{delivery_id} counts as created{follows}.")


def _choose(
    settings: Settings, ids: list[int] | None, which: Which
) -> tuple[list[int], list[str], int]:
    """Return those that have stopped, a line for each id that has not, and how many there are."""
    with reading(settings) as connection:
        total = dead_letters.count(connection)
        if not ids:
            return dead_letters.ids(connection, which.stopped()), [], total
        chosen = dead_letters.among(connection, ids)
    return chosen, [_stranger(one) for one in sorted(set(ids) - set(chosen))], total


def _stranger(delivery_id: int) -> str:
    return f"{delivery_id}: is no such dead letter"


def _now_us() -> int:
    return time.time_ns() // 1000
