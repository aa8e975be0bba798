"""A centre as its file wants it: each thing with what it needs, after what it needs. Pure.

Things are known by the names that the file gives them, not by what Cention shows: `name` may
change, and the thing stays the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.centre_lines import Path, line_of
from bridge.domain.centre_reading import Draft, Mistake, TagRef, read_drafts, unknown_name
from bridge.domain.centre_values import Kind, Ref

# How the page writes a tag that lies under others: "TagLv1 / TagLv2".
TAG_SEPARATOR: Final = " / "
MOVE_TO: Final = "due_date_move_to_areaId"
EMAILS: Final = "server_emails"
NEW_EMAIL: Final = -1
# The fields that are sent as ids of other things, and of which kind.
ID_FIELDS: Final = {
    "areas": Kind.AREA,
    MOVE_TO: Kind.AREA,
    "organisation_id": Kind.ORGANIZATION,
}
# The field that the file calls otherwise than it is sent.
_WRITTEN: Final = {MOVE_TO: "due_date_move_to", "organisation_id": "organization"}


class Thing(Struct, frozen=True, kw_only=True):
    """One thing that is wanted.

    Attributes:
        ref: its kind, and its name in the file.
        fields: what is to be sent, by the page's names; another thing's id is a `Ref` to it.
        needs: what has to be there before it.
        tags: the fields that are another tag's text, by the page's names, and whose.
        line: where the file has it.
        lines: where the file has its fields, by the page's names.
        route: which calls are an area's; None where the file doesn't say.
    """

    ref: Ref
    fields: Mapping[str, Any]
    needs: frozenset[Ref]
    line: int
    lines: Mapping[str, int]
    tags: Mapping[str, Ref] = {}
    route: Mapping[str, Any] | None = None


class Centre(Struct, frozen=True):
    """All that a file wants, each thing after those that it needs."""

    things: Sequence[Thing]


class LineMistake(Struct, frozen=True, gc=False, order=True):
    """A mistake in a file: its line from 1, the key, and what is wrong and would be right."""

    line: int
    key: str
    text: str


def read_centre(
    document: Mapping[str, Any], lines: Mapping[Path, int]
) -> tuple[Centre | None, list[LineMistake]]:
    """Read a centre's file; None where anything is wrong, and every mistake by its line."""
    drafts, mistakes = read_drafts(document)
    by_ref = {draft.ref: draft for draft in drafts}
    mistakes.extend(_astray(drafts, by_ref, document))
    if not mistakes:
        mistakes.extend(_circles(by_ref))
        mistakes.extend(_two_in_one(by_ref))
    if not mistakes:
        mistakes.extend(_doubles(drafts, by_ref))
    if mistakes:
        return None, sorted(
            LineMistake(line_of(lines, one.path), _dotted(one.path), one.text) for one in mistakes
        )
    things = [_thing(draft, by_ref, lines) for draft in drafts]
    return Centre(in_order(things)), []


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)


def written(key: str) -> str:
    """Return what a file calls a field that is sent by this name."""
    return _WRITTEN.get(key, key)


