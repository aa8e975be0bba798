"""Where mappings are found: the folder `mappings/` beside the settings' file, then those shipped.

A mapping is read when it is needed first; the site's own are looked at at the start all the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import bridge
from bridge.domain.events import EVENTS_SOURCE
from bridge.domain.mapping_files import InvalidMapping, read_mapping
from bridge.domain.mappings import MappingOf
from bridge.domain.spelling import hint
from bridge.settings.errors import SettingsError
from bridge.settings.toml_files import read_file, reason

FOLDER: Final = "mappings"
_SUFFIX: Final = ".toml"
# As hooks are named: a mapping without a [[hooks]] table is a hook of its own name.
_NAME: Final = re.compile(r"[a-z0-9_-]{1,32}")
# Sources that are no hooks: what comes in at /v1/events, and what comes back from Cention.
RESERVED: Final = frozenset({EVENTS_SOURCE, "cention"})


def shipped_folder() -> Path:
    """Return where the mappings are that come with the bridge: in the package, else the sources."""
    package = Path(bridge.__file__).parent
    own = package / FOLDER
    return own if own.is_dir() else package.parent / "config" / FOLDER


@dataclass(slots=True)
class Shelf:
    """The mappings that are there, by name; a site's own stands before a shipped one.

    `folder` is the site's, if it may have one.
    """

    # Where they are is nothing that settings say.
    folder: Path | None = field(default=None, compare=False)
    # Looked up once: what is put there later is neither checked nor served before a reload.
    _found: list[Path] | None = field(default=None, repr=False, compare=False)
    _read: dict[str, MappingOf] = field(default_factory=dict, repr=False, compare=False)

    def names(self) -> dict[str, Path]:
        """Return where each mapping is that can be named.

        Raises:
            SettingsError: the site's folder can't be looked into.
        """
        found = {path.stem: path for path in _files(shipped_folder())}
        found.update({path.stem: path for path in self._own()})
        return {name: found[name] for name in sorted(found) if is_hook_name(name)}

    def is_shipped(self, name: str) -> bool:
        """Say whether a mapping is as it came with the bridge."""
        path = self.names().get(name)
        return path is not None and path.parent == shipped_folder()

    def mapping(self, name: str) -> MappingOf:
        """Return a mapping, which is read only once.

        Raises:
            SettingsError: there is none of this name, or it is wrong: a line for each mistake.
        """
        if name not in self._read:
            known = self.names()
            if name not in known:
                raise SettingsError([f"there is no mapping {name}{self.hint(name)}"])
            self._read[name] = read(known[name])
        return self._read[name]

    def hint(self, name: str) -> str:
        """Return what may be meant by a name that no mapping has."""
        known = self.names()
        return hint(name, known) or f"; there are {', '.join(known)}"

    def problems(self) -> Iterator[str]:
        """Yield a line for each mistake in the site's own mappings."""
        try:
            own = list(self._own())
        except SettingsError as error:
            yield from error.problems
            return
        for path in own:
            if not is_hook_name(path.stem):
                kept = f"; {' and '.join(sorted(RESERVED))} are kept"
                yield f"{path}: is no name for a hook; use 1…32 of a-z, 0-9, _ and -{kept}"
                continue
            try:
                self.mapping(path.stem)
            except SettingsError as error:
                yield from error.problems

    def _own(self) -> list[Path]:
        if self._found is None:
            self._found = _files(self.folder) if self.folder is not None else []
        return self._found


def shelf_of(config: Path | None) -> Shelf:
    """Return the mappings for the settings in this file."""
    folder = config.parent / FOLDER if config is not None else None
    # In the sources, the settings' file lies beside what is shipped.
    is_own = folder is not None and folder.resolve() != shipped_folder().resolve()
    return Shelf(folder if is_own else None)


def is_hook_name(name: str) -> bool:
    """Say whether a hook may have this name."""
    return _NAME.fullmatch(name) is not None and name not in RESERVED


def read(path: Path) -> MappingOf:
    """Return the mapping in a file.

    Raises:
        SettingsError: it can't be read or is wrong; a line for each mistake, with the file's name.
    """
    try:
        return read_mapping(read_file(path))
    except InvalidMapping as error:
        raise SettingsError([f"{path}: {problem}" for problem in error.problems]) from None


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == _SUFFIX)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SettingsError([f"{folder}: {reason(error)}; let it be read"]) from None
