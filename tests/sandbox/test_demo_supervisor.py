import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiohttp import ClientSession

from bridge.sandbox.daemon import DaemonError, DaemonSettings
from bridge.sandbox.supervisor import Supervisor

SETTINGS = DaemonSettings(
    base_url="http://127.0.0.1:1",
    workspace="demo",
    token="x",
    folder=Path("unused"),
    events_port=1,
    admin_port=2,
)


class FakeDaemon:
    """A daemon without a process; `made` are all that were started, the newest last."""

    made: list["FakeDaemon"]
    starting: asyncio.Event

    def __init__(self) -> None:
        self.is_killed = False
        self.has_ended = False
        self.shown: str | None = ""

    @classmethod
    async def start(cls, _settings: DaemonSettings, _inherited: Mapping[str, str]) -> "FakeDaemon":
        await cls.starting.wait()
        cls.made.append(cls())
        return cls.made[-1]

    def check(self) -> None:
        if self.has_ended:
            raise DaemonError("The daemon ended with exit code 1", [])

    async def kill(self) -> None:
        self.is_killed = self.has_ended = True

    async def metrics(self, _session: ClientSession) -> str | None:
        return self.shown

    async def stop(self) -> int:
        return -9 if self.is_killed else 0


@pytest.fixture
async def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    FakeDaemon.made = []
    FakeDaemon.starting = asyncio.Event()
    FakeDaemon.starting.set()
    monkeypatch.setattr("bridge.sandbox.supervisor.Daemon", FakeDaemon)
    async with ClientSession() as session:
        return await Supervisor.start(SETTINGS, {}, session)


async def test_what_is_killed_is_started_again(supervisor: Supervisor) -> None:
    await supervisor.kill()
    await supervisor.kill()
    assert supervisor.kills == 2
    assert [daemon.is_killed for daemon in FakeDaemon.made] == [True, True, False]
    supervisor.check()
    assert await supervisor.stop() == 0


async def test_a_daemon_that_is_just_killed_is_not_missed(supervisor: Supervisor) -> None:
    FakeDaemon.starting.clear()
    killing = asyncio.create_task(supervisor.kill())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert FakeDaemon.made[0].is_killed
    supervisor.check()
    FakeDaemon.starting.set()
    await killing
    supervisor.check()


async def test_a_daemon_that_goes_away_by_itself_is_missed(supervisor: Supervisor) -> None:
    FakeDaemon.made[0].has_ended = True
    with pytest.raises(DaemonError, match="exit code 1"):
        supervisor.check()
    with pytest.raises(DaemonError, match="exit code 1"):
        await supervisor.kill()
    assert supervisor.kills == 0


async def test_a_stop_in_the_middle_of_a_kill_stops_the_daemon_that_follows(
    supervisor: Supervisor,
) -> None:
    FakeDaemon.starting.clear()
    killing = asyncio.create_task(supervisor.kill())
    await asyncio.sleep(0)
    killing.cancel()
    await asyncio.wait({killing})
    stopping = asyncio.create_task(supervisor.stop())
    FakeDaemon.starting.set()
    assert await stopping == 0
    assert len(FakeDaemon.made) == 2


async def test_look_ups_are_counted_over_all_daemons(supervisor: Supervisor) -> None:
    FakeDaemon.made[-1].shown = 'bridge_lookups_total{outcome="found"} 2.0\n'
    await supervisor.figures()
    await supervisor.kill()
    assert supervisor.lookups == {"found": 2}
    FakeDaemon.made[-1].shown = (
        "bridge_dead_letters 1.0\n"
        'bridge_outbox_pending{kind="new_errand"} 3.0\n'
        'bridge_lookups_total{outcome="found"} 1.0\n'
        'bridge_lookups_total{outcome="held"} 1.0\n'
    )
    figures = await supervisor.figures()
    assert figures is not None
    assert (figures.stopped, figures.pending) == (1, {"new_errand": 3})
    assert figures.lookups == supervisor.lookups == {"found": 3, "held": 1}


async def test_metrics_that_cannot_be_had_say_nothing(supervisor: Supervisor) -> None:
    FakeDaemon.made[-1].shown = None
    assert await supervisor.figures() is None
    assert supervisor.lookups == {}
