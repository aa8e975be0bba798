"""What is to be done so that Cention has what a centre's file wants, beside what is known. Pure.

Cention can't be asked what it has. What is known is what the bridge has sent itself and was told
was done, and what a person has told it of.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from bridge.domain.centre import (
    EMAILS,
    ID_FIELDS,
    MOVE_TO,
    NEW_EMAIL,
    TAG_SEPARATOR,
    Thing,
    refs_in,
    without,
)
from bridge.domain.centre_values import Kind, Ref


class Action(StrEnum):
    """What is done to one thing."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Standing(StrEnum):
    """How far a thing is, as the state has it.

    `CREATING`, `UPDATING` and `DELETING` were noted before the request was sent, and say that no
    answer has come: it may be done or not.
    """

    DONE = "done"
    CREATING = "creating"
    UPDATING = "updating"
    DELETING = "deleting"


class Record(Struct, frozen=True, kw_only=True):
    """What is known of one thing.

    Attributes:
        remote_id: the id that Cention gave it; None: it has not been told.
        place: grows with each thing that is made.
        fields: what Cention was sent and has acknowledged, by the page's names.
        pending: what was sent, and not answered yet.
        changed_us: when that was written, in microseconds since 1970.
    """

    ref: Ref
    standing: Standing
    remote_id: int | None
    place: int
    fields: Mapping[str, Any]
    pending: Mapping[str, Any]
    changed_us: int


class Change(Struct, frozen=True):
    """One field: what it was and what it becomes; None: not there. A thing's id may be a `Ref`."""

    field: str
    old: Any
    new: Any


class Step(Struct, frozen=True, kw_only=True):
    """One request. `body` is what is sent, with a `Ref` for each id; `line` is the file's, or 0.

    `tags` are those that the body names by text.
    """

    action: Action
    ref: Ref
    remote_id: int | None = None
    body: Mapping[str, Any] = {}
    changes: tuple[Change, ...] = ()
    line: int = 0
    lines: Mapping[str, int] = {}
    tags: frozenset[Ref] = frozenset()


class Plan(Struct, frozen=True, kw_only=True):
    """All that is to be done, in its order.

    Attributes:
        unsure: creates of which nobody knows what came: a person has to say.
        kept: fields that the file doesn't name any more; Cention keeps them.
        renamed: what looks like one thing under another name: old and new.
    """

    steps: tuple[Step, ...]
    unsure: tuple[Record, ...] = ()
    kept: tuple[tuple[Ref, str], ...] = ()
    renamed: tuple[tuple[Ref, Ref], ...] = ()

    def count(self, action: Action) -> int:
        """Return how many things are to be made, changed or deleted."""
        return len({step.ref for step in self.steps if step.action is action} - self._made(action))

    def _made(self, action: Action) -> set[Ref]:
        """Return what is only changed because it could not be made in one."""
        if action is not Action.UPDATE:
            return set()
        return {step.ref for step in self.steps if step.action is Action.CREATE}


def plan(things: Sequence[Thing], records: Iterable[Record]) -> Plan:
    """Return what is to be done: things are made and changed in their order, then others deleted.

    `things` have to be in an order in which each comes after what it needs. With none of them, all
    that is known is deleted.
    """
    known = {record.ref: record for record in records}
    unsure = tuple(one for one in known.values() if one.standing is Standing.CREATING)
    ids = ids_of(known.values())
    wanted = {thing.ref for thing in things}
    again = [
        known[thing.ref]
        for thing in things
        if thing.ref in known and known[thing.ref].standing is Standing.DELETING
    ]
    gone = [record for ref, record in known.items() if ref not in wanted]
    made = tuple(_made(things, known, ids))
    deleted = tuple(_delete(one) for one in in_reverse(gone) if one.remote_id is not None)
    return Plan(
        steps=(*(_delete(one) for one in in_reverse(again)), *made, *deleted),
        unsure=unsure,
        kept=tuple(_kept(things, known)),
        renamed=tuple(_renamed(things, made, gone)),
    )


def ids_of(records: Iterable[Record]) -> dict[Ref, int]:
    """Return the ids of what is there for sure."""
    return {
        record.ref: record.remote_id
        for record in records
        if record.remote_id is not None and record.standing is not Standing.DELETING
    }


def _made(
    things: Sequence[Thing], known: Mapping[Ref, Record], ids: Mapping[Ref, int]
) -> Iterator[Step]:
    there = set(ids)
    later: list[tuple[Thing, Any]] = []
    for thing in things:
        record = known.get(thing.ref)
        if record is not None and record.standing is Standing.CREATING:
            continue
        now = thing
        if not set(refs_in(thing.fields.get(MOVE_TO))) <= there:
            # To an area that has yet to be made, or to itself.
            now = without(thing, [MOVE_TO])
            later.append((thing, record.fields.get(MOVE_TO) if record is not None else None))
        if thing.ref in ids and record is not None:
            yield from _update(now, record, ids)
        else:
            yield _step(now, Action.CREATE, now.fields, _all_of(now.fields))
        there.add(thing.ref)
    for thing, old in later:
        new = thing.fields[MOVE_TO]
        yield _step(thing, Action.UPDATE, {MOVE_TO: new}, [Change(MOVE_TO, old, new)], ids)


def _step(
    thing: Thing,
    action: Action,
    body: Mapping[str, Any],
    changes: Iterable[Change],
    ids: Mapping[Ref, int] | None = None,
) -> Step:
    return Step(
        action=action,
        ref=thing.ref,
        remote_id=(ids or {}).get(thing.ref),
        body=body,
        changes=tuple(changes),
        line=thing.line,
        lines=thing.lines,
        tags=frozenset(ref for key, ref in thing.tags.items() if key in body),
    )


