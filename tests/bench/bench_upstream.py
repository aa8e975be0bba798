"""A stand-in for Cention that does as little as it can, as a process of its own.

It accepts everything, and keeps when what came. `/_stats` tells how much, `/_seen` all of it;
`/_reset` forgets it.

    python bench_upstream.py --delay-ms 5
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop
from bench_http import Message, Reader
from bench_process import LOOPBACK, BenchError, Child, fetch, python

NEW: Final = "c3_new_errands"
END: Final = "c3_end_errands"
CARD: Final = "c3_contact_cards"
WORKSPACE_PATH: Final = "/s/demo/capi/json"
_REFERENCE: Final = b'"referenceId":"'
_INTEGRATION: Final = b'"integrationData":{'
_VOICE: Final = b'"voice":["'


class Book:
    """What has come: of which kind, about whom, and when."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, float]] = []
        self.last_s = 0.0

    def note(self, kind: str, body: bytes) -> None:
        self.seen.append((kind, about(body), time.monotonic()))

    def stats(self) -> dict[str, Any]:
        counts = Counter(kind for kind, _, _ in self.seen)
        return {"counts": counts, "total": len(self.seen), "last_s": self.last_s}


def about(body: bytes) -> str:
    """Return the call that a document is about, or the number on a card."""
    at = body.find(_INTEGRATION)
    if at >= 0:
        at = body.find(_REFERENCE, at) + len(_REFERENCE)
    else:
        at = body.find(_VOICE) + len(_VOICE)
        if at < len(_VOICE):
            return ""
    return body[at : body.find(b'"', at)].decode()


class _Door(asyncio.Protocol):
    def __init__(self, book: Book, ids: "itertools.count[int]", delay_s: float) -> None:
        self._book, self._ids, self._delay_s = book, ids, delay_s
        self._reader = Reader()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for message in self._reader.feed(data):
            path = message.start.split(b" ", 2)[1]
            if path.startswith(b"/_"):
                self._transport.write(_answer(b"200 OK", self._control(path)))
            else:
                self._take(path, message)

    def _control(self, path: bytes) -> bytes:
        if path == b"/_seen":
            return orjson.dumps(self._book.seen)
        if path == b"/_reset":
            self._book.seen.clear()
        return orjson.dumps(self._book.stats())

    def _take(self, path: bytes, message: Message) -> None:
        kind = path.rpartition(b"/")[2].decode()
        self._book.note(kind, message.body)
        document = b'{"data":{"id":"%d","type":"%b"}}' % (next(self._ids), kind.encode())
        answer = _answer(b"201 Created", document)
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        self._transport.write(answer)
        self._book.last_s = time.monotonic()


def _answer(status: bytes, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/vnd.api+json\r\nContent-Length: %d\r\n\r\n%b"
        % (status, len(body), body)
    )


async def serve(delay_s: float) -> None:
    """Listen on a free port, and say which, until ended."""
    book, ids = Book(), itertools.count(511_055)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Door(book, ids, delay_s), LOOPBACK, 0, backlog=1024
    )
    port = server.sockets[0].getsockname()[1]
    ready = {"event": "ready", "url": f"http://{LOOPBACK}:{port}"}
    sys.stdout.write(f"{json.dumps(ready)}\n")
    sys.stdout.flush()
    await server.serve_forever()


@dataclass(frozen=True, slots=True)
class Stats:
    """How much has come; `last_s` is when the last answer went out, on the monotonic clock."""

    counts: Mapping[str, int]
    total: int
    last_s: float


class Upstream(Child):
    """The stand-in, as whoever measures sees it."""

    def __init__(self, folder: Path, delay_ms: float = 0.0) -> None:
        """Start it, and wait until it listens."""
        command = python(Path(__file__), "--delay-ms", str(delay_ms))
        super().__init__(command, folder / "upstream.log")
        self.url: str = self.line("ready")["url"]

    def stats(self) -> Stats:
        return Stats(**orjson.loads(fetch(f"{self.url}/_stats")[1]))

    def seen(self) -> list[tuple[str, str, float]]:
        """Return kind, whom it is about, and when it came, in order."""
        return [
            (kind, key, at_s) for kind, key, at_s in orjson.loads(fetch(f"{self.url}/_seen")[1])
        ]

    def reset(self) -> None:
        fetch(f"{self.url}/_reset")

    def wait_total(self, total: int) -> Stats:
        """Return the figures once so many requests have come, and been answered."""

        def look() -> Stats | None:
            stats = self.stats()
            return stats if stats.total >= total else None

        return self.wait(look, f"{total} requests at the upstream")

    def wait_counts(self, wanted: Mapping[str, int]) -> Stats:
        """Return the figures once these have come.

        Raises:
            BenchError: others came, or more.
        """
        stats = self.wait_total(sum(wanted.values()))
        if dict(stats.counts) != {kind: count for kind, count in wanted.items() if count}:
            raise BenchError(f"the upstream saw {stats.counts}, and should have seen {wanted}")
        return stats


def main() -> None:
    parser = argparse.ArgumentParser(description="Accept all that comes, as Cention would.")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="before each answer")
    options = parser.parse_args()
    uvloop.run(serve(options.delay_ms / 1000))


if __name__ == "__main__":
    main()
