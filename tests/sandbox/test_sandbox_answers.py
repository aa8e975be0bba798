import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sandbox_site import NOW, SLA_DELAY_SECONDS, Site, end_document, sample, shape

from bridge.sandbox.errands import ErrandBook, Reply

REPORTS = "c3_errand_reports"
CONTENT = base64.b64encode(b"content").decode()
FILE = {"content_type": "text/plain", "name": "a.txt", "content": CONTENT}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site().running() as running:
        yield running


async def report(site: Site, errand: int | str, workspace: str = "demo") -> dict[str, Any]:
    document = await site.read(f"{REPORTS}/{errand}", workspace=workspace)
    attributes: dict[str, Any] = document["data"]["attributes"]
    return attributes


async def only_errand(site: Site) -> dict[str, Any]:
    [errand] = await site.read_back("errands")
    found: dict[str, Any] = errand
    return found


class TestAnswer:
    async def test_its_page_tells_what_was_made_of_it(self, site: Site) -> None:
        errand = await site.make_errand()
        assert await site.answer(errand, attachments=[FILE, FILE], archives=[FILE]) == {
            "callbackId": None,
            "answerId": "1189",
            "status": None,
            "attachments": ["788", "789"],
            "archives": ["12"],
        }
        second = await site.answer(errand)
        assert (second["answerId"], second["attachments"], second["archives"]) == ("1190", [], [])

    async def test_no_body_at_all_will_do(self, site: Site) -> None:
        errand = await site.make_errand()
        assert (await site.client.post(f"/_sandbox/errands/{errand}/answer")).status == 201

    async def test_the_errand_is_closed_and_dirty(self, site: Site) -> None:
        errand, other = await site.make_errand(), await site.make_errand("call-2")
        await report(site, errand)
        await report(site, other)
        site.wall += 125
        await site.answer(errand, agent="Ann Lee", subject="Re: Call", body="Done")
        assert await site.dirty() == [errand]
        attributes = await report(site, errand)
        data = attributes["basic"]["data"]
        assert (data["answered"], data["closed"], data["agent"]) == (True, True, "Ann Lee")
        assert data["answeredDate"] == "2015/07/16 12:49"
        assert attributes["basic"]["acquired"] is False
        assert attributes["extended"]["answer_subject"] == "Re: Call"
        assert attributes["extended"]["answer_body"] == "Done"
        assert attributes["actions"][-1]["note"] == (
            f"Errand {errand} was answered and closed by agent Ann Lee"
            " at 2015-07-16 12:49:05 +0000 UTC."
        )
        assert (await report(site, other))["basic"]["data"]["closed"] is False

    async def test_its_report_has_the_shape_of_the_vendors_sample(self, site: Site) -> None:
        errand = await site.make_errand()
        await site.answer(errand, tags=["Test High Tag"])
        site.wall += SLA_DELAY_SECONDS
        document = await site.read(f"{REPORTS}/{errand}")
        assert shape(document) == shape(sample("errand_report"))

    async def test_what_is_not_wished_is_the_errands_own(self, site: Site) -> None:
        errand = await site.make_errand()
        await site.answer(errand)
        attributes = await report(site, errand)
        assert attributes["actions"][-1]["origin"] == "Agent 1000/1001"
        assert attributes["extended"]["answer_subject"] == "Call"
        assert attributes["extended"]["answer_body"] == "test body"

    async def test_where_nobody_has_the_errand_the_administrator_answers(self, site: Site) -> None:
        made = await site.tell("errands", {"workspace": "other"}, status=201)
        await site.answer(made["id"])
        assert await site.dirty("other") == [int(made["id"])]
        [action] = (await report(site, made["id"], "other"))["actions"]
        assert action["origin"] == "System Administrator"

    async def test_an_empty_text_is_no_missing_one(self, site: Site) -> None:
        errand = await site.make_errand()
        await site.answer(errand, subject="", body="")
        extended = (await report(site, errand))["extended"]
        assert (extended["answer_subject"], extended["answer_body"]) == ("", "")

    async def test_an_errand_may_be_answered_again(self, site: Site) -> None:
        errand = await site.make_errand()
        await site.answer(errand, body="First")
        await report(site, errand)
        site.wall += 125
        await site.answer(errand, body="Second")
        assert await site.dirty() == [errand]
        attributes = await report(site, errand)
        assert len(attributes["actions"]) == 3
        assert attributes["extended"]["answer_body"] == "Second"
        assert attributes["basic"]["data"]["answeredDate"] == "2015/07/16 12:49"
        shown = await only_errand(site)
        assert (shown["answered_at"], shown["answer_count"]) == (NOW + 125, 2)

    async def test_it_has_the_sla_worked_out_again_up_to_the_first_answer(self, site: Site) -> None:
        errand = await site.make_errand()
        site.wall += 600
        await site.answer(errand)
        assert (await report(site, errand))["sla"] is None
        site.wall += SLA_DELAY_SECONDS
        assert (await report(site, errand))["sla"]["handling_time"] == 600
        await site.answer(errand)
        assert (await report(site, errand))["sla"] is None
        site.wall += SLA_DELAY_SECONDS
        assert (await report(site, errand))["sla"]["handling_time"] == 600

    async def test_a_template_that_was_made_with_an_answer_gets_another(self, site: Site) -> None:
        answer = {"body": "We rang", "user_type": "cention", "user_id": "7"}
        errand = await site.make_errand(answer=answer)
        await site.answer(errand, body="We rang again")
        assert (await report(site, errand))["extended"]["answer_body"] == "We rang again"

    @pytest.mark.parametrize("errand", ["511056", "0", "x", "9" * 5000])
    @pytest.mark.parametrize(("page", "wanted"), [("answer", {}), ("tags", {"tags": ["a"]})])
    async def test_an_unknown_errand_is_404(
        self, site: Site, errand: str, page: str, wanted: Any
    ) -> None:
        await site.make_errand()
        answer = await site.tell(f"errands/{errand}/{page}", wanted, status=404)
        assert [error["status"] for error in answer["errors"]] == ["404"]

    @pytest.mark.parametrize(
        ("wishes", "pointer"),
        [
            ({"again": True}, "/again"),
            ({"body": 1}, "/body"),
            ({"agent": ""}, "/agent"),
            ({"tags": "x"}, "/tags"),
            ({"tags": [""]}, "/tags/0"),
            ({"links": "array"}, "/links"),
            ({"attachments": [FILE | {"content": "?"}]}, "/attachments/0/content"),
            ({"archives": [{"name": "a", "content": ""}]}, "/archives/0/content_type"),
            ([], ""),
        ],
    )
    async def test_a_wrong_wish_is_422_and_answers_nothing(
        self, site: Site, wishes: Any, pointer: str
    ) -> None:
        errand = await site.make_errand()
        answer = await site.tell(f"errands/{errand}/answer", wishes, status=422)
        assert [error["source"]["pointer"] for error in answer["errors"]] == [pointer]
        assert (await only_errand(site))["answer_count"] == 0

    async def test_of_many_mistakes_only_some_are_named(self, site: Site) -> None:
        errand = await site.make_errand()
        wishes = {"tags": [""] * 1000}
        answer = await site.tell(f"errands/{errand}/answer", wishes, status=422)
        assert len(answer["errors"]) == 50


