"""Write `docs/configuration.md`: every setting, read off the models that check them.

python tools/configuration.py            writes it
python tools/configuration.py --check    exits with 1 where it is not as it would be
"""

import enum
import json
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pages import settle
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from bridge.settings.address import Address
from bridge.settings.checks import UPSTREAM_KEYS
from bridge.settings.keys import Shape, shape_of, variable
from bridge.settings.root import AT_START, TO_COME, Settings

HEAD: Final = """\
# Settings

<!-- `make docs` writes this page from the models in bridge/settings. What is changed here is lost.
-->

Every key there is. [config/bridge.toml](../config/bridge.toml) shows them in use, with examples to
uncomment; [rules.md](rules.md) explains routes and rules.

**Where a value comes from**, the stronger first:

1. the environment, by the variable that stands under each key (`__` between levels, any case).
   Lists and tables are JSON. An empty variable counts as not set;
2. a file in the folder of secrets: systemd's credentials folder, or the one that `--secrets-dir`
   names. The file's name is the key (`cention.token`), its content the value; of a list, one a
   line, or JSON. Any key may have such a file; those marked **secret** should have one, since
   whoever reads the settings' file, or the environment of the process, reads what is in there;
3. the file that `--config` names;
4. the default.

`<name>` is a hook's, a route's or a rule's `name`, in capitals or not, `<number>` a table's place
in its list, from 0. A whole list is one variable too: `BRIDGE_HOOKS`, `BRIDGE_ROUTES`,
`BRIDGE_RULES`, `BRIDGE_AGENTS`.

**What SIGHUP changes** (`systemctl reload aventa-bridge`): the file and the folder that
`--secrets-dir` names are read again, and what says *reload* is taken up at once. What says
*restart* is taken up by a restart only, and a reload that finds it changed says so in the log. The
environment is that of the start, and so are the secrets that systemd hands over: after a change
among them, restart. A wrong file is refused whole, and the old settings stay in force.

`aventa-bridge check` says what is wrong, a line a mistake, and what it all comes to. No output ever
shows a secret.
"""
TABLE_HEAD: Final = """\
| key and variable | holds | default | meaning | taken up by |
| --- | --- | --- | --- | --- |
"""
UNITS: Final = {
    "seconds": "seconds",
    "hours": "hours",
    "days": "days",
    "per_minute": "requests a minute",
}
# By what a table of a list goes in names of variables and files.
PLACE_OF: Final = {
    "hooks": "<name>",
    "routes": "<name>",
    "rules": "<name>",
    "agents": "<number>",
}
SHORT_CHARS: Final = 80
ESCAPED_BAR: Final = "\\|"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the settings: its place (`rules`, `when`), its model, and if it is one of many."""

    path: tuple[str, ...]
    model: type[BaseModel]
    is_list: bool

    @property
    def heading(self) -> str:
        """How a file writes it."""
        name = ".".join(self.path)
        return f"[[{name}]]" if self.is_list else f"[{name}]"


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *(_section(table) for table in tables())])


def tables() -> Iterator[Table]:
    """Return all tables, those within others after them."""
    yield from _tables_in((), Settings)


def _tables_in(path: tuple[str, ...], model: type[BaseModel]) -> Iterator[Table]:
    for name, field in model.model_fields.items():
        shape = shape_of(field)
        if shape.table is not None:
            yield Table((*path, name), shape.table, shape.is_list)
            yield from _tables_in((*path, name), shape.table)


def _section(table: Table) -> str:
    said = (table.model.__doc__ or "").partition("\n")[0].partition(": ")[2]
    rows = "".join(_row(table, name, field) for name, field in table.model.model_fields.items())
    parts = [f"## `{table.heading}`\n", f"{said[:1].upper()}{said[1:]}\n"]
    why = TO_COME.get(table.path[0])
    if why is not None:
        parts.append(f"Nothing acts on it yet: {why}.\n")
    parts += [f"{TABLE_HEAD}{rows}", *_long_defaults(table)]
    return "\n".join(parts)


def _row(table: Table, name: str, field: FieldInfo) -> str:
    shape = shape_of(field)
    description = field.description or _fallback(shape)
    cells = (
        f"`{name}`<br>{_variable(table, name)}",
        _holds(name, field, shape),
        _default(table, name, field),
        f"{description.replace('<', '&lt;')}{_secret(table, name, shape)}",
        _taken_up(table, name),
    )
    return f"| {' | '.join(cell.replace('|', ESCAPED_BAR) for cell in cells)} |\n"


def _fallback(shape: Shape) -> str:
    if shape.table is None:
        raise LookupError("a key without a description")
    return (shape.table.__doc__ or "").partition(": ")[2]


def _variable(table: Table, name: str) -> str:
    section, *inner = table.path
    place = [PLACE_OF[section]] if section in PLACE_OF else []
    if inner:
        return f"in `{variable((section, *place, *inner))}`"
    if place and name == "name":
        # What a table goes by is given with the list.
        return f"in `{variable((section,))}`"
    return f"`{variable((section, *place, name))}`"


def _secret(table: Table, name: str, shape: Shape) -> str:
    if shape.base is not SecretStr:
        return ""
    section = table.path[0]
    place = f"{PLACE_OF[section]}." if section in PLACE_OF else ""
    each = ", one a line" if shape.is_list else ""
    return f". **Secret**: file `{section}.{place}{name}`{each}"


def _taken_up(table: Table, name: str) -> str:
    section = table.path[0]
    if section == "provision":
        # The daemon never looks at it.
        return "next command"
    if section in TO_COME:
        return "nothing yet"
    return "restart" if section in AT_START or f"{section}.{name}" in AT_START else "reload"


def _holds(name: str, field: FieldInfo, shape: Shape) -> str:
    if shape.table is not None:
        return "list of tables" if shape.is_list else "table, below"
    what = _kind(name, field, shape)
    return f"list: {what}" if shape.is_list else what


def _kind(name: str, field: FieldInfo, shape: Shape) -> str:
    choices = _choices(shape.base)
    if choices:
        return ", ".join(f'`"{choice}"`' for choice in choices)
    if shape.base is bool:
        return "`true` or `false`"
    if shape.base in {int, float}:
        unit = next((f"{unit}, " for end, unit in UNITS.items() if name.endswith(end)), "")
        return f"{unit}{'whole number' if shape.base is int else 'number'}, {shape.bounds}"
    if shape.base == dict[str, str]:
        return "tables of texts"
    if not shape.words and "template" in (field.description or ""):
        return "Jinja2 template"
    return shape.words or "text"


def _choices(base: Any) -> list[str]:
    if isinstance(base, type) and issubclass(base, enum.Enum):
        return [str(member.value) for member in base]
    if typing.get_origin(base) is typing.Literal:
        return [str(choice) for choice in typing.get_args(base)]
    return []


def _default(table: Table, name: str, field: FieldInfo) -> str:
    is_wanted = table.path == ("cention",) and name in UPSTREAM_KEYS
    if field.is_required() or is_wanted:
        return "**required**"
    value = field.default
    if value is None or isinstance(value, BaseModel):
        return "none"
    return "below" if _is_long(value) else f"`{_written(value)}`"


def _written(value: Any) -> str:
    """Return a value as TOML writes it, which for these is as JSON does."""
    if isinstance(value, Address):
        value = str(value)
    return json.dumps(value, ensure_ascii=False)


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and ("\n" in value or len(value) > SHORT_CHARS)


def _long_defaults(table: Table) -> Iterator[str]:
    for name, field in table.model.model_fields.items():
        if _is_long(field.default):
            yield f"The default of `{name}`:\n\n```jinja\n{field.default.rstrip()}\n```\n"


if __name__ == "__main__":
    sys.exit(settle({"docs/configuration.md": page()}, sys.argv[1:]))
