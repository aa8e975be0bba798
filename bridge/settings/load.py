"""The way in: every source read, every mistake found, one frozen result."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bridge.settings.checks import find_mistakes
from bridge.settings.errors import SettingsError
from bridge.settings.explain import explain, explain_unknown, line
from bridge.settings.keys import KeyPath, field_at, nearest, shape_of
from bridge.settings.mappings import shelf_of
from bridge.settings.root import Settings
from bridge.settings.sources import Values, read_sources


def load_settings(
    *,
    config: Path | None,
    secrets_dir: Path | None,
    environ: Mapping[str, str],
    require_upstream: bool = True,
) -> Settings:
    """Read the settings.

    Args:
        config: the TOML file; None: environment, secret files and defaults alone.
        secrets_dir: the folder of secret files; None: `$CREDENTIALS_DIRECTORY`, where it is set.
        environ: the environment: `BRIDGE_…`, `CREDENTIALS_DIRECTORY`, `STATE_DIRECTORY`.
        require_upstream: whether Cention's address, workspace and token, and what else hangs on
            secrets, have to be there; commands that need the store alone do without, since
            systemd gives secrets to the daemon only.

    Raises:
        SettingsError: something is wrong; it holds every mistake that was found, a line each.
    """
    values = read_sources(config, secrets_dir, environ)
    _take_out_strangers(values)
    settings, errors = _validate(values.tree)
    if settings is None:
        for error in errors:
            _note(values, error["loc"], explain(error), is_unknown=_is_unknown(error))
        _mend(values.tree, errors)
        settings, _ = _validate(values.tree)
    if settings is not None:
        settings = settings.with_mappings(shelf_of(config))
        for path, text in find_mistakes(settings, values.broken, require_upstream=require_upstream):
            values.problems.append(line(path, text, values.origin(path)))
        if require_upstream:
            values.problems.extend(settings.mappings.problems())
    if values.problems or settings is None:
        raise SettingsError(values.problems)
    return settings


def _take_out_strangers(values: Values) -> None:
    """Refuse sections that there are none of, before pydantic-settings takes them for options."""
    for name in [name for name in values.tree if name not in Settings.model_fields]:
        _note(values, (name,), explain_unknown((name,)), is_unknown=True)
        del values.tree[name]


def _note(values: Values, path: KeyPath, text: str, *, is_unknown: bool) -> None:
    values.problems.append(line(path, text, values.origin(path)))
    values.broken.add(path)
    field = field_at(path)
    if isinstance(path[-1], int) and field is not None and shape_of(field).table is None:
        values.broken.add(path[:-1])
    meant = nearest(path) if is_unknown else None
    if meant is not None:
        # A key with a slip in its name is one mistake: that the right one is missing is no other.
        values.broken.add(meant)


def _is_unknown(error: ErrorDetails) -> bool:
    return error["type"] == "extra_forbidden"


def _validate(tree: dict[str, Any]) -> tuple[Settings | None, list[ErrorDetails]]:
    try:
        return Settings(**tree), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


def _mend(tree: dict[str, Any], errors: list[ErrorDetails]) -> None:
    """Take what is wrong out of the tree, so that the rest can be checked as a whole."""
    # Backwards, so that the numbers of what is still to come stay as they are.
    for error in sorted(errors, key=lambda one: _sortable(one["loc"]), reverse=True):
        *parents, last = error["loc"]
        node: Any = tree
        for part in parents:
            node = node[part]
        if isinstance(node, list) and isinstance(last, int):
            example = _example(tuple(parents))
            if example is None:
                del node[last]
            else:
                node[last] = example
        elif error["type"] == "missing" or _is_required(error["loc"]):
            node[last] = _example_of(error["loc"])
        else:
            node.pop(last, None)


def _sortable(path: KeyPath) -> tuple[tuple[int, str], ...]:
    return tuple((part, "") if isinstance(part, int) else (-1, part) for part in path)


def _is_required(path: KeyPath) -> bool:
    field = field_at(path)
    return field is not None and field.is_required()


def _example_of(path: KeyPath) -> Any:
    field = field_at(path)
    return field.examples[0] if field is not None and field.examples else None


def _example(path: KeyPath) -> dict[str, Any] | None:
    """Return a right table for a list of tables; None for a list of anything else."""
    field = field_at(path)
    table: type[BaseModel] | None = shape_of(field).table if field is not None else None
    if table is None:
        return None
    keys = table.model_fields.items()
    return {name: _example_of((*path, name)) for name, key in keys if key.is_required()}
