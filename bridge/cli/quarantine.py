"""`aventa-bridge quarantine`: what was refused at the door, and what a person does about it."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import typer
from sqlalchemy import Connection, Engine

from bridge.app import wiring
from bridge.cli.common import (
    AllOption,
    ConfigOption,
    JsonOption,
    LimitOption,
    SecretsOption,
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
    tracked,
)
from bridge.domain.errors import InvalidEvent, Issue, StoreUnavailable
from bridge.inbound.shapes import Body, Candidate, Shape, read
from bridge.inbound.strict_json import StrictJsonError
from bridge.ops.clock import SystemClock
from bridge.ops.metrics import BridgeMetrics
from bridge.ports import Gate
from bridge.services.ingest import Arrival, Ingest, Taken
from bridge.settings import Settings
from bridge.storage import queries, repairs
from bridge.storage.engine import open_reader
from bridge.storage.schema import digest_key
from bridge.storage.writer import SharedCommit

_CONFLICT: Final = "/eventId: an event with this id and other content is kept already"
_REASONS_MAX: Final = 5

app = typer.Typer(
    help="Events that were refused at the door, kept until `retention.quarantine_days` are over.",
    epilog="Example: aventa-bridge quarantine list",
    no_args_is_help=True,
)

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="As `list` shows them; an unambiguous beginning will do."),
]


@app.command("list")
def list_(
    limit: LimitOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """List what was refused, the oldest first.

    Example: aventa-bridge quarantine list --limit 20
    """
    with reading(read_settings(config, secrets_dir)) as connection:
        rows = queries.quarantined(connection, limit)
    if json:
        print_json([plain(row) for row in rows])
    elif not rows:
        typer.echo("The quarantine is empty.")
    else:
        print_table(
            ("id", "received (UTC)", "answered", "event", "type", "why"),
            [
                (
                    row["id"],
                    clock_time(row["received_us"]),
                    str(row["status"]),
                    row["event_id"],
                    row["event_type"],
                    "; ".join(_lines(row)[:_REASONS_MAX]),
                )
                for row in rows
            ],
        )


def _lines(row: dict[str, Any]) -> list[str]:
    return [_line(issue["pointer"], issue["detail"]) for issue in row["issues"]]


def _line(pointer: str, detail: str) -> str:
    return f"{pointer}: {detail}" if pointer else detail


@app.command()
def show(
    refusal_id: Annotated[
        str, typer.Argument(metavar="ID", help="As `list` shows it, or its beginning.")
    ],
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Show what was refused, as it came: nothing in it is masked.

    A body that is no UTF-8 is shown with escapes.

    Example: aventa-bridge quarantine show 5f3a
    """
    with reading(read_settings(config, secrets_dir)) as connection:
        found = queries.refusal(connection, _resolve(connection, refusal_id))
    if found is None:
        fail(f"{refusal_id}: is not in quarantine any more")
    body = found["body"]
    try:
        text = body.decode()
        is_utf8 = True
    except UnicodeDecodeError:
        text = body.decode(errors="backslashreplace")
        is_utf8 = False
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
    for line in _lines(found):
        typer.echo(f"{'why':<9} {shown(line)}")
    if found["is_cut"]:
        typer.echo(f"{'note':<9} the body was too large; this is its beginning")
    typer.echo()
    for line in text.splitlines():
        typer.echo(shown(line))


