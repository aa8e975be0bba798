import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.tokens import make_token

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
KEY = b"sandbox"
MEDIA_TYPE = "application/vnd.api+json"
NOW = 1_700_000_000.0

Client = TestClient[web.Request, web.Application]


class Clocks:
    def __init__(self) -> None:
        self.monotonic = 100.0
        self.wall = NOW


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
async def client(clocks: Clocks) -> AsyncIterator[Client]:
    options = SandboxOptions(
        workspaces=("demo", "other"),
        clock=lambda: clocks.monotonic,
        wall_clock=lambda: clocks.wall,
    )
    async with TestClient(TestServer(create_app(options))) as test_client:
        yield test_client


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


def new_errand(reference: str = "call-1", **attributes: Any) -> Any:
    document = sample("new_errand_request")
    document["data"]["attributes"]["integrationData"]["referenceId"] = reference
    document["data"]["attributes"].update(attributes)
    return document


def end_errand(reference: str = "call-1", **integration_data: Any) -> Any:
    data = {
        "integrationName": "aventa",
        "referenceId": reference,
        "deviceId": 1000,
        "extensionId": 1000,
    }
    attributes = {"integrationData": {**data, **integration_data}}
    return {"data": {"type": "c3_end_errands", "attributes": attributes}}


async def post(
    client: Client,
    document: Any,
    *,
    workspace: str = "demo",
    headers: dict[str, str] | None = None,
) -> ClientResponse:
    return await client.post(
        f"/s/{workspace}/capi/json/{document['data']['type']}",
        data=json.dumps(document).encode(),
        headers={
            "Authorization": f"Bearer {make_token(KEY, expires_at=NOW + 60)}",
            "Content-Type": MEDIA_TYPE,
            "Accept": MEDIA_TYPE,
            **(headers or {}),
        },
    )


async def read_back(client: Client, page: str) -> Any:
    response = await client.get(f"/_sandbox/{page}")
    assert response.status == 200
    return await response.json()


async def errors_of(response: ClientResponse) -> list[dict[str, Any]]:
    assert response.headers["Content-Type"] == MEDIA_TYPE
    errors = (await response.json(content_type=MEDIA_TYPE))["errors"]
    assert all(error["status"] == str(response.status) for error in errors)
    assert all(error["title"] and error["detail"] for error in errors)
    return list(errors)


class TestErrands:
    async def test_the_vendors_sample_is_accepted_and_kept_as_it_came(self, client: Client) -> None:
        response = await post(client, sample("new_errand_request"))

        assert response.status == 201
        assert response.headers["Content-Type"] == MEDIA_TYPE
        answer = await response.json(content_type=MEDIA_TYPE)
        assert answer == {"data": {"type": "c3_new_errands", "id": "511055"}}
        [errand] = await read_back(client, "errands")
        assert errand == {
            "id": "511055",
            "workspace": "demo",
            "area": "demo",
            "created_at": NOW,
            "ended_at": None,
            "end_count": 0,
            "answered_at": None,
            "answer_count": 0,
            "closed": False,
            "others": False,
            "tags": [],
            "attributes": sample("new_errand_request")["data"]["attributes"],
            "end_attributes": None,
        }

    async def test_the_same_request_makes_another_errand_with_a_higher_id(
        self, client: Client
    ) -> None:
        for _ in range(3):
            assert (await post(client, new_errand())).status == 201

        ids = [int(errand["id"]) for errand in await read_back(client, "errands")]
        assert ids == sorted(set(ids))
        assert len(ids) == 3

    async def test_the_token_decides_the_area(self, client: Client) -> None:
        token = make_token(KEY, area="Bookings")
        await post(client, new_errand(), headers={"Authorization": f"Bearer {token}"})

        assert [errand["area"] for errand in await read_back(client, "errands")] == ["Bookings"]

    async def test_a_template_with_its_answer_is_accepted_and_closed(self, client: Client) -> None:
        answer = {"user_type": "cention", "user_id": "7"}
        template = {"elementname": "missed", "namespace": "n", "params": [{"default": "$10"}]}
        response = await post(client, new_errand(answer=answer, watemplate=template))

        assert response.status == 201
        assert (await read_back(client, "errands"))[0]["closed"] is True

    async def test_a_wrong_document_is_422_with_a_pointer_to_each_mistake(
        self, client: Client
    ) -> None:
        response = await post(client, new_errand(cuid=1, extradata="x"))
        assert response.status == 422
        errors = await errors_of(response)
        assert {error["source"]["pointer"] for error in errors} == {
            "/data/attributes/cuid",
            "/data/attributes/extradata",
        }
        assert await read_back(client, "errands") == []


class TestEnds:
    async def test_an_end_closes_the_errand_of_its_reference(
        self, client: Client, clocks: Clocks
    ) -> None:
        await post(client, new_errand("call-1"))
        await post(client, new_errand("call-2"))
        clocks.wall += 5

        response = await post(client, end_errand("call-1", dialedNumber="+46701234567"))

        assert response.status == 200
        answer = await response.json(content_type=MEDIA_TYPE)
        assert answer == {"data": {"type": "c3_end_errands", "id": "511055"}}
        ended, still_open = await read_back(client, "errands")
        assert (ended["ended_at"], ended["end_count"]) == (NOW + 5, 1)
        assert ended["end_attributes"]["integrationData"]["dialedNumber"] == "+46701234567"
        assert (still_open["ended_at"], still_open["end_count"]) == (None, 0)

    async def test_the_newest_open_errand_is_taken(self, client: Client) -> None:
        await post(client, new_errand())
        await post(client, new_errand())

        ids = [
            (await (await post(client, end_errand())).json(content_type=MEDIA_TYPE))["data"]["id"]
            for _ in range(2)
        ]

        assert ids == ["511056", "511055"]

    async def test_to_repeat_an_end_is_harmless_and_counted(
        self, client: Client, clocks: Clocks
    ) -> None:
        await post(client, new_errand())
        for _ in range(3):
            assert (await post(client, end_errand())).status == 200
            clocks.wall += 1

        [errand] = await read_back(client, "errands")
        assert (errand["ended_at"], errand["end_count"]) == (NOW, 3)

    async def test_an_end_without_errand_is_404(self, client: Client) -> None:
        assert (await post(client, end_errand())).status == 404
        await post(client, new_errand(), workspace="other")
        response = await post(client, end_errand())
        assert response.status == 404
        await errors_of(response)

    async def test_an_errand_without_integration_data_cannot_be_ended(self, client: Client) -> None:
        document = new_errand()
        del document["data"]["attributes"]["integrationData"]
        await post(client, document)
        assert (await post(client, end_errand())).status == 404
