"""Who answers are sent on to, and who listens where nobody should connect."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any, Self

import orjson
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from bridge.sandbox.serve import BackgroundServer, listen

SECRET = "whsec_Y2hhbmdlIG1lIGNoYW5nZSBtZSBjaGFuZ2UgbWU="


class Receiver:
    """Takes answers, and checks each signature as the scheme's own library does.

    `statuses` are answered one after the other, then 200.
    """

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.documents: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.url = ""

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        Webhook(SECRET).verify(body, dict(request.headers))
        self.ids.append(request.headers["webhook-id"])
        self.documents.append(orjson.loads(body))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[Self]:
        """Give one that is listening."""
        made = cls()
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/answers", made._take)
        with BackgroundServer(app, listen(0)) as server:
            made.url = f"{server.url}/answers"
            yield made


class Trap:
    """Listens, and counts who connects: nobody should."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                connection.close()

    def close(self) -> None:
        # Closing alone doesn't wake whoever waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
