"""`aventa-bridge agents`: who is on which call, and how they are at One View."""

from typing import Any, Final

import typer

from bridge.cli.common import (
    ConfigOption,
    JsonOption,
    SecretsOption,
    clock_time,
    fail,
    plain,
    print_json,
    print_table,
    read_settings,
    reading,
)
from bridge.settings import Settings

_WORDS: Final = {
    "on_call": "on a call",
    "unavailable": "unavailable",
    "wrap_up": "wrapping up",
    "free": "free",
}
_REFUSED: Final = {
    401: "the token is refused (401)",
    403: "the token may not do this (403)",
    404: "One View knows no such agent (404)",
}

app = typer.Typer(
    help="Agents of One View: who is on which call, and what that means for their chats.",
    epilog="Example: aventa-bridge agents list",
    no_args_is_help=True,
)


@app.callback()
def _agents() -> None:
    pass


@app.command("list")
def list_(
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """List the agents of the settings: on what call they are, how they are here and at One View.

    What One View says is as of when the bridge last asked, which it does when something changes.

    Example: aventa-bridge agents list --json
    """
    settings = read_settings(config, secrets_dir)
    if not settings.oneview.is_on:
        fail("oneview.base_url: is not set, so nobody's presence is followed")
    rows = _rows(settings)
    if json:
        print_json([plain(row) for row in rows])
        return
    print_table(
        ("agent", "desk", "here", "since", "call", "one view", "asked", "to do"),
        [
            (
                row["email"],
                row["desk"],
                _WORDS[row["presence"]],
                clock_time(row["since_us"]) if row["since_us"] else "",
                ", ".join(row["calls"]),
                row["status"],
                clock_time(row["seen_us"]) if row["seen_us"] else "never",
                _to_do(row),
            )
            for row in rows
        ],
    )


def _rows(settings: Settings) -> list[dict[str, Any]]:
    # Here, since a site without One View has no use for them.
    from bridge.app.oneview import agent_mark  # noqa: PLC0415 - see above
    from bridge.domain.presence import Presence  # noqa: PLC0415 - see above
    from bridge.storage.presence import SqlPresence, calls_of  # noqa: PLC0415 - see above
    from bridge.storage.schema import secret_of  # noqa: PLC0415 - see above

    with reading(settings) as connection:
        key = secret_of(connection)
        marks = [agent_mark(key, one.email) for one in settings.agents]
        known = SqlPresence(connection).presences(marks)
        calls = calls_of(connection, marks)
    rows = []
    for one, mark in zip(settings.agents, marks, strict=True):
        presence = known.get(mark, Presence(agent=mark))
        rows.append(
            {
                "email": one.email,
                "desk": f"{one.device_id}/{one.extension_id}",
                "agent": mark,
                "remote_id": presence.remote_id,
                "presence": presence.word,
                "since_us": presence.since_us or None,
                "calls": calls.get(mark, []),
                "status": presence.seen.status if presence.seen else "",
                "seen_us": presence.seen_us or None,
                "gets_back": presence.held.before.status if presence.held else "",
                "due_us": presence.due_us,
                "attempts": presence.attempts,
                "error": _REFUSED.get(presence.refused, presence.error),
            }
        )
    return rows


def _to_do(row: dict[str, Any]) -> str:
    """Say what is to be done about an agent, and what keeps it."""
    if row["due_us"] is None:
        back = row["gets_back"]
        return f"gets back {back}" if back and row["presence"] != "free" else ""
    to = "away" if row["presence"] in {"on_call", "unavailable"} else row["gets_back"] or "asked"
    why = f": {row['error']}" if row["error"] else ""
    return f"{to}, {clock_time(row['due_us'])}{why}"
