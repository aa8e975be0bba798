import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sandbox_site import MEDIA_TYPE, NOW, Receiver, Site, sample, shape

from bridge.sandbox.callbacks import CallbackBook, is_address
from bridge.sandbox.serve import free_port
from bridge.sandbox.state import SandboxOptions

SECRET = "123456"
END = "<br />--------- Cention Contact Center - Original message - End ---------</div>"
CONTENT = base64.b64encode(b"content").decode()
FILE = {"content_type": "text/plain", "name": "a.txt", "content": CONTENT}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().running() as running:
        yield running


@pytest.fixture
async def site(receiver: Receiver) -> AsyncIterator[Site]:
    site = Site(callback_url=receiver.url, callback_secret=SECRET)
    async with site.running() as running:
        yield running


def of_type(document: Any, kind: str) -> list[Any]:
    return [item for item in document["included"] if item["type"] == kind]


def answer_of(document: Any) -> Any:
    [errand] = of_type(document, "c3_answer_errands")
    return errand["attributes"]["answer"]


def quoted(html_body: str) -> str:
    return html_body[html_body.index("---------") :]


class TestDocument:
    async def test_it_is_the_vendors_sample(self, site: Site, receiver: Receiver) -> None:
        expected = sample("callback_answer_errand")
        made = await site.tell(
            "errands", {"from": "david.liew@test.se", "name": "David Liew"}, status=201
        )
        response = answer_of(expected)["response"]
        told = await site.answer(
            made["id"],
            subject=response["subject"],
            body=response["body"],
            html_body=response["html_body"],
            attachments=[FILE] * 3,
            archives=[FILE],
        )
        assert told == {
            "callbackId": "76",
            "answerId": "1189",
            "status": 204,
            "attachments": ["788", "789", "790"],
            "archives": ["12"],
        }
        # The errand has the only id that is not as in the sample.
        expected["data"]["relationships"]["errand"]["data"]["id"] = made["id"]
        [errand] = of_type(expected, "c3_answer_errands")
        errand["id"] = made["id"]
        errand["attributes"]["c3_id"] = int(made["id"])
        errand["attributes"]["service"] = {"c3_id": 1, "name": "Email", "type": 1}
        assert receiver.documents == [expected]

    async def test_it_is_posted_as_json_api(self, site: Site, receiver: Receiver) -> None:
        await site.answer(await site.make_errand())
        [request] = receiver.requests
        assert (request.method, request.path) == ("POST", "/callbacks")
        assert request.headers["Content-Type"] == MEDIA_TYPE

    async def test_links_may_be_strings(self, site: Site, receiver: Receiver) -> None:
        errand = await site.make_errand()
        wanted = {"attachments": [FILE], "archives": [FILE]}
        await site.answer(errand, links="string", **wanted)
        await site.answer(errand, links="object", **wanted)
        strings, objects = receiver.documents
        for kind, first in (("c3_response_attachments", 788), ("c3_area_archives", 12)):
            url = f"http://localhost/capi/json/{kind}"
            assert [item["links"] for item in of_type(strings, kind)] == [
                {"self": f"{url}/{first}"}
            ]
            assert [item["links"] for item in of_type(objects, kind)] == [
                {"self": {"href": f"{url}/{first + 1}"}}
            ]

    async def test_without_files_its_relationships_are_empty(
        self, site: Site, receiver: Receiver
    ) -> None:
        await site.answer(await site.make_errand())
        [document] = receiver.documents
        [errand] = document["included"]
        assert errand["relationships"] == {
            "attachments": {"data": []},
            "embedded_archives": {"data": []},
        }

    async def test_every_id_grows(self, site: Site, receiver: Receiver) -> None:
        errand = await site.make_errand()
        for _ in range(2):
            await site.answer(errand)
        ids = [
            (
                int(document["data"]["id"]),
                answer_of(document)["c3_id"],
                answer_of(document)["response"]["c3_id"],
                answer_of(document)["response"]["to"][0]["c3_id"],
            )
            for document in receiver.documents
        ]
        assert ids == [(76, 1189, 3304, 279), (77, 1190, 3305, 280)]

    async def test_a_call_is_of_another_service_and_goes_to_its_number(
        self, site: Site, receiver: Receiver
    ) -> None:
        await site.answer(await site.make_errand())
        await site.answer(await site.make_errand(integrationData=None))
        services = [
            of_type(document, "c3_answer_errands")[0]["attributes"]["service"]
            for document in receiver.documents
        ]
        assert [service["name"] for service in services] == ["Voice", "API"]
        assert len({service["type"] for service in services}) == 2
        [to] = answer_of(receiver.documents[0])["response"]["to"]
        assert (to["email_address"], to["name"]) == ("+46701234567", "Ann")

    async def test_a_sender_without_a_name_has_an_empty_one(
        self, site: Site, receiver: Receiver
    ) -> None:
        msg = {"message_id": "m-1", "from": "ann@example.com", "body": "Hello"}
        await site.answer(await site.make_errand(msg=msg))
        [document] = receiver.documents
        response = answer_of(document)["response"]
        assert (response["to"][0]["name"], response["subject"]) == ("", "")
        assert shape(response) == shape(answer_of(sample("callback_answer_errand"))["response"])


