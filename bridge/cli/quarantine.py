"""`aventa-bridge quarantine`: what was refused at the door, and what a person does about it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from sqlalchemy import Connection

from bridge.cli.common import (
    AllOption,
    JsonOption,
    LimitOption,
    Veil,
    YesOption,
    clock_time,
    confirm,
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
)
from bridge.cli.readmission import REASONS_MAX, readmit, reason
from bridge.settings import Settings
from bridge.storage import refusals, repairs

_PILE: Final = Pile(
    one="refusal",
    many="refusals",
    none="The quarantine is empty.",
    no_match="The quarantine holds none of which all this is true.",
)

app = typer.Typer(
    help="Events that were refused at the door, kept until `retention.quarantine_days` are over.",
    epilog="Example: aventa-bridge quarantine list",
    no_args_is_help=True,
)

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="As `list` shows them; an unambiguous beginning will do."),
]


@dataclass(frozen=True, kw_only=True)
class Which(Filter):
    """Which refusals are meant: those of which all that is given is true."""

    source: Annotated[
        str | None, typer.Option("--source", help="That came from here.", show_default=False)
    ] = None
    status: Annotated[
        int | None, typer.Option("--status", help="Answered with this.", show_default=False)
    ] = None
    event_type: Annotated[
        str | None, typer.Option("--type", help="Of this event type.", show_default=False)
    ] = None
    after: AfterOption = None
    before: BeforeOption = None
    everything: AllOption = False

    def refused(self) -> refusals.Refused:
        """Return it as the store takes it."""
        return refusals.Refused(
            source=self.source,
            status=self.status,
            event_type=self.event_type,
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
    """List what was refused, the oldest first.

    Example: aventa-bridge quarantine list --limit 20

    Example: aventa-bridge quarantine list --status 422 --type call.answered
    """
    with reading(settings_from.read()) as connection:
        rows = refusals.rows(connection, which.refused(), limit)
    if json:
        print_rows(rows)
        return
    columns = ("id", "received (UTC)", "answered", "event", "type", "why")
    _PILE.print(rows, columns, _cells, which)


def _cells(row: dict[str, Any]) -> Sequence[str]:
    return (
        row["id"],
        clock_time(row["received_us"]),
        str(row["status"]),
        row["event_id"],
        row["event_type"],
        "; ".join(_reasons(row)[:REASONS_MAX]),
    )


def _reasons(row: dict[str, Any]) -> list[str]:
    return [reason(issue["pointer"], issue["detail"]) for issue in row["issues"]]


@app.command()
@grouped
def show(
    *,
    refusal_id: Annotated[
        str, typer.Argument(metavar="ID", help="As `list` shows it, or its beginning.")
    ],
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the body as it came.")] = False,
    json: JsonOption = False,
    settings_from: SettingsFrom,
) -> None:
    """Show what was refused, and why.

    Numbers are masked and texts hidden, and of a body that is no JSON only its size is told, unless
    --reveal. With it, a body that is no UTF-8 is shown with escapes.

    Example: aventa-bridge quarantine show 5f3a --reveal
    """
    with reading(settings_from.read()) as connection:
        found = _one(connection, refusal_id)
    body = found["body"]
    try:
        text = body.decode()
        is_utf8 = True
    except UnicodeDecodeError:
        text = body.decode(errors="backslashreplace")
        is_utf8 = False
    if not reveal:
        text = _veiled(body)
    if json:
        print_json({**plain(found), "body": text, "is_utf8": is_utf8})
        return
    for label, value in (
        ("refused", f"{found['id']}, answered {found['status']}"),
        ("received", clock_time(found["received_us"])),
        ("from", found["source"]),
        ("type", found["content_type"]),
        ("event", f"{found['event_id']} {found['event_type']}".strip()),
    ):
        if value:
            typer.echo(f"{label:<9} {shown(value)}")
    for line in _reasons(found):
        typer.echo(f"{'why':<9} {shown(line)}")
    if found["is_cut"]:
        typer.echo(f"{'note':<9} the body was too large; this is its beginning")
    typer.echo()
    for line in text.splitlines():
        typer.echo(shown(line))


def _veiled(body: bytes) -> str:
    """Return a body as far as it may be seen by anybody."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return f"({len(body):,} bytes that are no JSON; --reveal shows them)"
    veiled = Veil().stranger(document)
    return orjson.dumps(veiled, option=orjson.OPT_INDENT_2).decode()


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
    """Take in what was refused, by the settings as they are now.

    What is taken leaves the quarantine; what is not stays, and the reason is printed. Use the
    daemon's own settings: they say which route and whose contact it is.

    With --edit or --with, the body of one is changed first. It stays as it came until what was
    changed is taken.

    Example: aventa-bridge quarantine replay --all --per-minute 60

    Example: aventa-bridge quarantine replay 5f3a --edit
    """
    if edit or given is not None:
        chosen = check_one(ids, which, "--edit or --with")
        _replay_changed(settings_from, chosen, edit=edit, given=given)
        return
    check_selection(ids, which)
    settings = settings_from.read()
    _insist_on_upstream(settings)
    chosen_ids, strangers = _choose(settings, ids, which)
    if not ids:
        if not chosen_ids:
            typer.echo(_PILE.nothing(which))
            return
        confirm(f"Replay {_PILE.counted(len(chosen_ids))}?", yes=yes)
    pace = Pace(per_minute=per_minute)
    with open_store(settings) as engine:
        count, wrong = asyncio.run(readmit(engine, settings, chosen_ids, gap_s=pace.gap_s))
    typer.echo(f"{_PILE.counted(count)} taken in.")
    finish([*strangers, *wrong])


