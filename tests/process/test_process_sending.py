"""docs/sending-events.md does what it says, with the daemon and with one that is away."""

import base64
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from process_client import event
from process_daemon import Site, running_site

pytestmark = pytest.mark.process

PAGE: Final = (Path(__file__).parents[2] / "docs" / "sending-events.md").read_text()
CURL, SHELL = re.findall(r"```sh\n(.+?)```", PAGE, re.DOTALL)
KIT, EXAMPLE = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
SECRET: Final = "whsec_" + base64.b64encode(b"a secret that is long enough").decode()
OTHER: Final = "whsec_" + base64.b64encode(b"a secret of somebody else's.").decode()
TOKEN: Final = "a-long-random-one"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(
        tmp_path_factory.mktemp("signed"),
        HTTP__SIGNING_SECRETS=json.dumps([SECRET]),
        HTTP__AUTH_TOKENS=json.dumps([TOKEN]),
        RETENTION__JOURNAL_DAYS="3650",
    ) as site:
        yield site


def sh(script: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the page's own lines
        ["/bin/sh", "-euc", script],
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@contextmanager
def kit(url: str, secret: str) -> Iterator[tuple[Any, list[float]]]:
    """Give the page's client, and how long it meant to sleep."""
    names: dict[str, Any] = {}
    exec(KIT, names)  # noqa: S102 - the page's own lines
    slept: list[float] = []
    client = names["Bridge"](url, secret, slept.append)
    try:
        yield client, slept
    finally:
        client.close()


class _Away(BaseHTTPRequestHandler):
    """Answers 503 at first, and remembers what came."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        seen: list[tuple[str | None, bytes]] = self.server.seen  # type: ignore[attr-defined]
        seen.append(
            (self.headers["webhook-id"], self.rfile.read(int(self.headers["Content-Length"])))
        )
        status = self.server.statuses[min(len(seen), len(self.server.statuses)) - 1]  # type: ignore[attr-defined]
        answer = b'{"status":"accepted"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        if status == 503:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - its name there
        pass


@contextmanager
def away(*statuses: int) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Give a server with these answers, and what it is sent."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Away)
    seen: list[tuple[str, bytes]] = []
    server.statuses, server.seen = statuses, seen  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def test_the_line_for_curl_posts_an_event(signed: Site) -> None:
    done = sh(CURL, BRIDGE_URL=signed.daemon.events.url, BRIDGE_TOKEN=TOKEN)
    assert json.loads(done.stdout) == {"status": "accepted", "eventId": "e-1"}


def test_the_shell_function_signs_and_sends_a_folder_in_order(signed: Site, tmp_path: Path) -> None:
    first, last = event("call.queued"), event("call.queued")
    (tmp_path / "1.json").write_text(json.dumps(first))
    (tmp_path / "2.json").write_text('{"eventType": "call.lost"}')
    (tmp_path / "3.json").write_text(json.dumps([last]))
    script = f"{SHELL}\nsend_spool {tmp_path}"
    done = sh(script, BRIDGE_URL=signed.daemon.events.url, BRIDGE_SECRET=SECRET)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.glob("*.json")] == []
    assert [path.name for path in (tmp_path / "refused").iterdir()] == ["2.json"]
    for one in (first, last):
        reply = signed.daemon.events.post(one, authorization=f"Bearer {TOKEN}")
        assert reply.json["status"] == "duplicate"


def test_the_shell_function_gives_up_on_401(signed: Site, tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(json.dumps(event("call.queued")))
    script = f"{SHELL}\nsend_event {tmp_path}/1.json"
    done = sh(script, BRIDGE_URL=signed.daemon.events.url, BRIDGE_SECRET=OTHER)
    assert done.returncode == 1
    assert "refused: 401" in done.stderr


def test_the_shell_function_sends_again_what_got_503(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text("{}")
    with away(503, 503, 202) as (url, seen):
        done = sh(f"{SHELL}\nsend_event {tmp_path}/1.json", BRIDGE_URL=url, BRIDGE_SECRET=SECRET)
    assert done.returncode == 0
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_the_client_in_python_signs_and_sends(signed: Site) -> None:
    one = event("call.queued")
    with kit(signed.daemon.events.url, SECRET) as (client, slept):
        assert client.send(one) == {"status": "accepted", "eventId": one["eventId"]}
        assert client.send(one)["status"] == "duplicate"
        assert client.send([event("call.queued")])["results"][0]["status"] == "accepted"
    assert slept == []


def test_the_example_for_python_sends(signed: Site) -> None:
    names: dict[str, Any] = {"BRIDGE_URL": signed.daemon.events.url, "BRIDGE_SECRET": SECRET}
    exec(KIT + EXAMPLE, names)  # noqa: S102 - the page's own lines
    names["bridge"].close()


@pytest.mark.parametrize(
    ("secret", "body", "status"), [(OTHER, event("call.queued"), 401), (SECRET, {}, 422)]
)
def test_the_client_in_python_gives_up_on_what_is_refused(
    signed: Site, secret: str, body: object, status: int
) -> None:
    with kit(signed.daemon.events.url, secret) as (client, slept):
        with pytest.raises(Exception, match=f"^{status}: "):
            client.send(body)
        assert slept == []


def test_the_client_in_python_sends_again_with_a_pause_that_grows() -> None:
    with away(503, 500, 408, 429, 202) as (url, seen), kit(url, SECRET) as (client, slept):
        assert client.send({"eventId": "e"}) == {"status": "accepted"}
    assert len(seen) == 5
    assert len(set(seen)) == 1
    assert slept[0] == 0.0
    assert 1 <= slept[1] <= 2 <= slept[2] <= 4 <= slept[3] <= 8


def test_the_client_in_python_comes_back_to_who_was_not_there() -> None:
    with away(202) as (url, _):
        pass
    with kit(url, SECRET) as (client, slept):

        def come_back(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 3:
                raise InterruptedError

        client._sleep = come_back  # noqa: SLF001 - the page's own
        with pytest.raises(InterruptedError):
            client.send({"eventId": "e"})
