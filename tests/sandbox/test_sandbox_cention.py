import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from bridge.sandbox.cention import BODY_BYTES_MAX, SandboxOptions, create_app
from bridge.sandbox.tokens import (
    CONTACT_CARDS,
    CREATE_ERRAND,
    make_token,
    read_token,
)

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
        requests_per_minute=50,
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


def contact_card(**contacts: Any) -> Any:
    return {"data": {"type": "c3_contact_cards", "attributes": {"contacts": contacts}}}


async def post(
    client: Client,
    document: Any,
    *,
    workspace: str = "demo",
    kind: str | None = None,
    headers: dict[str, str] | None = None,
) -> ClientResponse:
    return await client.post(
        f"/s/{workspace}/capi/json/{kind or document['data']['type']}",
        data=io.BytesIO(document if isinstance(document, bytes) else json.dumps(document).encode()),
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


class TestAccess:
    async def test_an_unknown_workspace_is_404_before_anything_else(self, client: Client) -> None:
        response = await post(
            client, new_errand(), workspace="nowhere", headers={"Authorization": "none"}
        )
        assert response.status == 404
        await errors_of(response)

    @pytest.mark.parametrize("path", ["/s/demo/capi/json/c3_unknown", "/s/demo", "/s/"])
    async def test_an_unknown_resource_is_404(self, client: Client, path: str) -> None:
        response = await client.post(path)
        assert response.status == 404
        await errors_of(response)

    async def test_another_method_is_405(self, client: Client) -> None:
        response = await client.get("/s/demo/capi/json/c3_new_errands")
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        await errors_of(response)

    @pytest.mark.parametrize(
        "authorization",
        [
            "",
            "Bearer",
            "Bearer a.b",
            "Bearer a.b.c",
            "Bearer ä.b.c",
            f"Basic {make_token(KEY)}",
            f"Bearer {make_token(b'another key')}",
            f"Bearer {make_token(KEY, expires_at=NOW)}",
            f"Bearer {make_token(KEY)}x",
        ],
    )
    async def test_a_missing_or_wrong_token_is_401(
        self, client: Client, authorization: str
    ) -> None:
        response = await post(
            client,
            new_errand(),
            headers={"Authorization": authorization, "Content-Type": "text/plain"},
        )
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        await errors_of(response)

    @pytest.mark.parametrize(
        ("document", "claim"),
        [
            (new_errand(), CONTACT_CARDS),
            (end_errand(), CONTACT_CARDS),
            (contact_card(name="Ann"), CREATE_ERRAND),
        ],
    )
    async def test_a_missing_claim_is_403(self, client: Client, document: Any, claim: str) -> None:
        token = make_token(KEY, claims=[claim])
        response = await post(client, document, headers={"Authorization": f"Bearer {token}"})
        assert response.status == 403
        await errors_of(response)

    async def test_the_limit_holds_in_any_60_seconds_a_workspace(
        self, client: Client, clocks: Clocks
    ) -> None:
        async def statuses(count: int) -> list[int]:
            return [(await post(client, contact_card(name="Ann"))).status for _ in range(count)]

        assert set(await statuses(25)) == {201}
        clocks.monotonic += 30.5
        assert await statuses(26) == [201] * 25 + [429]
        response = await post(client, new_errand())
        assert (response.status, response.headers["Retry-After"]) == (429, "30")
        await errors_of(response)
        assert (await post(client, new_errand(), workspace="other")).status == 201
        clocks.monotonic += 29.5
        assert await statuses(26) == [201] * 25 + [429]

    async def test_refused_tokens_take_nothing_of_the_rate(self, client: Client) -> None:
        for _ in range(60):
            await post(client, new_errand(), headers={"Authorization": "Bearer x"})
        assert (await post(client, new_errand())).status == 201

    async def test_wrong_documents_do(self, client: Client) -> None:
        for _ in range(50):
            assert (await post(client, b"{", kind="c3_new_errands")).status == 400
        assert (await post(client, new_errand())).status == 429

    @pytest.mark.parametrize(
        "content_type",
        [
            "application/json",
            f"{MEDIA_TYPE}; charset=utf-8",
            f"{MEDIA_TYPE};ext=bulk",
            "text/plain",
        ],
    )
    async def test_another_content_type_is_415(self, client: Client, content_type: str) -> None:
        response = await post(client, new_errand(), headers={"Content-Type": content_type})
        assert response.status == 415
        await errors_of(response)

    @pytest.mark.parametrize(
        ("accept", "status"),
        [
            ("*/*", 201),
            ("application/json", 201),
            (f"{MEDIA_TYPE};q=0.9", 201),
            (f"{MEDIA_TYPE};ext=a, {MEDIA_TYPE}", 201),
            (f"{MEDIA_TYPE};ext=a", 406),
            (f'text/html, {MEDIA_TYPE}; profile="a,b"', 406),
        ],
    )
    async def test_accept_must_list_the_media_type_plainly(
        self, client: Client, accept: str, status: int
    ) -> None:
        response = await post(client, new_errand(), headers={"Accept": accept})
        assert response.status == status

    async def test_a_missing_accept_is_fine(self, client: Client) -> None:
        response = await client.post(
            "/s/demo/capi/json/c3_new_errands",
            data=json.dumps(new_errand()).encode(),
            headers={"Authorization": f"Bearer {make_token(KEY)}", "Content-Type": MEDIA_TYPE},
            skip_auto_headers=["Accept"],
        )
        assert response.status == 201

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"data": NaN}'])
    async def test_a_body_that_is_no_json_is_400(self, client: Client, body: bytes) -> None:
        response = await post(client, body, kind="c3_new_errands")
        assert response.status == 400
        await errors_of(response)

    async def test_ten_mib_of_attachments_are_taken(self, client: Client) -> None:
        document = new_errand()
        content = base64.b64encode(bytes(10 * 1024 * 1024)).decode()
        attachment = {"content_type": "image/png", "name": "a.png", "content": content}
        document["data"]["attributes"]["msg"]["attachments"] = [attachment]
        assert (await post(client, document)).status == 201

    async def test_too_large_a_body_is_413(self, client: Client) -> None:
        response = await post(client, b" " * (BODY_BYTES_MAX + 1), kind="c3_new_errands")
        assert response.status == 413
        await errors_of(response)