def _replay_changed(
    settings_from: SettingsFrom, beginning: str, *, edit: bool, given: Path | None
) -> None:
    if edit and given is not None:
        raise typer.BadParameter("give --edit or --with, not both", param_hint="--with")
    settings = settings_from.read()
    _insist_on_upstream(settings)
    with reading(settings) as connection:
        found = _one(connection, beginning)
    chosen = found["id"]
    with changed(found["body"], edit=edit, given=given) as body, open_store(settings) as engine:
        count, wrong = asyncio.run(readmit(engine, settings, [chosen], bodies={chosen: body}))
        typer.echo(f"{_PILE.counted(count)} taken in.")
        finish(wrong)


def _insist_on_upstream(settings: Settings) -> None:
    # The token is not needed, and whoever is at the shell may not have it. The others are: by them
    # a contact is filed.
    missing = [key for key in ("base_url", "workspace") if not getattr(settings.cention, key)]
    if missing:
        for key in missing:
            typer.echo(f"cention.{key}: is missing; use the daemon's settings", err=True)
        raise typer.Exit(2)


def _one(connection: Connection, beginning: str) -> dict[str, Any]:
    """Return the one refusal that begins so; else say in one line what is wrong, and exit."""
    try:
        found = refusals.one(connection, _find(connection, beginning))
    except LookupError as error:
        fail(str(error))
    if found is None:
        fail(f"{beginning}: is not in quarantine any more")
    return found


def _find(connection: Connection, beginning: str) -> str:
    found = refusals.beginning_with(connection, beginning, limit=2) if beginning else []
    if not found:
        raise LookupError(f"{beginning}: is not in quarantine")
    if len(found) > 1:
        raise LookupError(f"{beginning}: several begin so; give more of the id")
    return found[0]


def _choose(
    settings: Settings, ids: Sequence[str] | None, which: Which
) -> tuple[list[str], list[str]]:
    """Return which refusals are meant, and a line for each id that means none."""
    with reading(settings) as connection:
        if not ids:
            return refusals.ids(connection, which.refused()), []
        chosen: dict[str, None] = {}
        wrong: list[str] = []
        for one in ids:
            try:
                chosen[_find(connection, one)] = None
            except LookupError as error:
                wrong.append(str(error))
        return list(chosen), wrong


@app.command()
@grouped
def drop(
    *,
    ids: Ids = None,
    which: Which,
    yes: YesOption = False,
    settings_from: SettingsFrom,
) -> None:
    """Remove what was refused for good.

    Example: aventa-bridge quarantine drop 5f3a

    Example: aventa-bridge quarantine drop --before 2026-11-01 --yes
    """
    check_selection(ids, which)
    settings = settings_from.read()
    chosen, strangers = _choose(settings, ids, which)
    if not chosen and not ids:
        typer.echo(_PILE.nothing(which))
        return
    if chosen:
        confirm(f"Drop {_PILE.counted(len(chosen))} for good?", yes=yes)
    count = in_batches(
        settings,
        chosen,
        "Dropping",
        lambda connection, some, _: repairs.forget_refusals(connection, some),
    )
    typer.echo(f"{_PILE.counted(count)} dropped.")
    finish(strangers)
