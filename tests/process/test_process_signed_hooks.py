"""Other phone systems that sign: their posts become calls, and what was caught does nothing."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from process_circle import Circle, open_circle
from process_client import JSON, PROBLEM, Reply, at, event, new_number, new_reference
from process_upstream import eventually

pytestmark = pytest.mark.process

FORM: Final = "application/x-www-form-urlencoded"
TWILIO_TOKEN: Final = "a-token-of-twilio"
TWILIO_URL: Final = "https://bridge.example.com/v1/hooks/twilio"
STANDARD_KEY: Final = b"a secret of thirty-two bytes ..."
TELNYX: Final = ed25519.Ed25519PrivateKey.generate()
SIPGATE: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circle]:
    telnyx = TELNYX.public_key().public_bytes_raw()
    sipgate = SIPGATE.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    standard = "whsec_" + base64.b64encode(STANDARD_KEY).decode()
    hooks = [
        {
            "name": "twilio",
            "mapping": "twilio-status",
            "public_url": TWILIO_URL,
            "twilio_auth_tokens": ["of-another-time", TWILIO_TOKEN],
        },
        {
            "name": "telnyx",
            "mapping": "telnyx-call-control",
            "telnyx_public_keys": [base64.b64encode(telnyx).decode()],
        },
        {"name": "sipgate", "mapping": "sipgate-io", "sipgate_public_keys": [sipgate.decode()]},
        {"name": "standard", "mapping": "aventa-flat", "signing_secrets": [standard]},
    ]
    routes = [
        {
            "name": "twilio",
            "queue_names": ["twilio"],
            "dest_number": "+60374571234",
            "workspace": "demo",
            "device_id": 1000,
            "extension_id": 1000,
        }
    ]
    with open_circle(
        tmp_path_factory.mktemp("signed-hooks"),
        HOOKS=json.dumps(hooks),
        ROUTES=json.dumps(routes),
        CENTION__DEVICE_ID="1000",
        CENTION__EXTENSION_ID="1000",
    ) as made:
        yield made


def post(circle: Circle, hook: str, body: bytes, kind: str, headers: Mapping[str, str]) -> Reply:
    given = {"Content-Type": kind, **headers}
    return circle.daemon.events.request("POST", f"/v1/hooks/{hook}", body, given)


def form(fields: Mapping[str, str]) -> bytes:
    return "&".join(f"{name}={quote(value)}" for name, value in fields.items()).encode()


def by_twilio(fields: Mapping[str, str], url: str = TWILIO_URL) -> dict[str, str]:
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    digest = hmac.digest(TWILIO_TOKEN.encode(), signed.encode(), hashlib.sha1)
    return {"X-Twilio-Signature": base64.b64encode(digest).decode()}


def by_telnyx(body: bytes, age_s: float = 0.0) -> dict[str, str]:
    now = str(int(time.time() - age_s))
    signature = base64.b64encode(TELNYX.sign(f"{now}|".encode() + body)).decode()
    return {"telnyx-signature-ed25519": signature, "telnyx-timestamp": now}


def by_sipgate(body: bytes) -> dict[str, str]:
    signature = SIPGATE.sign(body, padding.PKCS1v15(), hashes.SHA256())
    return {"X-Sipgate-Signature": base64.b64encode(signature).decode()}


def by_standard(body: bytes, message_id: str, age_s: float = 0.0) -> dict[str, str]:
    now = str(int(time.time() - age_s))
    digest = hmac.digest(STANDARD_KEY, f"{message_id}.{now}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": now,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def outcomes(circle: Circle) -> dict[str, float]:
    """Return how many events of any type there were, by what became of them."""
    found: dict[str, float] = {}
    for sample, value in circle.daemon.metrics().items():
        if sample.startswith("bridge_events_total{"):
            outcome = sample.partition('outcome="')[2].partition('"')[0]
            found[outcome] = found.get(outcome, 0) + value
    return found


def check_ends(circle: Circle, reference: str) -> None:
    eventually(lambda: (circle.errand_of(reference) or {}).get("ended_at") is not None)


def check_stranger(reply: Reply) -> None:
    assert (reply.status, reply.media_type) == (401, PROBLEM), reply


def test_a_call_at_twilio_becomes_an_errand_that_ends(circle: Circle) -> None:
    reference, caller = f"CA{new_reference()}", new_number()
    line = {"From": caller, "To": "+60374571234", "Timestamp": "Fri, 27 Nov 2026 22:00:00 +0000"}
    leg = {
        **line,
        "CallSid": f"{reference}-leg",
        "ParentCallSid": reference,
        "To": "client:alice",
        "Direction": "outbound-dial",
        "CallStatus": "in-progress",
    }
    over = {**line, "CallSid": reference, "Direction": "inbound", "CallStatus": "completed"}
    for fields in (leg, over):
        reply = post(circle, "twilio", form(fields), FORM, by_twilio(fields))
        assert (reply.status, reply.media_type) == (200, "text/xml"), reply
    check_ends(circle, f"twilio:{reference}")

    before = outcomes(circle)
    assert post(circle, "twilio", form(leg), FORM, by_twilio(leg)).status == 200
    after = outcomes(circle)
    assert after["duplicate"] == before.get("duplicate", 0) + 1
    assert after["accepted"] == before["accepted"]


def test_what_twilio_signed_for_another_address_or_body_is_refused(circle: Circle) -> None:
    fields = {"CallSid": "CA1", "CallStatus": "completed", "Direction": "inbound"}
    elsewhere = by_twilio(fields, "https://bridge.example.com/v1/hooks/other")
    check_stranger(post(circle, "twilio", form(fields), FORM, elsewhere))
    altered = form({**fields, "CallStatus": "busy"})
    check_stranger(post(circle, "twilio", altered, FORM, by_twilio(fields)))
    check_stranger(post(circle, "twilio", form(fields), FORM, {}))


def telnyx(kind: str, reference: str, caller: str) -> bytes:
    payload = {
        "call_session_id": reference,
        "from": caller,
        "to": "+60374571234",
        "direction": "incoming",
        "hangup_cause": "normal_clearing",
    }
    data = {"event_type": kind, "id": f"{reference}-{kind}", "occurred_at": at()}
    return json.dumps({"data": {**data, "payload": payload}}).encode()


def test_a_call_at_telnyx_becomes_an_errand_that_ends(circle: Circle) -> None:
    reference, caller = new_reference(), new_number()
    answered = telnyx("call.answered", reference, caller)
    headers = by_telnyx(answered)
    replies = [post(circle, "telnyx", answered, JSON, headers) for _ in range(2)]
    assert [one.status for one in replies] == [202, 200]
    assert replies[1].json["status"] == "duplicate"
    hangup = telnyx("call.hangup", reference, caller)
    assert post(circle, "telnyx", hangup, JSON, by_telnyx(hangup)).status == 202
    check_ends(circle, f"telnyx:{reference}")


def test_what_telnyx_signed_long_ago_or_of_another_body_is_refused(circle: Circle) -> None:
    body = telnyx("call.answered", new_reference(), new_number())
    for headers in (by_telnyx(body, 301.5), by_telnyx(body, -302.0), by_telnyx(body + b" ")):
        check_stranger(post(circle, "telnyx", body, JSON, headers))
    before = circle.daemon.figures().quarantined
    check_stranger(post(circle, "telnyx", b"{", JSON, by_telnyx(body)))
    assert circle.daemon.figures().quarantined == before


def test_a_call_at_sipgate_that_is_sent_again_stays_one(circle: Circle) -> None:
    reference, caller = new_reference(), new_number()[1:]

    def said(kind: str, more: str = "") -> bytes:
        line = f"callId={reference}&from={caller}&to=60374571234&direction=in"
        return f"event={kind}&{line}&user[]=Alice{more}".encode()

    answer = said("answer")
    replies = [post(circle, "sipgate", answer, FORM, by_sipgate(answer)) for _ in range(2)]
    assert [one.json["status"] for one in replies] == ["accepted", "duplicate"]
    hangup = said("hangup", "&cause=normalClearing")
    check_stranger(post(circle, "sipgate", hangup, FORM, by_sipgate(answer)))
    assert post(circle, "sipgate", hangup, FORM, by_sipgate(hangup)).status == 202
    check_ends(circle, f"sipgate:{reference}")

    traced = circle.shell("trace", reference, "--source", "sipgate")
    assert traced.returncode == 0, traced.stderr
    assert "call.answered" in traced.stdout
    assert caller not in traced.stdout


def test_what_was_caught_of_an_agent_does_nothing_when_it_comes_again(circle: Circle) -> None:
    """Presence is told in the same words each time, so that only the message's id tells."""
    body = json.dumps({"event": "agent.available", "device": 1000, "extension": 1000}).encode()
    first, second = f"msg-{new_reference()}", f"msg-{new_reference()}"
    said = []
    for message_id in (first, first, second):
        reply = post(circle, "standard", body, JSON, by_standard(body, message_id))
        said.append(reply.json.get("status"))
    assert said == ["accepted", "duplicate", "accepted"]


def test_each_hook_knows_its_own_secrets_alone(circle: Circle) -> None:
    body: bytes = json.dumps(event("call.queued")).encode()
    check_stranger(post(circle, "standard", body, JSON, by_telnyx(body)))
    check_stranger(post(circle, "telnyx", body, JSON, by_standard(body, "msg-1")))
    check_stranger(post(circle, "standard", body, JSON, by_standard(body, "msg-1", 302.0)))
