"""The process that is cut off: the bridge's own store and intake, taking many events.

Everything is the product's: engine, schema, shared commit with its checkpoints, intake with the
real fold. Only checkpoints come more often, so that a short recording has many. After each
acknowledgement a line `ack <event id>` is written with one system call, so that a trace shows where
it stands among the writes of the store. The load is the same for the same seed; which events share
a commit depends on the machine.
"""

import argparse
import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from sqlalchemy import Connection, Engine, event, select

from bridge.domain.calls import CallPolicy
from bridge.domain.errands import Guide
from bridge.domain.routes import Route, RouteTable
from bridge.domain.rules import RuleBook
from bridge.ops.clock import SystemClock
from bridge.ops.metrics import BridgeMetrics
from bridge.ports import Gate, Writer
from bridge.services.folding import IngestPolicy
from bridge.services.ingest import Ingest, Receipt
from bridge.storage import checkpoints, tables
from bridge.storage.checkpoints import settle
from bridge.storage.engine import open_engine, open_reader
from bridge.storage.schema import digest_key, prepare
from bridge.storage.writer import SharedCommit

STORE_NAME: Final = "bridge.db"
# A recording may be looked at years later, when its events would be too old for the intake.
START_US: Final = 1_790_000_000_000_000
_OCCURRED: Final = "2026-09-21T14:13:20Z"
_GROUP_MAX: Final = 5
# What one reference goes through, in the phone system's order.
_STORIES: Final = (
    ("call.queued", "call.answered", "call.ended"),
    ("call.queued", "call.answered", "call.transferred", "call.ended"),
    ("call.queued", "call.ended"),
    ("callback.requested", "outbound.ended"),
    ("voicemail.left",),
    ("call.queued", "call.abandoned"),
)
_ROUTE: Final = Route(name="default", base_url="https://cention.example", workspace="demo")
_POLICY: Final = IngestPolicy(
    calls=CallPolicy(), guide=Guide(rules=RuleBook(), routes=RouteTable((), _ROUTE))
)


class SetClock(SystemClock):
    """A clock whose wall stands still."""

    def now_us(self) -> int:
        """Return the same moment each time, in microseconds since 1970."""
        return START_US


def new_ingest(engine: Engine, writer: Writer) -> Ingest:
    """Return the product's intake on a store that is ready."""
    return Ingest(
        writer=writer,
        clock=SetClock(),
        meter=BridgeMetrics(),
        policy=_POLICY,
        digest_key=digest_key(engine),
        on_work=_nobody_waits,
    )


def _nobody_waits(_gates: Iterable[Gate]) -> None:
    """Have no dispatcher that would want to know."""


def url_of(folder: Path) -> str:
    """Return the address of the store in a folder."""
    return f"sqlite:///{folder / STORE_NAME}"


def documents(count: int, chance: Random) -> list[dict[str, Any]]:
    """Return so many events of many calls, mixed, and not all in order."""
    made: list[tuple[float, dict[str, Any]]] = []
    number = 0
    while len(made) < count:
        for step, kind in enumerate(_STORIES[number % len(_STORIES)]):
            made.append((len(made) + chance.uniform(0, 12), _document(number, step, kind)))
        number += 1
    made.sort(key=lambda one: one[0])
    return [document for _, document in made[:count]]


def _document(number: int, step: int, kind: str) -> dict[str, Any]:
    reference = f"r{number}"
    told = {
        "eventId": f"{reference}-{step}-{kind}",
        "eventType": kind,
        "occurredAt": _OCCURRED,
        "referenceId": reference,
        "callerNumber": f"+6012{3_000_000 + number}",
        "callerName": f"Caller {number}",
        "destNumber": "60374571234",
        "queueName": "EHS",
        "queueNumber": "123",
        "deviceId": 1000,
        "extensionId": 1000,
    }
    if kind == "outbound.ended":
        told |= {"referenceId": f"out-{reference}", "relatedReferenceId": reference}
    return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the process is to do. `checkpoint_rows`: after so many changed rows comes one."""

    folder: Path
    acks: Path
    events: int
    seed: int
    checkpoint_rows: int
    is_normal: bool

    def arguments(self) -> list[str]:
        """Return the command line that says so."""
        given = (
            *("--folder", self.folder, "--acks", self.acks, "--events", self.events),
            *("--seed", self.seed, "--checkpoint-rows", self.checkpoint_rows),
        )
        return [*map(str, given), *(["--normal"] if self.is_normal else [])]


def _open(load: Load) -> Engine:
    """Open the store as the daemon does.

    It refuses anything but `synchronous=FULL` when a connection is made, so the weaker setting
    comes after its check.
    """
    engine = open_engine(url_of(load.folder))
    if load.is_normal:
        event.listen(engine, "connect", _lower)
    prepare(engine)
    settle(engine)
    return engine


def _lower(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


def _groups(told: Sequence[dict[str, Any]], chance: Random) -> Iterator[Sequence[dict[str, Any]]]:
    start = 0
    while start < len(told):
        size = chance.choice((1, 1, 1, 1, chance.randint(2, _GROUP_MAX)))
        yield told[start : start + size]
        start += size


async def _deliver(
    ingest: Ingest, told: Sequence[dict[str, Any]], acknowledge: Callable[[str], None]
) -> None:
    arrivals = [ingest.admit(one, source="aventa") for one in told]
    for one, receipt in zip(told, await ingest.take(arrivals), strict=True):
        if not isinstance(receipt, Receipt):
            raise receipt
        acknowledge(one["eventId"])


async def _take_all(ingest: Ingest, load: Load, acks: int) -> None:
    """Post the load, sometimes one event alone and sometimes many at once."""
    chance = Random(load.seed)  # noqa: S311 - a made-up load
    groups = list(_groups(documents(load.events, chance), chance))
    reader = open_reader(url_of(load.folder))
    looking: Connection | None = None

    def acknowledge(event_id: str) -> None:
        os.write(acks, f"ack {event_id}\n".encode())

    while groups:
        width = chance.choice((1, 1, 1, 2, 5))
        now, groups = groups[:width], groups[width:]
        if looking is None and chance.random() < 0.15:
            looking = _look(reader)
        elif looking is not None and chance.random() < 0.3:
            looking.close()
            looking = None
        await asyncio.gather(*(_deliver(ingest, group, acknowledge) for group in now))
    if looking is not None:
        looking.close()
    reader.dispose()


def _look(reader: Engine) -> Connection:
    """Look into the store for a while, as metrics and commands do: checkpoints wait for that."""
    connection = reader.connect()
    connection.exec_driver_sql("BEGIN")
    connection.execute(select(tables.events.c.id).limit(1)).all()
    return connection


async def run(load: Load) -> None:
    """Make the store, take all events, and close it."""
    # Over the module's constant, which says how many there are in daily work.
    vars(checkpoints)["DUE_ROWS"] = load.checkpoint_rows
    engine = _open(load)
    writer = SharedCommit(engine)
    writer.start()
    acks = os.open(load.acks, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        await _take_all(new_ingest(engine, writer), load, acks)
    finally:
        await writer.close()
        engine.dispose()
        os.close(acks)


def _read_arguments() -> Load:
    parser = argparse.ArgumentParser(description="Take many events, to be traced.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--acks", type=Path, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--checkpoint-rows", type=int, required=True)
    parser.add_argument("--normal", action="store_true", dest="is_normal")
    return Load(**vars(parser.parse_args()))


if __name__ == "__main__":
    asyncio.run(run(_read_arguments()))
