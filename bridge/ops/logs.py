"""Structured logs: JSON for machines, colours for a person at a terminal.

What is logged never holds personal data: numbers go through `mask_number` before, and names,
reasons and tokens are not given to the log at all. Saying something never fails, and waits for
nobody.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TextIO

import orjson

from bridge.ops.lines import Lines, is_journal

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# What the journal sorts lines by, where each begins with it (sd-daemon(3)).
_PRIORITIES: Final = {"debug": b"<7>", "info": b"<6>", "warning": b"<4>", "error": b"<3>"}
# How long the last lines may take to leave.
CLOSING_S: Final = 0.5

_Render = Callable[[dict[str, Any]], bytes]


class StreamLog:
    """A `Log` that writes a line at a time."""

    def __init__(self, level: str, render: _Render, lines: Lines, *, is_journal: bool) -> None:
        """Say what is of this level or above it."""
        self._rank = LEVELS[level]
        self._render = render
        self._lines = lines
        self._prefixes = _PRIORITIES if is_journal else dict.fromkeys(_PRIORITIES, b"")
        self._second = -1
        self._date = ""

    def debug(self, event: str, **fields: object) -> None:
        """Say something of use while looking for a fault."""
        if self._rank <= 10:
            self._say("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Say what happened."""
        if self._rank <= 20:
            self._say("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Say that something is odd, and the bridge copes."""
        if self._rank <= 30:
            self._say("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Say that a person should look."""
        self._say("error", event, fields)

    def close(self) -> None:
        """Give the last lines a moment to leave, where there was no room for them."""
        self._lines.close(CLOSING_S)

    def _say(self, level: str, event: str, fields: dict[str, object]) -> None:
        if "exc_info" in fields:
            fields.update(error_names(fields.pop("exc_info")))
        line = {"timestamp": self._now(), "level": level, "event": event, **fields}
        try:
            text = self._render(line)
        except Exception as error:  # noqa: BLE001 - what can't be said must not stop what is done
            said = {"event": event, "unsaid": type(error).__name__}
            text = self._render({"timestamp": self._now(), "level": level, **said})
        self._lines.write(self._prefixes[level] + text + b"\n")
        lost = self._lines.take_lost()
        if lost:
            self._say("warning", "log lines lost", {"count": lost})

    def _now(self) -> str:
        second, rest = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._date}.{rest // 1000:06}Z"


def configure(
    level: str,
    style: Literal["auto", "json", "text"],
    stream: TextIO | None,
    environ: Mapping[str, str] = os.environ,
) -> StreamLog:
    """Return the log that everything writes to, and send the libraries' own warnings there too.

    Where the stream leads to the journal, each line begins with its priority.
    """
    is_terminal = stream is not None and stream.isatty()
    is_text = style == "text" or (style == "auto" and is_terminal)
    log = StreamLog(
        level,
        _text_renderer(has_colors=is_terminal) if is_text else _json,
        Lines(stream),
        is_journal=is_journal(stream, environ),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward(log)], force=True)
    return log


def _json(line: dict[str, Any]) -> bytes:
    """Return a line as JSON. What orjson won't write, such as half a character, json does."""
    try:
        return orjson.dumps(line, default=_stand_in)
    except TypeError:
        return json.dumps(line, default=_stand_in, skipkeys=True).encode()


def _stand_in(value: object) -> str:
    """Return what stands for what is no JSON: its own words may tell anything."""
    return f"<{type(value).__name__}>"


def _text_renderer(*, has_colors: bool) -> _Render:
    # Here, because it brings rich along, and a daemon that writes JSON does without.
    import structlog  # noqa: PLC0415 - see above

    console = structlog.dev.ConsoleRenderer(colors=has_colors)

    def render(line: dict[str, Any]) -> bytes:
        harmless = {
            key: _harmless(value) if isinstance(value, str) else value
            for key, value in line.items()
        }
        return str(console(None, line["level"], harmless)).encode(errors="backslashreplace")

    return render


def _harmless(text: str) -> str:
    """Return a text that steers no terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def error_names(error: object) -> dict[str, str]:
    """Say which error it was and where, but not its text, which may quote what somebody sent."""
    if not isinstance(error, BaseException):
        return {}
    said = {"error_type": type(error).__name__}
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None:
        said["error_at"] = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    return said


class _Forward(logging.Handler):
    """Libraries' warnings, by logger, place and kind: their texts may quote headers and bodies."""

    def __init__(self, log: StreamLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        # What has no arguments may have them in its text already.
        is_template = isinstance(record.msg, str) and bool(record.args)
        say = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        say(
            "library warning",
            logger=record.name,
            template=record.msg if is_template else "",
            at=f"{record.pathname}:{record.lineno}",
            exc_info=record.exc_info[1] if record.exc_info else None,
        )


def complain(*texts: str) -> None:
    """Say why there is no daemon, before there is a log: a line each on standard error."""
    lines = Lines(stderr())
    prefix = _PRIORITIES["error"] if is_journal(stderr(), os.environ) else b""
    for text in texts:
        lines.write(prefix + text.encode(errors="backslashreplace") + b"\n")
    lines.close(CLOSING_S)


def stderr() -> TextIO | None:
    """Return where logs go: the journal under systemd, the terminal elsewhere; None: it is shut."""
    return sys.stderr
