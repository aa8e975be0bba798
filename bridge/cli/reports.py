"""`aventa-bridge reports`: what Cention reports of errands, and how pages are rated."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from bridge.cli.common import (
    ConfigOption,
    JsonOption,
    LimitOption,
    SecretsOption,
    Veil,
    clock_time,
    counted,
    fail,
    plain,
    print_json,
    print_table,
    read_settings,
    reading,
    shown,
)
from bridge.cli.pile import AfterOption, BeforeOption
from bridge.domain.masking import mask_numbers
from bridge.storage import feedback

_TEXTS: Final = ("agent", "subject", "answer_subject", "answer_body", "feedback")

app = typer.Typer(
    help="Errand reports: what became of the calls' errands, and Facebook ratings.",
    epilog="Example: aventa-bridge reports list --queue Sales",
    no_args_is_help=True,
)

RouteOption = Annotated[
    str | None, typer.Option("--route", help="Of this route only.", show_default=False)
]
QueueOption = Annotated[
    str | None, typer.Option("--queue", help="Of this queue only.", show_default=False)
]
RevealOption = Annotated[bool, typer.Option("--reveal", help="Show names and texts as they are.")]


@app.command("list")
def list_(  # noqa: PLR0913, PLR0917 - one parameter an option
    route: RouteOption = None,
    queue: QueueOption = None,
    after: AfterOption = None,
    before: BeforeOption = None,
    limit: LimitOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """List the errands that are followed, the latest call first.

    Example: aventa-bridge reports list --queue Sales --after 2026-11-01 --json
    """
    which = feedback.Reported(route=route, queue=queue, after_us=after, before_us=before)
    with reading(read_settings(config, secrets_dir)) as connection:
        rows = feedback.reports(connection, which.condition(), limit)
    for row in rows:
        row["tags"] = [mask_numbers(tag) for tag in row["tags"]]
    if json:
        print_json([_brief(row) for row in rows])
        return
    columns = (
        *("errand", "call", "route", "queue", "called (UTC)", "answered after"),
        *("handling", "response", "SLA", "expiry", "tags"),
    )
    print_table(columns, [_cells(row) for row in rows])


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what was said in it, which `show` tells."""
    hidden = {*_TEXTS, "actions"}
    return plain({key: value for key, value in row.items() if key not in hidden})


def _cells(row: dict[str, Any]) -> Sequence[str]:
    return (
        row["errand_id"],
        row["reference_id"],
        row["route"],
        row["queue"],
        clock_time(row["called_us"]),
        duration(row["answer_seconds"]),
        duration(row["handling_seconds"]),
        duration(row["response_seconds"]),
        sla_word(row),
        row["expiry"] or "",
        ", ".join(row["tags"]),
    )


def sla_word(row: Mapping[str, Any]) -> str:
    """Say whether an errand was handled within its SLA; nothing where that isn't known."""
    if row["within_sla"] is None:
        return ""
    return "within" if row["within_sla"] else "outside"


def duration(seconds: float | None) -> str:
    """Return a duration as people say it, such as `1 h 05 min` or `42 s`; nothing for none."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


@app.command()
def show(
    named: Annotated[
        str,
        typer.Argument(metavar="ERRAND_OR_CALL", help="An errand's id, or a call's reference."),
    ],
    reveal: RevealOption = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Show all that is reported of an errand, or of a call's errands.

    Example: aventa-bridge reports show 511055 --reveal
    """
    with reading(read_settings(config, secrets_dir)) as connection:
        rows = feedback.reports(connection, feedback.is_call(named))
        if not rows and named.isascii() and named.isdigit() and len(named) <= 18:
            rows = feedback.reports(connection, feedback.is_errand(int(named)))
    if not rows:
        fail(f"{named}: nothing is reported of this")
    for row in rows:
        veil_report(row, Veil(is_off=reveal))
    if json:
        print_json([as_json(row) for row in rows])
        return
    for row in rows:
        _print(row)


def veil_report(row: dict[str, Any], veil: Veil) -> None:
    """Hide in a report what was said and by whom; a tag may quote it."""
    for name in _TEXTS:
        row[name] = veil.text(row[name]) if row[name] else row[name]
    for action in row["actions"]:
        action["origin"], action["note"] = veil.text(action["origin"]), veil.text(action["note"])
    row["tags"] = [veil.words(tag) for tag in row["tags"]]


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    """Return a report for a script."""
    return {**plain(row), "actions": [plain(one) for one in row["actions"]]}


def _print(row: dict[str, Any]) -> None:
    state = "done" if row["is_done"] else "open"
    lines = (
        ("errand", f"{row['errand_id']} in {row['workspace']}, {state}"),
        ("call", f"{row['reference_id']} ({row['source']}), {clock_time(row['called_us'])} UTC"),
        ("route", row["route"]),
        ("queue", row["queue"]),
        ("area", row["area"]),
        ("service", row["service"]),
        ("agent", row["agent"]),
        ("answered", clock_time(row["answered_us"])),
        ("after", duration(row["answer_seconds"])),
        ("handling", duration(row["handling_seconds"])),
        ("response", duration(row["response_seconds"])),
        ("SLA", sla_word(row)),
        ("expiry", row["expiry"]),
        ("tags", ", ".join(row["tags"])),
        ("subject", row["subject"]),
        ("answer", row["answer_subject"]),
        ("", row["answer_body"]),
        ("feedback", row["feedback"]),
        ("read", clock_time(row["read_us"])),
        ("read again", clock_time(row["due_us"])),
    )
    for label, value in lines:
        if value:
            typer.echo(f"{label:<10} {shown(value)}")
    if row["actions"]:
        columns = ("done (UTC)", "by", "what")
        print_table(
            columns,
            [(clock_time(one["at_us"]), one["origin"], one["note"]) for one in row["actions"]],
        )


@app.command()
def ratings(
    reveal: RevealOption = False,
    limit: LimitOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """List the Facebook ratings, the latest first, with how many there are of each and their mean.

    Example: aventa-bridge reports ratings --limit 20
    """
    with reading(read_settings(config, secrets_dir)) as connection:
        rows = feedback.ratings(connection, limit)
    veil = Veil(is_off=reveal)
    for row in rows:
        for name in ("reviewer", "message"):
            row[name] = veil.text(row[name]) if row[name] else row[name]
    if json:
        print_json([plain(row) for row in rows])
        return
    counts = feedback.rating_counts(rows)
    total = sum(counts.values())
    if total:
        mean = sum(stars * count for stars, count in counts.items()) / total
        each = ", ".join(f"{stars}: {count}" for stars, count in counts.items())
        typer.echo(f"{counted(total, 'rating')}, mean {mean:.2f} ({each})")
    print_table(
        ("rating", "workspace", "stars", "made (UTC)", "by", "message"),
        [
            (
                row["rating_id"],
                row["workspace"],
                str(row["stars"] or ""),
                clock_time(row["created_us"]),
                row["reviewer"] or "",
                row["message"] or "",
            )
            for row in rows
        ],
    )
