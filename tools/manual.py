"""Write `docs/aventa-bridge.1`: the manual page, read off the commands themselves.

python tools/manual.py            writes it
python tools/manual.py --check    exits with 1 where it is not as it would be

click-man and its like want commands of click, which Typer's no longer are; argparse-manpage knows
those of argparse alone, of which `run` is one; and help2man would make a page of each. So the few
macros of man(7) that it takes are written here.
"""

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import typer
import typer.main
from pages import settle

from bridge.cli.run import DESCRIPTION, parser
from bridge.cli.shell import app

PROGRAM: Final = "aventa-bridge"
HEAD: Final = r""".\" This page is written by `make docs` from the commands; what is changed here
is lost.
.TH AVENTA-BRIDGE 1 "" "aventa-bridge" "User Commands"
.nh
.ad l
.SH NAME
aventa-bridge \- turns the events of an Aventa phone system into errands in Cention
.SH SYNOPSIS
.B aventa-bridge
.I COMMAND
.RI [ OPTIONS ]
.SH DESCRIPTION
The bridge takes the events of calls, callbacks and voicemails over HTTP, keeps them durably, and
turns them into errands and contact cards in Cention.
.B aventa-bridge run
is the daemon. The other commands look at it, change what it keeps, or try it out; those that need
its store work beside it while it runs, as the user that it runs as.
.PP
Numbers, names and texts are masked in what is printed, unless
.B \-\-reveal
is given. No command ever shows a token or another secret.
"""
TAIL: Final = r""".SH EXIT STATUS
.TP
.B 0
What was asked for is done.
.TP
.B 1
It failed, or there is no such thing.
.TP
.B 2
Wrong usage or settings; a line a mistake says which.
.SH SIGNALS
.TP
.BR SIGTERM ", " SIGINT
The daemon ends in order: what is under way is finished, within
.IR delivery.shutdown_seconds .
.TP
.B SIGHUP
The daemon reads its settings again; wrong ones are refused whole.
.SH ENVIRONMENT
.TP
.BI BRIDGE_ SECTION __ KEY
Any setting, such as
.BR BRIDGE_CENTION__WORKSPACE ;
stronger than the file.
.TP
.B CREDENTIALS_DIRECTORY
The folder of secret files, where
.B \-\-secrets\-dir
names none; systemd sets it.
.TP
.B STATE_DIRECTORY
The folder of the store, where
.I store.url
is not set; systemd sets it.
.TP
.BR VISUAL ", " EDITOR
What
.B \-\-edit
opens.
.TP
.B _AVENTA_BRIDGE_COMPLETE
With
.BR source_bash ", " source_zsh " or " source_fish ,
the script is printed by which that shell completes this command.
.SH FILES
.TP
.I /etc/aventa\-bridge/bridge.toml
The settings, as the service that comes with the bridge has them.
.TP
.I /etc/aventa\-bridge/secrets/
A file a secret, named by its key, such as
.IR cention.token .
.TP
.I /var/lib/aventa\-bridge/bridge.db
The store, under that service.
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1),
.BR systemd.exec (5)
"""
EXAMPLE: Final = re.compile(r"[Ee]xample:\s*")
# Of what Typer adds to each help text: none of it needs to be said for every command again.
EVERYWHERE: Final = frozenset({"--help"})
# Typer's names for what an option takes, where the option gives none.
VALUES: Final = {
    "<int>": "NUMBER",
    "<int range>": "NUMBER",
    "<list[int]>": "NUMBER",
    "<float range>": "NUMBER",
    "<path>": "PATH",
    "<str>": "TEXT",
    "<list[str]>": "TEXT",
}


def page() -> str:
    """Return the whole page."""
    group: Any = typer.main.get_command(app)
    top = typer.Context(group, info_name=PROGRAM)
    parts = [HEAD, ".SH OPTIONS\n", *_options(group.get_params(top), top), ".SH COMMANDS\n"]
    for name, command in group.commands.items():
        parts += _run() if name == "run" else _command(command, _below(top, command, name))
    return "".join([*parts, TAIL])


def _below(context: typer.Context, command: Any, name: str) -> typer.Context:
    return typer.Context(command, info_name=name, parent=context)


def _command(command: Any, context: typer.Context) -> Iterator[str]:
    """Yield a command; of a group, what it is for and then each of its commands."""
    pieces = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
    is_group = hasattr(command, "commands")
    yield _heading(context.command_path, [] if is_group else [*pieces, "[OPTIONS]"])
    yield from _prose(command.help or "")
    if is_group:
        for name, inner in command.commands.items():
            yield from _command(inner, _below(context, inner, name))
        return
    yield from _options(
        [param for param in command.get_params(context) if not EVERYWHERE.intersection(param.opts)],
        context,
    )


def _run() -> Iterator[str]:
    """Yield the daemon's command, which is argparse's."""
    made = parser()
    yield _heading(made.prog, ["[OPTIONS]"])
    yield from _prose(f"{DESCRIPTION}\n{made.epilog}")
    for action in made._actions:  # noqa: SLF001 - argparse has no other way to ask
        if not EVERYWHERE.intersection(action.option_strings) and action.help:
            help_text = "" if action.help == argparse.SUPPRESS else action.help
            yield _entry(action.option_strings[-1], str(action.metavar or ""), help_text)


def _heading(path: str, pieces: list[str]) -> str:
    words = [rf"\fB{_plain(path)}\fR", *(rf"\fI{_plain(piece)}\fR" for piece in pieces)]
    return f'.SS "{" ".join(words)}"\n'


def _options(params: list[Any], context: typer.Context) -> Iterator[str]:
    for param in params:
        record = param.get_help_record(context)
        if record is not None:
            names, _, value = record[0].partition(" ")
            while names.endswith(","):
                second, _, value = value.partition(" ")
                names = f"{names} {second}"
            yield _entry(names, VALUES.get(value, value.strip("<>")), record[1])


def _entry(names: str, value: str, said: str) -> str:
    shown = rf" \fI{_plain(value)}\fR" if value else ""
    text = " ".join(said.split())
    return f".TP\n\\fB{_plain(names)}\\fR{shown}\n{_text(text[:1].upper() + text[1:])}\n"


def _prose(text: str) -> Iterator[str]:
    """Yield paragraphs; what begins with `Example:` is set as a command to type."""
    paragraphs = re.split(r"\n\s*\n|\n(?=[Ee]xample:)", textwrap.dedent(text).strip())
    for number, paragraph in enumerate(paragraphs):
        # A heading begins a paragraph by itself.
        begin = ".PP\n" if number else ""
        if match := EXAMPLE.match(paragraph):
            yield f"{begin}.EX\n{_plain(paragraph[match.end() :].strip())}\n.EE\n"
        else:
            yield f"{begin}{_text(' '.join(paragraph.split()))}\n"


def _text(text: str) -> str:
    """Return a line of prose; what stands in backticks is set in bold."""
    return re.sub(r"\\\(ga(.+?)\\\(ga", r"\\fB\1\\fR", _plain(text))


def _plain(text: str) -> str:
    """Return text as roff takes it for itself."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")
    text = text.replace("'", r"\(aq").replace("`", r"\(ga")
    text = re.sub(r"[^\x00-\x7f]", lambda char: rf"\[u{ord(char[0]):04X}]", text)
    return rf"\&{text}" if text.startswith(".") else text


if __name__ == "__main__":
    sys.exit(settle({"docs/aventa-bridge.1": page()}, sys.argv[1:]))
