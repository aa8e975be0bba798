"""All sources put together into one tree of values, and where each value came from.

Strongest first: environment, secret files, the file, defaults.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.settings.explain import line
from bridge.settings.keys import (
    KeyPath,
    dotted,
    field_at,
    keys_in,
    nearest,
    shape_of,
    variable,
)
from bridge.settings.overlays import (
    Overlay,
    Unreadable,
    decode,
    from_environment,
    from_files,
)
from bridge.settings.sections import STORE_FILE
from bridge.settings.toml_files import read_file
from bridge.settings.values import FILE


@dataclass(slots=True)
class Values:
    """What was found.

    `broken` holds the keys about which a line was written already, so that no mistake makes two.
    """

    tree: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    broken: set[KeyPath] = field(default_factory=set)
    origins: dict[KeyPath, Overlay] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> str:
        """Return the variable or file that a value came from; nothing for the TOML file."""
        for end in range(len(path), 0, -1):
            overlay = self.origins.get(path[:end])
            if overlay is not None:
                return overlay.name
        return ""


def read_sources(
    config: Path | None, secrets_dir: Path | None, environ: Mapping[str, str]
) -> Values:
    """Read every source and lay the stronger over the weaker.

    Raises:
        SettingsError: the TOML file can't be read, so that nothing can be said of the rest.
    """
    values = Values(tree=read_file(config) if config is not None else {})
    _default_store(values.tree, environ)
    folder = secrets_dir
    if folder is None and (given := environ.get("CREDENTIALS_DIRECTORY")):
        folder = Path(given)
    overlays: list[Overlay] = []
    if folder is not None:
        overlays, values.problems = from_files(folder)
    overlays.extend(from_environment(environ))
    # Whole tables go first, whoever gives them: a token's own file still serves a route that
    # the environment made.
    for overlay in sorted(overlays, key=lambda one: (len(one.parts) > 1, not one.is_file)):
        _lay(values, overlay)
    if folder is not None:
        _find_files(values.tree, folder)
    return values


def _default_store(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Put the store into the state folder that systemd gives (systemd.exec(5)), unless told."""
    folder = environ.get("STATE_DIRECTORY", "").split(":")[0]
    store = tree.setdefault("store", {}) if folder else None
    if isinstance(store, dict):
        store.setdefault("url", f"sqlite:///{Path(folder) / STORE_FILE}")


def _find_files(tree: dict[str, Any], folder: Path) -> None:
    """Put the folder of secret files before names of files that are there."""
    for section, table in tree.items():
        known = field_at((section,))
        if known is None or not isinstance(table, dict):
            continue
        for key, value in table.items():
            field = field_at((section, key))
            if field is None or shape_of(field).words != FILE.words or not isinstance(value, str):
                continue
            is_name = bool(value) and "/" not in value and value.isprintable()
            if is_name and (folder / value).is_file():
                table[key] = str(folder / value)


def _lay(values: Values, overlay: Overlay) -> None:
    """Lay one setting over the tree, or say why it can't be."""
    path = _locate(values, overlay)
    if path is None:
        return
    known = field_at(path)
    if known is None:
        values.problems.append(_unknown(values, overlay, path))
        return
    before = values.origins.get(path)
    if before is not None:
        if before.is_file is overlay.is_file and len(before.parts) == len(overlay.parts):
            names = f"{overlay.name} and {before.name}"
            values.problems.append(line(path, "is set twice; keep one of the two", names))
            return
        if overlay.is_file and not before.is_file:
            return
    shape = shape_of(known)
    try:
        value = decode(overlay, shape)
    except Unreadable as error:
        values.broken.add(path)
        values.problems.append(line(path, str(error), overlay.name))
        return
    _put(values, path, value, overlay)


def _locate(values: Values, overlay: Overlay) -> KeyPath | None:
    """Return the key that a setting is for, with the number of the table in its list.

    None: there is no such table, which has been said.
    """
    section, *rest = overlay.parts
    known = field_at((section,))
    if known is None or not shape_of(known).is_list or not rest:
        return overlay.parts
    tables = values.tree.get(section, [])
    if (section,) in values.broken or not isinstance(tables, list):
        return None
    which, key = rest[0], rest[-1]
    names = [_name(number, table) for number, table in enumerate(tables)]
    if len(rest) == 2 and which in names:
        return (section, names.index(which), key)
    if len(rest) == 2 and which.isascii() and which.isdigit() and int(which[:9]) < len(tables):
        return (section, int(which[:9]), key)
    there_are = dotted((", ".join(names),)) or "none"
    values.problems.append(
        f"{overlay.name}: is for none of the [[{section}]]; there are: {there_are}"
    )
    return None


def _name(number: int, table: Any) -> str:
    name = table.get("name") if isinstance(table, dict) else None
    return name if isinstance(name, str) else str(number)


def _unknown(values: Values, overlay: Overlay, path: KeyPath) -> str:
    meant = nearest(path)
    if meant is not None:
        values.broken.add(meant)
        hint = f"did you mean {dotted(meant) if overlay.is_file else variable(meant)}?"
    else:
        here = ", ".join(keys_in(path[:-1]))
        hint = f"here there are {here}" if overlay.is_file and here else "see config/bridge.toml"
    return f"{overlay.name}: is for no setting; {hint}"


def _put(values: Values, path: KeyPath, value: Any, overlay: Overlay) -> None:
    """Put a value into the tree, unless the file has no table where one has to be."""
    *parents, last = path
    node: Any = values.tree
    for part in parents:
        node = node[part] if isinstance(part, int) else node.setdefault(part, {})
    if not isinstance(node, dict):
        return
    old = node.get(last)
    if isinstance(old, dict) and isinstance(value, dict):
        value_and_old = {**old, **value}
    else:
        value_and_old = value
        for stale in [key for key in values.origins if key[: len(path)] == path]:
            del values.origins[stale]
    node[last] = value_and_old
    values.origins[path] = overlay
    for key in _leaves(value):
        values.origins[*path, *key] = overlay


def _leaves(value: Any) -> Iterable[KeyPath]:
    """Return the keys that a whole table, or a list of tables, sets."""
    if isinstance(value, dict):
        return [(key,) for key in value if isinstance(key, str)]
    if isinstance(value, list):
        return [
            (number, key)
            for number, table in enumerate(value)
            if isinstance(table, dict)
            for key in table
        ]
    return []
