"""`aventa-bridge trace`: the whole story of one call on one screen."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from sqlalchemy import Connection

from bridge.cli.common import (
    ConfigOption,
    JsonOption,
    SecretsOption,
    Veil,
    clock_time,
    fail,
    plain,
    print_json,
    read_settings,
    reading,
    shown,
    terminal,
)
from bridge.cli.reports import as_json as report_as_json
from bridge.cli.reports import veil_report
from bridge.cli.standing import Gates, Mark, summary
from bridge.cli.story import Moment, moments, relative
from bridge.storage import queries, stories
from bridge.storage.stories import Story

_STYLES: Final = {
    Mark.EVENT: "cyan",
    Mark.DONE: "green",
    Mark.FAILED: "bold red",
    Mark.AGAIN: "yellow",
    Mark.WAITS: "yellow",
    Mark.BACK: "magenta",
}
# Where a terminal knows no more than ASCII.
_PLAIN_SIGNS: Final = str.maketrans({"•": "*", "✓": "+", "✗": "x", "↻": "~", "…": ".", "←": "<"})
_INDENT: Final = 25


def trace(
    reference_id: Annotated[
        str, typer.Argument(metavar="REFERENCE_ID", help="The call's id at the phone system.")
    ],
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show numbers, names and texts as they are.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="The phone system, where several know the reference: aventa, or a hook's name.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Tell the story of one call: how it stands, then all that happened, in the order of time.

    Events as they came with the rules that decided, attempts with Cention's words, the contact
    card, what came back, and what was refused. Numbers are masked to their last two digits and
    names and texts are hidden, unless --reveal. Where several phone systems have a call of this
    reference, --source says which is meant; as Cention has it (hook:reference) will do too.

    Example: aventa-bridge trace 6a1f09 --reveal

    Example: aventa-bridge trace 123456 --source sipgate-io
    """
    # What a shell passes on may be no text; nothing is kept under that.
    reference_id = reference_id.encode(errors="replace").decode()
    with reading(read_settings(config, secrets_dir)) as connection:
        asked, source = _one_call(connection, reference_id, source)
        call = asked
        story = stories.story(connection, call, source)
        if not any(story.values()):
            call = stories.belongs_to(connection, call, source) or call
            story = stories.story(connection, call, source)
        pauses = queries.pauses(connection)
    if not any(story.values()):
        fail(f"{reference_id}: nothing is known of this call")
    _veil(story, Veil(is_off=reveal))
    gates = Gates(pauses)
    if json:
        print_json(_as_json(call, story, gates))
        return
    if call != asked:
        typer.echo(shown(f"{asked} is an outbound call that belongs to {call}."))
    _print(call, story, gates)


def _one_call(
    connection: Connection, reference_id: str, source: str | None
) -> tuple[str, str | None]:
    """Return the call that is meant, and its source; which one has to be said where there are many.

    What is sent to Cention and on has the hook's name before the reference.
    """
    if source is not None:
        return reference_id, source
    known = stories.sources(connection, reference_id)
    if len(known) > 1:
        fail(f"{reference_id}: is known to {', '.join(known)}; say which by --source", code=2)
    hook, _, bare = reference_id.partition(":")
    if not known and bare and hook in stories.sources(connection, bare):
        return bare, hook
    return reference_id, None


def _veil(story: Story, veil: Veil) -> None:
    """Hide what is not to be seen: contents first, since they tell what others may quote."""
    for row in (*story["events"], *story["deliveries"]):
        row["payload"] = veil.document(row["payload"])
    cards = [row for person in story["people"] for row in person["deliveries"]]
    for person in story["people"]:
        person["wanted"] = veil.document(person["wanted"])
        person["confirmed"] = veil.document(person["confirmed"])
    for row in cards:
        row["payload"] = veil.document(row["payload"])
    for answer in story["answers"]:
        _veil_answer(answer, veil)
    for report in story["reports"]:
        veil_report(report, veil)
    for row in (*story["deliveries"], *cards):
        row["error"] = veil.words(row["error"])
        for one in row["tries"]:
            one["detail"] = veil.words(one["detail"])
    _veil_refused(story["refused"], veil)


