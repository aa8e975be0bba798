"""Events and requests as a phone system would send them."""

import http.client
import itertools
import json
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
AGENT: Final[dict[str, Any]] = {"deviceId": 1000, "extensionId": 1000}
QUEUE: Final[dict[str, Any]] = {
    "destNumber": "+60374571234",
    "queueName": "EHS",
    "queueNumber": "123",
}
REQUEST_S_MAX: Final = 30.0
_NUMBERS: Final = itertools.count(1_000_000)


def new_reference() -> str:
    """Return a reference that no other call has."""
    return f"av-{uuid.uuid4().hex[:12]}"


def new_number() -> str:
    """Return a valid number that no other caller has, with the plus."""
    return f"+4670{next(_NUMBERS)}"


def at(seconds: float = 0.0) -> str:
    """Return the time so many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def event(event_type: str, reference: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return an event with no more than its type asks for, and these fields."""
    made: dict[str, Any] = {
        "eventId": uuid.uuid4().hex,
        "eventType": event_type,
        "occurredAt": at(),
    }
    if event_type.startswith("agent."):
        made |= AGENT
    else:
        made["referenceId"] = reference or new_reference()
    if event_type.startswith(("call.", "callback.", "voicemail.")):
        made |= QUEUE
    return made | fields


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=REQUEST_S_MAX)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(REQUEST_S_MAX)
        self.sock.connect(self._path)


class Client:
    """Speaks HTTP to one address, `http://host:port` or `unix:/path`; a connection a request."""

    def __init__(self, url: str) -> None:
        self.url = url

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that is kept alive until it is closed."""
        if self.url.startswith("unix:"):
            connection: http.client.HTTPConnection = _UnixConnection(self.url[len("unix:") :])
        else:
            parts = urlsplit(self.url)
            connection = http.client.HTTPConnection(
                parts.hostname or "", parts.port, timeout=REQUEST_S_MAX
            )
        connection.connect()
        return connection

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str | bytes] | None = None,
    ) -> Reply:
        connection = self.connect()
        try:
            return send(connection, method, path, body, headers)
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.request("GET", path)

    def post(self, body: object, content_type: str = JSON, **headers: str | bytes) -> Reply:
        """Post to /v1/events; what is no bytes is sent as JSON. `_` in headers stands for `-`."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", "/v1/events", raw, {"Content-Type": content_type, **named})

    def raw(self, data: bytes, *, hangs_up: bool = False) -> bytes:
        """Send bytes (and hang up), and return all that comes back until the other end does."""
        parts = urlsplit(self.url)
        with socket.create_connection(
            (parts.hostname or "", parts.port or 0), timeout=REQUEST_S_MAX
        ) as connection:
            connection.sendall(data)
            if hangs_up:
                connection.shutdown(socket.SHUT_WR)
            chunks = []
            try:
                while chunk := connection.recv(65536):
                    chunks.append(chunk)
            except ConnectionResetError:
                pass
        return b"".join(chunks)


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str | bytes] | None = None,
) -> Reply:
    """Send a request over a connection and read the answer."""
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    content = response.read()
    named = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, named, content)
