"""What pydantic found wrong, said in the words of whoever writes the file.

Nothing here repeats a value: pydantic's own messages may, and values may be secrets.
"""

from typing import Final

from pydantic_core import ErrorDetails

from bridge.settings.keys import (
    KeyPath,
    dotted,
    field_at,
    keys_in,
    nearest,
    shape_of,
)
from bridge.settings.values import OWN_ERROR

_OUT_OF_RANGE: Final = frozenset(
    {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"}
)
_OF_A_CHOICE: Final = frozenset({"literal_error", "enum"})


def line(path: KeyPath, text: str, origin: str = "") -> str:
    """Return one mistake on one line; `origin` is where the value came from, if not the file."""
    return f"{dotted(path)}: {text}{f' (from {origin})' if origin else ''}"


def explain(error: ErrorDetails) -> str:
    """Return what is wrong and what would be right."""
    path, kind = error["loc"], error["type"]
    context = error.get("ctx", {})
    if kind == OWN_ERROR:
        return error["msg"]
    if kind == "extra_forbidden":
        return explain_unknown(path)
    if kind in _OF_A_CHOICE:
        return f"is none of the choices; use {context['expected']}"
    if kind == "string_too_long":
        return f"is too long; use {context['max_length']} characters at most"
    is_item = isinstance(path[-1], int)
    what = "is missing" if kind == "missing" else _misfit(path, kind, is_item=is_item)
    return f"{what}; {_right(path, is_item=is_item)}"


def explain_unknown(path: KeyPath) -> str:
    """Return what to say of a key that nobody knows."""
    meant = nearest(path)
    if meant is not None:
        return f"is unknown; did you mean {dotted(meant)}?"
    return f"is unknown; here there are {', '.join(keys_in(path[:-1]))}"


def _misfit(path: KeyPath, kind: str, *, is_item: bool) -> str:
    if kind in _OUT_OF_RANGE:
        return "is out of range"
    field = field_at(path)
    if field is None:
        return "is not right"
    shape = shape_of(field)
    if shape.is_list and not is_item:
        return "is no list"
    if shape.table is not None:
        return "is no table"
    return {
        int: "is no whole number",
        float: "is no number",
        bool: "is neither true nor false",
        dict[str, str]: "is no table of texts",
    }.get(shape.base, "is no text")


def _right(path: KeyPath, *, is_item: bool) -> str:
    field = field_at(path)
    if field is None:
        return "see config/bridge.toml"
    shape = shape_of(field)
    if shape.table is not None:
        name = dotted(tuple(part for part in path if isinstance(part, str)))
        return f"write [[{name}]]" if shape.is_list else f"write [{name}]"
    if field.is_required() and field.examples and not is_item:
        return f"use for instance {field.examples[0]!r}".replace("'", '"')
    if shape.base == dict[str, str]:
        return 'use a list of tables, [{ name = "…" }]'
    if shape.is_list and not is_item:
        return 'use a list, ["…"]'
    if shape.base in {int, float}:
        return f"use a {'whole ' if shape.base is int else ''}number {shape.bounds}"
    return "use true or false" if shape.base is bool else "use text in quotes"
