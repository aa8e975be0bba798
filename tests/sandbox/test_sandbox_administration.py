"""The stand-in for the administration API: what it refuses, and what it keeps."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.serve import listen, serving
from bridge.sandbox.state import ACCESS_KEY_ID, ACCESS_KEY_SECRET

SAMPLES = Path(__file__).parent / "samples"


class Client:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def send(
        self, method: str, path: str, body: Any = None, *, signed: str | None = None
    ) -> tuple[int, Any]:
        """Send a request; `signed` is what comes after the path in the text that is signed."""
        if signed is None:
            signed = "".join(f":{value}" for _, value in sorted((body or {}).items()))
        text = f"{ACCESS_KEY_ID}:demo:{path}{signed}"
        digest = hmac.new(ACCESS_KEY_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        headers = {"Authorization": f"CENTION1-HMAC-SHA256 {ACCESS_KEY_ID},{digest}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        async with self.session.request(
            method,
            f"{self.url}/s/demo{path}",
            data=None if body is None else json.dumps(body),
            headers=headers,
        ) as response:
            return response.status, json.loads(await response.read())

    async def page(self, name: str, document: Any = None) -> Any:
        method = "GET" if document is None else "POST"
        async with self.session.request(
            method, f"{self.url}/_sandbox/{name}", json=document
        ) as response:
            return json.loads(await response.read())


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    options = SandboxOptions(requests_per_minute=20)
    async with (
        serving(create_app(options), listen(0)) as url,
        aiohttp.ClientSession() as session,
    ):
        yield Client(session, url)


async def test_it_answers_as_the_pages_samples_do(client: Client) -> None:
    body = json.loads((SAMPLES / "organization_response.json").read_text())
    number = body.pop("id")
    week = "".join(":18:00:09:00:true" for _ in body["working_time_data"])[1:]
    signed = f":true:true:365:true:SE:123:123456:new organisation:1:CET:{week}"
    assert await client.send("POST", "/v1/org", body, signed=signed) == (
        200,
        {"id": number, **body},
    )
    deleted = json.loads((SAMPLES / "organization_deleted.json").read_text())
    assert await client.send("DELETE", f"/v1/org/{number}") == (200, deleted)


async def test_a_signature_over_json_is_taken_too(client: Client) -> None:
    body = {"name": "Org", "bright_settings": {"active": True}}
    status, _ = await client.send("POST", "/v1/org", body, signed=':{"active":true}:Org')
    assert status == 200


@pytest.mark.parametrize("signed", ["", ":other", ":Org:"])
async def test_a_wrong_signature_is_refused(client: Client, signed: str) -> None:
    assert await client.send("POST", "/v1/org", {"name": "Org"}, signed=signed) == (
        401,
        {"error": "The signature is not right"},
    )


@pytest.mark.parametrize(
    ("path", "body", "signed", "error"),
    [
        ("/v1/org", {}, "", "name: is required"),
        ("/v1/org", {"name": "X", "time_zone": "XYZ"}, None, "time_zone: must be one of SST"),
        (
            "/v1/area",
            {"name": "X", "organisation_id": 9},
            None,
            "organisation_id: there is no org 9",
        ),
        ("/v1/routing/sip", {"areas": [7], "route_sip_id": "1"}, ":7:1", "areas: there is no area"),
        ("/v1/tag", {"tag_name": "X"}, None, "areas: is required"),
    ],
)
async def test_what_the_tables_do_not_allow_is_refused(
    client: Client, path: str, body: Any, signed: str | None, error: str
) -> None:
    status, document = await client.send("POST", path, body, signed=signed)
    assert (status, list(document)) == (400, ["error"])
    assert document["error"].startswith(error)


async def test_what_is_in_use_is_not_deleted_and_what_is_gone_is_not_found(client: Client) -> None:
    _, area = await client.send("POST", "/v1/area", {"name": "X"})
    tag = {"areas": [area["id"]], "tag_name": "T"}
    _, made = await client.send("POST", "/v1/tag", tag, signed=f":{area['id']}:T")
    assert made["tag_id"] != made["id"]
    status, document = await client.send("DELETE", f"/v1/area/{area['id']}")
    assert (status, document["error"]) == (400, f"area {area['id']} is used by tag {made['id']}")
    assert (await client.send("DELETE", f"/v1/tag/{made['id']}"))[0] == 200
    assert (await client.send("DELETE", f"/v1/tag/{made['id']}"))[0] == 404


async def test_a_deleted_organization_comes_back_by_being_active(client: Client) -> None:
    _, made = await client.send("POST", "/v1/org", {"name": "Org"})
    path = f"/v1/org/{made['id']}"
    await client.send("DELETE", path)
    assert (await client.send("PUT", path, {"name": "New"}))[0] == 404
    assert (await client.send("PUT", path, {"active": True}, signed=":true"))[0] == 200
    kept = (await client.page("administered"))["demo"]["org"]
    assert kept == {str(made["id"]): {"name": "Org", "active": True}}


async def test_faults_strike_by_kind_and_say_an_error_as_this_api_does(client: Client) -> None:
    await client.page("faults", [{"kinds": ["area"], "status": 503, "times": 1}])
    assert (await client.send("POST", "/v1/org", {"name": "Org"}))[0] == 200
    assert await client.send("POST", "/v1/area", {"name": "A"}) == (
        503,
        {"error": "A fault that was asked for"},
    )
    await client.page("faults", [{"kinds": ["area"], "drop_answer": True, "times": 1}])
    with pytest.raises(aiohttp.ClientError):
        await client.send("POST", "/v1/area", {"name": "A"})
    assert len((await client.page("administered"))["demo"]["area"]) == 1


async def test_its_requests_count_towards_the_workspaces_rate(client: Client) -> None:
    statuses = [
        (await client.send("POST", "/v1/org", {"name": f"Org {number}"}))[0] for number in range(21)
    ]
    assert statuses == [200] * 20 + [429]
