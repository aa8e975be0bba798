import asyncio
from pathlib import Path

import pytest

from bridge.sandbox.daemon import DaemonError
from bridge.sandbox.demo import DemoOptions, DemoResult, Faults, run_demo
from bridge.sandbox.figures import Snapshot
from bridge.sandbox.presets import NO_DOUBT

pytestmark = pytest.mark.process


class Noted:
    """A view that keeps what it was shown."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []

    def open(self, addresses: dict[str, str]) -> None:
        assert addresses["events"].endswith("/v1/events")

    def update(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)


@pytest.fixture(autouse=True)
def _own_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ports that nobody prefers, so that a demo beside the tests doesn't take them meanwhile.
    for name in ("EVENTS_PORT", "ADMIN_PORT", "SANDBOX_PORT"):
        monkeypatch.setattr(f"bridge.sandbox.demo.{name}", 0)


async def run(options: DemoOptions) -> DemoResult:
    view = Noted()
    try:
        result = await run_demo(options, view, asyncio.Event())
    except DaemonError as error:
        pytest.fail("\n".join((str(error), *error.lines)))
    assert view.snapshots[-1] == result.snapshot
    return result


async def test_every_call_arrives_exactly_once_in_spite_of_faults(tmp_path: Path) -> None:
    result = await run(
        DemoOptions(calls=10, rate=20, seed=7, faults=Faults(preset=NO_DOUBT), folder=tmp_path)
    )
    assert result.problems == ()
    assert result.verdict is not None
    assert result.verdict.calls == 10
    assert result.snapshot.faults
    assert all(kept.is_file() for kept in (tmp_path / "bridge.db", tmp_path / "daemon.log"))


async def test_every_call_arrives_exactly_once_in_spite_of_kills() -> None:
    result = await run(
        DemoOptions(
            calls=30,
            rate=10,
            seed=4,
            kills=3,
            faults=Faults(preset=NO_DOUBT),
            settle_seconds=1.0,
            requests_per_minute=60_000,
        )
    )
    assert result.problems == ()
    assert result.snapshot.kills == 3
    assert result.snapshot.others is not None
    assert result.snapshot.others >= 20
