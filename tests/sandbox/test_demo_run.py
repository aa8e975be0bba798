import asyncio

import pytest
from aiohttp import ClientResponseError, ClientSession
from sandbox_site import Site

from bridge.sandbox.daemon import DaemonError
from bridge.sandbox.demo import FAULTS, DemoOptions, run_demo, set_faults
from bridge.sandbox.verdict import Snapshot


class Noted:
    """A view that keeps what it was shown."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []

    def open(self, addresses: dict[str, str]) -> None:
        assert addresses["events"].endswith("/v1/events")

    def update(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)


async def test_the_demos_faults_are_set_and_ended() -> None:
    async with Site().running() as site, ClientSession() as session:
        url = "http://{}:{}".format(*site.address)
        await set_faults(session, url, FAULTS)
        rules = (await site.read_back("faults"))["rules"]
        kinds = {kind for rule in rules for kind in rule["kinds"]}
        assert kinds == {"c3_new_errands", "c3_end_errands", "c3_contact_cards"}
        of_errands = [rule for rule in rules if "c3_new_errands" in rule["kinds"]]
        asked = {name for rule in of_errands for name in rule} - {"struck"}
        assert asked == {"kinds", "probability", "status", "retry_after", "delay_seconds"}
        assert {rule.get("status", 429) for rule in of_errands} == {429, 503}
        await set_faults(session, url, [])
        assert (await site.read_back("faults"))["rules"] == []
        with pytest.raises(ClientResponseError):
            await set_faults(session, url, {"preset": "none"})


@pytest.mark.process
async def test_every_call_arrives_exactly_once_in_spite_of_faults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Ports that nobody prefers, so that a demo beside the tests doesn't take them meanwhile.
    for name in ("EVENTS_PORT", "ADMIN_PORT", "SANDBOX_PORT"):
        monkeypatch.setattr(f"bridge.sandbox.demo.{name}", 0)
    view = Noted()
    options = DemoOptions(calls=10, rate=20, seed=7, faults=True)
    try:
        result = await run_demo(options, view, asyncio.Event())
    except DaemonError as error:
        pytest.fail("\n".join((str(error), *error.lines)))
    assert result.problems == ()
    assert result.verdict is not None
    assert result.verdict.calls == 10
    assert result.snapshot.faults
    assert view.snapshots[-1] == result.snapshot
