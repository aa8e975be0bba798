import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession

from bridge.sandbox.cention import create_app
from bridge.sandbox.daemon import Daemon, DaemonError, DaemonSettings
from bridge.sandbox.serve import (
    BackgroundServer,
    free_port,
    lasting_port,
    listen,
    listen_near,
    serving,
    stop_on_signals,
)


def settings(folder: Path) -> DaemonSettings:
    return DaemonSettings(
        base_url="http://127.0.0.1:8085",
        workspace="demo",
        token="jwt",
        folder=folder,
        events_port=8080,
        admin_port=9108,
    )


async def started(folder: Path, code: str) -> Daemon:
    """Return a stand-in for the daemon when it has written its first line to standard error."""
    output = folder / "daemon.log"
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdout=file, stderr=subprocess.PIPE
        )
    assert process.stderr is not None
    await process.stderr.readline()
    return Daemon(process, settings(folder), output)


async def test_an_application_is_served_on_a_socket() -> None:
    async with (
        serving(create_app(), listen(0)) as url,
        ClientSession() as session,
        session.get(f"{url}/_sandbox/errands") as response,
    ):
        assert await response.json() == []


async def test_an_application_is_served_in_the_background() -> None:
    with BackgroundServer(create_app(), listen(0)) as server:
        async with ClientSession() as session, session.get(f"{server.url}/_sandbox/summary") as got:
            assert got.status == 200


def test_what_keeps_it_from_starting_in_the_background_is_raised() -> None:
    app = create_app()

    async def fail(_: object) -> None:
        raise LookupError

    app.on_startup.append(fail)
    listener = listen(0)
    with listener, pytest.raises(LookupError), BackgroundServer(app, listener):
        pass


def test_a_taken_port_is_not_taken_twice() -> None:
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            listen(port)
        with listen_near(port) as other:
            assert other.getsockname()[1] != port
        assert free_port(port) != port
        assert lasting_port(port) != port
    assert free_port(port) == port


def test_a_port_that_is_to_last_is_none_of_those_for_outgoing_connections() -> None:
    assert all(lasting_port(0) < 32_768 for _ in range(10))
    assert lasting_port(port := lasting_port(0)) == port


async def test_signals_ask_to_stop() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with stop_on_signals() as stop:
            os.kill(os.getpid(), number)
            await stop.wait()


def test_the_daemon_is_configured_by_these_settings_alone() -> None:
    inherited = {
        "PATH": "/bin",
        "BRIDGE_HTTP__AUTH_TOKENS": "[]",
        "NOTIFY_SOCKET": "/run/x",
        "CREDENTIALS_DIRECTORY": "/run/y",
    }
    assert settings(Path("/tmp/demo")).environment(inherited) == {  # noqa: S108 - only a name
        "PATH": "/bin",
        "BRIDGE_CENTION__BASE_URL": "http://127.0.0.1:8085",
        "BRIDGE_CENTION__WORKSPACE": "demo",
        "BRIDGE_CENTION__TOKEN": "jwt",
        "BRIDGE_STORE__URL": "sqlite:////tmp/demo/bridge.db",
        "BRIDGE_HTTP__LISTEN": "127.0.0.1:8080",
        "BRIDGE_ADMIN__LISTEN": "127.0.0.1:9108",
    }


async def test_a_daemon_that_dies_shows_its_last_lines(tmp_path: Path) -> None:
    code = "import sys; [print('line', n) for n in range(30)]; sys.exit(3)"
    daemon = await started(tmp_path, code)
    async with ClientSession() as session:
        with pytest.raises(DaemonError, match="exit code 3") as caught:
            await daemon.wait_ready(session)
        assert caught.value.lines == [f"line {number}" for number in range(10, 30)]
        assert await daemon.metrics(session) is None
    assert await daemon.stop() == 3


async def test_a_daemon_is_stopped_by_sigterm(tmp_path: Path) -> None:
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "print('ready', file=sys.stderr, flush=True)\n"
        "while True: signal.pause()\n"
    )
    daemon = await started(tmp_path, code)
    assert not daemon.has_ended
    assert await daemon.stop() == 0
    assert daemon.has_ended
