import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop
from aiohttp import ClientConnectionError, ClientSession
from sandbox_site import (
    MEDIA_TYPE,
    Site,
    end_document,
    errand_document,
    errors_of,
)

from bridge.sandbox.cention import create_app
from bridge.sandbox.serve import listen, serving
from bridge.sandbox.tokens import CONTACT_CARDS

NEW = "c3_new_errands"
END = "c3_end_errands"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site().running() as running:
        yield running


async def errands(site: Site) -> list[str]:
    return [errand["id"] for errand in await site.read_back("errands")]


async def hung_up(address: tuple[str, int]) -> str:
    """Send a request and return how the connection ended."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(
            b"POST /s/demo/capi/json/c3_new_errands HTTP/1.1\r\n"
            b"Host: sandbox\r\nContent-Length: 2\r\n\r\n{}"
        )
        return "answered" if await reader.read() else "closed"
    except ConnectionResetError:
        return "reset"
    finally:
        writer.close()


class TestStatus:
    async def test_it_is_answered_without_effect(self, site: Site) -> None:
        await site.faults({"status": 503, "retry_after": 7})
        response = await site.post(errand_document())
        assert (response.status, response.headers["Retry-After"]) == (503, "7")
        await errors_of(response)
        assert await errands(site) == []

    async def test_retry_after_may_be_a_date(self, site: Site) -> None:
        date = "Wed, 21 Oct 2026 07:28:00 GMT"
        await site.faults({"status": 429, "retry_after": date})
        assert (await site.post(errand_document())).headers["Retry-After"] == date

    @pytest.mark.parametrize("with_effect", [False, True])
    async def test_what_was_asked_for_may_be_done_all_the_same(
        self, site: Site, *, with_effect: bool
    ) -> None:
        await site.faults({"status": 500} | ({"with_effect": True} if with_effect else {}))
        assert (await site.post(errand_document())).status == 500
        assert len(await errands(site)) == with_effect

    @pytest.mark.parametrize(
        ("body", "content_type", "text"),
        [
            ("<h1>Bad gateway</h1>", "text/html; charset=utf-8", "<h1>Bad gateway</h1>"),
            ({"data": None}, MEDIA_TYPE, '{"data":null}'),
        ],
    )
    async def test_its_body_is_a_pages_or_a_document(
        self, site: Site, body: Any, content_type: str, text: str
    ) -> None:
        await site.faults({"status": 201, "body": body, "with_effect": True})
        response = await site.post(errand_document())
        assert (response.status, response.headers["Content-Type"]) == (201, content_type)
        assert await response.text() == text
        assert len(await errands(site)) == 1

    @pytest.mark.parametrize("status", [204, 302, 418, 599])
    async def test_any_status_will_do(self, site: Site, status: int) -> None:
        await site.faults({"status": status})
        assert (await site.post(errand_document())).status == status

    async def test_it_comes_before_any_check_and_takes_nothing_of_the_rate(self) -> None:
        async with Site(requests_per_minute=1).running() as site:
            await site.faults({"status": 502})
            for _ in range(3):
                assert (await site.get("c3_unknown", workspace="nowhere")).status == 502
            await site.faults()
            assert (await site.post(errand_document())).status == 201
            assert (await site.post(errand_document())).status == 429


class TestDelay:
    async def test_a_delayed_request_is_handled_afterwards(self, site: Site) -> None:
        await site.faults({"delay_seconds": 12.5})
        posting = asyncio.create_task(site.post(errand_document()))
        seconds, woken = await site.sleeper.asleep()
        assert seconds == 12.5
        assert await errands(site) == []
        [exchange] = await site.read_back("requests")
        assert (exchange["status"], exchange["fault"]) == (None, "delay")
        woken.set()
        assert (await posting).status == 201
        assert len(await errands(site)) == 1

    async def test_it_meets_the_checks_when_it_is_handled(self, site: Site) -> None:
        await site.faults({"delay_seconds": 1})
        posting = asyncio.create_task(site.post(errand_document(), claims=()))
        (await site.sleeper.asleep())[1].set()
        assert (await posting).status == 403


class TestHangingUp:
    async def test_a_dropped_answer_comes_after_the_effect(self, site: Site) -> None:
        await site.faults({"drop_answer": True})
        with pytest.raises(ClientConnectionError):
            await site.post(errand_document())
        assert len(await errands(site)) == 1
        [exchange] = await site.read_back("requests")
        assert (exchange["status"], exchange["fault"]) == (None, "drop_answer")

    async def test_a_mistake_is_lost_with_the_answer(self, site: Site) -> None:
        await site.faults({"drop_answer": True})
        with pytest.raises(ClientConnectionError):
            await site.post(errand_document(cuid=1))
        assert await errands(site) == []

    async def test_a_dropped_report_has_cleared_the_mark(self, site: Site) -> None:
        errand = await site.make_errand()
        await site.faults({"drop_answer": True, "kinds": ["c3_errand_reports"]})
        with pytest.raises(ClientConnectionError):
            await site.get(f"c3_errand_reports/{errand}")
        assert await site.dirty() == []

    async def test_a_late_effect_comes_when_its_time_has_come(self, site: Site) -> None:
        await site.faults({"late_effect_seconds": 90})
        with pytest.raises(ClientConnectionError):
            await site.post(errand_document())
        seconds, woken = await site.sleeper.asleep()
        assert (seconds, await errands(site)) == (90, [])
        assert (await site.read_back("summary"))["late_effects"] == 1
        await site.client.delete("/_sandbox/faults")
        site.wall += 90
        woken.set()
        [errand] = await site.read_back("errands")
        assert errand["created_at"] == site.wall
        assert (await site.read_back("summary"))["late_effects"] == 0

    async def test_a_late_mistake_harms_nobody(self, site: Site) -> None:
        await site.faults({"late_effect_seconds": 1, "times": 1})
        with pytest.raises(ClientConnectionError):
            await site.post(end_document("nobody's"))
        (await site.sleeper.asleep())[1].set()
        summary = await site.read_back("summary")
        assert summary["references"] == {"nobody's": ["end_refused"]}

    async def test_what_was_forgotten_does_not_come_late(self, site: Site) -> None:
        await site.faults({"late_effect_seconds": 90})
        with pytest.raises(ClientConnectionError):
            await site.post(errand_document())
        _, woken = await site.sleeper.asleep()
        await site.client.delete("/_sandbox")
        woken.set()
        assert await errands(site) == []

    async def test_what_is_late_does_not_keep_it_from_stopping(self) -> None:
        async with Site().running() as site:
            await site.faults({"late_effect_seconds": 3600})
            with pytest.raises(ClientConnectionError):
                await site.post(errand_document())
            await site.sleeper.asleep()

    @pytest.mark.parametrize(
        "rule", [{"drop_answer": True}, {"late_effect_seconds": 1}, {"status": 500}]
    )
    async def test_a_fault_with_effect_strikes_only_what_passes_the_checks(
        self, site: Site, rule: dict[str, Any]
    ) -> None:
        await site.faults(rule | ({"with_effect": True} if "status" in rule else {}))
        plain = {"Content-Type": "text/plain"}
        assert (await site.post(errand_document(), workspace="nowhere")).status == 404
        assert (await site.post(errand_document(), headers={"Authorization": "x"})).status == 401
        assert (await site.post(errand_document(), claims=(CONTACT_CARDS,))).status == 403
        assert (await site.post(errand_document(), headers=plain)).status == 415
        assert (await site.read_back("faults"))["struck"] == 0

    async def test_it_counts_against_the_rate(self) -> None:
        async with Site(requests_per_minute=1).running() as site:
            await site.faults({"drop_answer": True})
            with pytest.raises(ClientConnectionError):
                await site.post(errand_document())
            assert (await site.post(errand_document())).status == 429

    async def test_a_reset_has_no_effect(self, site: Site) -> None:
        await site.faults({"reset": True})
        with pytest.raises(ClientConnectionError):
            await site.post(errand_document())
        assert await errands(site) == []
        assert await hung_up(site.address) == "reset"

    async def test_an_outage_ends_by_itself(self, site: Site) -> None:
        await site.faults({"outage_seconds": 30})
        for passed in (0.0, 29.9):
            site.monotonic = 100.0 + passed
            with pytest.raises(ClientConnectionError):
                await site.post(errand_document())
            with pytest.raises(ClientConnectionError):
                await site.get("c3_unknown")
            assert await hung_up(site.address) == "reset"
        site.monotonic = 130.0
        assert (await site.post(errand_document())).status == 201
        assert (await site.read_back("summary"))["faults"]["by_fault"] == {"outage": 6}

    @pytest.mark.parametrize("rule", [{"reset": True}, {"outage_seconds": 5}])
    def test_the_commands_event_loop_resets_as_well(self, rule: dict[str, Any]) -> None:
        async def run() -> str:
            async with (
                serving(create_app(), listen(0)) as url,
                ClientSession() as session,
                session.post(f"{url}/_sandbox/faults", json=[rule]),
            ):
                host, _, port = url.removeprefix("http://").partition(":")
                return await hung_up((host, int(port)))

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(run()) == "reset"

    async def test_other_requests_meanwhile_are_answered(self, site: Site) -> None:
        await site.faults({"delay_seconds": 60, "times": 1})
        slow = asyncio.create_task(site.post(errand_document("slow")))
        _, woken = await site.sleeper.asleep()
        assert (await site.post(errand_document("quick"))).status == 201
        woken.set()
        await slow
        assert list((await site.read_back("summary"))["references"]) == ["quick", "slow"]


class TestWhoIsStruck:
    async def test_only_the_named_kinds_are(self, site: Site) -> None:
        await site.faults({"status": 503, "kinds": [END, "c3_errand_reports"]})
        errand = await site.make_errand()
        assert (await site.post(end_document())).status == 503
        assert (await site.get(f"c3_errand_reports/{errand}")).status == 503
        assert await site.dirty() == [errand]

    async def test_at_most_so_often(self, site: Site) -> None:
        await site.faults({"status": 503, "times": 2})
        statuses = [(await site.post(errand_document())).status for _ in range(3)]
        assert statuses == [503, 503, 201]

    async def test_the_first_rule_that_takes_a_request_strikes_it(self, site: Site) -> None:
        await site.faults({"status": 500, "times": 1}, {"status": 502, "times": 1})
        statuses = [(await site.post(errand_document())).status for _ in range(3)]
        assert statuses == [500, 502, 201]

    async def test_chance_is_seeded(self) -> None:
        async def statuses(seed: int) -> list[int]:
            async with Site(seed=seed).running() as site:
                await site.faults({"status": 503, "probability": 0.5})
                return [(await site.post(errand_document())).status for _ in range(30)]

        first = await statuses(1)
        assert set(first) == {201, 503}
        assert await statuses(1) == first
        assert await statuses(2) != first

    async def test_none_with_a_probability_of_0(self, site: Site) -> None:
        await site.faults({"status": 503, "probability": 0})
        assert (await site.post(errand_document())).status == 201


class TestPages:
    async def test_rules_are_shown_with_how_often_each_struck(self, site: Site) -> None:
        rules: list[dict[str, Any]] = [{"status": 503, "times": 1}, {"status": 502, "kinds": [NEW]}]
        shown = {"rules": [{**rule, "struck": 0} for rule in rules], "struck": 0, "by_fault": {}}
        assert await site.faults(*rules) == shown
        for _ in range(3):
            await site.post(errand_document())
        assert await site.read_back("faults") == {
            "rules": [{**rules[0], "struck": 1}, {**rules[1], "struck": 2}],
            "struck": 3,
            "by_fault": {"502": 2, "503": 1},
        }

    async def test_clearing_ends_them_and_keeps_the_count(self, site: Site) -> None:
        await site.faults({"status": 500, "with_effect": True})
        await site.post(errand_document())
        assert (await site.client.delete("/_sandbox/faults")).status == 204
        assert (await site.post(errand_document())).status == 201
        struck = {"struck": 1, "by_fault": {"500 with effect": 1}}
        assert await site.read_back("faults") == {"rules": [], **struck}
        assert (await site.read_back("summary"))["faults"] == struck

    async def test_a_reset_of_the_sandbox_forgets_them(self, site: Site) -> None:
        await site.faults({"status": 500})
        await site.post(errand_document())
        await site.client.delete("/_sandbox")
        assert await site.read_back("faults") == {"rules": [], "struck": 0, "by_fault": {}}

    async def test_setting_some_ends_the_others(self, site: Site) -> None:
        await site.faults({"status": 500})
        await site.faults({"status": 502})
        assert [rule["status"] for rule in (await site.read_back("faults"))["rules"]] == [502]

    async def test_what_is_no_json_is_400(self, site: Site) -> None:
        response = await site.client.post("/_sandbox/faults", data=b"{")
        assert response.status == 400
        await errors_of(response)

    async def test_wrong_rules_change_nothing(self, site: Site) -> None:
        await site.faults({"status": 500})
        answer = await site.tell("faults", [{"state": 503}], status=422)
        said = {error["source"]["pointer"]: error["detail"] for error in answer["errors"]}
        assert said["/0/state"] == "is not a field of this object"
        assert said["/0"].startswith("must have exactly one of status, delay_seconds")
        assert [rule["status"] for rule in (await site.read_back("faults"))["rules"]] == [500]

    async def test_a_preset_strikes_its_share(self, site: Site) -> None:
        await site.tell("faults", {"preset": "no_doubt", "rate": 0.2, "kinds": [NEW]})
        for _ in range(200):
            posting = asyncio.create_task(site.post(errand_document()))
            sleeping = asyncio.create_task(site.sleeper.asleep())
            await asyncio.wait({posting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
            if sleeping.done():
                sleeping.result()[1].set()
            sleeping.cancel()
            assert (await posting).status in {201, 429, 503}
        struck = await site.read_back("faults")
        assert 20 <= struck["struck"] <= 60
        assert set(struck["by_fault"]) == {"429", "503", "delay"}
        made = 200 - struck["struck"] + struck["by_fault"]["delay"]
        assert len(await errands(site)) == made
