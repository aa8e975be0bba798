"""How one dead letter is shown: what it holds, every attempt, and what stands around it."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
import typer

from bridge.cli.common import Veil, clock_time, print_table, shown
from bridge.storage import repairs

# Outcomes of what was no request: nothing was sent, so there is no status and no time it took.
_LOOKED_UP: Final = frozenset({"found", "absent", "held"})
_BY_HAND: Final = frozenset({repairs.EDITED, repairs.ARRIVED})


def veil(row: dict[str, Any], over: Veil) -> None:
    """Hide in a delivery what is not to be seen, and note which attempts were requests."""
    row["payload"] = over.document(row["payload"])
    row["error"] = over.words(row["error"])
    for one in row["tries"]:
        one["detail"] = over.words(one["detail"])
        one["is_request"] = not _is_no_request(one)


def _is_no_request(one: dict[str, Any]) -> bool:
    return not one["status"] and one["outcome"] in _LOOKED_UP | _BY_HAND


def print_one(row: dict[str, Any], lane: dict[str, list[dict[str, Any]]]) -> None:
    """Print a delivery, every attempt, and what stands around it in its lane, for people."""
    lines = (
        ("delivery", f"{row['id']}, {row['kind']}, {row['state']}"),
        ("route", row["route"]),
        ("call", row["reference_id"]),
        ("event", row["event_id"]),
        ("accepted", clock_time(row["accepted_us"])),
        ("errand", row["remote_id"]),
        ("last said", row["error"]),
        ("waits for", _others(lane["waits_for"])),
        ("behind it", _others(lane["behind"])),
    )
    for label, value in lines:
        if value:
            typer.echo(f"{label:<10} {shown(value)}")
    if row["tries"]:
        columns = ("tried (UTC)", "came of it", "status", "seconds", "what was said")
        print_table(columns, [_try(one) for one in row["tries"]])
    else:
        typer.echo("It was not tried.")
    if row["payload"] is not None:
        typer.echo(orjson.dumps(row["payload"], option=orjson.OPT_INDENT_2).decode())


def _others(rows: Sequence[dict[str, Any]]) -> str:
    return "; ".join(f"{row['id']}, {row['kind']}, {row['state']}" for row in rows)


def _try(one: dict[str, Any]) -> Sequence[str]:
    at, outcome = clock_time(one["at_us"]), one["outcome"]
    if one["is_request"]:
        status, seconds = str(one["status"] or "none"), f"{one['millis'] / 1000:.3f}"
        return (at, outcome, status, seconds, one["detail"])
    did = "looked up" if outcome in _LOOKED_UP else "by hand"
    return (at, f"{did}: {outcome}", "", "", "" if did == "by hand" else one["detail"])
