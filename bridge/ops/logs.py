"""Structured logs: JSON for machines, colours for a person at a terminal.

What is logged never holds personal data: numbers go through `mask_number` before, and names,
reasons and tokens are not given to the log at all.
"""

import json
import logging
import sys
from typing import Any, Final, Literal, TextIO

import orjson
import structlog

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(level: str, style: Literal["auto", "json", "text"], stream: TextIO) -> Any:
    """Return the log that everything writes to, and send the libraries' own warnings there too."""
    is_text = style == "text" or (style == "auto" and stream.isatty())
    renderer: Any
    if is_text:
        renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=_brief)
    else:
        renderer = structlog.processors.JSONRenderer(serializer=_json)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _error_names,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    log = structlog.get_logger("bridge")
    handler = _Forward(log)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    return log


def _json(line: Any, **options: Any) -> str:
    """Return a line as JSON. What orjson won't write, such as half a character, json does."""
    try:
        return orjson.dumps(line, default=options["default"]).decode()
    except TypeError:
        return json.dumps(line, default=options["default"], skipkeys=True)


def _brief(stream: TextIO, exc_info: Any) -> None:
    stream.write(f"{exc_info[0].__name__}\n")


def _error_names(_log: Any, _name: str, event: Any) -> Any:
    """Say which error it was and where, but not its text, which may quote what somebody sent."""
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        event["error_type"] = type(error).__name__
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None:
            event["error_at"] = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    return event


class _Forward(logging.Handler):
    """Libraries' warnings, by logger and kind only: their texts may quote headers and bodies."""

    def __init__(self, log: Any) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        say = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        say(
            "library warning",
            logger=record.name,
            template=record.msg if isinstance(record.msg, str) else "",
            exc_info=error,
        )


def stderr() -> TextIO:
    """Return where logs go: the journal under systemd, the terminal elsewhere."""
    return sys.stderr
