"""A stand-in for Cention that keeps every request as it came, and answers as a test says."""

import asyncio
import itertools
import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web

from bridge.sandbox.serve import LOOPBACK, BackgroundServer

NEW: Final = "c3_new_errands"
END: Final = "c3_end_errands"
CARD: Final = "c3_contact_cards"
DEADLINE_S: Final = 30.0
T = TypeVar("T")


def eventually(
    condition: Callable[[], T], deadline_s: float = DEADLINE_S, *, every_s: float = 0.02
) -> T:
    """Return the first answer of a condition that is true; fail where there is none in time."""
    never = threading.Event()
    end_s = time.monotonic() + deadline_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() >= end_s:
            raise AssertionError(f"not within {deadline_s} s; the last answer was {found!r}")
        never.wait(every_s)


class Gate:
    """Holds answers back until it is opened."""

    def __init__(self) -> None:
        self._opened: Future[None] = Future()

    def open(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    async def passed(self) -> None:
        await asyncio.shield(asyncio.wrap_future(self._opened))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the upstream answers, once the gate is open; or it hangs up after reading.

    `raw`, if any, goes out as it stands before it hangs up. Where there is a `rest`, the body goes
    out at once, and the rest of it when the gate is open.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    gate: Gate | None = None
    hangs_up: bool = False
    raw: bytes = b""
    rest: bytes = b""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came, `at_s` on the monotonic clock."""

    at_s: float
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def kind(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def attributes(self) -> Any:
        return orjson.loads(self.body)["data"]["attributes"]

    @property
    def reference(self) -> str:
        """The call that it is about, where it says so."""
        try:
            attributes = self.attributes
        except (ValueError, KeyError):
            return ""  # one that reads, or isn't Cention's
        data = attributes.get("integrationData") or attributes.get("extradata") or {}
        return str(data.get("referenceId", ""))

    @property
    def voice(self) -> list[str]:
        """The numbers on a contact card."""
        return list(self.attributes.get("contacts", {}).get("voice", ()))

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Upstream:
    """Listens on a loopback port of its own; as long as it isn't open, connections are refused."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind((LOOPBACK, 0))
        self.url = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"
        self._ids = itertools.count(511_055)
        self._changed = threading.Condition()
        self._seen: list[Seen] = []
        self._next: dict[tuple[str, str], deque[Answer]] = defaultdict(deque)
        self._always: dict[str, Answer] = {}
        self._gates: list[Gate] = []
        self._begun: set[str] = set()
        self._stack = ExitStack()

    def open(self) -> None:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._stack.enter_context(BackgroundServer(app, self._listener))

    def close(self) -> None:
        self.let_go()
        self._stack.close()
        self._listener.close()

    def answer_next(self, kind: str, *answers: Answer, reference: str = "") -> None:
        """Answer the next requests of this kind (and call) so, one after the other."""
        with self._changed:
            self._next[kind, reference].extend(answers)

    def answer_always(self, kind: str, answer: Answer | None) -> None:
        """Answer requests of this kind so from now on; None: as Cention would."""
        with self._changed:
            if answer is None:
                self._always.pop(kind, None)
            else:
                self._always[kind] = answer

    def let_go(self) -> None:
        """Open every gate that a request waits at."""
        for gate in self._gates:
            gate.open()

    @property
    def seen(self) -> list[Seen]:
        with self._changed:
            return list(self._seen)

    def of_kind(self, kind: str) -> list[Seen]:
        return [one for one in self.seen if one.kind == kind]

    def of_call(self, reference: str) -> list[Seen]:
        """Return the errand and end requests of a call, in order."""
        return [one for one in self.seen if one.kind != CARD and one.reference == reference]

    def of_number(self, number: str) -> list[Seen]:
        """Return the contact cards with this number."""
        return [one for one in self.of_kind(CARD) if number in one.voice]

    def has_begun(self, reference: str) -> bool:
        """Say whether an answer of which there is a rest has begun for a call."""
        return reference in self._begun

    def wait_for(self, condition: Callable[["Upstream"], T], deadline_s: float = DEADLINE_S) -> T:
        """Return a condition's first true answer; it is asked again after each request."""
        end_s = time.monotonic() + deadline_s
        with self._changed:
            while not (found := condition(self)):
                if not self._changed.wait(end_s - time.monotonic()):
                    kinds = [one.kind for one in self._seen]
                    raise AssertionError(f"not within {deadline_s} s; seen: {kinds}")
        return found

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(
            at_s=time.monotonic(),
            method=request.method,
            path=request.path_qs,
            headers=tuple((key.decode(), value.decode()) for key, value in request.raw_headers),
            body=await request.read(),
        )
        with self._changed:
            answer = self._answer(seen)
            self._seen.append(seen)
            self._changed.notify_all()
        if answer is None:
            return self._done(seen.kind)
        if answer.rest:
            return await self._answer_in_two(request, seen, answer)
        if answer.gate is not None:
            await answer.gate.passed()
        if request.transport is not None and answer.raw:
            request.transport.write(answer.raw)
            request.transport.close()
        elif request.transport is not None and answer.hangs_up:
            request.transport.abort()
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def _answer_in_two(
        self, request: web.Request, seen: Seen, answer: Answer
    ) -> web.StreamResponse:
        length = len(answer.body) + len(answer.rest)
        headers = {**answer.headers, "Content-Length": str(length)}
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        await response.write(answer.body)
        with self._changed:
            self._begun.add(seen.reference)
            self._changed.notify_all()
        if answer.gate is not None:
            await answer.gate.passed()
        await response.write(answer.rest)
        return response

    def _answer(self, seen: Seen) -> Answer | None:
        waiting = self._next[seen.kind, seen.reference] or self._next[seen.kind, ""]
        answer = waiting.popleft() if waiting else self._always.get(seen.kind)
        if answer is not None and answer.gate is not None:
            self._gates.append(answer.gate)
        return answer

    def _done(self, kind: str) -> web.Response:
        document = {"data": {"type": kind, "id": str(next(self._ids))}}
        return web.Response(
            status=200 if kind == END else 201,
            body=orjson.dumps(document),
            content_type="application/vnd.api+json",
        )
