"""From what a mapping's file says to a mapping; every mistake is found, and named by its key."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, get_args

from bridge.domain.errors import InvalidExpression
from bridge.domain.events import EVENT_TYPES, ContactDocument, EventDocument, EventType, Outcome
from bridge.domain.expressions import compiled, nodes
from bridge.domain.mapping_functions import Functions
from bridge.domain.mappings import (
    AGENT,
    AGENT_KEYS,
    Condition,
    Entry,
    Field,
    Ignored,
    MappingOf,
    Reply,
)
from bridge.domain.spelling import hint

TARGETS: Final = frozenset(
    {str(field.alias) for field in EventDocument.model_fields.values()}
    | {f"contact.{field.alias or name}" for name, field in ContactDocument.model_fields.items()}
    | {AGENT}
)
_EXTRA: Final = "extraData."
_TOP: Final = ("description", "fields", "events", "ignore", "replies", "tables")
_OF_ENTRY: Final = ("when", "each", "fields")
_OF_IGNORE: Final = ("when", "reason")
_OF_REPLY: Final = ("when", "content_type", "body")
_OF_FIELD: Final = ("expression", "value", "table", "keep", "default")
# What is known before any body comes, and so is checked before.
_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "eventType": frozenset(EVENT_TYPES),
    "outcome": frozenset(get_args(Outcome)),
}
_DESCRIPTION_MAX: Final = 200


class InvalidMapping(ValueError):  # noqa: N818 - as the domain's other errors
    """A mapping can't be used as it is written; `problems` has a line for each mistake."""

    def __init__(self, problems: list[str]) -> None:
        """Keep every mistake."""
        super().__init__("; ".join(problems))
        self.problems = problems


def read_mapping(description: Mapping[str, Any]) -> MappingOf:
    """Return the mapping that a description (a TOML document) is of.

    Raises:
        InvalidMapping: something in it is wrong.
    """
    reader = _Reader(description)
    mapping = reader.mapping()
    if reader.problems:
        raise InvalidMapping(reader.problems)
    return mapping


