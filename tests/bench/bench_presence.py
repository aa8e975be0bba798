"""How soon an agent who takes a call is offline at One View, at a steady load of calls.

    python tests/bench/bench_presence.py --calls 2000 --per-second 50

Sandbox and daemon are processes of their own; Cention is the sandbox too, so errands leave as well.
A time is from when the answer is posted to when the sandbox has set the agent's status.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

ROOT: Final = Path(__file__).parents[2]
BRIDGE: Final = (sys.executable, "-m", "bridge")
# A call is over so long after its answer.
TALK_S: Final = 1.0
AGENTS: Final = 200
_WARM_UP: Final = 100
QUEUE: Final = {"destNumber": "+60374571234", "queueName": "EHS", "queueNumber": "123"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(description="Measure how soon One View knows of a call.")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--per-second", type=float, default=50.0)
    options = parser.parse_args(arguments)
    # On the disk that the project is on: the usual place may be in memory.
    parent = ROOT / "var"
    parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        found = asyncio.run(_measure(folder, options.calls, options.per_second))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found))  # noqa: T201 - what it is for
    return 0


@contextmanager
def _process(command: Sequence[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603 - our own program
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _first_line(process: subprocess.Popen[str], event: str = "") -> dict[str, Any]:
    for line in process.stdout or ():
        if not event:
            return dict(json.loads(line))
        if f'"{event}"' in line:
            return dict(json.loads(line))
    raise SystemExit("a process ended before it began")


def _config(folder: Path, sandbox: dict[str, Any]) -> Path:
    agents = "".join(
        f"[[agents]]\ndevice_id = {number}\nextension_id = {number}\n"
        f'email = "a{number}@example.com"\ntoken = "t{number}"\n'
        for number in range(AGENTS)
    )
    config = folder / "bridge.toml"
    config.write_text(
        f"""
[http]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[store]
url = "sqlite:///{folder / "bridge.db"}"
[log]
format = "json"
level = "warning"
[cention]
base_url = "{sandbox["base_url"]}"
workspace = "demo"
token = "{sandbox["token"]}"
requests_per_minute = 1000000
[oneview]
base_url = "{sandbox["base_url"]}/cs-chat-ticket"
rate_per_minute = 1000000
{agents}""",
        encoding="utf-8",
    )
    return config


async def _measure(folder: Path, count: int, per_second: float) -> dict[str, Any]:
    env = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    command = (*BRIDGE, "sandbox", "--port", "0", "--json", "--requests-per-minute", "1000000")
    with _process(command, env) as sandbox:
        about = _first_line(sandbox)
        async with aiohttp.ClientSession() as session:
            desk = f"{about['base_url']}/_sandbox/oneview"
            for number in range(AGENTS):
                agent = {"email": f"a{number}@example.com", "token": f"t{number}"}
                async with session.post(f"{desk}/agents", json=agent):
                    pass
            config = _config(folder, about)
            text = config.read_text(encoding="utf-8").replace('level = "warning"', 'level = "info"')
            config.write_text(text, encoding="utf-8")
            with (folder / "log").open("w") as log:
                daemon = subprocess.Popen(  # noqa: S603, ASYNC220 - our own program
                    (*BRIDGE, "run", "--config", str(config)), env=env, stdout=log, stderr=log
                )
                try:
                    url, admin = await _ready(folder / "log")
                    await asyncio.sleep(5)
                    before = await _work(session, admin, daemon.pid, sandbox.pid)
                    sent = await _load(session, url, count, per_second)
                    await asyncio.sleep(3)
                    after = await _work(session, admin, daemon.pid, sandbox.pid)
                    async with session.get(f"{desk}/agents") as response:
                        agents = await response.json()
                finally:
                    daemon.terminate()
                    daemon.wait(30)
    per_call = {name: round((after[name] - one) / count, 4) for name, one in before.items()}
    load = [round(one, 1) for one in os.getloadavg()]
    return {**_figures(sent, agents, per_second), "per_call": per_call, "load": load}


async def _work(
    session: aiohttp.ClientSession, admin: str, daemon: int, sandbox: int
) -> dict[str, float]:
    """Return what was done so far: it tells more than a time does on a machine with other work."""
    async with session.get(f"{admin}/metrics") as response:
        lines = (await response.text()).splitlines()
    sums = dict.fromkeys(("bridge_oneview_seconds_count", "bridge_store_commit_seconds_count"), 0.0)
    for line in lines:
        name, _, value = line.rpartition(" ")
        if (bare := name.partition("{")[0]) in sums:
            sums[bare] += float(value)
    return {
        "oneview_requests": sums["bridge_oneview_seconds_count"],
        "commits": sums["bridge_store_commit_seconds_count"],
        "daemon_cpu_s": _cpu_s(daemon),
        "sandbox_cpu_s": _cpu_s(sandbox),
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _ready(log: Path) -> tuple[str, str]:
    while True:
        for line in (await asyncio.to_thread(log.read_text, encoding="utf-8")).splitlines():
            if '"ready"' in line:
                told = json.loads(line)
                return str(told["events"][0]), str(told["admin"][0])
        await asyncio.sleep(0.1)


async def _load(
    session: aiohttp.ClientSession, url: str, count: int, per_second: float
) -> list[tuple[int, float]]:
    """Post answers by the clock, and each one's end a second later; return when each was sent."""
    sent: list[tuple[int, float]] = []
    tasks = []
    started_s = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, started_s + number / per_second - time.monotonic()))
        tasks.append(asyncio.create_task(_call(session, url, number % AGENTS, sent)))
    await asyncio.gather(*tasks)
    return sent


async def _call(
    session: aiohttp.ClientSession, url: str, agent: int, sent: list[tuple[int, float]]
) -> None:
    reference = uuid.uuid4().hex
    about = {"referenceId": reference, "deviceId": agent, "extensionId": agent, **QUEUE}
    sent.append((agent, time.time()))
    for kind in ("call.answered", "call.ended"):
        event = {
            "eventId": uuid.uuid4().hex,
            "eventType": kind,
            "occurredAt": datetime.now(UTC).isoformat(),
            "callerNumber": f"+4670{1000000 + agent}",
            **about,
        }
        async with session.post(f"{url}/v1/events", json=event) as response:
            assert response.status == 202, await response.text()
        if kind == "call.answered":
            await asyncio.sleep(TALK_S)


def _figures(
    sent: Sequence[tuple[int, float]], agents: Sequence[Any], per_second: float
) -> dict[str, Any]:
    changes = {
        one["email"]: [
            each["at"]
            for each in one["changes"]
            if each["by"] == "api" and each["status"] == "offline"
        ]
        for one in agents
    }
    taken = []
    for agent, at_s in sorted(sent, key=lambda one: one[1])[_WARM_UP:]:
        after = [one for one in changes[f"a{agent}@example.com"] if one >= at_s]
        taken.append((after[0] - at_s) * 1000 if after else float("inf"))
    taken.sort()
    return {
        "calls": len(taken),
        "per_second": per_second,
        "agents": len(agents),
        "p50_ms": round(taken[len(taken) // 2], 1),
        "p99_ms": round(taken[int(len(taken) * 0.99)], 1),
        "max_ms": round(taken[-1], 1),
        "not_online_at_the_end": sum(one["status"] != "online" for one in agents),
    }


if __name__ == "__main__":
    sys.exit(main())
