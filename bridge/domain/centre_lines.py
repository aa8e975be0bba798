"""Where in a TOML text each key and value stands: `tomllib` reads values and forgets their places.

The text is one that `tomllib` has read, so that nothing is checked here again.

Source: TOML 1.0.0.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Final

Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_TEXT: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""+|'
    r"'''.*?'''+|"
    r""""(?:[^"\\\n]|\\.)*"|'[^'\n]*'""",
    re.DOTALL,
)
_PLAIN: Final = re.compile(r"[^,\]}#\n]+")


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of a key, or of what it would stand in; 1 where nothing is known of it."""
    for end in range(len(path), 0, -1):
        found = lines.get(path[:end])
        if found is not None:
            return found
    return 1


def find_lines(text: str) -> dict[Path, int]:
    """Return the line (from 1) of every table, key and item, by the path that leads to it."""
    return _Finder(text).lines


class _Finder:
    """Goes through a text once."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self._tables: dict[Path, int] = {}
        self._read()

    def _here(self) -> int:
        """Return the line that has been come to."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match.group()

    def _take(self, mark: str) -> bool:
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    def _note(self, path: Path, line: int) -> None:
        for end in range(1, len(path) + 1):
            self.lines.setdefault(path[:end], line)

    def _read(self) -> None:
        table: Path = ()
        while self._skip(_BLANK) is not None and self._at < len(self._text):
            line, before = self._here(), self._at
            if self._take("[["):
                table = self._array_table(tuple(self._keys()))
                self._note(table, line)
                self._take("]]")
            elif self._take("["):
                table = self._placed(tuple(self._keys()))
                self._note(table, line)
                # What stands before it may have named a table within it.
                self.lines[table] = line
                self._take("]")
            else:
                self._pair(table)
            if self._at == before:
                return

    def _placed(self, keys: tuple[str, ...]) -> Path:
        """Return the path of a table; of a list of tables on its way, the last so far is meant."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if path in self._tables:
                path = (*path, self._tables[path])
        return path

    def _array_table(self, keys: tuple[str, ...]) -> Path:
        path = (*self._placed(keys[:-1]), keys[-1])
        self._tables[path] = self._tables.get(path, -1) + 1
        return (*path, self._tables[path])

    def _keys(self) -> Iterator[str]:
        """Yield the parts of a key."""
        while True:
            self._skip(_SPACE)
            yield _unquoted(self._skip(_KEY))
            self._skip(_SPACE)
            if not self._take("."):
                return

    def _pair(self, table: Path) -> None:
        line = self._here()
        path = (*table, *self._keys())
        self._note(path, line)
        self._take("=")
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._take("["):
            self._items(path)
        elif self._take("{"):
            self._inline(path)
        elif not self._skip(_TEXT):
            self._skip(_PLAIN)

    def _items(self, path: Path) -> None:
        index = 0
        while True:
            self._skip(_BLANK)
            if self._take("]") or self._at >= len(self._text):
                return
            self._note((*path, index), self._here())
            self._value((*path, index))
            self._skip(_BLANK)
            self._take(",")
            index += 1

    def _inline(self, path: Path) -> None:
        while True:
            self._skip(_BLANK)
            if self._take("}") or self._at >= len(self._text):
                return
            self._pair(path)
            self._skip(_BLANK)
            self._take(",")


def _unquoted(key: str) -> str:
    if not key.startswith(('"', "'")):
        return key
    value: str = tomllib.loads(f"k = {key}")["k"]
    return value
