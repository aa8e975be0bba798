"""A real Prometheus beside what is watched, and what it answers."""

import asyncio
import json
import math
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from watch_rules import RULES, hastened

from bridge.sandbox.serve import LOOPBACK, free_port

SCRAPE_S: Final = 0.5
STEP_S: Final = 1.0
_READY_S: Final = 30.0
_CONFIG: Final = """\
global: {scrape_interval: 500ms, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: aventa-bridge
    file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
"""


class WatchError(Exception):
    """Something that is watched, or watches, is not as it has to be."""


class NotHereError(WatchError):
    """A fault can't be brought about on this machine."""


@dataclass(frozen=True, slots=True)
class Series:
    """One course: its labels, and its values by Unix seconds."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass
class Prometheus:
    """One that runs, with the project's rules hastened."""

    folder: Path
    session: aiohttp.ClientSession
    url: str = ""
    started_s: float = 0.0
    _process: asyncio.subprocess.Process | None = None
    _targets: dict[str, None] = field(default_factory=dict)

    async def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            WatchError: there is none, or it doesn't.
        """
        program = shutil.which("prometheus")
        if program is None:
            raise WatchError("prometheus is missing; on Debian: apt-get install prometheus")
        rules = hastened(RULES.read_text(encoding="utf-8"))
        (self.folder / "rules.yml").write_text(rules, encoding="utf-8")
        (self.folder / "prometheus.yml").write_text(_CONFIG, encoding="utf-8")
        self._write_targets()
        address = f"{LOOPBACK}:{free_port(0)}"
        self.url = f"http://{address}"
        with (self.folder / "prometheus.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                program,
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                f"--web.listen-address={address}",
                "--enable-feature=exemplar-storage",
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        self.started_s = time.time()
        await self._wait_ready()

    async def _wait_ready(self) -> None:
        end_s = time.monotonic() + _READY_S
        while time.monotonic() < end_s:
            try:
                async with self.session.get(f"{self.url}/-/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
        raise WatchError(
            f"prometheus was not ready: {(self.folder / 'prometheus.log').read_text()}"
        )

    async def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    def watch(self, url: str) -> None:
        """Scrape an address from now on."""
        self._targets[url.removeprefix("http://")] = None
        self._write_targets()

    def leave(self, url: str) -> None:
        """Scrape it no longer."""
        self._targets.pop(url.removeprefix("http://"), None)
        self._write_targets()

    def _write_targets(self) -> None:
        path, fresh = self.folder / "targets.json", self.folder / "targets.new"
        fresh.write_text(json.dumps([{"targets": list(self._targets)}]), encoding="ascii")
        fresh.replace(path)

    async def ask(self, expression: str) -> list[Series]:
        """Return an expression's courses from the start until now, without what is no number.

        Raises:
            WatchError: Prometheus doesn't take it.
        """
        given = {
            "query": expression,
            "start": f"{self.started_s:.3f}",
            "end": f"{time.time():.3f}",
            "step": f"{STEP_S:g}",
        }
        found = await self._get("query_range", given)
        courses = [
            Series(
                one["metric"],
                [
                    (at_s, number)
                    for at_s, value in one["values"]
                    if not math.isnan(number := float(value))
                ],
            )
            for one in found["result"]
        ]
        return [one for one in courses if one.points]

    async def rules(self) -> list[dict[str, Any]]:
        """Return the rules that are loaded, with what became of each."""
        groups = (await self._get("rules", {}))["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that fire just now, or are about to."""
        found: list[dict[str, Any]] = (await self._get("alerts", {}))["alerts"]
        return found

    async def _get(self, what: str, given: Mapping[str, str]) -> Any:
        async with self.session.get(f"{self.url}/api/v1/{what}", params=given) as response:
            document = await response.json()
        if document.get("status") != "success":
            raise WatchError(
                f"prometheus refuses {given.get('query', what)}: {document.get('error')}"
            )
        return document["data"]