def _veil_refused(rows: Sequence[dict[str, Any]], veil: Veil) -> None:
    for row in rows:
        row["payload"] = veil.stranger(row["payload"])
        for issue in row["issues"]:
            issue["pointer"] = veil.words(issue["pointer"])


def _veil_answer(answer: dict[str, Any], veil: Veil) -> None:
    for name in ("subject", "body"):
        answer[name] = veil.text(answer[name]) if answer[name] else answer[name]
    answer["to"] = [{name: veil.text(value) for name, value in one.items()} for one in answer["to"]]
    for file in answer["files"]:
        file["name"] = veil.text(file["name"])


def _as_json(call: str, story: Story, gates: Gates) -> dict[str, Any]:
    _, sentence = summary(story, gates)
    return {
        "reference_id": call,
        "summary": sentence,
        "timeline": [_moment_as_json(one) for one in moments(story, gates)],
        "events": [
            plain({key: value for key, value in event.items() if key != "digest"})
            for event in story["events"]
        ],
        "deliveries": [_delivery(row, gates) for row in story["deliveries"]],
        "contacts": [
            {**plain(one), "deliveries": [_delivery(row, gates) for row in one["deliveries"]]}
            for one in story["people"]
        ],
        "answers": [plain(one) for one in story["answers"]],
        "reports": [report_as_json(one) for one in story["reports"]],
        "refused": [plain(one) for one in story["refused"]],
    }


def _moment_as_json(one: Moment) -> dict[str, Any]:
    return {**plain({"at_us": one.at_us}), "mark": one.mark.name.lower(), "what": one.what} | {
        "more": list(one.more)
    }


def _delivery(row: dict[str, Any], gates: Gates) -> dict[str, Any]:
    shut = gates.before(row)
    tries = [plain(one) for one in row["tries"]]
    return {**plain(row), "paused": shut.reason if shut else None, "tries": tries}


def _print(call: str, story: Story, gates: Gates) -> None:
    told = moments(story, gates)
    rows = (*story["events"], *story["deliveries"], *story["reports"])
    sources = sorted({row["source"] for row in rows})
    routes = sorted({row["route"] for row in rows})
    page = _Page()
    page.line([(f"Call {call} ", "bold"), (f"({', '.join(sources)}), {_through(routes)}", "")])
    mark, sentence = summary(story, gates)
    page.paragraph(f"{mark.value} {sentence}", _STYLES[mark])
    page.timeline(told)


def _through(routes: Sequence[str]) -> str:
    return f"route {', '.join(routes)}" if routes else "not accepted"


class _Page:
    """What is printed, a line at a time, cut to the terminal's width."""

    def __init__(self) -> None:
        # Here, because the daemon does without rich.
        from rich.text import Text  # noqa: PLC0415 - see above

        self._console = terminal()
        self._text = Text

    def line(self, parts: Sequence[tuple[str, str]]) -> None:
        """Print one line."""
        text = self._text()
        for part, style in parts:
            text.append(self._fit(part), style)
        self._console.print(text, no_wrap=True, overflow="ellipsis")

    def paragraph(self, words: str, style: str) -> None:
        """Print a sentence on as many lines as it takes."""
        self._console.print(self._text(self._fit(words), style))

    def timeline(self, told: Sequence[Moment]) -> None:
        """Print moments, the day once for all that are of it, and what is said of each below it."""
        times = [one.at_us for one in told if one.at_us is not None]
        first_us, day = min(times, default=0), ""
        for one in told:
            clock, after = "now", ""
            if one.at_us is not None:
                today, _, clock = clock_time(one.at_us).partition(" ")
                if today != day:
                    day = today
                    self.line([(f"{day} (UTC)", "dim")])
                after = relative(one.at_us, first_us)
            style = _STYLES[one.mark]
            self.line(
                [
                    (f"{clock:<12} {after:>9} ", "dim"),
                    (f"{one.mark.value} ", style),
                    (one.what, style if one.mark is Mark.FAILED else "bold"),
                ]
            )
            for more in filter(None, one.more):
                self.line([(" " * _INDENT + more, "")])

    def _fit(self, words: str) -> str:
        """Return what steers no terminal, and in signs that this one knows."""
        words = shown(words)
        if self._console.options.ascii_only:
            words = words.translate(_PLAIN_SIGNS)
            return words.encode("ascii", errors="backslashreplace").decode()
        return words