class TestHtml:
    async def test_the_original_is_quoted_as_in_the_vendors_sample(
        self, site: Site, receiver: Receiver
    ) -> None:
        site.wall = 1485103980.0  # 2017-01-22 16:53 UTC
        wishes = {
            "name": "Sany Liew",
            "from": "david.liew@test.se",
            "subject": "Creating test errand via API",
            "body": "Test message body at Sun, 22 Jan 2017 16:53:04 +0800",
        }
        made = await site.tell("errands", wishes, status=201)
        await site.answer(made["id"])
        expected = quoted(answer_of(sample("callback_answer_errand"))["response"]["html_body"])
        [document] = receiver.documents
        html_body = answer_of(document)["response"]["html_body"]
        assert quoted(html_body) == expected.replace("#2256-1", f"#{made['id']}-1")

    async def test_texts_are_escaped_and_images_are_in_it(
        self, site: Site, receiver: Receiver
    ) -> None:
        wishes = {"name": "<Ann>", "area": "A & B", "subject": "a < b", "body": "1 < 2\nyes"}
        made = await site.tell("errands", wishes, status=201)
        await site.answer(made["id"], body="2 > 1\nno", attachments=[FILE], archives=[FILE, FILE])
        [document] = receiver.documents
        html_body = answer_of(document)["response"]["html_body"]
        assert html_body.startswith(
            '<div style="font-size:;font-family:;"><div>2 &gt; 1<br />no'
            '<img src="cid:12" /><img src="cid:13" /></div>\n\n<br /><br />\n---------'
        )
        for line in (
            "From: &lt;Ann&gt; (test.account@cention.se)<br />",
            "To: A &amp; B<br />",
            "Subject: a &lt; b<br />",
            "1 &lt; 2<br />yes<br />",
            END,
        ):
            assert line in html_body.split("\n")

    async def test_the_originals_html_is_quoted_where_it_has_some(
        self, site: Site, receiver: Receiver
    ) -> None:
        msg = {"message_id": "m-1", "from": "ann@example.com", "html_body": "<p>Hello</p>"}
        await site.answer(await site.make_errand(msg=msg))
        [document] = receiver.documents
        assert "<p>Hello</p><br />" in answer_of(document)["response"]["html_body"].split("\n")