@app.command()
def replay(
    ids: Ids = None,
    everything: AllOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Take in what was refused, by the settings as they are now.

    What is taken leaves the quarantine; what is not stays, and the reason is printed. Use the
    daemon's own settings: they say which route and whose contact it is.

    Example: aventa-bridge quarantine replay --all
    """
    one_of_both(ids, everything)
    settings = read_settings(config, secrets_dir)
    _insist_on_upstream(settings)
    with reading(settings) as connection:
        chosen, wrong = _choose(connection, ids)
    with open_store(settings) as engine:
        count = asyncio.run(_replay(engine, settings, chosen, wrong))
    typer.echo(f"{counted(count, 'refusal')} taken in.")
    _finish(wrong)


def _insist_on_upstream(settings: Settings) -> None:
    # The token is not needed, and whoever is at the shell may not have it. The others are: by them
    # a contact is filed.
    missing = [key for key in ("base_url", "workspace") if not getattr(settings.cention, key)]
    if missing:
        for key in missing:
            typer.echo(f"cention.{key}: is missing; use the daemon's settings", err=True)
        raise typer.Exit(2)


def _resolve(connection: Connection, beginning: str) -> str:
    """Return the one id that begins so; else say in one line what is wrong, and exit with 1."""
    try:
        return _find(connection, beginning)
    except LookupError as error:
        fail(str(error))


def _find(connection: Connection, beginning: str) -> str:
    found = queries.refusal_ids(connection, beginning, limit=2) if beginning else []
    if not found:
        raise LookupError(f"{beginning}: is not in quarantine")
    if len(found) > 1:
        raise LookupError(f"{beginning}: several begin so; give more of the id")
    return found[0]


def _choose(connection: Connection, ids: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Return which refusals are meant, and a line for each id that means none."""
    if not ids:
        return queries.refusal_ids(connection), []
    chosen: dict[str, None] = {}
    wrong: list[str] = []
    for one in ids:
        try:
            chosen[_find(connection, one)] = None
        except LookupError as error:
            wrong.append(str(error))
    return list(chosen), wrong


def _finish(wrong: Sequence[str]) -> None:
    for line in wrong:
        typer.echo(shown(line), err=True)
    if wrong:
        raise typer.Exit(1)


async def _replay(engine: Engine, settings: Settings, ids: Sequence[str], wrong: list[str]) -> int:
    """Take refusals in one by one; return how many, and put a line on `wrong` for each other."""
    writer = SharedCommit(engine)
    ingest = Ingest(
        writer=writer,
        clock=SystemClock(),
        meter=BridgeMetrics(),
        policy=wiring.ingest_policy(settings),
        digest_key=digest_key(engine),
        on_work=_leave_to_the_daemon,
    )
    reader = open_reader(settings.store.url)
    count = 0
    writer.start()
    try:
        for one in tracked(ids, "Replaying"):
            with reader.connect() as connection:
                found = queries.refusal(connection, one)
            if found is None:
                continue
            reasons = await _take(ingest, found)
            if reasons:
                wrong.extend(f"{one}: {reason}" for reason in reasons[:_REASONS_MAX])
                continue
            # In a commit of its own: were it lost, the next replay would find duplicates.
            with engine.begin() as connection:
                count += repairs.forget_refusals(connection, [one])
    finally:
        await writer.close()
        reader.dispose()
    return count


def _leave_to_the_daemon(_gates: Iterable[Gate]) -> None:
    """Do nothing: the daemon looks for work every second."""


async def _take(ingest: Ingest, found: dict[str, Any]) -> list[str]:
    """Take in a refused body; return why not, a line for each event that can't be."""
    if found["is_cut"]:
        return ["was cut when it was kept, so it can't be replayed; have it sent again"]
    try:
        candidates = _read(found).candidates
    except StrictJsonError as error:
        return [_line(error.pointer, error.detail)]
    except InvalidEvent as error:
        return _said(error.issues)
    if not candidates:
        return ["holds no event"]
    arrivals, reasons = _admit(ingest, candidates, found["source"])
    for receipt in await ingest.take(arrivals) if arrivals else []:
        if isinstance(receipt, StoreUnavailable):
            raise receipt
        if isinstance(receipt, Exception):
            reasons.append(f"can't be processed ({type(receipt).__name__})")
        elif receipt.taken is Taken.CONFLICT:
            reasons.append(_CONFLICT)
    return reasons


def _admit(
    ingest: Ingest, candidates: Iterable[Candidate], source: str
) -> tuple[list[Arrival], list[str]]:
    """Check what may be events; return those that are, and a line for each that isn't."""
    arrivals: list[Arrival] = []
    reasons: list[str] = []
    for candidate in candidates:
        try:
            if candidate.error is not None:
                raise candidate.error
            arrivals.append(ingest.admit(candidate.document, source=source))
        except InvalidEvent as error:
            reasons.extend(_said(error.issues))
    return arrivals, reasons


def _read(found: dict[str, Any]) -> Body:
    """Read a refused body in the shape that it came in.

    One event out of several is kept as JSON, whatever shape they came in.
    """
    media_type = found["content_type"].partition(";")[0].strip().lower()
    try:
        shape = Shape(media_type)
    except ValueError:
        raise InvalidEvent([Issue("", "came as a type that holds no events")]) from None
    body = read(shape, found["body"], {})
    if shape is Shape.JSON and not body.is_batch:
        document = body.candidates[0].document
        if isinstance(document, dict) and "specversion" in document and "data" in document:
            return read(Shape.CLOUDEVENT, found["body"], {})
    return body


def _said(issues: Iterable[Issue]) -> list[str]:
    return [_line(issue.pointer, issue.detail) for issue in issues]


@app.command()
def drop(
    ids: Ids = None,
    everything: AllOption = False,
    yes: YesOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Remove what was refused for good.

    Example: aventa-bridge quarantine drop 5f3a
    """
    one_of_both(ids, everything)
    settings = read_settings(config, secrets_dir)
    with reading(settings) as connection:
        chosen, wrong = _choose(connection, ids)
    if chosen:
        confirm(f"Drop {counted(len(chosen), 'refusal')} for good?", yes=yes)
    count = 0
    with open_store(settings) as engine:
        for some in batches(chosen, "Dropping"):
            with engine.begin() as connection:
                count += repairs.forget_refusals(connection, some)
    typer.echo(f"{counted(count, 'refusal')} dropped.")
    _finish(wrong)
