import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sandbox_site import Site, errors_of

from bridge.sandbox.files import FileBook
from bridge.sandbox.tokens import CONTACT_CARDS, CREATE_ERRAND, ERRAND_DATA, GET_ATTACHMENT

ATTACHMENTS = "c3_response_attachments"
ARCHIVES = "c3_area_archives"
TEXT = {
    "content_type": "text/plain",
    "name": "a.txt",
    "content": base64.b64encode(b"Hello").decode(),
}
IMAGE = {
    "content_type": "image/png",
    "name": "ö.png",
    "content": base64.b64encode(bytes(3)).decode(),
}

both_kinds = pytest.mark.parametrize("resource", [f"{ATTACHMENTS}/788", f"{ARCHIVES}/12"])


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site().running() as running:
        yield running


async def answer(site: Site, *, workspace: str = "demo") -> None:
    made = await site.tell("errands", {"workspace": workspace}, status=201)
    await site.answer(made["id"], attachments=[TEXT], archives=[IMAGE])


async def test_an_attachment_is_handed_out_with_its_content(site: Site) -> None:
    await answer(site)
    assert await site.read(f"{ATTACHMENTS}/788") == {
        "data": {
            "type": ATTACHMENTS,
            "id": "788",
            "attributes": {
                "attachment": {"c3_id": 788, **TEXT, "content_id": "attachment_788"},
            },
        }
    }


async def test_an_image_in_the_answer_is_too(site: Site) -> None:
    await answer(site)
    assert await site.read(f"{ARCHIVES}/12") == {
        "data": {
            "type": ARCHIVES,
            "id": "12",
            "attributes": {"attachment": {"c3_id": 12, **IMAGE, "content_id": "12"}},
        }
    }


@both_kinds
async def test_the_claim_to_get_attachments_is_needed(site: Site, resource: str) -> None:
    await answer(site)
    others = (CREATE_ERRAND, CONTACT_CARDS, ERRAND_DATA)
    response = await site.get(resource, claims=others)
    assert response.status == 403
    await errors_of(response)
    assert (await site.get(resource, claims=(GET_ATTACHMENT,))).status == 200


@pytest.mark.parametrize("number", ["1", "789", "0", "-1", "x", "9" * 5000])
@pytest.mark.parametrize("kind", [ATTACHMENTS, ARCHIVES])
async def test_an_unknown_one_is_404(site: Site, kind: str, number: str) -> None:
    await answer(site)
    response = await site.get(f"{kind}/{number}")
    assert response.status == 404
    await errors_of(response)


@both_kinds
async def test_another_workspaces_is_404(site: Site, resource: str) -> None:
    await answer(site, workspace="other")
    assert (await site.get(resource)).status == 404
    assert (await site.get(resource, workspace="other")).status == 200


async def test_kinds_are_numbered_each_by_itself(site: Site) -> None:
    await answer(site)
    await answer(site)
    for resource in (f"{ATTACHMENTS}/789", f"{ARCHIVES}/13"):
        assert (await site.get(resource)).status == 200
    assert (await site.get(f"{ATTACHMENTS}/12")).status == 404


@both_kinds
async def test_only_the_fields_that_were_asked_for_are_sent(site: Site, resource: str) -> None:
    await answer(site)
    kind = resource.partition("/")[0]
    for fields, names in (("", set()), ("attachment", {"attachment"})):
        document = await site.read(f"{resource}?fields[{kind}]={fields}")
        assert set(document["data"]["attributes"]) == names
    assert (await site.get(f"{resource}?fields[{kind}]=content")).status == 400


@both_kinds
async def test_faults_strike_them(site: Site, resource: str) -> None:
    await answer(site)
    kind = resource.partition("/")[0]
    await site.faults({"status": 503, "kinds": [kind], "times": 1})
    assert (await site.get("c3_dirty_errand_list")).status == 200
    assert (await site.get(resource)).status == 503
    assert (await site.get(resource)).status == 200


async def test_reading_counts_against_the_rate() -> None:
    async with Site(requests_per_minute=1).running() as site:
        await answer(site)
        assert (await site.get(f"{ATTACHMENTS}/788")).status == 200
        assert (await site.get(f"{ARCHIVES}/12")).status == 429


@both_kinds
async def test_a_reset_forgets_them(site: Site, resource: str) -> None:
    await answer(site)
    await site.client.delete("/_sandbox")
    assert (await site.get(resource)).status == 404
    await answer(site)
    assert (await site.get(f"{ATTACHMENTS}/789")).status == 200


def store(book: FileBook, kind: str, *contents: str) -> Any:
    documents = [{"content_type": "a/b", "name": "c", "content": content} for content in contents]
    return book.store(kind, "demo", documents)


def test_the_oldest_files_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sandbox.files.FILES_KEPT_MAX", 2)
    monkeypatch.setattr("bridge.sandbox.files.CONTENT_BYTES_KEPT_MAX", 10)
    book = FileBook()
    [image] = store(book, ARCHIVES, "1")
    first, second = store(book, ATTACHMENTS, "22", "33")
    assert book.find(ARCHIVES, "demo", image.id) is None
    assert book.find(ATTACHMENTS, "demo", first.id) is first
    [large] = store(book, ATTACHMENTS, "4" * 9)
    assert book.find(ATTACHMENTS, "demo", second.id) is None
    assert book.find(ATTACHMENTS, "demo", large.id) is large