class TestEnd:
    async def test_an_answer_is_no_end(self, site: Site) -> None:
        await site.answer(await site.make_errand())
        summary = await site.read_back("summary")
        assert summary["errands"] == {"created": 1, "ended": 0}
        assert summary["references"] == {"call-1": ["create"]}
        shown = await only_errand(site)
        assert (shown["ended_at"], shown["answered_at"], shown["end_count"]) == (None, NOW, 0)

    async def test_an_end_is_taken_after_an_answer(self, site: Site) -> None:
        errand = await site.make_errand()
        await site.answer(errand)
        await report(site, errand)
        site.wall += 125
        response = await site.post(end_document())
        assert response.status == 200
        assert (await response.json(content_type=None))["data"]["id"] == str(errand)
        assert await site.dirty() == [errand]
        summary = await site.read_back("summary")
        assert summary["errands"] == {"created": 1, "ended": 1}
        assert summary["references"] == {"call-1": ["create", "end"]}
        shown = await only_errand(site)
        assert (shown["ended_at"], shown["answered_at"]) == (NOW + 125, NOW)
        data = (await report(site, errand))["basic"]["data"]
        assert (data["closed"], data["answeredDate"]) == (True, "2015/07/16 12:47")

    async def test_to_repeat_it_is_harmless_then_too(self, site: Site) -> None:
        await site.answer(await site.make_errand())
        for _ in range(2):
            assert (await site.post(end_document())).status == 200
        assert (await site.read_back("summary"))["errands"]["ended"] == 1
        assert (await only_errand(site))["end_count"] == 2

    async def test_an_errand_is_answered_after_its_end(self, site: Site) -> None:
        errand = await site.make_errand()
        await site.post(end_document())
        site.wall += 125
        await site.answer(errand)
        shown = await only_errand(site)
        assert (shown["ended_at"], shown["answered_at"]) == (NOW, NOW + 125)

    async def test_an_open_errand_is_ended_before_one_that_was_answered(self, site: Site) -> None:
        opened, answered = await site.make_errand(), await site.make_errand()
        await site.answer(answered)
        ids = []
        for _ in range(3):
            response = await site.post(end_document())
            ids.append(int((await response.json(content_type=None))["data"]["id"]))
        assert ids == [opened, answered, answered]
        assert (await site.read_back("summary"))["errands"]["ended"] == 2


