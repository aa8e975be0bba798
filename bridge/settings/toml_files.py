"""Reading TOML files; whatever is wrong with one is said in one line that names the place."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from bridge.settings.errors import SettingsError

_PLACE: Final = re.compile(
    r"(?P<what>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)", re.DOTALL
)
_FILE_BYTES_MAX: Final = 16 * 1024 * 1024


def read_file(path: Path) -> dict[str, Any]:
    """Return what a TOML file says.

    Raises:
        SettingsError: it can't be read or is no TOML; the one line names the place.
    """
    return read_toml(path)[0]


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """Return what a TOML file says, and its text.

    Raises:
        SettingsError: it can't be read or is no TOML; the one line names the place.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsError([f"{path}: {reason(error)}; name a TOML file"]) from None
    if len(content) > _FILE_BYTES_MAX:
        raise SettingsError([f"{path}: is too large; use {_FILE_BYTES_MAX} bytes at most"])
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        place = _place(content[: error.start].decode())
        raise SettingsError([f"{path}:{place}: is no UTF-8; save it as UTF-8"]) from None
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        match = _PLACE.fullmatch(str(error))
        place = f"{match['line']}:{match['column']}" if match else _place(text)
        what = match["what"] if match else str(error).removesuffix(" (at end of document)")
        raise SettingsError([f"{path}:{place}: is no TOML ({what}); mend it there"]) from None
    except (ValueError, RecursionError):
        what = "holds a value that is too long or too deep to be read"
        raise SettingsError([f"{path}: {what}; write it shorter"]) from None


def _place(before: str) -> str:
    """Return `line:column` of what comes after a text."""
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def reason(error: OSError) -> str:
    """Return why a file can't be read, without its name."""
    return f"can't be read ({os.strerror(error.errno) if error.errno else type(error).__name__})"
