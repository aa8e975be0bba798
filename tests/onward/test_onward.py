import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace
from opentelemetry.sdk.trace import TracerProvider
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from bridge.domain.answers import Answer, FileName, FileType, KeptFile, OnwardAnswer, Recipient
from bridge.domain.contacts import Card
from bridge.domain.deliveries import Kind
from bridge.domain.outcomes import Failure, Reply
from bridge.domain.routes import ONWARD_ROUTE
from bridge.onward.documents import answered
from bridge.onward.sender import OnwardOptions, OnwardSender
from bridge.ops.clock import SystemClock
from bridge.ops.otel import OtelTracer
from bridge.ports import NO_TRACER, Parcel, Tracer
from bridge.wire.exchange import Exchange, open_session

KEY = b"a key of twenty-four byte"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
DIGEST = hashlib.sha256(b"a").hexdigest()
# 2026-09-21 14:13:20.123456 UTC.
RECEIVED_US = 1_790_000_000_123_456
ANSWER = Answer(
    callback_id="76",
    errand_id=2256,
    answer_id="1189",
    response_id="3304",
    subject="Your call",
    body="It is in the post: å € 🐤",
    html_body="<div>It is in the post</div>",
    to=(Recipient(name="Ada", email_address="ada@example.com"), Recipient(name="Bo")),
    service_name="Form",
    service_type=19,
    files=(FileName(FileType.ATTACHMENT, 788), FileName(FileType.ARCHIVE, 12)),
    foreign_links=3,
)
FILES = (
    KeptFile(
        name=FileName(FileType.ATTACHMENT, 788),
        title="invoice.pdf",
        content_type="application/pdf",
        content_id="attachment_788",
        size=1,
        sha256=DIGEST,
    ),
    KeptFile(name=FileName(FileType.ARCHIVE, 12), error="not_found"),
)
ONWARD = OnwardAnswer(
    webhook_id="answer-0123",
    received_us=RECEIVED_US,
    reference_id="av-1",
    answer=ANSWER,
    files=FILES,
)
PARCEL = Parcel(
    id=1,
    key="answer:1",
    lane="answer:2256",
    kind=Kind.ANSWER,
    route=ONWARD_ROUTE,
    source="aventa",
    reference_id="av-1",
    accepted_us=RECEIVED_US,
    first_us=0,
    attempts=1,
    payload=ONWARD,
)


@dataclass
class Target:
    """Who answers are sent on to; answers as told."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hangs_up: bool = False
    taken: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append((dict(request.headers), await request.read()))
        if self.hangs_up and request.transport is not None:
            request.transport.abort()
        return web.Response(status=self.status, headers=self.headers)


class SetClock(SystemClock):
    """The system's, but for the time of day."""

    def __init__(self, at_us: int) -> None:
        super().__init__()
        self.at_us = at_us

    def now_us(self) -> int:
        return self.at_us


@asynccontextmanager
async def sending_to(
    target: Target, clock: SystemClock | None = None, tracer: Tracer = NO_TRACER
) -> AsyncIterator[OnwardSender]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", target.take)
    async with TestServer(app) as server, open_session() as session:
        used = clock or SystemClock()
        options = OnwardOptions(url=str(server.make_url("/in?x=1")), secret=SECRET, timeout_s=5.0)
        yield OnwardSender(Exchange(session, used, tracer), used, options)


async def send(target: Target, parcel: Parcel = PARCEL) -> Reply:
    async with sending_to(target) as sender:
        return await sender.send(parcel)


@pytest.mark.parametrize("is_traced", [True, False])
async def test_an_answer_says_which_trace_it_is_of_where_it_is_traced(*, is_traced: bool) -> None:
    tracer = OtelTracer(TracerProvider(), lambda: 0) if is_traced else NO_TRACER
    target = Target()
    async with sending_to(target, tracer=tracer) as sender:
        await sender.send(replace(PARCEL, trace=f"00-{'1' * 32}-{'2' * 16}-01"))
    ((headers, _),) = target.taken
    given = [value for name, value in headers.items() if name.lower() == "traceparent"]
    assert [one[:36] for one in given] == ([f"00-{'1' * 32}-"] if is_traced else [])
    assert "2" * 16 not in "".join(given)


