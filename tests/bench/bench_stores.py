"""Stores with a past: a backlog of errands that wait, and a journal of events.

Rows are written straight into the tables, with the bridge's own form of what they hold: posting a
million events would take longer than everything that is measured.
"""

import random
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from bridge.domain.deliveries import Integration, NewErrand
from bridge.domain.events import Agent
from bridge.storage.codecs import encode

HOUR_US: Final = 3_600_000_000
_BACKLOG_FROM_H: Final = 6
_BACKLOG_TO_H: Final = 3
_JOURNAL_H: Final = 29 * 24
# Within `retention.payload_hours` an event still has its content.
_PAYLOAD_H: Final = 71
_LANE: Final = "aventa-" + "0" * 32
_REFERENCE: Final = "av-000000000000"


def fill_backlog(path: Path, count: int) -> None:
    """Put errands into a store's outbox that were accepted hours ago and are ready to leave."""
    payload = encode(
        NewErrand(
            message_id=_LANE,
            name="Anna Berg",
            sender="+46701234567",
            subject="Call: Anna Berg → EHS",
            body="Call\nCaller: Anna Berg\nNumber: +46701234567\nQueue: EHS (123)\n"
            f"Called: 60374571234\nTime: 2026-01-01 12:00:00 UTC\n\nref: {_LANE}",
            integration=Integration(
                reference_id=_REFERENCE,
                agent=Agent(1000, 1001),
                dest_number="60374571234",
                queue_name="EHS",
                queue_number="123",
            ),
        )
    )
    _fill(path, "outbox", _backlog_rows(count, payload))


def _backlog_rows(count: int, payload: bytes) -> Iterator[dict[str, Any]]:
    chance = random.Random(1)  # noqa: S311 - the same store each time
    for at_us in _times(count, _BACKLOG_FROM_H, _BACKLOG_TO_H):
        mark = chance.randbytes(16).hex()
        lane, reference = f"aventa-{mark}", f"av-{mark[:12]}"
        content = payload.replace(_LANE.encode(), lane.encode())
        yield {
            "key": f"{lane}:new",
            "lane": lane,
            "position": 0,
            "kind": "new_errand",
            "route": "default",
            "state": "ready",
            "tier": 0,
            "due_us": at_us,
            "accepted_us": at_us,
            "attempts": 0,
            "source": "aventa",
            "reference_id": reference,
            "event_id": f"{reference}-answered",
            "person_id": "",
            "remote_id": "",
            "error": "",
            "payload": content.replace(_REFERENCE.encode(), reference.encode()),
        }


def fill_journal(path: Path, count: int) -> None:
    """Put events of the last month into a store's journal; the newer ones have their content."""
    _fill(path, "events", _journal_rows(count))


def _journal_rows(count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(1)  # noqa: S311 - the same store each time
    payload_from_us = _now_us() - _PAYLOAD_H * HOUR_US
    for at_us in _times(count, _JOURNAL_H, 0):
        mark = chance.randbytes(16).hex()
        yield {
            "source": "aventa",
            "event_id": mark,
            "event_type": "call.answered",
            "reference_id": f"av-{mark[:12]}",
            "route": "default",
            "occurred_us": at_us,
            "received_us": at_us,
            "digest": chance.randbytes(32),
            "payload": b"{%b}" % (b" " * 400) if at_us >= payload_from_us else None,
        }


def _now_us() -> int:
    return time.time_ns() // 1000


def _times(count: int, from_h: int, to_h: int) -> Iterator[int]:
    """Yield so many times, evenly between some hours ago and others."""
    now_us = _now_us()
    for index in range(count):
        yield now_us - from_h * HOUR_US + (from_h - to_h) * HOUR_US * index // count


def _fill(path: Path, table: str, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as fast as can be: unsynced, and with the indexes made afterwards."""
    waiting = iter(rows)
    first = next(waiting)
    names = ", ".join(first)
    places = ", ".join(f":{name}" for name in first)
    insert = f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608 - our own names
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
            " AND tbl_name = ?",
            (table,),
        ).fetchall()
        connection.execute("BEGIN")
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute(insert, first)
        connection.executemany(insert, waiting)
        for _, statement in indexes:
            connection.execute(statement)
        connection.execute("COMMIT")
