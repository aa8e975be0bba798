import html
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sandbox_site import (
    NOW,
    SLA_DELAY_SECONDS,
    Site,
    end_document,
    errand_document,
    errors_of,
    sample,
    shape,
)

from bridge.sandbox.reports import SLA_SECONDS, SLA_WARNING_SECONDS
from bridge.sandbox.tokens import CONTACT_CARDS, CREATE_ERRAND, ERRAND_DATA

LIST = "c3_dirty_errand_list"
REPORTS = "c3_errand_reports"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site().running() as running:
        yield running


def mark(*errands: Any) -> Any:
    return {"data": {"type": LIST, "attributes": {"errands": list(errands)}}}


async def report(site: Site, errand: int) -> dict[str, Any]:
    document = await site.read(f"{REPORTS}/{errand}")
    assert (document["data"]["type"], document["data"]["id"]) == (REPORTS, str(errand))
    attributes: dict[str, Any] = document["data"]["attributes"]
    return attributes


async def sla(site: Site, errand: int) -> Any:
    return (await report(site, errand))["sla"]


class TestDirtyList:
    async def test_new_errands_are_listed_as_in_the_vendors_sample(self, site: Site) -> None:
        assert await site.dirty() == []
        made = [await site.make_errand() for _ in range(5)]
        assert made == sorted(made)
        document = await site.read(LIST)
        expected = sample("dirty_errand_list")
        expected["data"]["attributes"]["errands"] = made
        assert document == expected

    async def test_a_fetch_takes_an_errand_off_it(self, site: Site) -> None:
        first, second = await site.make_errand("a"), await site.make_errand("b")
        assert (await report(site, first))["changed"] is True
        assert await site.dirty() == [second]
        assert (await report(site, first))["changed"] is False

    async def test_an_end_puts_it_on_again_but_no_repeated_one(self, site: Site) -> None:
        errand = await site.make_errand()
        await report(site, errand)
        assert (await site.post(end_document())).status == 200
        assert await site.dirty() == [errand]
        await report(site, errand)
        assert (await site.post(end_document())).status == 200
        assert await site.dirty() == []

    async def test_errands_are_marked_as_in_the_vendors_sample(self, site: Site) -> None:
        first, second = await site.make_errand("a"), await site.make_errand("b")
        await report(site, first)
        await report(site, second)
        document = sample("dirty_errand_list_mark_request")
        document["data"]["attributes"]["errands"] = [second, 35, first, first]
        response = await site.post(document)
        assert response.status == 200
        answer = await response.json(content_type=None)
        assert answer == sample("dirty_errand_list_mark_response")
        assert await site.dirty() == [first, second]

    async def test_unknown_errands_are_ignored(self, site: Site) -> None:
        assert (await site.post(sample("dirty_errand_list_mark_request"))).status == 200
        assert await site.dirty() == []

    @pytest.mark.parametrize(
        ("document", "pointer"),
        [
            (mark("511055"), "/data/attributes/errands/0"),
            (mark(True), "/data/attributes/errands/0"),  # noqa: FBT003 - JSON
            (
                {"data": {"type": LIST, "attributes": {"errand": [1]}}},
                "/data/attributes/errands",
            ),
            ({"data": {"type": LIST}}, "/data/attributes"),
        ],
    )
    async def test_a_wrong_document_is_422(self, site: Site, document: Any, pointer: str) -> None:
        response = await site.post(document)
        assert response.status == 422
        assert pointer in {error["source"]["pointer"] for error in await errors_of(response)}

    async def test_workspaces_have_a_list_each(self, site: Site) -> None:
        errand = await site.make_errand()
        assert await site.dirty("other") == []
        assert (await site.post(mark(errand), workspace="other")).status == 200
        assert await site.dirty("other") == []
        assert (await site.get(f"{REPORTS}/{errand}", workspace="other")).status == 404
        assert await site.dirty() == [errand]

    async def test_a_reset_empties_it(self, site: Site) -> None:
        errand = await site.make_errand()
        await site.client.delete("/_sandbox")
        assert await site.dirty() == []
        assert await site.make_errand() == errand + 1