class TestSecret:
    async def test_it_is_sent_only_where_there_is_one(self, site: Site, receiver: Receiver) -> None:
        errand = await site.make_errand()
        await site.answer(errand)
        await site.tell("callback", {"url": receiver.url}, method="PUT")
        await site.answer(errand)
        with_secret, without = receiver.documents
        assert with_secret["meta"] == {"api_secret": SECRET}
        assert "meta" not in without

    async def test_it_is_never_shown(
        self, site: Site, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        secret = "nobody-knows"
        await site.tell("callback", {"url": receiver.url, "secret": secret}, method="PUT")
        await site.answer(await site.make_errand())
        shown = [await site.read_back(page) for page in ("callback", "errands", "summary")]
        assert receiver.documents[0]["meta"] == {"api_secret": secret}
        assert secret not in str(shown)
        assert secret not in caplog.text
        assert secret not in repr(SandboxOptions(callback_secret=secret))
        assert secret not in repr(CallbackBook(secret=secret))


class TestAddress:
    async def test_it_is_shown(self, site: Site, receiver: Receiver) -> None:
        assert await site.read_back("callback") == {"url": receiver.url, "hasSecret": True}

    async def test_it_can_be_changed_and_turned_off(self, site: Site, receiver: Receiver) -> None:
        errand = await site.make_errand()
        told = await site.tell("callback", {"url": ""}, method="PUT")
        assert told == {"url": "", "hasSecret": False}
        silent = await site.answer(errand)
        assert (silent["callbackId"], silent["status"]) == (None, None)
        assert receiver.bodies == []
        wanted = {"url": receiver.url, "secret": "new"}
        told = await site.tell("callback", wanted, method="PUT")
        assert told == {"url": receiver.url, "hasSecret": True}
        assert (await site.answer(errand))["callbackId"] == "76"
        assert receiver.documents[0]["meta"] == {"api_secret": "new"}

    async def test_a_reset_brings_the_first_one_back_and_forgets_what_was_sent(
        self, site: Site, receiver: Receiver
    ) -> None:
        await site.answer(await site.make_errand())
        await site.tell("callback", {"url": "http://localhost:1/"}, method="PUT")
        assert (await site.client.delete("/_sandbox")).status == 204
        assert await site.read_back("callback") == {"url": receiver.url, "hasSecret": True}
        await site.tell("callbacks/76/resend", {}, status=404)
        assert (await site.answer(await site.make_errand()))["callbackId"] == "77"

    @pytest.mark.parametrize(
        ("wishes", "pointer"),
        [
            ({}, "/url"),
            ({"url": None}, "/url"),
            ({"url": "localhost:8080"}, "/url"),
            ({"url": "ftp://localhost/"}, "/url"),
            ({"url": "http://"}, "/url"),
            ({"url": "http://localhost:99999/"}, "/url"),
            ({"url": "", "secret": 1}, "/secret"),
        ],
    )
    async def test_a_wrong_one_is_422(self, site: Site, wishes: Any, pointer: str) -> None:
        before = await site.read_back("callback")
        answer = await site.tell("callback", wishes, status=422, method="PUT")
        assert [error["source"]["pointer"] for error in answer["errors"]] == [pointer]
        assert await site.read_back("callback") == before

    @pytest.mark.parametrize("url", ["http://localhost", "https://[::1]:8080/a?b=c", "http://ö.se"])
    def test_http_and_https_are_addresses(self, url: str) -> None:
        assert is_address(url)


class TestReceiver:
    @pytest.mark.parametrize("status", [200, 400, 401, 500, 503])
    async def test_its_status_is_told(self, site: Site, receiver: Receiver, status: int) -> None:
        receiver.status = status
        assert (await site.answer(await site.make_errand()))["status"] == status

    async def test_redirects_are_not_followed(self, site: Site, receiver: Receiver) -> None:
        receiver.status = 307
        assert (await site.answer(await site.make_errand()))["status"] == 307
        assert [request.path for request in receiver.requests] == ["/callbacks"]

    async def test_one_that_is_down_is_no_mistake(self, site: Site) -> None:
        url = f"http://127.0.0.1:{free_port(0)}/"
        await site.tell("callback", {"url": url}, method="PUT")
        errand = await site.make_errand()
        told = await site.answer(errand)
        assert (told["callbackId"], told["status"]) == ("76", None)
        [shown] = await site.read_back("errands")
        assert shown["answered_at"] == NOW

    async def test_one_that_does_not_answer_in_time_is_given_up(
        self, site: Site, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.sandbox.answering.CALLBACK_SECONDS_MAX", 0.05)
        receiver.held.clear()
        assert (await site.answer(await site.make_errand()))["status"] is None

    async def test_it_finds_errand_and_files_as_they_are_after_the_answer(
        self, site: Site, receiver: Receiver
    ) -> None:
        errand = await site.make_errand()
        receiver.held.clear()
        answering = asyncio.create_task(site.answer(errand, attachments=[FILE]))
        async with asyncio.timeout(10):
            await receiver.arrived.wait()
        [link] = of_type(receiver.documents[0], "c3_response_attachments")
        document = await site.read(f"{link['type']}/{link['id']}")
        assert document["data"]["attributes"]["attachment"]["content"] == CONTENT
        report = await site.read(f"c3_errand_reports/{errand}")
        assert report["data"]["attributes"]["basic"]["data"]["answered"] is True
        receiver.held.set()
        assert (await answering)["status"] == 204


class TestResend:
    async def test_the_same_bytes_are_sent_again(self, site: Site, receiver: Receiver) -> None:
        errand = await site.make_errand()
        await site.answer(errand, body="First")
        await site.answer(errand, body="Second")
        receiver.status = 503
        told = await site.tell("callbacks/76/resend", {})
        assert told == {"callbackId": "76", "status": 503}
        first, _, again = receiver.bodies
        assert again == first
        assert receiver.requests[-1].headers["Content-Type"] == MEDIA_TYPE

    async def test_they_go_to_the_address_of_now(self, site: Site, receiver: Receiver) -> None:
        await site.answer(await site.make_errand())
        async with Receiver().running() as other:
            await site.tell("callback", {"url": other.url, "secret": "new"}, method="PUT")
            await site.tell("callbacks/76/resend", {})
            assert other.bodies == receiver.bodies

    async def test_without_an_address_nothing_is_sent(self, site: Site, receiver: Receiver) -> None:
        await site.answer(await site.make_errand())
        await site.tell("callback", {"url": ""}, method="PUT")
        told = await site.tell("callbacks/76/resend", {})
        assert told == {"callbackId": "76", "status": None}
        assert len(receiver.bodies) == 1

    @pytest.mark.parametrize("callback", ["77", "x", "9" * 5000])
    async def test_an_unknown_one_is_404(self, site: Site, callback: str) -> None:
        await site.answer(await site.make_errand())
        answer = await site.tell(f"callbacks/{callback}/resend", {}, status=404)
        assert [error["status"] for error in answer["errors"]] == ["404"]


def test_the_oldest_callbacks_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sandbox.callbacks.CALLBACKS_KEPT_MAX", 2)
    monkeypatch.setattr("bridge.sandbox.callbacks.BODY_BYTES_KEPT_MAX", 10)
    book = CallbackBook()
    for body in (b"1", b"2", b"3"):
        book.keep(book.take_id(), body)
    assert [book.find(number) for number in (76, 77, 78)] == [None, b"2", b"3"]
    book.keep(book.take_id(), b"456789012")
    assert [book.find(number) for number in (77, 78, 79)] == [None, b"3", b"456789012"]
