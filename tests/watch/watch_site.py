"""What is watched: a daemon, the Cention that it talks to, and whoever its answers go on to."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Self

import aiohttp
import orjson
from aiohttp import web
from watch_prometheus import NotHereError, WatchError

from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.daemon import Daemon, DaemonSettings
from bridge.sandbox.pages import SandboxPages
from bridge.sandbox.serve import BackgroundServer, lasting_port, listen, serving
from bridge.sandbox.tokens import make_token

WORKSPACE: Final = "demo"
ROUTES: Final = ("default", "sales", "watemplate:missed")
DAY_S: Final = 86_400
# Less than the fortnight before which somebody is told.
SALES_TOKEN_DAYS: Final = 5
DISK_MB: Final = 24
DISK_FULL: Final = 0.95
_CALLBACK_SECRET: Final = "watched"
_FORWARD_SECRET: Final = "whsec_d2F0Y2hlZC13YXRjaGVkLXdhdGNoZWQ="
_ON_SMALL_DISK: Final = 'mount -t tmpfs -o size="$1"m tmpfs "$2" && shift 2 && exec "$@"'


def token(days: float) -> str:
    """Return a token of the sandbox's that expires after so many days."""
    return make_token(b"sandbox", area="Demo", expires_at=time.time() + days * DAY_S)


def settings(forward_url: str) -> dict[str, str]:
    """Return the daemon's settings: something of everything that it can do."""
    routes = [{"name": "sales", "queue_names": ["EHS"], "token": token(SALES_TOKEN_DAYS)}]
    missed = {
        "name": "missed",
        "on": ["call.abandoned"],
        "do": ["upsert_contact", "send_watemplate"],
        "token": token(60),
        "user_id": "17",
        "watemplate": {"elementname": "missed", "namespace": "ns", "params": [{"name": "you"}]},
    }
    return {
        "CENTION__REQUESTS_PER_MINUTE": "60000",
        "CALLS__SETTLE_SECONDS": "1",
        "DELIVERY__SETTLE_SECONDS": "2",
        "REPORTS__ENABLED": "true",
        "REPORTS__POLL_SECONDS": "1",
        "CALLBACKS__SECRET": _CALLBACK_SECRET,
        "CALLBACKS__FORWARD_URL": forward_url,
        "CALLBACKS__FORWARD_SECRET": _FORWARD_SECRET,
        "ROUTES": orjson.dumps(routes).decode(),
        "RULES": orjson.dumps([missed]).decode(),
    }


@dataclass
class Site:
    """A daemon with its surroundings. `admin_url` is what Prometheus scrapes."""

    session: aiohttp.ClientSession
    pages: SandboxPages
    daemon_settings: DaemonSettings
    daemon: Daemon | None = field(default=None)

    @property
    def events_url(self) -> str:
        """Where events are posted."""
        return f"http://127.0.0.1:{self.daemon_settings.events_port}/v1/events"

    @property
    def admin_url(self) -> str:
        """Where the metrics are."""
        return f"http://127.0.0.1:{self.daemon_settings.admin_port}"

    async def start(self) -> None:
        """Start the daemon, and have Cention call it back."""
        self.daemon = await Daemon.start(self.daemon_settings, os.environ)
        await self.daemon.wait_ready(self.session)
        callbacks = self.events_url.replace("/v1/events", "/v1/cention/callbacks")
        await self.pages.set_callback(callbacks, _CALLBACK_SECRET)

    async def kill(self) -> None:
        """End the daemon as a crash does."""
        if self.daemon is not None:
            await self.daemon.kill()

    async def command(self, *arguments: str) -> None:
        """Run a command beside the daemon.

        Raises:
            WatchError: it fails.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", *arguments),
            env=self.daemon_settings.environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        if process.returncode:
            raise WatchError(f"{' '.join(arguments)}: {said.decode(errors='replace')}")

    async def post(self, document: Mapping[str, Any]) -> int:
        """Post an event; return the status."""
        async with self.session.post(
            self.events_url,
            data=orjson.dumps(document),
            headers={"Content-Type": "application/json"},
        ) as response:
            return response.status


@contextlib.asynccontextmanager
async def site(folder: Path, session: aiohttp.ClientSession) -> AsyncIterator[Site]:
    """Give a site whose daemon is not started yet."""
    options = SandboxOptions(
        workspaces=(WORKSPACE,),
        requests_per_minute=1_000_000,
        sla_delay_seconds=1.0,
        random=Random(1),  # noqa: S311 - the same faults each time
    )
    async with contextlib.AsyncExitStack() as stack:
        sandbox = stack.enter_context(BackgroundServer(create_app(options), listen(0)))
        forward_url = await stack.enter_async_context(serving(_receiver(), listen(0)))
        made = Site(
            session,
            SandboxPages(session, sandbox.url),
            DaemonSettings(
                base_url=sandbox.url,
                workspace=WORKSPACE,
                token=token(60),
                folder=folder,
                events_port=lasting_port(0),
                admin_port=lasting_port(0),
                more=settings(f"{forward_url}/answers"),
            ),
        )
        try:
            yield made
        finally:
            await made.kill()


def _receiver() -> web.Application:
    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=204)

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/answers", take)
    return app


class SmallDisk:
    """A daemon whose store is on a file system of its own, which is small."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, folder: Path) -> None:
        self.url = url
        self._process = process
        # Nobody else sees what is mounted there.
        self._folder = Path(f"/proc/{process.pid}/root{folder}")

    @classmethod
    async def start(cls, folder: Path, session: aiohttp.ClientSession) -> Self:
        """Start it.

        Raises:
            NotHereError: nothing may be mounted here.
            WatchError: it doesn't come up.
        """
        port = lasting_port(0)
        given = DaemonSettings(
            base_url="http://127.0.0.1:9",
            workspace=WORKSPACE,
            token=token(60),
            folder=folder,
            events_port=lasting_port(0),
            admin_port=port,
        )
        with (folder.parent / "small.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *("unshare", "--mount", "sh", "-c", _ON_SMALL_DISK, "sh"),
                *(str(DISK_MB), str(folder), sys.executable, "-m", "bridge", "run"),
                env=given.environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        made = cls(process, f"http://127.0.0.1:{port}", folder)
        for _ in range(200):
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{made.url}/readyz") as response:
                    if response.status == 200:
                        return made
            if process.returncode is not None:
                break
            await asyncio.sleep(0.1)
        await made.stop()
        said = (folder.parent / "small.log").read_text(errors="replace")[-500:]
        if said.startswith(("unshare:", "mount:")):
            raise NotHereError(f"no disk of its own can be had, which takes root: {said.strip()}")
        raise WatchError(f"no daemon on a disk of its own: {said}")

    def fill(self) -> None:
        """Write something else onto its disk until next to nothing is left."""
        disk = os.statvfs(self._folder)
        share_now = 1 - disk.f_bavail / disk.f_blocks
        size = int((DISK_FULL - share_now) * disk.f_blocks * disk.f_frsize)
        (self._folder / "other").write_bytes(bytes(size))

    async def stop(self) -> None:
        """End it; its disk goes with it."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
