"""A sandbox on loopback with clocks that a test turns, and the words to talk to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import ClientResponse, TCPConnector, web
from aiohttp.test_utils import RawTestServer, TestClient, TestServer
from yarl import URL

from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.tokens import ALL_CLAIMS, make_token

SAMPLES = Path(__file__).parent / "samples"
MEDIA_TYPE = "application/vnd.api+json"
KEY = b"sandbox"
# 2015-07-16 12:47 UTC, as in the vendor's report.
NOW = 1437050820.0
SLA_DELAY_SECONDS = 60.0


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


def errand_document(reference: str = "call-1", body: str = "Hello", **attributes: Any) -> Any:
    msg = {"message_id": "m-1", "name": "Ann", "from": "+46701234567", "subject": "Call"}
    integration = {
        "integrationName": "aventa",
        "referenceId": reference,
        "deviceId": 1000,
        "extensionId": 1001,
        "destNumber": "60374571234",
        "queueName": "EHS",
        "queueNumber": "123",
    }
    given = {"msg": {**msg, "body": body}, "integrationData": integration, **attributes}
    kept = {name: value for name, value in given.items() if value is not None}
    return {"data": {"type": "c3_new_errands", "attributes": kept}}


def end_document(reference: str = "call-1") -> Any:
    data = {
        "integrationName": "aventa",
        "referenceId": reference,
        "deviceId": 2000,
        "extensionId": 2001,
    }
    return {"data": {"type": "c3_end_errands", "attributes": {"integrationData": data}}}


class Sleeper:
    """Sleeps until a test wakes it."""

    def __init__(self) -> None:
        self._asleep: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._asleep.put_nowait((seconds, woken))
        await woken.wait()

    async def asleep(self) -> tuple[float, asyncio.Event]:
        """Return what is to be slept next, in seconds, and what ends it."""
        async with asyncio.timeout(10):
            return await self._asleep.get()


class Site:
    """A running sandbox with the workspaces `demo` and `other`."""

    def __init__(
        self,
        *,
        requests_per_minute: int = 1000,
        seed: int = 7,
        callback_url: str = "",
        callback_secret: str = "",
    ) -> None:
        self.monotonic = 100.0
        self.wall = NOW
        self.sleeper = Sleeper()
        options = SandboxOptions(
            requests_per_minute=requests_per_minute,
            workspaces=("demo", "other"),
            clock=lambda: self.monotonic,
            wall_clock=lambda: self.wall,
            sleep=self.sleeper.sleep,
            random=Random(seed),  # noqa: S311 - chance in a test
            sla_delay_seconds=SLA_DELAY_SECONDS,
            callback_url=callback_url,
            callback_secret=callback_secret,
        )
        # Each request on a connection of its own, since a client repeats a lost GET by itself
        # where the connection was not new.
        connector = TCPConnector(force_close=True)
        self.client: TestClient[web.Request, web.Application] = TestClient(
            TestServer(create_app(options)), connector=connector
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Site"]:
        async with self.client:
            yield self

    @property
    def address(self) -> tuple[str, int]:
        server = self.client.server
        assert isinstance(server, TestServer)
        assert server.port is not None
        return str(server.host), server.port

    async def ask(
        self,
        method: str,
        resource: str,
        *,
        document: Any = None,
        claims: tuple[str, ...] = ALL_CLAIMS,
        workspace: str = "demo",
        headers: dict[str, str] | None = None,
    ) -> ClientResponse:
        token = make_token(KEY, claims=claims, area="Bookings")
        sent = {"Authorization": f"Bearer {token}", "Accept": MEDIA_TYPE, **(headers or {})}
        if document is not None:
            sent.setdefault("Content-Type", MEDIA_TYPE)
        path = f"/s/{workspace}/capi/json/{resource}"
        data = None if document is None else json.dumps(document).encode()
        return await self.client.request(
            method, URL(path, encoded=True), data=data, headers=sent, allow_redirects=False
        )

    async def get(self, resource: str, **options: Any) -> ClientResponse:
        return await self.ask("GET", resource, **options)

    async def post(self, document: Any, **options: Any) -> ClientResponse:
        return await self.ask("POST", document["data"]["type"], document=document, **options)

    async def read(self, resource: str, **options: Any) -> Any:
        response = await self.get(resource, **options)
        assert response.status == 200
        assert response.headers["Content-Type"] == MEDIA_TYPE
        return await response.json(content_type=MEDIA_TYPE)

    async def make_errand(self, *arguments: Any, **options: Any) -> int:
        """Have an errand made, and return its id."""
        response = await self.post(errand_document(*arguments, **options))
        assert response.status == 201
        return int((await response.json(content_type=MEDIA_TYPE))["data"]["id"])

    async def dirty(self, workspace: str = "demo") -> list[int]:
        document = await self.read("c3_dirty_errand_list", workspace=workspace)
        return list(document["data"]["attributes"]["errands"])

    async def faults(self, *rules: dict[str, Any]) -> Any:
        """Put rules in force."""
        return await self.tell("faults", list(rules))

    async def tell(
        self, page: str, document: Any, *, status: int = 200, method: str = "POST"
    ) -> Any:
        """Tell the sandbox something on one of its own pages."""
        data = json.dumps(document).encode()
        response = await self.client.request(method, f"/_sandbox/{page}", data=data)
        text = await response.text()
        assert response.status == status, text
        return json.loads(text)

    async def answer(self, errand: int | str, **wanted: Any) -> Any:
        """Have an errand answered; return what the page says."""
        return await self.tell(f"errands/{errand}/answer", wanted, status=201)

    async def read_back(self, page: str) -> Any:
        response = await self.client.get(f"/_sandbox/{page}")
        assert response.status == 200
        return await response.json()


class Receiver:
    """A callback address that answers with a status, and keeps what it was sent.

    Attributes:
        status: what it answers with; 307 sends to `/elsewhere`.
        held: cleared, it does not answer until it is set.
        arrived: is set once something has arrived.
    """

    def __init__(self) -> None:
        self.status = 204
        self.held = asyncio.Event()
        self.held.set()
        self.arrived = asyncio.Event()
        self.requests: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.server = RawTestServer(self._take)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Receiver"]:
        async with self.server:
            try:
                yield self
            finally:
                self.held.set()

    @property
    def url(self) -> str:
        return str(self.server.make_url("/callbacks"))

    @property
    def documents(self) -> list[Any]:
        return [json.loads(body) for body in self.bodies]

    async def _take(self, request: web.BaseRequest) -> web.Response:
        self.requests.append(request)
        self.bodies.append(await request.read())
        self.arrived.set()
        await self.held.wait()
        headers = {"Location": "/elsewhere"} if self.status == 307 else None
        return web.Response(status=self.status, headers=headers)


def shape(value: Any) -> Any:
    """Return a document with types in the place of values, and one item for each array."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


async def errors_of(response: ClientResponse) -> list[dict[str, Any]]:
    assert response.headers["Content-Type"] == MEDIA_TYPE
    errors = (await response.json(content_type=MEDIA_TYPE))["errors"]
    assert all(error["status"] == str(response.status) for error in errors)
    assert all(error["title"] and error["detail"] for error in errors)
    return list(errors)
