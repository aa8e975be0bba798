import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.contacts import CardFile
from bridge.sandbox.tokens import make_token

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
MEDIA_TYPE = "application/vnd.api+json"
NOW = 1_700_000_000.0

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def wall() -> list[float]:
    return [NOW]


@pytest.fixture
async def client(wall: list[float]) -> AsyncIterator[Client]:
    options = SandboxOptions(workspaces=("demo", "other"), wall_clock=lambda: wall[0])
    async with TestClient(TestServer(create_app(options))) as test_client:
        yield test_client


async def post(client: Client, document: Any, *, workspace: str = "demo") -> tuple[int, Any]:
    response = await client.post(
        f"/s/{workspace}/capi/json/c3_contact_cards",
        data=json.dumps(document).encode(),
        headers={"Authorization": f"Bearer {make_token(b'sandbox')}", "Content-Type": MEDIA_TYPE},
    )
    return response.status, await response.json(content_type=MEDIA_TYPE)


async def merge(client: Client, workspace: str = "demo", **contacts: Any) -> tuple[int, str, Any]:
    document = {"data": {"type": "c3_contact_cards", "attributes": {"contacts": contacts}}}
    status, answer = await post(client, document, workspace=workspace)
    data = answer["data"]
    assert data["attributes"]["c3_id"] == int(data["id"])
    return status, data["id"], data["attributes"]["contacts"]


async def test_the_vendors_sample_is_answered_as_the_vendor_does(client: Client) -> None:
    request = json.loads((SAMPLES / "contact_card_request.json").read_text())
    response = json.loads((SAMPLES / "contact_card_response.json").read_text())
    assert await post(client, request) == (201, response)


@pytest.mark.parametrize("channel", ["facebook", "vk", "line", "voice"])
async def test_any_known_value_updates_the_card(client: Client, channel: str) -> None:
    first: dict[str, Any] = {"name": "Ann", channel: ["+46701234567"]}
    second: dict[str, Any] = {
        "email": ["new@example.se"],
        channel: ["+46701234567", "+46701234568"],
    }
    await merge(client, **first)
    status, card_id, contacts = await merge(client, **second)

    assert (status, card_id) == (200, "13")
    assert contacts["name"] == "Ann"
    assert contacts[channel] == ["+46701234567", "+46701234568"]
    assert contacts["email"] == ["new@example.se"]


async def test_an_email_address_matches_and_is_not_doubled(client: Client) -> None:
    await merge(client, email=["a@example.se"])
    status, _, contacts = await merge(client, email=["b@example.se", "a@example.se"])
    assert (status, contacts) == (200, {"email": ["a@example.se", "b@example.se"]})


async def test_a_given_name_replaces_the_old_one(client: Client) -> None:
    await merge(client, name="Ann", voice=["+46701234567"])
    _, _, contacts = await merge(client, name="Anna", voice=["+46701234567"])
    assert contacts == {"name": "Anna", "voice": ["+46701234567"]}


async def test_custom_fields_are_appended_or_replaced_by_label(client: Client) -> None:
    voice = ["+46701234567"]
    first = [{"label": "cuid", "value": "1"}, {"label": "Town", "value": "Umeå"}]
    second = [{"label": "cuid", "value": "2"}, {"label": "Floor", "value": "3"}]
    await merge(client, voice=voice, custom=first)
    _, _, contacts = await merge(client, voice=voice, custom=second)
    assert contacts["custom"] == [
        {"label": "cuid", "value": "2"},
        {"label": "Town", "value": "Umeå"},
        {"label": "Floor", "value": "3"},
    ]


async def test_names_and_custom_fields_never_match(client: Client) -> None:
    custom = [{"label": "cuid", "value": "1"}]
    assert (await merge(client, name="Ann", custom=custom))[:2] == (201, "13")
    assert (await merge(client, name="Ann", custom=custom))[:2] == (201, "14")


async def test_of_several_matching_cards_the_oldest_is_taken(client: Client) -> None:
    await merge(client, email=["a@example.se"])
    await merge(client, voice=["+46701234567"])
    status, card_id, _ = await merge(client, voice=["+46701234567"], email=["a@example.se"])
    assert (status, card_id) == (200, "13")
    assert (await merge(client, voice=["+46701234567"]))[1] == "13"


async def test_the_same_value_in_another_channel_or_workspace_is_no_match(
    client: Client,
) -> None:
    await merge(client, vk=["x"])
    assert (await merge(client, line=["x"]))[0] == 201
    assert (await merge(client, workspace="other", vk=["x"]))[0] == 201


async def test_cards_can_be_read_back(client: Client, wall: list[float]) -> None:
    await merge(client, name="Ann", voice=["+46701234567"])
    wall[0] += 1
    await merge(client, voice=["+46701234567"])
    assert await (await client.get("/_sandbox/contacts")).json() == [
        {
            "id": "13",
            "workspace": "demo",
            "created_at": NOW,
            "updated_at": NOW + 1,
            "update_count": 1,
            "contacts": {"name": "Ann", "voice": ["+46701234567"]},
        }
    ]


def test_the_oldest_card_goes_when_there_are_too_many() -> None:
    cards = CardFile(kept_max=2)
    for value in ("a", "b", "c"):
        cards.merge("demo", {"email": [value, "shared"] if value != "b" else [value]}, NOW)
    # "c" was merged into the oldest, which has "shared".
    assert [card.id for card in cards] == [13, 14]
    cards.merge("demo", {"email": ["d"]}, NOW)
    assert [card.id for card in cards] == [14, 15]
    assert cards.merge("demo", {"email": ["shared"]}, NOW)[1] is True
