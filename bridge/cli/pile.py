"""What the commands over dead letters and over the quarantine share.

Which are meant, at what pace, asking before many are touched, and how it ended.
"""

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_type_hints

import typer
from sqlalchemy import Connection

from bridge.cli.common import (
    ConfigOption,
    SecretsOption,
    batches,
    counted,
    open_store,
    plain,
    print_json,
    print_table,
    read_settings,
    shown,
)
from bridge.cli.editing import STANDARD_INPUT
from bridge.settings import Settings

ItemT = TypeVar("ItemT", int, str)
Row = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MINUTE_S: Final = 60.0


def moment(text: str) -> int:
    """Return a time as typed in microseconds since 1970; without an offset it is in UTC."""
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(
            "is no time; write one like 2026-11-22T08:00:00Z, or 2026-11-22 for its first moment"
        ) from None
    return ((read if read.tzinfo else read.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def some_text(text: str) -> str:
    """Return a text; an empty one, which is part of every other, is wrong usage."""
    if not text:
        raise typer.BadParameter("is empty")
    return text


def readable(text: str) -> Path:
    """Return a file that can be read, or `-`."""
    path = Path(text)
    # Not only plain files: a shell gives what another command prints as a pipe.
    if text != STANDARD_INPUT and (path.is_dir() or not os.access(path, os.R_OK)):
        raise typer.BadParameter(f"{text} is no file that can be read")
    return path


AfterOption = Annotated[
    int | None,
    typer.Option(
        "--after",
        parser=moment,
        metavar="TIME",
        help="Taken at this time or later; UTC, unless it has an offset.",
        show_default=False,
    ),
]
BeforeOption = Annotated[
    int | None,
    typer.Option(
        "--before",
        parser=moment,
        metavar="TIME",
        help="Taken before this time.",
        show_default=False,
    ),
]
PaceOption = Annotated[
    int | None,
    typer.Option(
        "--per-minute",
        min=1,
        max=1_000_000,
        help="So many a minute at most; else all at once.",
        show_default=False,
    ),
]
EditOption = Annotated[bool, typer.Option("--edit", help="Change it first, in $VISUAL or $EDITOR.")]
WithOption = Annotated[
    Path | None,
    typer.Option(
        "--with",
        parser=readable,
        metavar="FILE",
        help="Take what is in this file in its place; `-` is standard input.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class SettingsFrom:
    """Where the settings are read from."""

    config: ConfigOption = None
    secrets_dir: SecretsOption = None

    def read(self) -> Settings:
        """Return them; what is wrong with them ends the command."""
        return read_settings(self.config, self.secrets_dir)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take options in groups.

    Each parameter that is a dataclass stands on the command line as its fields, so that what
    several commands have in common is written once.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint) and isinstance(hint, type):
            groups[parameter.name] = hint
            of_group = get_type_hints(hint, include_extras=True)
            parameters += [_parameter(one.name, of_group[one.name], one) for one in fields(hint)]
        else:
            parameters.append(parameter.replace(annotation=hint))

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{one.name: given.pop(one.name) for one in fields(group)})
        command(**given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # for Typer
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _parameter(name: str, hint: Any, of_group: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if of_group.default is MISSING else of_group.default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


class Filter:
    """Options that say which are meant; a dataclass, each field None or False where not given."""

    everything: bool

    @property
    def is_narrow(self) -> bool:
        """Whether anything but `--all` is given."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type] # its children are
        del values["everything"]
        return any(value is not None for value in values.values())


@dataclass(frozen=True, kw_only=True)
class Pile:
    """What lies on a pile is called: one, many, and what is said where there is none.

    `no_match` is said where a filter means none.
    """

    one: str
    many: str
    none: str
    no_match: str

    def counted(self, count: int) -> str:
        """Return `1 thing` or `2 things`."""
        return counted(count, self.one, self.many)

    def nothing(self, which: Filter) -> str:
        """Say that none is meant."""
        return self.no_match if which.is_narrow else self.none

    def print(
        self,
        rows: Sequence[Row],
        columns: Sequence[str],
        cells: Callable[[Row], Sequence[str]],
        which: Filter,
    ) -> None:
        """Print a table of them for people."""
        if rows:
            print_table(columns, [cells(row) for row in rows])
        else:
            typer.echo(self.nothing(which))


def print_rows(rows: Iterable[Row]) -> None:
    """Print rows for a script."""
    print_json([plain(row) for row in rows])


def check_selection(ids: Sequence[object] | None, which: Filter) -> None:
    """Insist on ids, or on a filter or `--all`, but not on both."""
    if bool(ids) is (which.everything or which.is_narrow):
        raise typer.BadParameter("give ids, or else a filter or --all", param_hint="ID")


def check_one(ids: Sequence[ItemT] | None, which: Filter, option: str) -> ItemT:
    """Return the one id that an option is about; wrong usage where it is not exactly one."""
    if ids is None or len(ids) != 1 or which.everything or which.is_narrow:
        raise typer.BadParameter(f"{option} is about one: give its id", param_hint="ID")
    return ids[0]


def in_batches(
    settings: Settings,
    chosen: Sequence[ItemT],
    label: str,
    work: Callable[[Connection, Sequence[ItemT], int], int],
) -> int:
    """Do something to each of these, many in a commit; return to how many it was done.

    `work` gets the connection, some of those chosen, and how many came before them.
    """
    done = count = 0
    with open_store(settings) as engine:
        for some in batches(chosen, label):
            with engine.begin() as connection:
                count += work(connection, some, done)
            done += len(some)
    return count


def finish(wrong: Iterable[str]) -> None:
    """Say in a line each what could not be done; exit with 1 if there is any."""
    lines = list(wrong)
    for line in lines:
        typer.echo(shown(line), err=True)
    if lines:
        raise typer.Exit(1)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast many are sent on their way. `per_minute` None: all at once."""

    per_minute: int | None = None
    gap_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Work out how long after another the next one goes."""
        if self.per_minute is not None:
            object.__setattr__(self, "gap_s", _MINUTE_S / self.per_minute)

    def lasts(self, count: int) -> str:
        """Say in how long the last of so many goes."""
        seconds = round(self.gap_s * max(count - 1, 0))
        for size, name in ((3600, "hour"), (60, "minute")):
            if seconds >= 1.5 * size:
                return f"in {round(seconds / size):,} {name}s"
        return f"in {counted(seconds, 'second')}" if seconds else "now"