def signature(secret: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    """Sign as the specification of Standard Webhooks says, without its library."""
    signed = hmac.digest(secret, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(signed).decode()


def test_the_document_has_the_contracts_shape() -> None:
    assert answered(ONWARD) == {
        "type": "errand.answered",
        "timestamp": "2026-09-21T14:13:20.123Z",
        "data": {
            "referenceId": "av-1",
            "errandId": "2256",
            "callbackId": "76",
            "answer": {
                "subject": "Your call",
                "body": "It is in the post: å € 🐤",
                "html_body": "<div>It is in the post</div>",
                "to": [
                    {"name": "Ada", "email_address": "ada@example.com"},
                    {"name": "Bo", "email_address": ""},
                ],
            },
            "service": {"name": "Form", "type": 19},
            "attachments": [
                {
                    "id": "788",
                    "type": "c3_response_attachments",
                    "name": "invoice.pdf",
                    "content_type": "application/pdf",
                    "content_id": "attachment_788",
                    "size": 1,
                    "sha256": DIGEST,
                },
                {
                    "id": "12",
                    "type": "c3_area_archives",
                    "name": None,
                    "content_type": None,
                    "content_id": None,
                    "size": None,
                    "sha256": None,
                    "error": "not_found",
                },
            ],
        },
    }


def test_an_answer_of_no_known_call_has_no_reference() -> None:
    assert answered(replace(ONWARD, reference_id=""))["data"]["referenceId"] is None


def test_an_answer_of_which_nothing_is_told_has_every_key() -> None:
    bare = replace(ONWARD, answer=Answer(callback_id="76", errand_id=1), files=())
    data = answered(bare)["data"]
    assert set(data) == set(answered(ONWARD)["data"])
    assert data["answer"] == {"subject": "", "body": "", "html_body": "", "to": []}
    assert data["service"] == {"name": "", "type": None}
    assert data["attachments"] == []


def test_an_empty_file_has_a_size_of_its_own() -> None:
    file = replace(FILES[0], size=0)
    [told] = answered(replace(ONWARD, files=(file,)))["data"]["attachments"]
    assert (told["size"], told["sha256"]) == (0, DIGEST)
    assert "error" not in told


@pytest.mark.parametrize(
    ("received_us", "timestamp"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (RECEIVED_US // 10**6 * 10**6, "2026-09-21T14:13:20.000Z"),
        (RECEIVED_US // 10**6 * 10**6 + 999, "2026-09-21T14:13:20.000Z"),
    ],
)
def test_the_timestamp_is_when_cention_called_back_in_utc(received_us: int, timestamp: str) -> None:
    assert answered(replace(ONWARD, received_us=received_us))["timestamp"] == timestamp


async def test_an_answer_is_posted_as_json_under_its_own_id() -> None:
    target = Target()
    reply = await send(target)
    assert (reply.status, reply.failure) == (200, None)
    [(headers, body)] = target.taken
    assert headers["Content-Type"] == "application/json"
    assert headers["webhook-id"] == "answer-0123"
    assert "Authorization" not in headers
    assert json.loads(body) == answered(ONWARD)


async def test_the_schemes_own_library_takes_the_signature() -> None:
    target = Target()
    await send(target)
    [(headers, body)] = target.taken
    verified: Any = Webhook(SECRET).verify(body, dict(headers))
    assert verified == answered(ONWARD)


async def test_another_secret_or_body_or_id_is_not_what_was_signed() -> None:
    target = Target()
    await send(target)
    [(headers, body)] = target.taken
    other = "whsec_" + base64.b64encode(b"another").decode()
    for secret, sent, named in (
        (other, body, {}),
        (SECRET, body.replace(b"2256", b"2257"), {}),
        (SECRET, body, {"webhook-id": "answer-0124"}),
        (SECRET, body, {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(sent, {**headers, **named})


async def test_what_is_signed_is_what_the_specification_says() -> None:
    target = Target()
    await send(target)
    [(headers, body)] = target.taken
    expected = signature(KEY, headers["webhook-id"], headers["webhook-timestamp"], body)
    assert headers["webhook-signature"] == expected


@pytest.mark.parametrize("fraction_us", [0, 1, 499_999, 500_000, 999_999])
async def test_the_signatures_time_is_the_machines_in_whole_seconds(fraction_us: int) -> None:
    target = Target()
    async with sending_to(target, SetClock(1_790_000_123_000_000 + fraction_us)) as sender:
        await sender.send(PARCEL)
    [(headers, body)] = target.taken
    assert headers["webhook-timestamp"] == "1790000123"
    assert headers["webhook-signature"] == signature(KEY, "answer-0123", "1790000123", body)


async def test_what_is_sent_again_has_the_same_id_and_body_and_a_time_of_its_own() -> None:
    target, clock = Target(), SetClock(1_790_000_123_000_000)
    async with sending_to(target, clock) as sender:
        await sender.send(PARCEL)
        clock.at_us += 7_000_000
        await sender.send(replace(PARCEL, attempts=2))
    [(first, first_body), (second, second_body)] = target.taken
    assert first_body == second_body
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 7
    assert first["webhook-signature"] != second["webhook-signature"]


async def test_it_is_signed_at_a_time_that_the_receiver_takes_for_now() -> None:
    target = Target()
    await send(target)
    [(headers, _)] = target.taken
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60


@pytest.mark.parametrize("status", [200, 204, 301, 302, 401, 404, 410, 422, 429, 500, 503])
async def test_the_targets_status_is_the_reply(status: int) -> None:
    target = Target(status=status, headers={"Retry-After": "7"})
    reply = await send(target)
    assert (reply.status, reply.failure, reply.retry_after_s) == (status, None, 7.0)
    assert len(target.taken) == 1


async def test_a_redirect_is_not_followed() -> None:
    target = Target(status=307, headers={"Location": "/elsewhere"})
    assert (await send(target)).status == 307
    assert len(target.taken) == 1


async def test_a_connection_that_breaks_is_lost() -> None:
    assert (await send(Target(hangs_up=True))).failure is Failure.LOST


async def test_nobody_there_is_a_reply_as_well() -> None:
    async with sending_to(Target()) as sender:
        sender.options = dataclasses.replace(sender.options, url="http://127.0.0.1:1/")
        assert (await sender.send(PARCEL)).failure is Failure.NOT_CONNECTED


@pytest.mark.parametrize("payload", [ONWARD, Card(name="Ada")])
async def test_without_an_address_or_an_answer_nothing_leaves(payload: OnwardAnswer | Card) -> None:
    target = Target()
    async with sending_to(target) as sender:
        if isinstance(payload, OnwardAnswer):
            sender.options = OnwardOptions()
        reply = await sender.send(replace(PARCEL, payload=payload))
    assert reply.failure is Failure.NOT_CONNECTED
    assert target.taken == []


async def test_a_new_secret_signs_from_the_next_answer_on() -> None:
    target = Target()
    other = "whsec_" + base64.b64encode(b"another").decode()
    async with sending_to(target) as sender:
        sender.options = dataclasses.replace(sender.options, secret=other)
        await sender.send(PARCEL)
    [(headers, body)] = target.taken
    Webhook(other).verify(body, dict(headers))


async def test_another_address_or_secret_has_another_mark_which_gives_neither_away() -> None:
    async with sending_to(Target()) as sender:
        options = sender.options
        marks = [sender.token_mark(ONWARD_ROUTE)]
        for changed in (
            dataclasses.replace(options, url="http://x/"),
            dataclasses.replace(options, secret="whsec_eA=="),
        ):
            sender.options = changed
            marks.append(sender.token_mark(ONWARD_ROUTE))
        sender.options = options
        assert sender.token_mark(ONWARD_ROUTE) == marks[0]
    assert len(set(marks)) == 3
    assert not any(part in mark for mark in marks for part in (SECRET, options.url))
    assert SECRET not in repr(options)


async def test_a_refusal_is_about_this_route_alone() -> None:
    async with sending_to(Target()) as sender:
        assert list(sender.sharing(ONWARD_ROUTE, 401)) == [ONWARD_ROUTE]
