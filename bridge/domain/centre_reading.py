"""A centre's file read against the tables of `centre_fields`: every mistake with its place."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from bridge.domain.centre_fields import (
    FIELDS,
    ROUTE,
    Choice,
    Field,
    Flag,
    Group,
    Items,
    ManyIds,
    OneId,
    Shape,
    TagText,
    Texts,
    Week,
    Whole,
    Words,
)
from bridge.domain.centre_lines import Path
from bridge.domain.centre_values import WEEKDAYS, Kind, Ref, is_id

# As a route's name, since a route is made for each area with voice.
_NAME: Final = re.compile(r"[a-z0-9_-]{1,32}")
_ROUTE: Final = "route"
_KINDS: Final = tuple(str(kind) for kind in Kind)


class Mistake(Struct, frozen=True, gc=False):
    """What is wrong at a place of the file, and what would be right."""

    path: Path
    text: str


class TagRef(Struct, frozen=True):
    """A tag that is to be sent as text, until all tags are known."""

    ref: Ref
    with_parents: bool


class Draft(Struct, frozen=True, kw_only=True):
    """One thing as the file has it. What refers to others is a `Ref` or a `TagRef`."""

    ref: Ref
    fields: Mapping[str, Any]
    route: Mapping[str, Any] | None = None


class _Wrong:
    """Stands for a value that can't be used; the mistake is noted."""


_WRONG: Final = _Wrong()


def read_drafts(document: Mapping[str, Any]) -> tuple[list[Draft], list[Mistake]]:
    """Return what a file holds, in its order within each kind, and all that is wrong by itself."""
    reader = _Reader()
    for key in document:
        if key not in _KINDS:
            reader.add((key,), _unknown(key, _KINDS))
    drafts: list[Draft] = []
    for kind in Kind:
        things = document.get(kind, {})
        if not isinstance(things, dict):
            reader.add((kind,), f"is no table; write [{kind}.NAME]")
            continue
        for name, value in things.items():
            draft = reader.draft(Ref(kind, name), value)
            if draft is not None:
                drafts.append(draft)
    return drafts, reader.mistakes


def is_name(text: str) -> bool:
    """Say whether something of a file may have this name."""
    return _NAME.fullmatch(text) is not None


