import email.utils
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bridge.app import checkup, probing
from bridge.app.checkup import Check
from bridge.app.judging import judge_clock
from bridge.app.measured import Finding, Verdict
from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.serve import BackgroundServer, listen
from bridge.sandbox.tokens import CREATE_ERRAND, make_token

TLS = Path(__file__).parents[1] / "data" / "tls"


@contextmanager
def tls_server() -> Iterator[int]:
    """Serve a certificate that nobody has signed but itself; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")
    listener = listen(0)
    listener.setblocking(True)  # noqa: FBT003 - the standard library's only way

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_certificate_that_nobody_has_signed_is_refused() -> None:
    with tls_server() as port:
        facts = probing.endpoint(f"https://localhost:{port}/s/demo")
    assert facts.addresses >= 1
    assert facts.connect_error == ""
    assert "self-signed certificate" in facts.tls_error


def test_a_certificate_of_another_name_is_refused() -> None:
    trusting = ssl.create_default_context(cafile=TLS / "localhost.crt")
    with tls_server() as port:
        facts = probing.endpoint(f"https://127.0.0.1:{port}", trusting)
    assert "not valid for" in facts.tls_error


def test_a_good_certificate_tells_until_when() -> None:
    trusting = ssl.create_default_context(cafile=TLS / "localhost.crt")
    with tls_server() as port:
        facts = probing.endpoint(f"https://localhost:{port}", trusting)
    assert (facts.tls_error, facts.is_tls) == ("", True)
    assert facts.expires_at is not None


def test_what_speaks_no_tls_is_said_to() -> None:
    with BackgroundServer(web.Application(), listen(0)) as server:
        port = server.url.rpartition(":")[2]
        facts = probing.endpoint(f"https://127.0.0.1:{port}")
    assert facts.tls_error.startswith("no TLS")


def test_a_port_that_nobody_listens_on_refuses() -> None:
    with listen(0) as listener:
        port = listener.getsockname()[1]
    facts = probing.endpoint(f"http://127.0.0.1:{port}")
    assert facts.connect_error == "Connection refused"


def test_a_name_that_there_is_not_is_told_apart() -> None:
    facts = probing.endpoint("https://no-such-host.invalid")
    assert facts.dns_error
    assert facts.addresses == 0
    assert probing.endpoint(f"https://{'x' * 70}.invalid").dns_error


class TestAsking:
    @pytest.fixture
    def url(self) -> Iterator[str]:
        with BackgroundServer(create_app(SandboxOptions()), listen(0)) as server:
            yield f"{server.url}/s/demo"

    def test_a_token_that_may_read_lists_may(self, url: str) -> None:
        facts = probing.ask("Cention", url, make_token(b"sandbox"), needs_lists=True)
        assert (facts.status, facts.error) == (200, "")
        assert judge_clock([facts]).verdict is Verdict.OK

    def test_a_token_without_the_claim_is_told(self, url: str) -> None:
        token = make_token(b"sandbox", claims=[CREATE_ERRAND])
        assert probing.ask("Cention", url, token, needs_lists=True).status == 403

    @pytest.mark.parametrize(
        "token", ["nonsense", make_token(b"other"), make_token(b"sandbox", expires_at=1)]
    )
    def test_a_token_that_is_not_valid_is_told(self, url: str, token: str) -> None:
        assert probing.ask("Cention", url, token, needs_lists=True).status == 401

    def test_a_dead_upstream_is_told(self) -> None:
        with listen(0) as listener:
            port = listener.getsockname()[1]
        facts = probing.ask("Cention", f"http://127.0.0.1:{port}", "t", needs_lists=False)
        assert (facts.status, facts.error, facts.date) == (0, "Connection refused", None)

    def test_a_token_that_can_not_be_sent_is_told_without_it(self) -> None:
        facts = probing.ask("Cention", "http://127.0.0.1:1", "se\ncret", needs_lists=False)
        assert facts.status == 0
        assert facts.error
        assert "cret" not in facts.error


@pytest.mark.parametrize("off_s", [-3600, 3600])
def test_a_clock_that_is_off_is_known_by_the_date(off_s: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        del request
        date = email.utils.formatdate(time.time() + off_s, usegmt=True)
        return web.Response(headers={"Date": date})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    with BackgroundServer(app, listen(0)) as server:
        facts = probing.ask("Cention", server.url, "t", needs_lists=False)
    assert judge_clock([facts]).verdict is Verdict.FAIL


def test_what_an_answer_says_that_it_is_is_told() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="<p>Sign in", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    with BackgroundServer(app, listen(0)) as server:
        facts = probing.ask("Cention", server.url, "t", needs_lists=False)
    assert (facts.status, facts.media_type) == (200, "text/html")


def test_a_date_that_is_none_tells_nothing() -> None:
    assert probing.unix_time("yesterday") is None
    assert probing.unix_time(None) is None


class TestRunning:
    def test_who_may_not_look_is_told_who_may(self) -> None:
        def breaks() -> list[Finding]:
            raise PermissionError(13, "Permission denied")

        [found] = checkup.run_all([Check("store", breaks)], 5.0)
        assert found.advice == "run this as root, or as the daemon's user"

    def test_one_that_breaks_and_one_that_hangs_keep_no_other_from_its_answer(self) -> None:
        never = threading.Event()

        def breaks() -> list[Finding]:
            raise ValueError("secret")

        def hangs() -> list[Finding]:
            never.wait()
            return []

        checks = [
            Check("one", breaks),
            Check("two", hangs),
            Check("three", lambda: [Finding("three", Verdict.OK, "fine")]),
        ]
        found = checkup.run_all(checks, 0.3)
        never.set()
        assert [(one.check, one.verdict) for one in found] == [
            ("one", "warn"),
            ("two", "warn"),
            ("three", "ok"),
        ]
        assert found[0].advice == "look by hand"
        assert "ValueError" in found[0].detail
        assert "secret" not in found[0].detail
        assert "not done within" in found[1].detail
