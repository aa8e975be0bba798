"""A centre to which Cention answers: the daemon, the sandbox, and who answers are sent on to."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from process_client import AGENT, Client, event, new_number, new_reference
from process_daemon import Daemon, bare_environment, minimal_settings, put_store
from process_receiver import SECRET, Receiver
from process_upstream import DEADLINE_S, eventually
from sqlalchemy import Connection

from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.serve import BackgroundServer, listen
from bridge.sandbox.tokens import make_token
from bridge.storage.engine import open_reader

CALLBACK_SECRET = "123456"
CALLBACKS = "/v1/cention/callbacks"
JSON_API = "application/vnd.api+json"
T = TypeVar("T")


class Circle:
    """A daemon, the sandbox that it talks to, and whom its answers go on to."""

    def __init__(self, daemon: Daemon, url: str, receiver: Receiver) -> None:
        self.daemon = daemon
        self.receiver = receiver
        self.sandbox = Client(url)

    def page(self, name: str, said: object = None, *, method: str = "") -> Any:
        """Ask one of the sandbox's own pages, or tell it something."""
        body = None if said is None else json.dumps(said).encode()
        how = method or ("GET" if body is None else "POST")
        reply = self.sandbox.request(how, f"/_sandbox/{name}", body, {})
        assert reply.status < 300, reply
        return json.loads(reply.body) if reply.body else None

    def start(self) -> None:
        """Start the daemon, and have Cention call it back."""
        self.daemon.start()
        url = f"{self.daemon.events.url}{CALLBACKS}"
        self.page("callback", {"url": url, "secret": CALLBACK_SECRET}, method="PUT")

    def errand_of(self, reference: str) -> dict[str, Any] | None:
        for one in self.page("errands"):
            data = one["attributes"].get("integrationData") or {}
            if data.get("referenceId") == reference:
                found: dict[str, Any] = one
                return found
        return None

    def call(self, **given: Any) -> tuple[str, str]:
        """Have a call answered; return its reference and its errand's id."""
        reference = new_reference()
        sent = event("call.answered", reference, callerNumber=new_number(), **AGENT, **given)
        assert self.daemon.events.post(sent).status == 202
        errand = eventually(lambda: self.errand_of(reference))
        return reference, str((errand or {})["id"])

    def answer(self, errand_id: str, **wanted: Any) -> Any:
        return self.page(f"errands/{errand_id}/answer", wanted)

    def post_callback(self, document: object, content_type: str = JSON_API) -> Any:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.daemon.events.request("POST", CALLBACKS, body, {"Content-Type": content_type})

    def shell(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside the daemon."""
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "bridge", *arguments],
            env=bare_environment(self.daemon.settings),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def read(self, *arguments: str) -> Any:
        """Return what a command says with --json."""
        result = self.shell(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def looked_up(self, look: Callable[[Connection], T]) -> T:
        """Return what is found in the daemon's store."""
        engine = open_reader(self.daemon.settings["BRIDGE_STORE__URL"])
        try:
            with engine.connect() as connection:
                return look(connection)
        finally:
            engine.dispose()

    @property
    def attachments(self) -> list[Path]:
        """The files that are kept beside the store."""
        store = Path(self.daemon.settings["BRIDGE_STORE__URL"].removeprefix("sqlite:///"))
        return sorted(path for path in store.with_name(f"{store.name}.attachments").glob("*/*"))


@contextlib.contextmanager
def open_circle(folder: Path, *, is_started: bool = True, **settings: str) -> Iterator[Circle]:
    """Give a centre that takes callbacks, sends answers on, and polls reports every second."""
    put_store(folder)
    options = SandboxOptions(requests_per_minute=1_000_000, sla_delay_seconds=0.0)
    with (
        Receiver.running() as receiver,
        BackgroundServer(create_app(options), listen(0)) as sandbox,
    ):
        given = minimal_settings(sandbox.url, folder) | {
            "BRIDGE_CENTION__TOKEN": make_token(b"sandbox"),
            "BRIDGE_CENTION__REQUESTS_PER_MINUTE": "1000000",
            "BRIDGE_CALLBACKS__SECRET": CALLBACK_SECRET,
            "BRIDGE_CALLBACKS__FORWARD_URL": receiver.url,
            "BRIDGE_CALLBACKS__FORWARD_SECRET": SECRET,
            "BRIDGE_REPORTS__ENABLED": "true",
            "BRIDGE_REPORTS__POLL_SECONDS": "1",
            "BRIDGE_DELIVERY__SETTLE_SECONDS": "3",
            **{f"BRIDGE_{name}": value for name, value in settings.items()},
        }
        daemon = Daemon({name: value for name, value in given.items() if value != os.devnull})
        circle = Circle(daemon, sandbox.url, receiver)
        try:
            if is_started:
                circle.start()
            yield circle
        finally:
            daemon.close()
