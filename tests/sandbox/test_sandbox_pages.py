from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from aiohttp import ClientResponseError, ClientSession
from sandbox_site import Receiver, Site

from bridge.sandbox.pages import SandboxPages


class Talk(NamedTuple):
    site: Site
    pages: SandboxPages
    receiver: Receiver


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    async with (
        Receiver().running() as receiver,
        Site().running() as site,
        ClientSession() as session,
    ):
        yield Talk(site, SandboxPages(session, "http://{}:{}".format(*site.address)), receiver)


async def test_an_errand_is_answered_and_the_callback_sent_again(talk: Talk) -> None:
    await talk.pages.set_callback(talk.receiver.url, "secret")
    errand_id = await talk.pages.make_errand()
    told = await talk.pages.answer(errand_id, body="Done", tags=["Bill"])
    assert (told["callbackId"], told["status"]) == ("76", 204)
    assert await talk.pages.resend(told["callbackId"]) == {"callbackId": "76", "status": 204}
    first, second = talk.receiver.documents
    assert first == second
    assert first["meta"] == {"api_secret": "secret"}
    [errand] = await talk.pages.errands()
    assert errand["tags"] == ["Bill"]


async def test_the_callback_is_turned_off(talk: Talk) -> None:
    await talk.pages.set_callback(talk.receiver.url)
    await talk.pages.set_callback("")
    assert (await talk.pages.answer(await talk.pages.make_errand()))["callbackId"] is None


async def test_a_rating_is_made_as_wished(talk: Talk) -> None:
    number = await talk.pages.make_rating(rating=2, message="So so")
    document = await talk.site.read(f"c3_facebook_ratings/{number}")
    data = document["data"]["attributes"]["data"]
    assert (data["rating"], data["message"]) == (2, "So so")


async def test_what_cannot_be_is_refused(talk: Talk) -> None:
    with pytest.raises(ClientResponseError, match="404"):
        await talk.pages.answer(1)
    with pytest.raises(ClientResponseError, match="404"):
        await talk.pages.resend(76)
    with pytest.raises(ClientResponseError, match="422"):
        await talk.pages.set_callback("localhost")
    with pytest.raises(ClientResponseError, match="422"):
        await talk.pages.make_rating(stars=2)
