"""Mappings: how the body of another phone system's request becomes events.

A mapping is a description without code (`mapping_files` reads it): JMESPath expressions, tables of
values, constants and defaults. `apply` is a pure function of body, headers and the time of receipt;
whatever the body holds, it returns what came of it, and never raises.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import jmespath
from jmespath.parser import ParsedResult
from msgspec import Struct

from bridge.domain.errors import Issue
from bridge.domain.mapping_functions import Functions, as_text, clean, hash_of, look_up

# Of one body; a list of more is no list of events.
EVENTS_MAX: Final = 1000
NO_ENTRY: Final = "no entry of the mapping fits"
# What is said of a body by whoever wrote the mapping, and no part of an event.
AGENT: Final = "agent"
AGENT_KEYS: Final = ("deviceId", "extensionId", "agentId")
NUMBERS: Final = frozenset({"deviceId", "extensionId"})
LISTS: Final = frozenset(
    {f"contact.{name}" for name in ("email", "facebook", "vk", "line", "voice")}
    | {"contact.custom", "attachments"}
)
WHOLE: Final = frozenset({"contact", "extraData", AGENT}) | LISTS
_ID_REFERENCE_MAX: Final = 64
_OF_AGENT: Final = "agent."
_OWN_ID: Final = "made from the body"
_OWN_TIME: Final = "when it was received, as the mapping gives none"


class Field(Struct, frozen=True, kw_only=True):
    """Where one field of an event comes from: an expression, or a constant where it has none.

    What the expression gives is looked up in the `table`, if one is named; what that lacks is
    absent, or with `keeps` stays as it is. `default` stands for what is absent.
    """

    target: str
    text: str = ""
    expression: ParsedResult | None = None
    constant: Any = None
    table: str = ""
    keeps: bool = False
    default: Any = None

    @property
    def origin(self) -> str:
        """How a person would say where the value comes from."""
        said = self.text if self.expression is not None else "constant"
        return f"{said}, by table {self.table}" if self.table else said


class Condition(Struct, frozen=True):
    """When something of a mapping is meant; without an expression, always."""

    text: str = ""
    expression: ParsedResult | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """One kind of event that a body may hold; with `each`, one for each item of a list."""

    when: Condition = Condition()
    each: Condition | None = None
    fields: tuple[Field, ...]


class Ignored(Struct, frozen=True):
    """What says nothing to a contact centre, and why."""

    when: Condition
    reason: str


class Reply(Struct, frozen=True):
    """What the phone system wants to read in the answer; `{public_url}` stands for the hook's."""

    when: Condition
    content_type: str
    body: str


