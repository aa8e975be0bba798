"""More than can be kept: some is refused, what was accepted is kept, and memory stays bounded."""

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import orjson
import pytest
from process_client import JSON, PROBLEM, REQUEST_S_MAX, event
from process_daemon import Daemon, NewSite
from process_upstream import eventually

pytestmark = pytest.mark.process

_CONNECTIONS: Final = 600
_EVENTS: Final = 3000
# Three of four have a long text; together they are several times what may be in hand.
_LONG_CHARS: Final = 200_000
_LOCKED_S: Final = 4.0
# What is in hand is 64 MiB at most; as objects it takes several times as much.
_GROWTH_MIB_MAX: Final = 10 * 64


@dataclass
class Answers:
    """What came back: the ids of the events that were accepted, and how often which status."""

    accepted: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


async def post_all(url: str) -> Answers:
    """Post many events over many connections at once, each as soon as the one before is answered.

    Whoever is refused does not come back.
    """
    answers, numbers = Answers(), iter(range(_EVENTS))
    limits = aiohttp.TCPConnector(limit=_CONNECTIONS)
    patience = aiohttp.ClientTimeout(total=REQUEST_S_MAX)
    async with aiohttp.ClientSession(connector=limits, timeout=patience) as session:

        async def post_some() -> None:
            for number in numbers:
                one = event("call.queued", note="x" * (_LONG_CHARS if number % 4 else 10))
                async with session.post(
                    f"{url}/v1/events", data=orjson.dumps(one), headers={"Content-Type": JSON}
                ) as reply:
                    answers.statuses[reply.status] += 1
                    if reply.status == 202:
                        answers.accepted.append(one["eventId"])
                    elif reply.status == 503:
                        assert reply.content_type == PROBLEM
                        assert int(reply.headers["Retry-After"]) > 0

        await asyncio.gather(*(post_some() for _ in range(_CONNECTIONS)))
    return answers


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Keep everybody else from writing for some seconds."""
    with closing(sqlite3.connect(store, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(_LOCKED_S, other.execute, ["ROLLBACK"])
        release.start()
        yield
        release.join()


@contextmanager
def watched(daemon: Daemon) -> Iterator[list[bool]]:
    """Give whether the daemon said that it is alive, each time that it was asked."""
    answered: list[bool] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            answered.append(is_alive(daemon))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield answered
    finally:
        is_over.set()
        watcher.join()


def is_alive(daemon: Daemon) -> bool:
    try:
        return daemon.admin.get("/livez").status == 200
    except OSError:
        return False


def peak_mib(daemon: Daemon) -> float:
    """Return the most memory that the daemon ever had resident."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def kept(store: Path) -> set[str]:
    with closing(sqlite3.connect(store)) as connection:
        return {identity for (identity,) in connection.execute("SELECT event_id FROM events")}


def test_while_the_store_is_locked_memory_is_bounded_and_what_was_accepted_is_kept(
    new_site: NewSite,
) -> None:
    site = new_site()
    store = Path(site.daemon.settings["BRIDGE_STORE__URL"].removeprefix("sqlite:///"))
    site.accept(event("call.queued"))
    before_mib = peak_mib(site.daemon)
    with watched(site.daemon) as was_alive, locked(store):
        answers = asyncio.run(post_all(site.daemon.events.url))
    assert set(answers.statuses) == {202, 503}
    assert answers.statuses.total() == _EVENTS
    assert peak_mib(site.daemon) - before_mib < _GROWTH_MIB_MAX
    assert was_alive
    assert all(was_alive)
    assert set(answers.accepted) <= kept(store)
    eventually(lambda: site.post(event("call.queued")).status == 202)
    assert site.daemon.admin.get("/readyz").status == 200
