"""`aventa-bridge routes`: where calls go, and what is held back."""

import time
from typing import Annotated, Any, Final

import typer

from bridge.cli.common import (
    ConfigOption,
    JsonOption,
    SecretsOption,
    clock_time,
    counted,
    fail,
    open_store,
    plain,
    print_json,
    print_table,
    read_settings,
    reading,
)
from bridge.domain.deliveries import Kind
from bridge.domain.routes import DEFAULT_ROUTE, ONWARD_ROUTE, Route, is_oneview, is_outlet
from bridge.settings import Settings
from bridge.storage import gates, queries, repairs

_GONE: Final = "(not in the settings)"

app = typer.Typer(
    help="Routes: how queues reach their areas in Cention, and which of them are paused.",
    epilog="Example: aventa-bridge routes pause sales",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `list` shows it.")]


@app.command("list")
def list_(
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """List the routes of the settings, the first match first, with what is paused of them.

    Example: aventa-bridge routes list
    """
    settings = read_settings(config, secrets_dir)
    with reading(settings) as connection:
        pauses = queries.pauses(connection)
    routes = settings.route_table().all()
    by_route: dict[str, list[dict[str, Any]]] = {name: [] for name in _names(settings)}
    for pause in pauses:
        by_route.setdefault(pause["route"], []).append(pause)
    if json:
        known = {route.name: route for route in routes}
        print_json([_as_json(name, known.get(name), shut) for name, shut in by_route.items()])
        return
    places = {route.name: (serves(route), route.workspace) for route in routes}
    places[ONWARD_ROUTE] = ("answers that are sent on", "")
    print_table(
        ("route", "serves", "workspace", "paused"),
        [
            (name, *places.get(name, _place(name)), "; ".join(map(_why, shut)))
            for name, shut in by_route.items()
        ],
    )


def _place(name: str) -> tuple[str, str]:
    """Say what a route is for that is none of Cention's; `agents list` tells whose it is."""
    return ("tickets of an agent of One View" if is_oneview(name) else _GONE), ""


def _names(settings: Settings) -> list[str]:
    """Return the routes of the settings, and the one by which answers are sent on, if any are."""
    names = [route.name for route in settings.route_table().all()]
    return [*names, ONWARD_ROUTE] if settings.callbacks.forward_url else names


def _as_json(name: str, route: Route | None, shut: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "is_known": route is not None or name == ONWARD_ROUTE,
        "queue_names": sorted(route.queue_names) if route else [],
        "dest_numbers": sorted(route.dest_numbers) if route else [],
        "queue_numbers": sorted(route.queue_numbers) if route else [],
        "workspace": route.workspace if route else "",
        "pauses": [
            {
                "kind": _kind(pause),
                "reason": pause["reason"],
                **plain({"since_us": pause["since_us"]}),
            }
            for pause in shut
        ],
    }


def _kind(pause: dict[str, Any]) -> str | None:
    return None if pause["kind"] == gates.ALL_KINDS else pause["kind"]


def _why(pause: dict[str, Any]) -> str:
    """Say what is shut, why and since when; a number is what was answered."""
    reason = pause["reason"]
    who = "the receiver" if pause["route"] == ONWARD_ROUTE else "Cention"
    if is_oneview(pause["route"]):
        who = "One View"
    why = reason if reason == repairs.BY_HAND else f"{who} answers {reason}"
    return f"{_kind(pause) or 'all'}: {why}, since {clock_time(pause['since_us'])}"


def serves(route: Route) -> str:
    """Return what a route is for."""
    if route.name == DEFAULT_ROUTE:
        return "all else"
    if is_outlet(route.name):
        return "messages of a rule"
    kinds = (
        ("queue", route.queue_names),
        ("called", route.dest_numbers),
        ("queue number", route.queue_numbers),
    )
    return "; ".join(f"{kind} {', '.join(sorted(values))}" for kind, values in kinds if values)


@app.command()
def pause(
    name: Name,
    kind: Annotated[
        Kind | None,
        typer.Option("--kind", help="Hold back this kind only.", show_default="all"),
    ] = None,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Hold back what would leave by a route, until `resume`; events are still taken.

    What is on its way already arrives.

    Example: aventa-bridge routes pause sales --kind contact_card
    """
    settings = read_settings(config, secrets_dir)
    with open_store(settings) as engine, engine.begin() as connection:
        _check(name, settings, [])
        repairs.pause(connection, name, kind, time.time_ns() // 1000)
    typer.echo(f"{name}: {kind or 'everything'} is held back until `routes resume {name}`.")


@app.command()
def resume(name: Name, config: ConfigOption = None, secrets_dir: SecretsOption = None) -> None:
    """Let everything leave by a route again, whoever paused it.

    Where Cention still refuses the token, the route is soon paused again.

    Example: aventa-bridge routes resume sales
    """
    settings = read_settings(config, secrets_dir)
    with open_store(settings) as engine, engine.begin() as connection:
        _check(name, settings, queries.pauses(connection))
        count = repairs.resume(connection, name)
    if count:
        typer.echo(f"{name}: {counted(count, 'pause')} ended.")
    else:
        typer.echo(f"{name}: was not paused.")


def _check(name: str, settings: Settings, pauses: list[dict[str, Any]]) -> None:
    """Refuse a name that is neither a route's nor that of one that was paused and is gone since."""
    names = _names(settings)
    names.extend(sorted({pause["route"] for pause in pauses} - set(names)))
    if name not in names:
        fail(f"{name}: is no route; there are {', '.join(names)}")