class MappingOf(Struct, frozen=True, kw_only=True):
    """A mapping, ready to be applied. `tables` are by name, each from text to value."""

    description: str = ""
    entries: tuple[Entry, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    replies: tuple[Reply, ...] = ()
    tables: Mapping[str, Mapping[str, Any]] = {}


class Told(Struct, frozen=True, kw_only=True):
    """What became of one field: its value, where it comes from, and why it has none."""

    target: str
    value: Any = None
    origin: str = ""
    note: str = ""


class Made(Struct, frozen=True, kw_only=True):
    """An event as a mapping makes it; `entry` is the number of its entry, from 0.

    Without `is_timed` its time is not the sender's, and no part of what tells it from others.
    """

    document: dict[str, Any]
    is_timed: bool
    entry: int
    told: tuple[Told, ...] = ()


class Mapped(Struct, frozen=True, kw_only=True):
    """What a body becomes: events, or something to be ignored (and why), or nothing.

    `looked` says of each entry why it did not fit; empty where it did.
    """

    events: tuple[Made, ...] = ()
    ignored: str = ""
    issues: tuple[Issue, ...] = ()
    looked: tuple[str, ...] = ()


def apply(mapping: MappingOf, body: Any, headers: Mapping[str, str], received: str) -> Mapped:
    """Return what a body becomes.

    Args:
        mapping: the mapping.
        body: what JSON or a form holds.
        headers: of the request, by their names in lower case.
        received: when it was received (RFC 3339), for events whose time nobody tells.
    """
    work = _Work(mapping, body, headers, received)
    for one in mapping.ignored:
        if work.holds(one.when, body)[0]:
            return Mapped(ignored=one.reason or "as the mapping says")
    made: list[Made] = []
    looked: list[str] = []
    for number, entry in enumerate(mapping.entries):
        before = len(made)
        note = ""
        for root in work.roots(entry):
            fits, note = work.holds(entry.when, root)
            if fits:
                made.append(work.make(number, entry, root))
            if len(made) > EVENTS_MAX:
                said = f"holds more than {EVENTS_MAX:,} events"
                return Mapped(issues=(Issue("", said),), looked=tuple(looked))
        looked.append("" if len(made) > before else note or "each gives no list, or an empty one")
    if not made:
        return Mapped(issues=(Issue("", NO_ENTRY),), looked=tuple(looked))
    # Whoever signs by Standard Webhooks says with it which message is which.
    message_id = headers.get("webhook-id")
    own = _with_own_ids(made, hash_of(body), hash_of(message_id) if message_id else "")
    return Mapped(events=tuple(own), looked=tuple(looked))


def reply(mapping: MappingOf, body: Any, headers: Mapping[str, str]) -> Reply | None:
    """Return what the phone system wants to read in the answer to a body; None: nothing special."""
    work = _Work(mapping, body, headers, "")
    for one in mapping.replies:
        if work.holds(one.when, body)[0]:
            return one
    return None


class _Work:
    """One body on its way through a mapping."""

    def __init__(
        self, mapping: MappingOf, body: Any, headers: Mapping[str, str], received: str
    ) -> None:
        self._mapping = mapping
        self._body = body
        self._received = received
        self._options = jmespath.Options(custom_functions=Functions(mapping.tables, headers))

    def roots(self, entry: Entry) -> Iterator[Any]:
        """Yield what an entry's expressions look at: the body, or each item with its body."""
        if entry.each is None:
            yield self._body
            return
        items, _ = self._search(entry.each.expression, self._body)
        for item in items if isinstance(items, list) else ():
            yield {"item": item, "body": self._body}

    def holds(self, when: Condition, root: Any) -> tuple[bool, str]:
        """Say whether a condition holds, and if not, why."""
        if when.expression is None:
            return True, ""
        found, note = self._search(when.expression, root)
        if note or found is False or _is_absent(found):
            return False, f"{when.text}: {note or 'is not so'}"
        return True, ""

    def make(self, number: int, entry: Entry, root: Any) -> Made:
        """Make an event. It may still lack what an event needs, which admission says."""
        document: dict[str, Any] = {}
        told: list[Told] = []
        for field in entry.fields:
            value, note = self._value(field, root)
            value, more = _fitted(field.target, value)
            told.append(
                Told(target=field.target, value=value, origin=field.origin, note=note or more)
            )
            if value is not None:
                _put(document, field.target, value)
        is_timed = "occurredAt" in document
        if not is_timed:
            document["occurredAt"] = self._received
            told.append(Told(target="occurredAt", value=self._received, origin=_OWN_TIME))
        return Made(document=document, is_timed=is_timed, entry=number, told=tuple(told))

    def _value(self, field: Field, root: Any) -> tuple[Any, str]:
        if field.expression is None:
            return field.constant, ""
        found, note = self._search(field.expression, root)
        if not note and _is_absent(found):
            note = "the body has none"
        elif not note and field.table:
            value = look_up(self._mapping.tables[field.table], found)
            if value is None:
                keeps = field.keeps and not isinstance(found, list)
                note = f"not in table {field.table}{', so as it is' if keeps else ''}"
                value = found if keeps else None
            found = value
        if _is_absent(found):
            found = field.default
        return clean(found), note

    def _search(self, expression: ParsedResult | None, root: Any) -> tuple[Any, str]:
        """Return what an expression gives; where it stumbles, why, without quoting the body."""
        if expression is None:
            return root, ""
        try:
            return expression.search(root, options=self._options), ""
        except Exception as error:  # noqa: BLE001 - a site's expression may stumble over any value
            return None, f"can't be worked out ({type(error).__name__})"


def _is_absent(value: Any) -> bool:
    return value is None or value == "" or value in ([], {})


def _fitted(target: str, value: Any) -> tuple[Any, str]:
    """Return a value in the kind that its field needs, where it can be meant so."""
    if value is None:
        return None, ""
    if target == AGENT:
        if isinstance(value, Mapping) and set(value) <= set(AGENT_KEYS):
            return value, ""
        return None, f"is no object of {', '.join(AGENT_KEYS)}"
    if target in NUMBERS:
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return int(value[:20]), ""
        return value, ""
    if target in LISTS:
        return (value if isinstance(value, list) else [value]), ""
    if target in WHOLE or target.startswith("extraData."):
        return value, ""
    text = as_text(value)
    return (value if text is None else text), ""


def _put(document: dict[str, Any], target: str, value: Any) -> None:
    if target == AGENT:
        document.update(value)
        return
    parent, _, name = target.partition(".")
    if not name:
        document[target] = value
        return
    inner = document.get(parent)
    document[parent] = {**(inner if isinstance(inner, dict) else {}), name: value}


def _with_own_ids(made: Sequence[Made], body_hash: str, message: str) -> Iterator[Made]:
    """Give ids to events that have none, and see that no two of one body have the same.

    What they are made of is the same each time that the body comes. `message` stands for the
    message that it came in, if that has an id.
    """
    taken: set[str] = set()
    for one in made:
        told = one.told
        event_id = one.document.get("eventId")
        if event_id is None:
            reference = str(one.document.get("referenceId", ""))[:_ID_REFERENCE_MAX]
            event_type = str(one.document.get("eventType", ""))[:32]
            # An agent comes and goes in the same words each time. Without an id of the message, to
            # hear it twice does no harm; with one, what was caught and is sent again does nothing.
            comes_again = event_type.startswith(_OF_AGENT) and not one.is_timed
            at = (message or one.document["occurredAt"]) if comes_again else ""
            parts = (reference, event_type, body_hash, at)
            event_id = ":".join(filter(None, parts))
            told = (*told, Told(target="eventId", value=event_id, origin=_OWN_ID))
        elif not isinstance(event_id, str):
            yield one
            continue
        event_id = _free(event_id, taken)
        taken.add(event_id)
        document = {**one.document, "eventId": event_id}
        yield Made(document=document, is_timed=one.is_timed, entry=one.entry, told=told)


def _free(event_id: str, taken: AbstractSet[str]) -> str:
    if event_id not in taken:
        return event_id
    # As many as there are events of one body, at most.
    return next(
        free for number in range(2, EVENTS_MAX + 2) if (free := f"{event_id}#{number}") not in taken
    )