def _unknown(word: str, known: Iterable[str], what: str = "is unknown") -> str:
    words = list(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"{what}; did you mean {near[0]}?"
    return f"{what}; there are {', '.join(words)}" if words else what


def unknown_name(ref: Ref, known: Iterable[str]) -> str:
    """Return what to say of a name that the file gives to nothing."""
    return _unknown(ref.name, known, f'there is no [{ref.kind}."{ref.name}"] in this file')


class _Reader:
    """Collects mistakes."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def add(self, path: Path, text: str) -> None:
        self.mistakes.append(Mistake(path, text))

    def draft(self, ref: Ref, value: Any) -> Draft | None:
        path: Path = (ref.kind, ref.name)
        if not is_name(ref.name):
            self.add(path, "is no name; use 1 to 32 of a-z, 0-9, underscore and hyphen")
            return None
        if not isinstance(value, dict):
            self.add(path, f"is no table; write [{ref.kind}.{ref.name}]")
            return None
        rest, route = value, None
        extra: tuple[str, ...] = ()
        if ref.kind is Kind.AREA:
            extra = (_ROUTE,)
            rest = {key: item for key, item in value.items() if key != _ROUTE}
            if _ROUTE in value:
                route = self._route((*path, _ROUTE), value[_ROUTE])
        fields = self._group(FIELDS[ref.kind], rest, path, extra)
        return Draft(ref=ref, fields=fields, route=route)

    def _route(self, path: Path, value: Any) -> Mapping[str, Any] | None:
        if not isinstance(value, dict):
            self.add(path, 'is no table; write route = { queue_names = ["…"] }')
            return None
        route = self._group(ROUTE, value, path)
        name = route.get("name")
        if name is not None and not is_name(name):
            self.add(
                (*path, "name"), "is no route's name; use 1 to 32 of a-z, 0-9, underscore, hyphen"
            )
        return route

    def _group(
        self, group: Group, value: Mapping[str, Any], path: Path, extra: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        known = {field.name: field for field in group.fields}
        for key in value:
            if key not in known:
                self.add((*path, key), _unknown(key, (*known, *extra)))
        read: dict[str, Any] = {}
        for field in group.fields:
            if field.name in value:
                item = self.value(field.shape, value[field.name], (*path, field.name))
                if item is not _WRONG:
                    read[field.key] = item
            elif field.is_required:
                self.add(path, f"has no {field.name}; {_right(field)}")
        return read

    def value(self, shape: Shape, value: Any, path: Path) -> Any:
        match shape:
            case Flag():
                return self._plain(value, bool, path, "is neither true nor false")
            case Whole():
                return self._whole(shape, value, path)
            case Words():
                return self._words(shape, value, path)
            case Choice():
                return self._choice(shape, value, path)
            case OneId() | ManyIds() | TagText():
                return self._referring(shape, value, path)
            case _:
                return self._table(shape, value, path)

    def _referring(self, shape: OneId | ManyIds | TagText, value: Any, path: Path) -> Any:
        match shape:
            case OneId(kind):
                return self._reference(kind, value, path)
            case ManyIds(kind):
                return self._references(kind, value, path)
            case TagText(with_parents):
                read = self._reference(Kind.TAG, value, path, may_be_id=False)
                return TagRef(read, with_parents) if isinstance(read, Ref) else _WRONG

    def _table(self, shape: Group | Week | Items | Texts, value: Any, path: Path) -> Any:
        match shape:
            case Group():
                if not isinstance(value, dict):
                    return self._wrong(path, "is no table; write { … }")
                return self._group(shape, value, path)
            case Week():
                return self._week(shape, value, path)
            case Items():
                return self._items(shape, value, path)
            case Texts():
                return self._texts(value, path)

    def _wrong(self, path: Path, text: str) -> _Wrong:
        self.add(path, text)
        return _WRONG

    def _plain(self, value: Any, kind: type, path: Path, text: str) -> Any:
        return value if isinstance(value, kind) else self._wrong(path, text)

    def _whole(self, shape: Whole, value: Any, path: Path) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            return self._wrong(path, f"is no whole number; {_bounds(shape)}")
        if not shape.least <= value <= shape.most:
            return self._wrong(path, f"{value} is out of range; {_bounds(shape)}")
        return value

    def _words(self, shape: Words, value: Any, path: Path) -> Any:
        if not isinstance(value, str):
            return self._wrong(path, "is no text; put it in quotes")
        complaint = shape.complain(value)
        return self._wrong(path, f'"{value}" {complaint}') if complaint else value

    def _choice(self, shape: Choice, value: Any, path: Path) -> Any:
        if not isinstance(value, str):
            return self._wrong(path, f"is no {shape.what}; put it in quotes")
        if value not in shape.words:
            return self._wrong(
                path, _unknown(value, shape.words, f'"{value}" is no {shape.what} of Cention\'s')
            )
        return shape.words[value]

    def _week(self, shape: Week, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._wrong(path, 'is no table; write Monday = { start = "08:00", … }')
        read: dict[str, Any] = {}
        for day, hours in value.items():
            if day not in WEEKDAYS:
                self.add((*path, day), _unknown(day.capitalize(), WEEKDAYS, "is no day"))
            else:
                read[day] = self.value(shape.day, hours, (*path, day))
        return read

    def _items(self, shape: Items, value: Any, path: Path) -> Any:
        if not isinstance(value, list):
            return self._wrong(path, "is no list; write [{ … }]")
        return [self.value(shape.item, item, (*path, place)) for place, item in enumerate(value)]

    def _texts(self, value: Any, path: Path) -> Any:
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            return self._wrong(path, 'is no list of texts; write ["…"]')
        return list(value)

    def _reference(self, kind: Kind, value: Any, path: Path, *, may_be_id: bool = True) -> Any:
        if isinstance(value, str) and value:
            return Ref(kind, value)
        if may_be_id and is_id(value):
            return value
        return self._wrong(path, f"names no {kind}; write the name that it has in this file")

    def _references(self, kind: Kind, value: Any, path: Path) -> Any:
        if not isinstance(value, list) or not value:
            return self._wrong(path, f'is no list of {kind}s; write ["NAME"], one at least')
        read = [self._reference(kind, item, (*path, place)) for place, item in enumerate(value)]
        if len(set(read)) < len(read) and _WRONG not in read:
            self.add(path, f"names one {kind} twice; name each once")
        return read


def _bounds(shape: Whole) -> str:
    return f"write {shape.least} to {shape.most}"


def _right(field: Field) -> str:
    """Return what to write for a field that is missing."""
    match field.shape:
        case ManyIds(kind):
            return f'write {field.name} = ["NAME OF {kind.upper()}"]'
        case Choice(words=words):
            return f'write {field.name} = "{next(iter(words))}", or another'
        case Whole():
            return f"write {field.name} = 1"
        case _:
            return f'write {field.name} = "…"'
