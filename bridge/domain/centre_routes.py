"""The bridge's own routes for the areas of a centre: how calls reach the area they are for. Pure.

In Cention the token of a request decides its area. So an area with voice wants a route that names
its calls, and a token made for that area, which Cention shows once to whoever makes it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from bridge.domain.centre import Thing
from bridge.domain.centre_values import Kind, Ref
from bridge.domain.routes import DEFAULT_ROUTE, Route

# What a file begins with that may be written over.
HEAD: Final = "# Made by `aventa-bridge provision`: a route for each area with voice.\n"


class AreaRoute(Struct, frozen=True, kw_only=True):
    """A route that an area wants; `title` is what Cention calls the area."""

    area: Ref
    name: str
    title: str
    remote_id: int
    queue_names: Sequence[str]
    dest_numbers: Sequence[str]
    queue_numbers: Sequence[str]


def area_routes(things: Iterable[Thing], ids: Mapping[Ref, int]) -> list[AreaRoute]:
    """Return a route for each area with voice that is there, and of which calls are named."""
    return [
        AreaRoute(
            area=thing.ref,
            name=_name(thing),
            title=thing.fields["name"],
            remote_id=ids[thing.ref],
            **{key: tuple(values) for key, values in _calls(thing).items()},
        )
        for thing in _with_voice(things)
        if thing.ref in ids and any(_calls(thing).values())
    ]


def unreached(things: Iterable[Thing], routes: Sequence[Route]) -> Iterator[tuple[Ref, str]]:
    """Yield the areas with voice that none of the settings' routes reaches, and what to do.

    A route reaches an area by its name, or by serving one of the calls that the area names.
    """
    for thing in _with_voice(things):
        calls, name = _calls(thing), _name(thing)
        if any(route.name == name or _serves(route, calls) for route in routes):
            continue
        if any(calls.values()):
            todo = "`provision routes` writes one for the settings"
        else:
            todo = 'say which calls are its own: route = { queue_names = ["…"] }'
        yield thing.ref, f"has voice, but no route reaches it, so its calls go elsewhere; {todo}"


def as_toml(routes: Iterable[AreaRoute], workspace: str | None) -> str:
    """Return routes as the settings have them; `workspace` where it is not cention.workspace.

    A route without a token of its own is refused at the start, so none can be forgotten.
    """
    blocks = [f"{HEAD}# Each wants a token that was made in Cention for its area.\n"]
    for route in routes:
        lines = [
            f"# Area {route.remote_id}, {_one_line(route.title)}.",
            f"# Its token: secret file routes.{route.name}.token",
            "[[routes]]",
            f"name = {_quoted(route.name)}",
        ]
        for key in ("queue_names", "dest_numbers", "queue_numbers"):
            values: Sequence[str] = getattr(route, key)
            if values:
                lines.append(f"{key} = [{', '.join(map(_quoted, values))}]")
        if workspace is not None:
            lines.append(f"workspace = {_quoted(workspace)}")
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _with_voice(things: Iterable[Thing]) -> Iterator[Thing]:
    for thing in things:
        if thing.ref.kind is Kind.AREA and thing.fields.get("has_voice") is True:
            yield thing


def _calls(thing: Thing) -> dict[str, Sequence[str]]:
    route = thing.route or {}
    return {key: route.get(key, ()) for key in ("queue_names", "dest_numbers", "queue_numbers")}


def _name(thing: Thing) -> str:
    name = str((thing.route or {}).get("name", thing.ref.name))
    # That name is the settings' own.
    return f"area-{name}" if name == DEFAULT_ROUTE else name


def _serves(route: Route, calls: Mapping[str, Sequence[str]]) -> bool:
    return (
        any(route.serves(name, "", "") for name in calls["queue_names"])
        or any(route.serves("", number, "") for number in calls["queue_numbers"])
        or any(route.serves("", "", number) for number in calls["dest_numbers"])
    )


def _quoted(text: str) -> str:
    """Return a text as a TOML string: JSON's escapes are TOML's too, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