class TestTags:
    async def test_they_are_put_on_with_an_answer(self, site: Site) -> None:
        errand = await site.make_errand()
        await site.answer(errand, tags=["Bill", "Köp"])
        tags = (await report(site, errand))["extended"]["errand_tags"]
        assert [tag["desc"] for tag in tags] == ["Bill", "Köp"]
        assert len({tag["id"] for tag in tags}) == 2

    async def test_they_are_put_on_an_open_errand_which_is_dirty_then(self, site: Site) -> None:
        errand = await site.make_errand()
        await report(site, errand)
        told = await site.tell(f"errands/{errand}/tags", {"tags": ["Bill"]})
        assert told == {"id": str(errand), "tags": ["Bill"]}
        assert await site.dirty() == [errand]
        attributes = await report(site, errand)
        assert [tag["desc"] for tag in attributes["extended"]["errand_tags"]] == ["Bill"]
        assert attributes["basic"]["data"]["closed"] is False
        assert (await only_errand(site))["tags"] == ["Bill"]

    async def test_they_add_up_each_once_and_have_one_id_on_all_errands(self, site: Site) -> None:
        first, second = await site.make_errand("a"), await site.make_errand("b")
        await site.tell(f"errands/{first}/tags", {"tags": ["Bill", "Bill"]})
        await site.answer(first, tags=["New", "Bill"])
        await site.tell(f"errands/{second}/tags", {"tags": ["Bill"]})
        on_first = (await report(site, first))["extended"]["errand_tags"]
        on_second = (await report(site, second))["extended"]["errand_tags"]
        assert [tag["desc"] for tag in on_first] == ["Bill", "New"]
        assert on_second == on_first[:1]

    async def test_the_sla_is_not_worked_out_again(self, site: Site) -> None:
        errand = await site.make_errand()
        site.wall += SLA_DELAY_SECONDS
        await site.tell(f"errands/{errand}/tags", {"tags": ["Bill"]})
        assert (await report(site, errand))["sla"] is not None

    @pytest.mark.parametrize(("wishes", "pointer"), [({}, "/tags"), ({"tags": [1]}, "/tags/0")])
    async def test_a_wrong_wish_is_422(self, site: Site, wishes: Any, pointer: str) -> None:
        errand = await site.make_errand()
        answer = await site.tell(f"errands/{errand}/tags", wishes, status=422)
        assert [error["source"]["pointer"] for error in answer["errors"]] == [pointer]


class TestBounds:
    def test_the_newest_actions_and_tags_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bridge.sandbox.errands.ACTIONS_PER_ERRAND_MAX", 2)
        monkeypatch.setattr("bridge.sandbox.errands.TAGS_PER_ERRAND_MAX", 2)
        book = ErrandBook()
        errand = book.create_others({"from": "a"}, workspace="demo", area="x", now=NOW)
        for at in range(3):
            book.answer(errand, Reply("", "", f"agent {at}", NOW + at))
            book.tag(errand, [f"tag {at}"])
        assert [action.origin for action in errand.actions] == ["agent 1", "agent 2"]
        assert errand.tags == ["tag 1", "tag 2"]

    def test_the_oldest_errands_go_where_answers_are_too_large(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.sandbox.errands.BODY_BYTES_KEPT_MAX", 1000)
        book = ErrandBook()
        made = [
            book.create_others({"from": "a"}, workspace="demo", area="x", now=NOW) for _ in range(2)
        ]
        for _ in range(5):
            book.answer(made[1], Reply("", "x" * 700, "agent", NOW))
        assert list(book) == made
        book.answer(made[1], Reply("", "x" * 950, "agent", NOW))
        assert list(book) == made[1:]
        book.tag(made[1], ["x" * 1000])
        assert list(book) == []
        assert book.dirty("demo") == []
        kept = book.create_others({"from": "a"}, workspace="demo", area="x", now=NOW)
        assert list(book) == [kept]