class TestAccess:
    @pytest.mark.parametrize(
        ("method", "resource"), [("GET", LIST), ("POST", LIST), ("GET", f"{REPORTS}/511055")]
    )
    async def test_the_claim_to_errand_data_is_needed(
        self, site: Site, method: str, resource: str
    ) -> None:
        await site.make_errand()
        document = mark(1) if method == "POST" else None
        others = (CREATE_ERRAND, CONTACT_CARDS)
        response = await site.ask(method, resource, document=document, claims=others)
        assert response.status == 403
        await errors_of(response)
        response = await site.ask(method, resource, document=document, claims=(ERRAND_DATA,))
        assert response.status == 200

    async def test_reading_counts_against_the_rate(self) -> None:
        async with Site(requests_per_minute=4).running() as site:
            errand = await site.make_errand()
            await site.read(LIST)
            await report(site, errand)
            await site.post(mark(errand))
            for response in (await site.get(LIST), await site.get(f"{REPORTS}/{errand}")):
                assert response.status == 429
                await errors_of(response)

    async def test_a_content_type_is_needed_only_with_a_body(self, site: Site) -> None:
        plain = {"Content-Type": "text/plain"}
        assert (await site.get(LIST, headers=plain)).status == 415
        assert (await site.post(mark(), headers=plain)).status == 415
        unacceptable = {"Accept": "application/vnd.api+json;ext=a"}
        assert (await site.get(LIST, headers=unacceptable)).status == 406

    @pytest.mark.parametrize("errand", ["1", "0", "-1", "x", "511055x", "%D9%A3", "9" * 5000])
    async def test_an_unknown_errand_is_404(self, site: Site, errand: str) -> None:
        await site.make_errand()
        response = await site.get(f"{REPORTS}/{errand}")
        assert response.status == 404
        await errors_of(response)
        assert len(await site.dirty()) == 1

    async def test_another_method_is_405(self, site: Site) -> None:
        response = await site.ask("DELETE", LIST)
        assert (response.status, response.headers["Allow"]) == (405, "GET,POST")


class TestReport:
    async def test_it_has_the_shape_of_the_vendors_sample(self, site: Site) -> None:
        errand = await site.make_errand()
        await site.post(end_document())
        site.wall += SLA_DELAY_SECONDS
        document = shape(await site.read(f"{REPORTS}/{errand}"))
        expected = shape(sample("errand_report"))
        expected["data"]["attributes"]["extended"]["errand_tags"] = []
        assert document == expected

    async def test_a_call_is_opened_then_answered_and_closed(self, site: Site) -> None:
        errand = await site.make_errand()
        site.wall += 125
        await site.post(end_document())
        attributes = await report(site, errand)
        opened, closed = attributes["actions"]
        assert opened == {
            "id": opened["id"],
            "note": (
                f"Errand {errand} was opened by agent Agent 1000/1001"
                " at 2015-07-16 12:47:00 +0000 UTC."
            ),
            "origin": "Agent 1000/1001",
            "time": "2015-07-16 12:47:00 +0000 UTC",
            "timeStamp": int(NOW),
        }
        assert closed["id"] > opened["id"]
        assert closed["timeStamp"] == NOW + 125
        assert closed["note"].startswith(
            f"Errand {errand} was answered and closed by agent Agent 2000/2001 at 2015-07-16 12:49"
        )
        data = attributes["basic"]["data"]
        assert (data["agent"], data["closed"], data["answered"]) == ("Agent 2000/2001", True, True)
        assert (data["date"], data["answeredDate"]) == ("2015/07/16 12:47", "2015/07/16 12:49")

    async def test_an_open_errand_is_not_closed(self, site: Site) -> None:
        attributes = await report(site, await site.make_errand())
        assert [action["origin"] for action in attributes["actions"]] == ["Agent 1000/1001"]
        data = attributes["basic"]["data"]
        assert (data["agent"], data["closed"], data["answered"]) == (
            "Agent 1000/1001",
            False,
            False,
        )
        assert (data["date"], data["answeredDate"]) == ("2015/07/16 12:47", "No Date")
        assert attributes["basic"]["acquired"] is True

    async def test_it_says_who_wrote_what_where(self, site: Site) -> None:
        errand = await site.make_errand()
        data = (await report(site, errand))["basic"]["data"]
        said = {
            "id": errand,
            "displayId": str(errand),
            "serviceName": "Voice",
            "organisationName": "demo",
            "areaName": "Bookings",
            "from": "Ann (+46701234567)",
            "fromAddress": "+46701234567",
            "fromName": "Ann",
            "to": "60374571234",
            "toAddresses": ["60374571234"],
            "subject": "Call",
            "attachments": "0",
        }
        assert {name: data[name] for name in said} == said

    async def test_the_body_is_html(self, site: Site) -> None:
        text = "1 < 2 & \"so\" 'on'\nKö\r\nref: <a&b>\r"
        data = (await report(site, await site.make_errand(body=text)))["basic"]["data"]
        assert data["body"] == (
            "1 &lt; 2 &amp; &quot;so&quot; &#x27;on&#x27;<br />Kö<br />ref: &lt;a&amp;b&gt;<br />"
        )
        plain = html.unescape(re.sub(r"<br />", "\n", data["body"]))
        assert plain.splitlines() == text.splitlines()

    async def test_where_there_is_html_it_is_shown(self, site: Site) -> None:
        msg = errand_document()["data"]["attributes"]["msg"]
        errand = await site.make_errand(msg=msg | {"html_body": "<p>Hello</p>"})
        assert (await report(site, errand))["basic"]["data"]["body"] == "<p>Hello</p>"

    async def test_a_template_is_answered_and_closed_when_it_is_made(self, site: Site) -> None:
        answer = {"subject": "Hi", "body": "We rang", "user_type": "cention", "user_id": "7"}
        errand = await site.make_errand(answer=answer, integrationData=None)
        attributes = await report(site, errand)
        assert attributes["extended"]["answer_body"] == "We rang"
        assert attributes["extended"]["answer_subject"] == "Hi"
        [closed] = attributes["actions"]
        assert "answered and closed" in closed["note"]
        assert attributes["basic"]["data"]["closed"] is True

    async def test_without_an_agent_nobody_has_opened_it(self, site: Site) -> None:
        attributes = await report(site, await site.make_errand(integrationData=None))
        assert attributes["actions"] == []
        data = attributes["basic"]["data"]
        assert (data["agent"], data["agentId"], data["serviceName"]) == ("", 0, "API")
        assert attributes["basic"]["acquired"] is False