def refs_in(value: Any) -> Iterator[Ref]:
    """Yield the things that a value refers to by id."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from refs_in(item)


def _named(draft: Draft) -> Iterator[tuple[str, Ref]]:
    """Yield every thing that a draft names, and the field in which it does."""
    for key, value in draft.fields.items():
        if isinstance(value, TagRef):
            yield key, value.ref
        else:
            for ref in refs_in(value):
                yield key, ref


def _astray(
    drafts: Sequence[Draft], by_ref: Mapping[Ref, Draft], document: Mapping[str, Any]
) -> Iterator[Mistake]:
    for draft in drafts:
        for key, ref in _named(draft):
            # What is there and is wrong by itself has its own mistake.
            held = document.get(ref.kind, {})
            if ref not in by_ref and not (isinstance(held, dict) and ref.name in held):
                known = [one.name for one in by_ref if one.kind is ref.kind]
                path: Path = (draft.ref.kind, draft.ref.name, written(key))
                yield Mistake((*path, *_place(draft, key, ref)), unknown_name(ref, known))


def _place(draft: Draft, key: str, ref: Ref) -> Path:
    value = draft.fields[key]
    return (value.index(ref),) if isinstance(value, list) else ()


def _circles(by_ref: Mapping[Ref, Draft]) -> Iterator[Mistake]:
    """Yield the tags that lie under themselves."""
    for ref, draft in by_ref.items():
        seen = {ref}
        above = _parent(draft)
        while above is not None and above not in seen:
            seen.add(above)
            above = _parent(by_ref[above])
        if above == ref:
            yield Mistake(
                (ref.kind, ref.name, "parent_tag"), "lies under itself; take one parent_tag out"
            )


def _two_in_one(by_ref: Mapping[Ref, Draft]) -> Iterator[Mistake]:
    """Yield the tags above others whose name reads as two: Cention would look for those."""
    for ref in dict.fromkeys(above for one in by_ref.values() if (above := _parent(one))):
        if TAG_SEPARATOR in by_ref[ref].fields["tag_name"]:
            yield Mistake(
                (ref.kind, ref.name, "tag_name"),
                f'holds "{TAG_SEPARATOR}", so what lies under it can\'t name it; write another',
            )


def _parent(draft: Draft) -> Ref | None:
    value = draft.fields.get("parent_tag")
    return value.ref if isinstance(value, TagRef) else None


def _doubles(drafts: Sequence[Draft], by_ref: Mapping[Ref, Draft]) -> Iterator[Mistake]:
    """Yield what Cention would have twice: most likely it was copied, and not changed."""
    first: dict[tuple[object, ...], Ref] = {}
    for draft in drafts:
        for shown, *key in _identities(draft, by_ref):
            before = first.setdefault((draft.ref.kind, shown, *key), draft.ref)
            if before != draft.ref:
                yield Mistake(
                    (draft.ref.kind, draft.ref.name, *str(shown).split(".")),
                    f"is that of {before} too; give each its own",
                )


def _identities(draft: Draft, by_ref: Mapping[Ref, Draft]) -> Iterator[tuple[object, ...]]:
    """Yield what nothing else of its kind may have: where it stands, and what it is."""
    fields = draft.fields
    match draft.ref.kind:
        case Kind.ORGANIZATION:
            yield "name", fields["name"]
        case Kind.AREA:
            yield "name", fields.get("organisation_id"), fields["name"]
            if draft.route is not None:
                yield "route.name", draft.route.get("name", draft.ref.name)
                for queue in draft.route.get("queue_names", ()):
                    yield "route.queue_names", queue
        case Kind.TAG:
            yield "tag_name", _tag_path(draft.ref, by_ref), fields.get("sub_tag")
        case Kind.SIP:
            yield "route_sip_id", fields["route_sip_id"]
        case _:
            return


def _tag_path(ref: Ref, by_ref: Mapping[Ref, Draft]) -> str:
    """Return a tag with all that it lies under, as the page writes it."""
    draft = by_ref[ref]
    above = _parent(draft)
    name: str = draft.fields["tag_name"]
    return name if above is None else f"{_tag_path(above, by_ref)}{TAG_SEPARATOR}{name}"


def _thing(draft: Draft, by_ref: Mapping[Ref, Draft], lines: Mapping[Path, int]) -> Thing:
    path: Path = (draft.ref.kind, draft.ref.name)
    return Thing(
        ref=draft.ref,
        fields={key: _sent(key, value, by_ref) for key, value in draft.fields.items()},
        needs=frozenset(ref for key, ref in _named(draft) if key != MOVE_TO),
        line=line_of(lines, path),
        lines={key: line_of(lines, (*path, written(key))) for key in draft.fields},
        tags={key: item.ref for key, item in draft.fields.items() if isinstance(item, TagRef)},
        route=draft.route,
    )


def _sent(key: str, value: Any, by_ref: Mapping[Ref, Draft]) -> Any:
    if isinstance(value, TagRef):
        if value.with_parents:
            return _tag_path(value.ref, by_ref)
        return by_ref[value.ref].fields["tag_name"]
    if key == EMAILS:
        return [
            {
                "id": item.get("id", NEW_EMAIL),
                "name": item["name"],
                "order": item.get("order", place),
            }
            for place, item in enumerate(value, start=1)
        ]
    return value


def in_order(things: Iterable[Thing]) -> list[Thing]:
    """Return things such that each comes after what it needs, else as they came, by kind.

    Where an area's errands are moved to another area, that one comes first, if there is no circle.
    """
    by_ref = {thing.ref: thing for thing in sorted(things, key=lambda one: one.ref.kind.rank)}
    done: dict[Ref, Thing] = {}
    begun: set[Ref] = set()

    def visit(ref: Ref) -> None:
        if ref in begun or ref not in by_ref:
            return
        begun.add(ref)
        thing = by_ref[ref]
        for needed in (*sorted(thing.needs), *refs_in(thing.fields.get(MOVE_TO))):
            visit(needed)
        done[ref] = thing

    for ref in by_ref:
        visit(ref)
    return list(done.values())


def without(thing: Thing, keys: Iterable[str]) -> Thing:
    """Return a thing without some of its fields."""
    left_out = set(keys)
    return replace(
        thing, fields={key: item for key, item in thing.fields.items() if key not in left_out}
    )
