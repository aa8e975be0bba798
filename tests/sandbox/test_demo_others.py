import asyncio

import pytest
from aiohttp import ClientResponseError, ClientSession
from sandbox_site import Site, errand_document

from bridge.sandbox.others import AT_START, Others
from bridge.sandbox.pages import SandboxPages
from bridge.sandbox.presets import MIXED
from bridge.sandbox.scenario import Faults


async def test_others_errands_are_missed_once_somebody_has_read_them() -> None:
    async with Site().running() as site, ClientSession() as session:
        others = Others(SandboxPages(session, "http://{}:{}".format(*site.address)))
        assert await others.cleared() == ()
        await others.begin()
        assert len(others.ids) == AT_START
        assert await others.cleared() == ()
        read = others.ids[3]
        await site.ask("GET", f"c3_errand_reports/{read}")
        assert await others.cleared() == (read,)
        marked = {"type": "c3_dirty_errand_list", "attributes": {"errands": [int(read)]}}
        await site.ask("POST", "c3_dirty_errand_list", document={"data": marked})
        assert await others.cleared() == ()


async def test_others_go_on_making_errands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sandbox.others.EVERY_SECONDS", 0.0)
    async with Site().running() as site, ClientSession() as session:
        others = Others(SandboxPages(session, "http://{}:{}".format(*site.address)))
        going_on = asyncio.create_task(others.go_on())
        async with asyncio.timeout(10):
            while len(others.ids) < 3:  # noqa: ASYNC110 - what is waited for is the list itself
                await asyncio.sleep(0)
        going_on.cancel()
        assert set(others.ids) <= {str(one) for one in (await site.read_back("dirty"))["demo"]}


async def test_what_is_dirty_is_shown_by_workspace() -> None:
    async with Site().running() as site:
        await site.ask("POST", "c3_new_errands", document=errand_document(), workspace="other")
        [errand] = await site.read_back("errands")
        assert await site.read_back("dirty") == {"demo": [], "other": [int(errand["id"])]}


async def test_the_demos_faults_are_set_and_ended() -> None:
    async with Site().running() as site, ClientSession() as session:
        pages = SandboxPages(session, "http://{}:{}".format(*site.address))
        await pages.set_faults(Faults(preset=MIXED, rate=0.2).document())
        rules = (await site.read_back("faults"))["rules"]
        assert {"late_effect_seconds", "drop_answer", "reset"} <= {
            name for r in rules for name in r
        }
        await pages.set_faults([])
        assert (await site.read_back("faults"))["rules"] == []
        with pytest.raises(ClientResponseError):
            await pages.set_faults({"preset": "none"})
