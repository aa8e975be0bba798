"""Callers that post events without a pause, and Cention's stand-in that gets what comes of them."""

import http.client
import json
import shutil
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import urlopen

from package_root import PackageError, Root

_CALLERS: Final = 4
_PATIENCE_S: Final = 60.0


def wait_until(
    condition: Callable[[], bool], what: str, is_vain: Callable[[], bool] = lambda: False
) -> None:
    """Wait for something to become true, unless that has become vain.

    Raises:
        PackageError: it did not.
    """
    never, end_s = threading.Event(), time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > end_s or is_vain():
            raise PackageError(f"not within {_PATIENCE_S:.0f} s: {what}")
        never.wait(0.1)


def get(url: str) -> bytes:
    """Return what is at an address."""
    with urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310 - a stand-in's address
        body: bytes = answer.read()
    return body


class Load:
    """Posts an answered call after the other; half of the callers keep their connections."""

    def __init__(self, url: str) -> None:
        self.accepted: list[tuple[str, str]] = []
        self.statuses: Counter[int] = Counter()
        self.failures: list[str] = []
        self._address = urlsplit(url).netloc
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._post_on, args=(number % 2 == 0,), daemon=True)
            for number in range(_CALLERS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def post(self) -> None:
        """Post one event over a connection of its own."""
        connection = self._connect()
        self._post(connection)
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address, timeout=_PATIENCE_S)

    def _post_on(self, is_kept: bool) -> None:  # noqa: FBT001 - a thread's argument
        connection = self._connect()
        while not self._over.is_set():
            try:
                is_last = self._post(connection)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                is_last = True
            if is_last or not is_kept:
                connection.close()
        connection.close()

    def _post(self, connection: http.client.HTTPConnection) -> bool:
        one = {
            "eventId": uuid.uuid4().hex,
            "eventType": "call.answered",
            "occurredAt": datetime.now(UTC).isoformat(),
            "referenceId": f"av-{uuid.uuid4().hex[:12]}",
            "callerNumber": "+46701234567",
            "destNumber": "+60374571234",
            "queueName": "Sales",
            "queueNumber": "100",
            "deviceId": 1000,
            "extensionId": 1000,
        }
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/events", json.dumps(one), headers)
        answer = connection.getresponse()
        answer.read()
        self.statuses[answer.status] += 1
        if answer.status == 202:
            self.accepted.append((one["eventId"], one["referenceId"]))  # type: ignore[arg-type]
        return answer.getheader("connection") == "close"


class Sandbox:
    """The package's own stand-in for Cention, run in its root."""

    def __init__(self, root: Root) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [
                shutil.which("chroot") or "chroot", root.folder,
                "/usr/bin/aventa-bridge", "sandbox", "--port", "0",
                "--requests-per-minute", "1000000", "--json",
            ],
            env={"PATH": "/usr/sbin:/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        started: dict[str, str] = json.loads(self._process.stdout.readline())
        self.url, self.token = started["base_url"], started["token"]
        self.workspace = started["workspace"]

    def steps(self) -> dict[str, list[str]]:
        """Return what was done for each reference."""
        summary: dict[str, Any] = json.loads(get(f"{self.url}/_sandbox/summary"))
        steps: dict[str, list[str]] = summary["references"]
        return steps

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(_PATIENCE_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