class TestReadBack:
    async def test_requests_are_kept_without_their_token(
        self, client: Client, clocks: Clocks
    ) -> None:
        await post(client, new_errand())
        clocks.wall += 1
        clocks.monotonic += 1
        await post(client, b"{", kind="c3_new_errands")

        first, second = await read_back(client, "requests")
        assert first["headers"]["Authorization"] == "Bearer …"
        assert first["headers"]["Content-Type"] == MEDIA_TYPE
        assert first["body"] == new_errand()
        assert (first["sequence"], first["status"]) == (1, 201)
        del second["headers"]
        assert second == {
            "sequence": 2,
            "wall_time": NOW + 1,
            "monotonic": 101.0,
            "method": "POST",
            "path": "/s/demo/capi/json/c3_new_errands",
            "status": 400,
            "fault": None,
            "body": None,
        }
        assert [item["sequence"] for item in await read_back(client, "requests?after=1")] == [2]

    async def test_errands_can_be_read_from_an_id_on(self, client: Client) -> None:
        for _ in range(3):
            await post(client, new_errand())
        later = await read_back(client, "errands?after=511055")
        assert [errand["id"] for errand in later] == ["511056", "511057"]
        assert (await client.get("/_sandbox/errands?after=x")).status == 400

    async def test_the_summary_counts_and_tells_each_references_order(self, client: Client) -> None:
        await post(client, new_errand("a"))
        await post(client, end_errand("a"))
        await post(client, end_errand("b"))
        await post(client, new_errand("b"))
        await post(client, contact_card(name="Ann"))

        summary = await read_back(client, "summary")
        assert summary == {
            "requests": {"total": 5, "by_status": {"200": 1, "201": 3, "404": 1}},
            "errands": {"created": 2, "ended": 1},
            "contacts": 1,
            "faults": {"struck": 0, "by_fault": {}},
            "late_effects": 0,
            "references": {"a": ["create", "end"], "b": ["end_refused", "create"]},
        }
        assert "references" not in await read_back(client, "summary?references=0")

    async def test_a_reset_forgets_all_but_goes_on_counting_ids(self, client: Client) -> None:
        await post(client, new_errand())
        await post(client, contact_card(name="Ann"))
        assert (await client.delete("/_sandbox")).status == 204
        for page in ("errands", "contacts", "requests"):
            assert await read_back(client, page) == []
        assert (await read_back(client, "summary"))["requests"] == {"total": 0, "by_status": {}}
        await post(client, new_errand())
        assert (await read_back(client, "errands"))[0]["id"] == "511056"

    async def test_tokens_are_handed_out(self, client: Client, clocks: Clocks) -> None:
        answer = await read_back(client, "token?claims=Create%20Errand,x&area=y&ttl=10")
        assert answer["expires_at"] == NOW + 10
        token = read_token(KEY, answer["token"])
        assert (sorted(token.claims), token.area) == (["Create Errand", "x"], "y")
        headers = {"Authorization": f"Bearer {answer['token']}"}
        assert (await post(client, new_errand(), headers=headers)).status == 201
        clocks.wall += 10
        assert (await post(client, new_errand(), headers=headers)).status == 401
        everything = read_token(KEY, (await read_back(client, "token"))["token"])
        assert {CREATE_ERRAND, CONTACT_CARDS} <= everything.claims
        assert (await client.get("/_sandbox/token?ttl=x")).status == 400
