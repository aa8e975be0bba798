"""Who may post: bearer tokens and signatures (Standard Webhooks)."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from process_client import JSON, PROBLEM, Reply, event
from process_daemon import Site, running_site

pytestmark = pytest.mark.process

KEYS = (b"the first signing secret", b"the second signing secret")
TOKENS = ("token-one", "token-two")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    secrets = ["whsec_" + base64.b64encode(key).decode() for key in KEYS]
    with running_site(
        tmp_path_factory.mktemp("guarded"),
        HTTP__AUTH_TOKENS=json.dumps(TOKENS),
        HTTP__SIGNING_SECRETS=json.dumps(secrets),
    ) as site:
        yield site


def signed(
    body: bytes, *keys: bytes, age_s: float = 0.0, message_id: str = "msg_1"
) -> dict[str, str | bytes]:
    """Return the three headers of a signed message, one signature a key."""
    identity, moment = message_id, str(int(time.time() - age_s))
    content = f"{identity}.{moment}.".encode() + body
    signatures = [
        "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys
    ]
    return {
        "webhook-id": identity,
        "webhook-timestamp": moment,
        "webhook-signature": " ".join(signatures),
    }


def post(site: Site, body: bytes, headers: dict[str, str | bytes]) -> Reply:
    return site.daemon.events.request("POST", "/v1/events", body, {"Content-Type": JSON, **headers})


def check_unauthorised(reply: Reply) -> None:
    assert (reply.status, reply.media_type) == (401, PROBLEM), reply
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert reply.json["status"] == 401


def fresh() -> bytes:
    return json.dumps(event("call.queued")).encode()


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer wrong",
        b"Bearer token-on",
        b"Bearer token-one token-two",
        b"Basic token-one",
        b"token-one",
        b"Bearer \xff\xfe",
    ],
)
def test_without_a_right_token_nothing_is_taken(guarded: Site, authorization: bytes | None) -> None:
    headers: dict[str, str | bytes] = {}
    if authorization is not None:
        headers["Authorization"] = authorization
    before = guarded.daemon.figures().quarantined
    check_unauthorised(post(guarded, fresh(), headers))
    check_unauthorised(post(guarded, b"{", headers))
    assert guarded.daemon.figures().quarantined == before


@pytest.mark.parametrize("token", TOKENS)
def test_each_of_several_tokens_lets_in(guarded: Site, token: str) -> None:
    assert post(guarded, fresh(), {"Authorization": f"Bearer {token}"}).status == 202
    assert post(guarded, fresh(), {"Authorization": f"bearer {token}"}).status == 202


@pytest.mark.parametrize("keys", [KEYS[:1], KEYS[1:], (b"somebody else's", KEYS[1])])
def test_a_signature_with_one_of_the_secrets_lets_in(
    guarded: Site, keys: tuple[bytes, ...]
) -> None:
    body = fresh()
    assert post(guarded, body, signed(body, *keys)).status == 202


def test_a_wrong_signature_does_not_let_in(guarded: Site) -> None:
    body = fresh()
    check_unauthorised(post(guarded, body, signed(body, b"somebody else's")))


@pytest.mark.parametrize("age_s", [310.0, -310.0])
def test_a_stale_or_early_signature_does_not_let_in(guarded: Site, age_s: float) -> None:
    body = fresh()
    check_unauthorised(post(guarded, body, signed(body, KEYS[0], age_s=age_s)))
    assert post(guarded, body, signed(body, KEYS[0], age_s=age_s * 0.9)).status == 202


def test_a_signature_of_another_body_does_not_let_in(guarded: Site) -> None:
    body = fresh()
    check_unauthorised(post(guarded, body.replace(b"EHS", b"EHT"), signed(body, KEYS[0])))
    check_unauthorised(post(guarded, body + b" ", signed(body, KEYS[0])))


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-id", b"msg_2"),
        ("webhook-id", b""),
        ("webhook-id", b"\xff"),
        ("webhook-timestamp", b"now"),
        ("webhook-timestamp", b"-1"),
        ("webhook-timestamp", b"9" * 400),
        ("webhook-timestamp", "\uff11\uff12".encode()),
        ("webhook-signature", b"v1,"),
        ("webhook-signature", b"v1,\xff"),
        ("webhook-signature", b"v2,YQ=="),
        ("webhook-signature", b","),
    ],
)
def test_an_altered_header_of_the_signature_does_not_let_in(
    guarded: Site, header: str, value: bytes
) -> None:
    body = fresh()
    check_unauthorised(post(guarded, body, {**signed(body, KEYS[0]), header: value}))


def test_a_signed_message_gives_its_id_to_an_event_without_one(guarded: Site) -> None:
    queued = event("call.queued")
    del queued["eventId"]
    body = json.dumps(queued).encode()
    reply = post(guarded, body, signed(body, KEYS[0]))
    assert (reply.status, reply.json["eventId"]) == (202, "msg_1")


def test_a_signed_message_that_comes_again_is_a_duplicate_and_does_nothing(guarded: Site) -> None:
    queued = event("call.answered", deviceId=1, extensionId=1)
    with_id = json.dumps(queued).encode()
    without_id = json.dumps({k: v for k, v in queued.items() if k != "eventId"}).encode()
    guarded.daemon.drain()
    before = guarded.daemon.figures()
    # The message's id is another than the event's, and the same where the event has none.
    for body in (with_id, without_id):
        headers = signed(body, KEYS[0], message_id=f"msg_{hashlib.sha256(body).hexdigest()[:8]}")
        first, again, once_more = (post(guarded, body, headers) for _ in range(3))
        assert (first.status, first.json["status"]) == (202, "accepted")
        for reply in (again, once_more):
            assert (reply.status, reply.json["status"]) == (200, "duplicate")
            assert reply.json["eventId"] == first.json["eventId"]
    after = guarded.daemon.figures()
    assert after.quarantined == before.quarantined


def test_a_signed_batch_that_comes_again_is_nothing_but_duplicates(guarded: Site) -> None:
    body = json.dumps([event("call.queued") for _ in range(3)]).encode()
    headers = signed(body, KEYS[0])
    taken = [
        {one["status"] for one in post(guarded, body, headers).json["results"]} for _ in range(2)
    ]
    assert taken == [{"accepted"}, {"duplicate"}]


def test_a_captured_signature_does_not_fit_another_id_or_time(guarded: Site) -> None:
    body = fresh()
    headers = signed(body, KEYS[0])
    assert post(guarded, body, headers).status == 202
    later = str(int(str(headers["webhook-timestamp"])) + 1)
    for name, value in (("webhook-id", "msg_other"), ("webhook-timestamp", later)):
        check_unauthorised(post(guarded, body, {**headers, name: value}))


def test_whatever_the_cause_the_answer_is_the_same_and_the_cause_is_counted(guarded: Site) -> None:
    body = fresh()
    stale = signed(body, KEYS[0], age_s=4000)
    causes: dict[str, dict[str, str | bytes]] = {
        "missing": {},
        "wrong": {"Authorization": "Bearer wrong"},
        "stale": stale,
    }
    forged = signed(body, b"somebody else's")
    counted = {
        reason: guarded.daemon.metric("bridge_auth_refused_total", source="aventa", reason=reason)
        for reason in ("address", *causes)
    }
    replies = [post(guarded, body, headers) for headers in (*causes.values(), forged)]
    assert len({reply.body for reply in replies}) == 1
    shown = [
        {name: value for name, value in reply.headers.items() if name.lower() != "date"}
        for reply in replies
    ]
    assert all(one == shown[0] for one in shown)
    for reason, more in (("address", 0), ("missing", 1), ("wrong", 2), ("stale", 1)):
        now = guarded.daemon.metric("bridge_auth_refused_total", source="aventa", reason=reason)
        assert now == counted[reason] + more, reason


def test_strangers_are_told_of_once_a_minute_without_their_address(guarded: Site) -> None:
    for _ in range(5):
        check_unauthorised(post(guarded, fresh(), {"Authorization": "Bearer kanarie"}))
    told = [one for one in guarded.daemon.log() if one["event"] == "authentication refused"]
    moments = [datetime.fromisoformat(one["timestamp"]) for one in told]
    assert all(after - before > timedelta(seconds=59) for before, after in pairwise(moments))
    assert {(one["source"], one["peer"]) for one in told} == {("aventa", "loopback")}
    refused = sum(
        guarded.daemon.metric("bridge_auth_refused_total", source="aventa", reason=reason)
        for reason in ("missing", "wrong", "stale")
    )
    assert sum(one["untold"] for one in told) + len(told) <= refused
    shown = json.dumps(told)
    assert "kanarie" not in shown
    assert "127.0.0.1" not in shown