class TestSla:
    async def test_it_is_null_while_it_is_worked_out(self, site: Site) -> None:
        errand = await site.make_errand()
        assert await sla(site, errand) is None
        site.wall += SLA_DELAY_SECONDS - 1
        assert await sla(site, errand) is None
        site.wall += 1
        assert await sla(site, errand) == {
            "done_due": False,
            "expiry": 0,
            "handling_time": 0,
            "response_time": 0,
            "within_sla": True,
        }

    async def test_an_end_has_it_worked_out_again(self, site: Site) -> None:
        errand = await site.make_errand()
        site.wall += 600
        await site.post(end_document())
        assert await sla(site, errand) is None
        site.wall += SLA_DELAY_SECONDS
        worked_out = await sla(site, errand)
        assert (worked_out["handling_time"], worked_out["response_time"]) == (600, 600)
        assert (worked_out["within_sla"], worked_out["expiry"]) == (True, 0)

    async def test_what_stays_open_expires(self, site: Site) -> None:
        errand = await site.make_errand()
        site.wall = NOW + SLA_WARNING_SECONDS + 1
        assert (await sla(site, errand))["expiry"] == 1
        site.wall = NOW + SLA_SECONDS + 1
        worked_out = await sla(site, errand)
        assert (worked_out["expiry"], worked_out["within_sla"]) == (2, False)


class TestSparseFields:
    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("fields[c3_errand_reports]=sla,basic", {"sla", "basic"}),
            ("fields[c3_errand_reports]=sla,changed", {"sla", "changed"}),
            ("fields%5Bc3_errand_reports%5D=sla", {"sla"}),
            ("fields%5Bc3_errand_reports%5D=sla%2Cactions", {"sla", "actions"}),
            ("fields[c3_errand_reports]=", set()),
            (
                "fields[c3_facebook_ratings]=data",
                {"actions", "basic", "c3_id", "changed", "extended", "sla"},
            ),
        ],
    )
    async def test_only_what_was_asked_for_is_sent_and_the_mark_is_cleared(
        self, site: Site, query: str, names: set[str]
    ) -> None:
        errand = await site.make_errand()
        document = await site.read(f"{REPORTS}/{errand}?{query}")
        assert set(document["data"]["attributes"]) == names
        assert document["data"]["id"] == str(errand)
        assert await site.dirty() == []

    async def test_a_field_that_there_is_not_is_400(self, site: Site) -> None:
        errand = await site.make_errand()
        response = await site.get(f"{REPORTS}/{errand}?fields[c3_errand_reports]=sla,slo")
        assert response.status == 400
        [error] = await errors_of(response)
        assert "slo" in error["detail"]
        assert await site.dirty() == [errand]


class TestOthersErrands:
    async def test_one_is_made_and_dirty_like_any_and_counted_nowhere(self, site: Site) -> None:
        first = await site.make_errand()
        made = await site.tell("errands", {}, status=201)
        assert made == {"id": str(first + 1)}
        assert await site.dirty() == [first, first + 1]
        assert (await site.read_back("summary"))["errands"] == {"created": 1, "ended": 0}
        assert [errand["others"] for errand in await site.read_back("errands")] == [False, True]

    async def test_it_says_what_was_wished(self, site: Site) -> None:
        wishes = {
            "workspace": "other",
            "area": "Mail",
            "name": "",
            "from": "ann@example.com",
            "subject": "a < b",
            "body": "Hi\nthere",
        }
        made = await site.tell("errands", wishes, status=201)
        document = await site.read(f"{REPORTS}/{made['id']}", workspace="other")
        attributes = document["data"]["attributes"]
        data = attributes["basic"]["data"]
        assert (data["serviceName"], data["areaName"]) == ("Email", "Mail")
        assert (data["from"], data["subject"]) == ("ann@example.com", "a < b")
        assert data["body"] == "Hi<br />there"
        assert attributes["actions"] == []

    async def test_no_body_at_all_will_do(self, site: Site) -> None:
        assert (await site.client.post("/_sandbox/errands")).status == 201

    @pytest.mark.parametrize(
        ("wishes", "pointer"),
        [
            ({"text": "x"}, "/text"),
            ({"from": ""}, "/from"),
            ({"workspace": "nowhere"}, "/workspace"),
            ([], ""),
        ],
    )
    async def test_a_wrong_wish_is_422(self, site: Site, wishes: Any, pointer: str) -> None:
        answer = await site.tell("errands", wishes, status=422)
        assert [error["source"]["pointer"] for error in answer["errors"]] == [pointer]
