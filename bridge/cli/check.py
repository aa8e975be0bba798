"""`aventa-bridge check`: are the settings right, and what will they do?"""

import os
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from bridge.app.doors import guards
from bridge.cli import rehearse
from bridge.cli.routes import serves
from bridge.domain.jwt import TokenClaims, read_claims
from bridge.domain.routes import DEFAULT_ROUTE, Route, is_outlet
from bridge.settings import Settings, SettingsError, load_settings
from bridge.settings.rule_checks import unreachable

# Wide enough for a route a line where there is no terminal to ask.
_WIDTH_WITHOUT_TERMINAL = 160


def check(
    config: Annotated[
        Path | None, typer.Option("--config", help="The TOML file.", show_default=False)
    ] = None,
    secrets_dir: Annotated[
        Path | None,
        typer.Option(
            "--secrets-dir",
            help="A folder of secret files; else systemd's, if it gives one.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    event: Annotated[
        Path | None,
        typer.Option(
            "--event",
            metavar="FILE",
            help="A file with one event, or several as they follow each other (JSON, NDJSON,"
            " CloudEvents): show their route, their rule and what would be sent.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Check the settings without starting anything.

    Prints each mistake on a line of its own and exits with 2; else shows where calls go, and what
    each token is good for until when. With --event it shows before that what would come of events:
    nothing is sent or kept, and nobody is known yet. A refused one makes it exit with 1.

    Example: aventa-bridge check --config config/bridge.toml --event call.json
    """
    try:
        settings = load_settings(config=config, secrets_dir=secrets_dir, environ=os.environ)
    except SettingsError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        if json:
            _print_json({"ok": False, "problems": error.problems})
        raise typer.Exit(2) from None
    scenes = rehearse.play(settings, event) if event is not None else []
    is_refused = any(scene.issues for scene in scenes)
    routes = settings.route_table().all()
    tokens = {name: read_claims(token) for name, token in settings.tokens().items()}
    if json:
        played = {} if event is None else {"events": [rehearse.as_json(one) for one in scenes]}
        _print_json(
            {
                "ok": not is_refused,
                "problems": [],
                **played,
                "routes": [_as_json(route, tokens.get(route.name)) for route in routes],
                "sources": [one.document for one in guards(settings)],
                "recommendations": _advice(settings, routes),
                "notices": settings.notices(),
            }
        )
    else:
        rehearse.print_scenes(scenes)
        _print_table(settings, routes, tokens)
    if is_refused:
        raise typer.Exit(1)


def recommendations(routes: Iterable[Route]) -> list[str]:
    """Return one line for each route whose errands may stay open (the contract's section 5)."""
    lines = []
    for route in routes:
        if route.agent is not None or is_outlet(route.name):
            continue
        remedy = "set device_id and extension_id"
        if route.name == DEFAULT_ROUTE:
            remedy = "set cention.device_id and cention.extension_id"
        lines.append(
            f"route {route.name}: ends of errands that no event names an agent for "
            f"need a default agent; {remedy}"
        )
    return lines


def _advice(settings: Settings, routes: Sequence[Route]) -> list[str]:
    lines = [*recommendations(routes), *unreachable(settings)]
    if settings.callbacks.forward_url and settings.callbacks.secret is None:
        lines.append(
            "callbacks.secret: answers are sent on, and who calls back is told by the address"
            " alone; set it to the Secret Key of Cention's callback settings"
        )
    if settings.http.tls_client_ca and (
        settings.callbacks.forward_url or settings.callbacks.secret
    ):
        lines.append(
            "http.tls_client_ca: callbacks come in at the same address, and Cention shows no"
            " certificate that is known of; leave it out, or let a proxy take callbacks"
        )
    return lines


def _as_json(route: Route, claims: TokenClaims | None) -> dict[str, Any]:
    token = None
    if claims is not None:
        token = {"claims": claims.claims, "expires_at": claims.expires_at}
    return {
        "name": route.name,
        "queue_names": sorted(route.queue_names),
        "dest_numbers": sorted(route.dest_numbers),
        "queue_numbers": sorted(route.queue_numbers),
        "base_url": route.base_url,
        "workspace": route.workspace,
        "token": token,
        "default_agent": route.agent is not None,
    }


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _print_table(
    settings: Settings, routes: Sequence[Route], tokens: dict[str, TokenClaims | None]
) -> None:
    # Here, because the daemon does without rich and this module may be loaded along with it.
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_WITHOUT_TERMINAL)
    table = Table("route", "serves", "workspace", "token", "default agent")
    now_s = time.time()
    for route in routes:
        cells = (
            route.name,
            serves(route),
            route.workspace,
            _token(tokens.get(route.name), now_s),
            "" if is_outlet(route.name) else "yes" if route.agent is not None else "no",
        )
        # As Text, because what a site writes may look like rich's markup.
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    for one in guards(settings):
        typer.echo(f"source {one.source}: {one.words}")
    for line in (*_advice(settings, routes), *settings.notices()):
        typer.echo(line)
    typer.echo("The settings are right.")


def _token(claims: TokenClaims | None, now_s: float) -> str:
    if claims is None:
        return "no JSON Web Token"
    listed = ", ".join(claims.claims) or "no claims listed"
    return f"{listed}; {_expiry(claims.expires_at, now_s)}"


def _expiry(expires_at: int | None, now_s: float) -> str:
    if expires_at is None:
        return "no expiry"
    word = "expired" if expires_at <= now_s else "expires"
    try:
        return f"{word} {datetime.fromtimestamp(expires_at, tz=UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{word} at {expires_at} (Unix seconds)"