class _Reader:
    """Reads one description, and notes what is wrong."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._said = description
        self.problems: list[str] = []
        self._tables: dict[str, dict[str, Any]] = {}

    def mapping(self) -> MappingOf:
        said = self._said
        self._check_keys("", said, _TOP)
        description = said.get("description", "")
        if not isinstance(description, str) or len(description) > _DESCRIPTION_MAX:
            self._note("description", f"must be a text of {_DESCRIPTION_MAX} characters at most")
        self._tables = self._read_tables()
        common = self._fields("fields", said.get("fields", {}))
        entries = tuple(self._entry(path, table, common) for path, table in self._list("events"))
        if not entries and not self.problems:
            self._note("events", "is missing; say in [[events]] what a body becomes")
        return MappingOf(
            description=str(description),
            entries=entries,
            ignored=tuple(self._ignored(path, table) for path, table in self._list("ignore")),
            replies=tuple(self._reply(path, table) for path, table in self._list("replies")),
            tables=self._tables,
        )

    def _note(self, path: str, text: str) -> None:
        self.problems.append(f"{path}: {text}" if path else text)

    def _check_keys(self, path: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                at = f"{path}.{key}" if path else key
                self._note(at, f"is not known here{hint(key, known)}; use {', '.join(known)}")

    def _list(self, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        said = self._said.get(key, [])
        if not isinstance(said, list):
            self._note(key, f"must be a list of tables; write [[{key}]]")
            return
        for number, table in enumerate(said):
            path = f"{key}.{number}"
            if isinstance(table, dict):
                yield path, table
            else:
                self._note(path, "must be a table")

    def _read_tables(self) -> dict[str, dict[str, Any]]:
        said = self._said.get("tables", {})
        if not isinstance(said, dict):
            self._note("tables", "must hold tables; write [tables.<name>]")
            return {}
        found: dict[str, dict[str, Any]] = {}
        for name, table in said.items():
            path = f"tables.{name}"
            if not isinstance(table, dict):
                self._note(path, "must be a table of values")
                continue
            found[name] = table
            for key, value in table.items():
                if isinstance(value, dict):
                    self._check_keys(f"{path}.{key}", value, AGENT_KEYS)
                elif not _is_scalar(value):
                    self._note(
                        f"{path}.{key}", "must be a text, a number, true or false, or an agent"
                    )
        return found

    def _entry(self, path: str, table: Mapping[str, Any], common: dict[str, Field]) -> Entry:
        self._check_keys(path, table, _OF_ENTRY)
        fields = {**common, **self._fields(f"{path}.fields", table.get("fields", {}))}
        self._check_needed(path, fields)
        each = self._condition(f"{path}.each", table["each"]) if "each" in table else None
        return Entry(
            when=self._condition(f"{path}.when", table.get("when", "")),
            each=each,
            fields=tuple(fields.values()),
        )

    def _check_needed(self, path: str, fields: Mapping[str, Field]) -> None:
        """See that an event is told its type, and its call unless it is of an agent."""
        kind = fields.get("eventType")
        if kind is None:
            self._note(f"{path}.fields", "gives no eventType")
        elif "referenceId" not in fields:
            is_of_agent = kind.constant in EVENT_TYPES and EventType(kind.constant).is_of_agent
            if not is_of_agent:
                self._note(f"{path}.fields", "gives no referenceId, the id of the call")

    def _fields(self, path: str, said: Any) -> dict[str, Field]:
        if not isinstance(said, dict):
            self._note(path, "must be a table of fields")
            return {}
        found = {}
        for target, source in said.items():
            at = f"{path}.{target}"
            if target not in TARGETS and not (
                target.startswith(_EXTRA) and len(target) > len(_EXTRA)
            ):
                self._note(at, f"is no field of an event{hint(target, TARGETS)}")
                continue
            field = self._field(at, target, source)
            if field is not None:
                found[target] = field
        return found

    def _field(self, path: str, target: str, source: Any) -> Field | None:
        if isinstance(source, str):
            source = {"expression": source}
        if not isinstance(source, dict):
            self._note(path, 'must be an expression in quotes, or a table such as { value = "x" }')
            return None
        self._check_keys(path, source, _OF_FIELD)
        if ("expression" in source) == ("value" in source):
            self._note(path, "needs either an expression or a value")
            return None
        table, keeps = source.get("table", ""), source.get("keep", False)
        if "value" in source and (table or keeps):
            self._note(path, "is a value, for which there is nothing to look up")
        if not isinstance(table, str) or (table and table not in self._tables):
            self._note(f"{path}.table", f"is not in [tables]{hint(str(table), self._tables)}")
            table = ""
        if not isinstance(keeps, bool):
            self._note(f"{path}.keep", "must be true or false")
        for key in ("value", "default"):
            self._check_constant(f"{path}.{key}", target, source.get(key))
        expression = self._condition(f"{path}.expression", source.get("expression", ""))
        return Field(
            target=target,
            text=expression.text,
            expression=expression.expression,
            constant=source.get("value"),
            table=table,
            keeps=bool(keeps),
            default=source.get("default"),
        )

    def _check_constant(self, path: str, target: str, value: Any) -> None:
        if value is None:
            return
        words = _WORDS.get(target)
        if words is not None and value not in words:
            meant = hint(str(value), words)
            self._note(path, f"must be one of {', '.join(sorted(words))}{meant}")
        elif not _is_plain(value):
            self._note(path, "must be a text, a number, true or false, or a list or table of them")

    def _condition(self, path: str, text: Any) -> Condition:
        if not isinstance(text, str):
            self._note(path, "must be a JMESPath expression in quotes")
            return Condition()
        if not text:
            if not path.endswith((".when", ".expression")):
                self._note(path, "is empty")
            return Condition()
        try:
            expression = compiled(text, Functions.FUNCTION_TABLE)
        except InvalidExpression as error:
            self._note(path, str(error))
            return Condition()
        self._check_expression(path, expression.parsed)
        return Condition(text, expression)

    def _check_expression(self, path: str, tree: Mapping[str, Any]) -> None:
        """See that it says what whoever wrote it will have meant."""
        for call in nodes(tree, "function_expression"):
            name = call["children"][0] if call["value"] == "lookup" else None
            if name and name["type"] == "literal" and name["value"] not in self._tables:
                meant = hint(str(name["value"]), self._tables)
                self._note(path, f"there is no table {name['value']!r} in [tables]{meant}")
        for part in nodes(tree, "subexpression"):
            if part["children"][0]["type"] == "not_expression":
                self._note(path, "!a.b is read as (!a).b, which is never true; write !(a.b)")

    def _ignored(self, path: str, table: Mapping[str, Any]) -> Ignored:
        self._check_keys(path, table, _OF_IGNORE)
        if not table.get("when"):
            self._note(f"{path}.when", "is missing; without it everything would be ignored")
        return Ignored(
            self._condition(f"{path}.when", table.get("when", "")),
            self._text(f"{path}.reason", table.get("reason", "")),
        )

    def _reply(self, path: str, table: Mapping[str, Any]) -> Reply:
        self._check_keys(path, table, _OF_REPLY)
        kind = self._text(f"{path}.content_type", table.get("content_type", "application/json"))
        if "/" not in kind or not kind.isascii() or not kind.isprintable():
            self._note(f"{path}.content_type", "is no media type, such as application/xml")
        return Reply(
            self._condition(f"{path}.when", table.get("when", "")),
            kind,
            self._text(f"{path}.body", table.get("body", "")),
        )

    def _text(self, path: str, value: Any) -> str:
        if not isinstance(value, str):
            self._note(path, "must be a text in quotes")
            return ""
        return value


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _is_plain(value: Any) -> bool:
    """Say whether a constant is of JSON's types: TOML knows dates too."""
    inner: Callable[[Any], bool] = _is_plain
    if isinstance(value, dict):
        return all(map(inner, value.values()))
    return all(map(inner, value)) if isinstance(value, list) else _is_scalar(value)