def _all_of(fields: Mapping[str, Any]) -> Iterator[Change]:
    for key, value in fields.items():
        if isinstance(value, dict):
            for inner, item in value.items():
                yield Change(f"{key}.{inner}", None, item)
        else:
            yield Change(key, None, value)


def _update(thing: Thing, record: Record, ids: Mapping[Ref, int]) -> Iterator[Step]:
    body: dict[str, Any] = {}
    changes: list[Change] = []
    for key, value in thing.fields.items():
        new = with_email_ids(value, record.fields) if key == EMAILS else value
        old = record.fields.get(key)
        found = tuple(_differences(key, old, new, ids))
        if not found and key in record.pending:
            found = (Change(key, record.pending[key], new),)
        if found:
            body[key] = new
            changes.extend(found)
    if body:
        yield _step(thing, Action.UPDATE, body, changes, ids)


def _differences(field: str, old: Any, new: Any, ids: Mapping[Ref, int]) -> Iterator[Change]:
    """Yield how two values differ, in tables field by field."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in (*new, *(key for key in old if key not in new)):
            yield from _differences(f"{field}.{key}", old.get(key), new.get(key), ids)
    elif not _is_same(old, resolved(new, ids)):
        yield Change(field, old, new)


def _is_same(old: Any, new: Any) -> bool:
    """Compare as JSON does: true is not 1. What refers to nothing that is there differs."""
    try:
        return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
    except TypeError:
        return False


def resolved(value: Any, ids: Mapping[Ref, int]) -> Any:
    """Return a value with ids in the place of what it refers to, as far as they are known."""
    if isinstance(value, Ref):
        return ids.get(value, value)
    if isinstance(value, list):
        return [resolved(item, ids) for item in value]
    return value


def with_email_ids(emails: Sequence[Mapping[str, Any]], stored: Mapping[str, Any]) -> list[Any]:
    """Return server emails with the ids that Cention gave to those that it has already."""
    given = {item["name"]: item["id"] for item in stored.get(EMAILS, ())}
    return [
        {**item, "id": given.get(item["name"], NEW_EMAIL)} if item["id"] == NEW_EMAIL else item
        for item in emails
    ]


def _delete(record: Record) -> Step:
    return Step(action=Action.DELETE, ref=record.ref, remote_id=record.remote_id)


def in_reverse(records: Iterable[Record]) -> list[Record]:
    """Return records such that each comes before what it needs, else the newest first."""
    newest = sorted(records, key=lambda one: (-one.ref.kind.rank, -one.place))
    by_key = {key: one for one in newest for key in _keys(one)}
    done: dict[Ref, Record] = {}
    begun: set[Ref] = set()

    def visit(record: Record) -> None:
        if record.ref in begun:
            return
        begun.add(record.ref)
        for key in _needs(record):
            if key in by_key:
                visit(by_key[key])
        done[record.ref] = record

    # What a thing needs is put before it; turned round, it comes after.
    for record in reversed(newest):
        visit(record)
    return list(done.values())[::-1]


def _keys(record: Record) -> Iterator[tuple[Kind, object]]:
    """Yield what others of its kind name a thing by."""
    yield record.ref.kind, record.remote_id
    if record.ref.kind is Kind.TAG:
        name, above = record.fields.get("tag_name"), record.fields.get("parent_tag")
        yield Kind.TAG, name if above is None else f"{above}{TAG_SEPARATOR}{name}"


def _needs(record: Record) -> Iterator[tuple[Kind, object]]:
    """Yield what a thing was made with, as far as it decides an order within its kind."""
    if MOVE_TO in record.fields:
        yield Kind.AREA, record.fields[MOVE_TO]
    if "parent_tag" in record.fields:
        yield Kind.TAG, record.fields["parent_tag"]


def stands_on(record: Record, other: Record) -> bool:
    """Say whether one thing was made with another, and might go with it."""
    fields = record.fields
    if other.ref.kind is Kind.TAG:
        named = {("", fields.get("tag")), ("/", fields.get("parent_tag"))}
        return ("", other.fields.get("tag_name")) in named or any(
            ("/", key) in named for _, key in _keys(other)
        )
    return any(
        other.remote_id in (value if isinstance(value, list) else [value])
        for key, value in fields.items()
        if ID_FIELDS.get(key) is other.ref.kind and key != MOVE_TO
    )


def _kept(things: Sequence[Thing], known: Mapping[Ref, Record]) -> Iterator[tuple[Ref, str]]:
    for thing in things:
        record = known.get(thing.ref)
        if record is not None and record.standing is not Standing.DELETING:
            for key in record.fields:
                if key not in thing.fields:
                    yield thing.ref, key


_TITLES: Final = ("name", "tag_name", "route_sip_id", "content")


def _renamed(
    things: Sequence[Thing], made: Sequence[Step], gone: Sequence[Record]
) -> Iterator[tuple[Ref, Ref]]:
    """Yield what is to be deleted, and made again under another name of the file's."""
    new = {step.ref for step in made if step.action is Action.CREATE}
    for record in gone:
        for thing in things:
            if (
                thing.ref in new
                and thing.ref.kind is record.ref.kind
                and any(
                    key in thing.fields and thing.fields[key] == record.fields.get(key)
                    for key in _TITLES
                )
            ):
                yield record.ref, thing.ref
