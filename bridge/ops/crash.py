"""What is printed when something breaks that nobody foresaw: kinds of errors, and places.

Python's own reports print an error's text, and with some of them the objects at hand; either may be
a caller's number or a token. So all its hooks are taken over here. What `faulthandler` prints when
the process is shot (a fault, or the watchdog's SIGABRT) are places alone, and so fit as they are.
"""

import asyncio
import faulthandler
import logging
import sys
import threading
from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import Any, Final

from bridge.ports import Log

PLACES_MAX: Final = 20
_CAUSES_MAX: Final = 10


def install(log: Log | None = None) -> None:
    """Take over what Python prints of errors nobody handles; without a log, as plain lines."""
    say = _to_stderr if log is None else partial(tell, log)

    def uncaught(
        _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
    ) -> None:
        say("crashed", error)

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            say("a thread crashed", args.exc_value)

    def unraisable(args: "sys.UnraisableHookArgs") -> None:
        if args.exc_value is not None:
            say("an error was ignored", args.exc_value)

    sys.excepthook = uncaught
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable
    if log is not None:
        # As a library's, whose texts the log doesn't repeat.
        logging.captureWarnings(capture=True)


def dump_when_shot() -> None:
    """Have the places of all threads printed when the process is ended by a fault or SIGABRT."""
    # Where standard error is shut, there is nobody to tell.
    if sys.stderr is not None:
        try:
            faulthandler.enable()
        except (OSError, RuntimeError, ValueError):
            return


def watch_loop(loop: asyncio.AbstractEventLoop, log: Log) -> None:
    """Have a loop say what nobody handled; its own words show arguments and results of tasks."""

    def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException):
            tell(log, "the loop met an error", error)
        else:
            log.error("the loop met something odd", about=sorted(context))

    loop.set_exception_handler(handle)


def tell(log: Log, what: str, error: BaseException) -> None:
    """Log an error that ends something, with all that may be told of it."""
    log.error(what, errors=chain(error), places=places(error))


def chain(error: BaseException) -> list[str]:
    """Return the kinds of an error, of what led to it, and of what a group of them holds."""
    return list(_chain(error))[:_CAUSES_MAX]


def _chain(error: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield type(one).__name__
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        waiting.append(one.__cause__ or (None if one.__suppress_context__ else one.__context__))


def places(error: BaseException) -> list[str]:
    """Return where an error came through, the innermost first, without a word of source or data."""
    found: list[str] = []
    trace = _innermost(error).__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return found[::-1][:PLACES_MAX]


def _innermost(error: BaseException) -> BaseException:
    """Return of a group the first that isn't one: a group was raised where nothing happened."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _to_stderr(what: str, error: BaseException) -> None:
    if sys.stderr is None:
        return
    lines = [f"aventa-bridge: {what}: {' from '.join(chain(error))}"]
    lines += [f"  at {place}" for place in places(error)]
    try:
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        # Nobody is there to read it.
        return
