"""Tracing, as those whose work is traced ask for it; unless a site wants it, nothing is.

What is passed on from one piece of work to the next, within the bridge, through its store and to
others, is a `traceparent` (W3C Trace Context). Source: https://www.w3.org/TR/trace-context/
"""

from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Final, Protocol, Self, final

from bridge.ports.records import Parcel

# What hangs on a measurement, so that whoever looks at it finds the trace of one such.
Exemplar = dict[str, str]


class Headers(Protocol):
    """A request's headers, of which one may be there several times."""

    def getall(self, key: str, default: list[str], /) -> list[str]:
        """Return all of one name, whatever its case."""
        ...


class Span(Protocol):
    """A piece of work that is traced, from when it was made until its `with` block ends.

    What ends in an exception has failed. Nothing said of it is personal data or secret.
    """

    @property
    def traceparent(self) -> str | None:
        """What work that it causes is begun with, and what goes out; None: nothing is traced."""
        ...

    @property
    def marks(self) -> Mapping[str, str]:
        """What a log line about it also says: `trace_id`, or nothing."""
        ...

    @property
    def exemplar(self) -> Exemplar | None:
        """What a measurement of it is marked with; None: it is not kept anywhere."""
        ...

    def say(self, name: str, value: str | int) -> None:
        """Note something of it; an empty text says nothing."""
        ...

    def answered(self, status: int) -> None:
        """Note the HTTP status that it was answered with, and whether that is a failure."""
        ...

    def fail(self, why: str) -> None:
        """Note that it failed: `why` is one of a few fixed words."""
        ...

    def __enter__(self) -> Self:
        """Begin the work."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """End it."""
        ...


class Tracer(Protocol):
    """Who makes spans. A parent that is None, or can't be read, makes the span a trace's first."""

    def request(self, headers: Headers) -> Span:
        """Begin a request to the door, as a part of what its caller traces."""
        ...

    def event(self, parent: str | None) -> Span:
        """Begin an event of a request: from its admission until it is kept or refused."""
        ...

    def attempt(self, parcel: Parcel) -> Span:
        """Begin an attempt at a delivery, as a part of what caused it."""
        ...

    def looked_up(self, parcel: Parcel) -> Span:
        """Begin the end of a doubt about a delivery, as a part of what caused it."""
        ...

    def sending(self, method: str, url: str, parent: str | None) -> Span:
        """Begin a request to an upstream; without a parent it is of nobody's trace."""
        ...


@final
class _NoSpan:
    """Work that isn't traced."""

    __slots__ = ()
    traceparent: Final = None
    marks: Final[Mapping[str, str]] = MappingProxyType({})
    exemplar: Final = None

    def say(self, _name: str, _value: str | int) -> None:
        """Note nothing."""

    def answered(self, _status: int) -> None:
        """Note nothing."""

    def fail(self, _why: str) -> None:
        """Note nothing."""

    def __enter__(self) -> Self:
        """Begin nothing."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End nothing."""


NO_SPAN: Final[Span] = _NoSpan()


@final
class _NoTracer:
    """Nothing is traced. The one span is the same for all: an event costs a few calls, no object.

    Its methods ask for as little as those of `Tracer` let them.
    """

    __slots__ = ()

    def request(self, _headers: Headers) -> Span:
        """Begin nothing."""
        return NO_SPAN

    def event(self, _parent: str | None) -> Span:
        """Begin nothing."""
        return NO_SPAN

    def attempt(self, _parcel: Parcel) -> Span:
        """Begin nothing."""
        return NO_SPAN

    looked_up = attempt

    def sending(self, _method: str, _url: str, _parent: str | None) -> Span:
        """Begin nothing."""
        return NO_SPAN


NO_TRACER: Final[Tracer] = _NoTracer()
