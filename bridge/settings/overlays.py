"""Single settings from outside the file: environment variables and secret files.

Both name one key each. `__` (in file names a dot, too) stands between levels, case does not
matter, and the tables of a list go by name or number: `routes.sales.token`, `agents.0.token`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from bridge.settings.keys import Shape, shape_of
from bridge.settings.root import Settings
from bridge.settings.toml_files import reason
from bridge.settings.values import FILE

PREFIX: Final = "bridge_"
_SECRET_BYTES_MAX: Final = 1024 * 1024
_PEM_BEGIN: Final = "-----BEGIN "
_PEM: Final = re.compile(r"-----BEGIN ([^-]{1,64})-----[^-]*-----END \1-----")
_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_TRUTH: Final = {"true": True, "yes": True, "on": True, "1": True} | dict.fromkeys(
    ("false", "no", "off", "0"), False
)


@dataclass(frozen=True, slots=True)
class Overlay:
    """One setting as it was found: `name` is the variable or the file, for a person to find it."""

    name: str
    parts: tuple[str, ...]
    text: str
    is_file: bool = False


class Unreadable(ValueError):  # noqa: N818 - says what it found
    """A text is not what its key wants; the message says so, without the text."""


def from_environment(environ: Mapping[str, str]) -> Iterator[Overlay]:
    """Return what `BRIDGE_…` variables say; an empty one counts as not set."""
    for name in sorted(environ):
        if name.lower().startswith(PREFIX) and environ[name]:
            yield Overlay(name, _parts(name.lower().removeprefix(PREFIX), "__"), environ[name])


def from_files(folder: Path) -> tuple[list[Overlay], list[str]]:
    """Return what the secret files in a folder say, and a line for each that can't be read.

    Hidden files and those whose name is like no key's are other people's.
    """
    found: list[Overlay] = []
    problems: list[str] = []
    try:
        files = sorted(file for file in folder.iterdir() if file.is_file())
    except OSError as error:
        return [], [f"{folder}: {reason(error)}; name a folder of secret files"]
    for file in files:
        parts = _file_parts(file.name.lower())
        if not parts:
            continue
        try:
            found.append(Overlay(str(file), parts, _read_secret(file), is_file=True))
        except OSError as error:
            problems.append(f"{file}: {reason(error)}; let this user read it")
        except Unreadable as error:
            problems.append(f"{file}: {error}")
    return found, problems


def decode(overlay: Overlay, shape: Shape) -> Any:
    """Return the value that a text stands for: JSON for lists and tables, else as its key wants.

    A text that is no number where one is wanted stays a text, for the check to find.

    Raises:
        Unreadable: it is no JSON, where it has to be.
    """
    text = overlay.text
    if shape.table is not None:
        return _json(text, '[{"name": "…"}]' if shape.is_list else '{"key": "…"}')
    if shape.is_list and (not overlay.is_file or text.lstrip().startswith("[")):
        return _json(text, '["…"]')
    if shape.is_list:
        return _items(text)
    if shape.words == FILE.words and overlay.is_file and _PEM_BEGIN in text:
        # Not the name of a file, but the file itself, as systemd hands it over.
        return overlay.name
    bare = text.strip()
    if shape.base is int and _WHOLE_NUMBER.fullmatch(bare):
        return int(bare)
    if shape.base is bool:
        return _TRUTH.get(bare.lower(), text)
    if shape.base is float:
        return _number(bare)
    return text


def _items(text: str) -> list[str]:
    """Return what a file lists: one a line, or blocks of PEM, which have several lines each."""
    if _PEM_BEGIN in text:
        return [found[0] for found in _PEM.finditer(text)] or [text]
    return [line.strip() for line in text.splitlines() if line.strip()]


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _json(text: str, example: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Unreadable(f"is no JSON ({place}); use {example}") from None


def _file_parts(name: str) -> tuple[str, ...]:
    if name.startswith(PREFIX):
        return _parts(name.removeprefix(PREFIX), "." if "." in name else "__")
    parts = _parts(name, "." if "." in name else "__")
    is_like_a_key = len(parts) > 1 and parts[0] in Settings.model_fields
    return parts if is_like_a_key else ()


def _parts(name: str, separator: str) -> tuple[str, ...]:
    """Split a name into levels; whatever is in the middle is the name of a route, underscores too.

    >>> _parts("routes__out__of__hours__token", "__")
    ('routes', 'out__of__hours', 'token')
    """
    section, found, rest = name.partition(separator)
    if not found:
        return (section,)
    field = Settings.model_fields.get(section)
    if field is not None and shape_of(field).is_list and separator in rest:
        return (section, *rest.rsplit(separator, 1))
    return (section, *rest.split(separator))


def _read_secret(file: Path) -> str:
    with file.open("rb") as stream:
        content = stream.read(_SECRET_BYTES_MAX + 1)
    if len(content) > _SECRET_BYTES_MAX:
        raise Unreadable(f"is too large; use {_SECRET_BYTES_MAX} bytes at most")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise Unreadable("is no text; use UTF-8") from None
    return text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")
