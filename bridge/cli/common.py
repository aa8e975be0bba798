"""What the commands share that work beside a running bridge: options, the store, what is printed.

Numbers are masked and texts hidden wherever nobody asked for them; see `Veil`.
"""

import contextlib
import itertools
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import orjson
import typer
from sqlalchemy import Connection, Engine

from bridge.domain.errors import StoreError, StoreUnavailable
from bridge.domain.facts import DOCUMENT_FIELDS
from bridge.domain.masking import mask_number, mask_numbers
from bridge.settings import Settings, SettingsError, load_settings
from bridge.storage.engine import open_engine, open_reader
from bridge.storage.failures import translated
from bridge.storage.schema import ensure_current

ItemT = TypeVar("ItemT")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The TOML file.", show_default=False)
]
SecretsOption = Annotated[
    Path | None,
    typer.Option(
        "--secrets-dir",
        help="A folder of secret files; else systemd's, if it gives one.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="Show so many at most.", show_default=False)
]
AllOption = Annotated[bool, typer.Option("--all", help="All there are.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Don't ask.")]

HIDDEN: Final = "(hidden)"
# How many are worked on in one commit: the daemon's own commits go in between.
BATCH: Final = 200
# Wide enough for a row a line where there is no terminal to ask.
_WIDTH_WITHOUT_TERMINAL: Final = 160
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS: Final = frozenset(
    (
        *("callerNumber", "dialedNumber", "destNumber", "voice"),
        *("sender", "dialed_number", "dest_number", "number"),
    )
)
# What says nothing of the caller: everything else that an event or a delivery holds is hidden.
_PLAIN: Final = frozenset(
    (
        *("eventId", "eventType", "occurredAt", "referenceId", "relatedReferenceId", "outcome"),
        *("queueName", "queueNumber", "deviceId", "extensionId", "agentId", "specversion"),
        *("message_id", "reference_id", "queue_name", "queue_number", "device_id", "extension_id"),
        *("content_type", "webhook_id", "callback_id"),
    )
)

# Of what was refused: what is shown of it, with numbers masked, since it tells which event it was.
_SURE: Final = frozenset(("eventId", "eventType", "occurredAt", "referenceId"))
# The names that an event's fields may have; others may be anything, also a caller's.
FIELDS: Final = DOCUMENT_FIELDS | {
    *("pagingNumber", "comment", "callReason", "appointmentTimestamp", "attachments"),
    *("email", "facebook", "vk", "line", "voice", "custom", "label", "value", "data", "id"),
    *("source", "type", "specversion", "datacontenttype", "name", "content", "content_type"),
}

# What the bridge itself puts together.
_COMPOSED: Final = frozenset(("subject", "body", "html_body"))
# A word of a name that is shorter may stand in any sentence.
_TELLING_CHARS: Final = 4
_NAME_WORDS_MAX: Final = 5


def read_settings(config: Path | None, secrets_dir: Path | None) -> Settings:
    """Read the settings, Cention's part of them as far as it is there; else exit with 2."""
    try:
        return load_settings(
            config=config, secrets_dir=secrets_dir, environ=os.environ, require_upstream=False
        )
    except SettingsError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(2) from None


@contextlib.contextmanager
def open_store(settings: Settings) -> Iterator[Engine]:
    """Open the daemon's store for changing it; what is wrong with it ends the command."""
    with _in_one_line():
        # A store that isn't there is the daemon's to make: with its schema, for its own eyes.
        open_reader(settings.store.url).dispose()
        engine = open_engine(settings.store.url)
        try:
            ensure_current(engine)
            yield engine
        finally:
            engine.dispose()


@contextlib.contextmanager
def reading(settings: Settings) -> Iterator[Connection]:
    """Open the daemon's store for looking only; what is wrong with it ends the command."""
    with _in_one_line():
        engine = open_reader(settings.store.url)
        try:
            ensure_current(engine)
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        with translated():
            yield
    except StoreUnavailable as error:
        fail(str(error))
    except StoreError as error:
        fail(str(error), code=2)


def fail(line: str, *, code: int = 1) -> NoReturn:
    """Say in one line why not, and exit."""
    typer.echo(shown(line), err=True)
    raise typer.Exit(code) from None


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what can't be undone; a no exits with 1."""
    if yes:
        return
    if not at_terminal():
        fail("There is no terminal to ask at; say --yes.", code=2)
    if not typer.confirm(question, err=True):
        fail("Nothing was changed.")


def at_terminal() -> bool:
    """Tell whether somebody can be asked."""
    return sys.stdin.isatty()


def counted(count: int, one: str, many: str = "") -> str:
    """Return `1 thing` or `2 things`."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def rfc3339(moment_us: int | None, timespec: str = "microseconds") -> str | None:
    """Return a time in UTC; None where there is none."""
    if not moment_us:
        return None
    moment = _EPOCH + timedelta(microseconds=moment_us)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def clock_time(moment_us: int | None) -> str:
    """Return a time in UTC as a table shows it, to the millisecond."""
    text = rfc3339(moment_us, "milliseconds")
    return text.replace("T", " ").removesuffix("Z") if text else ""


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the store for a script: each `…_us` becomes `…_at`, in RFC 3339."""
    fields: dict[str, Any] = {}
    for key, value in row.items():
        if key.endswith("_us"):
            name = key.removesuffix("_us")
            fields[name if name == "at" else f"{name}_at"] = rfc3339(value)
        else:
            # SQLAlchemy's names are a kind of string of its own, which orjson doesn't take.
            fields[str(key)] = value
    return fields


def shown(text: str) -> str:
    """Return a text fit for a terminal: what would steer it is escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def print_json(value: Any) -> None:
    """Print one JSON value."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def terminal() -> Any:
    """Return rich's console on standard output, and a width where there is no terminal."""
    # Here, because the daemon does without rich.
    from rich.console import Console  # noqa: PLC0415 - see above

    console = Console(highlight=False)
    if console.is_terminal:
        return console
    return Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print a table for people."""
    # Here, because the daemon does without rich.
    from rich.table import Table  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    table = Table(title=title or None, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0)
    for row in rows:
        # As Text, because what a site or a caller writes may look like rich's markup.
        table.add_row(*(Text(shown(cell)) for cell in row))
    terminal().print(table)


def tracked(items: Sequence[ItemT], label: str) -> Iterator[ItemT]:
    """Yield the items with a progress bar on a terminal, on standard error."""
    if len(items) < 2 or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.progress import track  # noqa: PLC0415 - as above

    yield from track(items, label, console=Console(stderr=True), transient=True)


def batches(items: Sequence[ItemT], label: str) -> Iterator[Sequence[ItemT]]:
    """Yield runs of items, each for a commit of its own, with a progress bar on a terminal."""
    starts = range(0, len(items), BATCH)
    for start in tracked(starts, label):
        yield items[start : start + BATCH]


@contextlib.contextmanager
def working(label: str) -> Iterator[None]:
    """Show on a terminal that something takes its time, on standard error."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - as above

    with Console(stderr=True).status(label):
        yield


def file_size(content: str) -> str:
    """Return what stands for a file's content, given in base64, where it is shown."""
    return f"({len(content) * 3 // 4:,} bytes)"


class Veil:
    """Hides who called: numbers to their last two digits, names and texts whole.

    With `is_off` it hides nothing. What it has hidden once it also takes out of other people's
    words, such as an upstream's complaint that quotes a name, in part or in other letters.
    """

    def __init__(self, *, is_off: bool = False) -> None:
        """Begin with nothing seen."""
        self._is_off = is_off
        self._seen: set[str] = set()

    def number(self, text: str) -> str:
        """Return a number as far as it may be seen."""
        return text if self._is_off else mask_number(text)

    def text(self, text: str, *, is_composed: bool = False) -> str:
        """Return a text of the caller's, or that there is one.

        One that is composed holds words that are nobody's; it is known again as a whole only.
        """
        if self._is_off or not text:
            return text
        if len(text) > 2:
            self._seen.add(text.lower())
            if not is_composed:
                self._seen.update(_telling_parts(text.lower()))
        return HIDDEN

    def words(self, text: str) -> str:
        """Return somebody else's words, without what they quote."""
        if self._is_off or not text:
            return text
        if self._seen:
            longest_first = sorted(self._seen, key=len, reverse=True)
            quoted = "|".join(re.escape(one) for one in longest_first)
            text = re.sub(quoted, HIDDEN, text, flags=re.IGNORECASE)
        return mask_numbers(self._without_cut_end(text))

    def _without_cut_end(self, text: str) -> str:
        """Return words without what begins at their end, and was cut there."""
        lower = text.lower()
        for one in self._seen:
            for length in range(min(len(one), len(lower)) - 1, 2, -1):
                if lower.endswith(one[:length]) and not lower[:-length][-1:].isalnum():
                    return text[:-length] + HIDDEN
        return text

    def stranger(self, value: Any) -> Any:
        """Return what was refused as far as it may be seen: its fields may hold anything.

        Names that are no event's are hidden with what they name, and so is whatever stands where a
        text should.
        """
        if self._is_off:
            return value
        if isinstance(value, list):
            return [self.stranger(item) for item in value]
        if not isinstance(value, dict):
            return self.document(value)
        return {
            name if name in FIELDS else HIDDEN: self._hidden(item, name)
            for name, item in value.items()
        }

    def _hidden(self, value: Any, name: str) -> Any:
        """Hide a refused value; of an object or a list, only what is in it."""
        if isinstance(value, dict | list):
            return self.stranger(value)
        if isinstance(value, str) and name in _NUMBERS:
            return self.number(value)
        if isinstance(value, str) and name in _SURE:
            return mask_numbers(value)
        return value if value is None or isinstance(value, bool) else self.text(str(value))

    def document(self, value: Any, key: str = "") -> Any:
        """Return an event's or a delivery's content as far as it may be seen."""
        if isinstance(value, dict):
            if "content_type" in value and isinstance(value.get("content"), str):
                value = {**value, "content": file_size(value["content"])}
                return value if self._is_off else {**value, "name": self.text(str(value["name"]))}
            return {name: self.document(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.document(item, key) for item in value]
        if self._is_off or key in _PLAIN or value is None or isinstance(value, bool):
            return value
        if key in _NUMBERS and isinstance(value, str):
            return self.number(value)
        if isinstance(value, str):
            return self.text(value, is_composed=key in _COMPOSED)
        return HIDDEN


def _telling_parts(text: str) -> Iterator[str]:
    """Yield of a name its words, of what is longer every two that follow each other."""
    words = [one for one in re.split(r"[\s,;:<>()\"]+", text) if one]
    if len(words) > _NAME_WORDS_MAX:
        yield from (f"{one} {other}" for one, other in itertools.pairwise(words))
    else:
        yield from (one for one in words if len(one) >= _TELLING_CHARS)
