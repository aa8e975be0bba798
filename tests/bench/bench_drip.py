"""How long an honest caller waits beside connections that drip a byte a second.

Half of them drip a head, half a body; who is cut comes back a second later. Once there is room for
all of them, and once there is not, so that each call has to push somebody out. Exit 1 if an honest
call took longer than it may where there is room.
"""

import argparse
import asyncio
import http.client
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import orjson
from bench_site import EVENTS_PATH, UNPACED, Bench, Daemon, percentile

DRIPS: Final = 500
CALLS: Final = 150
EVERY_S: Final = 0.02
WAIT_MS_MAX: Final = 100.0
_HEAD: Final = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
_BODY: Final = b"Content-Length: 1000\r\n\r\n"
_NUMBERS: Final = itertools.count()


@dataclass(frozen=True, slots=True)
class Waits:
    """How long calls took, in milliseconds."""

    name: str
    p50: float
    p99: float
    most: float

    def __str__(self) -> str:
        """Say so in a line."""
        return f"{self.name:40} p50 {self.p50:6.1f}  p99 {self.p99:6.1f}  most {self.most:6.1f} ms"


async def drip(host: str, port: int, count: int) -> None:
    """Hold so many connections, and send a byte a second on each."""

    async def one(number: int) -> None:
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.write(_HEAD + _BODY if number % 2 else b"P")
                try:
                    for byte in itertools.cycle(b"OST /v1/events HTTP/1.1"):
                        await writer.drain()
                        await asyncio.sleep(1)
                        writer.write(bytes([byte]))
                finally:
                    writer.close()
            await asyncio.sleep(1)

    await asyncio.gather(*(one(number) for number in range(count)))


@contextmanager
def dripping(host: str, port: int, daemon: Daemon) -> Iterator[None]:
    """Have a process of its own drip, and wait until it does."""
    process = subprocess.Popen([sys.executable, __file__, "--drip", host, str(port)])  # noqa: S603
    try:
        deadline_s = time.monotonic() + 30
        while daemon.connected() < DRIPS * 0.7:
            if time.monotonic() > deadline_s:
                raise TimeoutError("the drips don't come")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()


def call(name: str, host: str, port: int) -> Waits:
    """Post an event every so often, by turns on a kept connection and on a new one."""
    kept = http.client.HTTPConnection(host, port, timeout=30)
    took: list[float] = []
    for number in range(CALLS):
        connection = kept if number % 2 else http.client.HTTPConnection(host, port, timeout=30)
        begun_s = time.perf_counter()
        try:
            _post(connection)
        except (OSError, http.client.HTTPException):
            # A kept connection may have made room: as the page says, it is made anew.
            connection.close()
            _post(connection)
        took.append((time.perf_counter() - begun_s) * 1000)
        if connection is not kept:
            connection.close()
        time.sleep(EVERY_S)
    kept.close()
    return Waits(name, statistics.median(took), percentile(took, 0.99), max(took))


def _post(connection: http.client.HTTPConnection) -> None:
    event = {
        "eventId": f"d-{next(_NUMBERS)}",
        "eventType": "outbound.answered",
        "occurredAt": datetime.now(UTC).isoformat(),
        "referenceId": "d",
    }
    headers = {"Content-Type": "application/json"}
    connection.request("POST", EVENTS_PATH, orjson.dumps(event), headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 202:
        raise RuntimeError(f"answered with {answer.status}")


def measure() -> list[Waits]:
    """Measure alone, beside drips, and beside more drips than there are places."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), Path(), is_short=True, say=lambda _: None)
        for limit in (1000, 400):
            settings = {**UNPACED, "HTTP__CONNECTIONS_MAX": str(limit)}
            with bench.site(f"drip-{limit}", settings) as site:
                site.daemon.wait_ready()
                parts = urlsplit(site.daemon.url)
                host, port = parts.hostname or "", parts.port or 0
                call("", host, port)
                found.append(call(f"alone, {limit} places", host, port))
                with dripping(host, port, site.daemon):
                    name = f"beside {DRIPS} drips, {limit} places"
                    found.append(call(name, host, port))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or drip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drip", nargs=2, metavar=("HOST", "PORT"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.drip:
        asyncio.run(drip(given.drip[0], int(given.drip[1]), DRIPS))
    found = measure()
    sys.stdout.write("".join(f"{one}\n" for one in found))
    # The second of four: beside the drips, with room for all.
    return int(found[1].most > WAIT_MS_MAX)


if __name__ == "__main__":
    sys.exit(main())
