"""What keys there are, what each one holds, and which one was probably meant.

All of it is read off the models, so that a key is described in one place only.
"""

import difflib
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bridge.settings.root import Settings
from bridge.settings.values import Holds

# A key as the errors name it: ("routes", 0, "token") is `routes.0.token`.
KeyPath = tuple[str | int, ...]
_KEY_LENGTH_MAX: Final = 80


@dataclass(frozen=True, slots=True)
class Shape:
    """What a key holds: one `base`, or a list of them; numbers have bounds, other kinds `words`."""

    base: Any
    is_list: bool = False
    bounds: str = ""
    words: str = ""

    @property
    def table(self) -> type[BaseModel] | None:
        """The model of the table (or of each table of the list) that it holds, if it does."""
        if isinstance(self.base, type) and issubclass(self.base, BaseModel):
            return self.base
        return None


def shape_of(field: FieldInfo) -> Shape:
    """Return what a key holds."""
    metadata = list(field.metadata)
    base = _peel(field.annotation, metadata)
    is_list = typing.get_origin(base) is tuple
    if is_list:
        base = _peel(typing.get_args(base)[0], metadata)
    words = next((item.words for item in metadata if isinstance(item, Holds)), "")
    return Shape(base, is_list=is_list, bounds=_bounds(metadata), words=words)


def _peel(annotation: Any, metadata: list[Any]) -> Any:
    """Take off `Annotated[…]` and `… | None`, and note what hangs on them."""
    while True:
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is Annotated:
            for item in args[1:]:
                metadata.extend(item.metadata if isinstance(item, FieldInfo) else [item])
            annotation = args[0]
        elif origin is typing.Union or origin is UnionType:
            annotation = next(arg for arg in args if arg is not type(None))
        else:
            return annotation


def _bounds(metadata: list[Any]) -> str:
    low = above = high = None
    for item in metadata:
        if isinstance(item, annotated_types.Ge):
            low = item.ge
        elif isinstance(item, annotated_types.Gt):
            above = item.gt
        elif isinstance(item, annotated_types.Le):
            high = item.le
    if above is not None:
        return f"above {above}, at most {high}"
    return f"{low}…{high}" if low is not None else ""


def dotted(path: KeyPath) -> str:
    """Return a key as a person writes it; one that is absurdly long is cut."""
    text = ".".join(str(part) for part in path)
    return text if len(text) <= _KEY_LENGTH_MAX else f"{text[:_KEY_LENGTH_MAX]}…"


def variable(path: KeyPath) -> str:
    """Return the environment variable of a key."""
    return "BRIDGE_" + "__".join(str(part) for part in path).upper()


def field_at(path: KeyPath) -> FieldInfo | None:
    """Return the key at a path, where there is one; for an item of a list, the list."""
    fields: dict[str, FieldInfo] | None = Settings.model_fields
    field: FieldInfo | None = None
    for part in path:
        if isinstance(part, int):
            continue
        field = fields.get(part) if fields else None
        if field is None:
            return None
        table = shape_of(field).table
        fields = table.model_fields if table else None
    return field


def keys_in(path: KeyPath) -> tuple[str, ...]:
    """Return the names of the keys in the table at a path; () is the file as a whole."""
    if not path:
        return tuple(Settings.model_fields)
    field = field_at(path)
    table = shape_of(field).table if field else None
    return tuple(table.model_fields) if table else ()


@cache
def plain_keys() -> tuple[KeyPath, ...]:
    """Return every key that has one place: those in `[[…]]` are left out, as many have them."""
    return tuple(_plain_keys())


def _plain_keys() -> Iterator[KeyPath]:
    for name, field in Settings.model_fields.items():
        shape = shape_of(field)
        if shape.table is None or shape.is_list:
            yield (name,)
        else:
            yield from ((name, key) for key in shape.table.model_fields)


def nearest(path: KeyPath) -> KeyPath | None:
    """Return the key that was probably meant by one that is unknown."""
    *parent, last = path
    name = str(last).lower()
    near = difflib.get_close_matches(name, keys_in(tuple(parent)), n=1, cutoff=0.7)
    if near:
        return (*parent, near[0])
    elsewhere = [key for key in plain_keys() if key[-1] == name]
    # Of several sections, [cention] is the one that is meant most often, and comes first.
    if len(elsewhere) == 1 or (elsewhere and elsewhere[0][0] == "cention"):
        return elsewhere[0]
    by_name = {dotted(key): key for key in plain_keys()}
    whole = difflib.get_close_matches(dotted(path).lower(), by_name, n=1, cutoff=0.8)
    return by_name[whole[0]] if whole else None
