"""Other phone systems: their posts become calls, each system's its own."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from process_circle import Circle, open_circle
from process_client import JSON, Reply, at, event, new_number, new_reference
from process_daemon import NewSite
from process_upstream import eventually

pytestmark = pytest.mark.process

FORM: Final = "application/x-www-form-urlencoded"
PUBLIC: Final = "https://bridge.example.com/v1/hooks/front-desk?a=1&b=2"
# As sipgate.io is to be given it: what stands before the host becomes Basic authentication.
SHOWN: Final = "Basic " + base64.b64encode(b"bridge:let:m@in").decode()
HOOKS: Final = [
    {"name": "by-url", "mapping": "sipgate-io", "auth_tokens": ["let:m@in"]},
    {"name": "front-desk", "mapping": "sipgate-io", "public_url": PUBLIC},
    {"name": "closed", "mapping": "aventa-flat", "auth_tokens": ["letmein"]},
]
MAPPING: Final = """
[[events]]
[events.fields]
eventType = { value = "call.answered" }
referenceId = "ref"
callerNumber = "number"
destNumber = { value = "+60374571234" }
queueName = { value = "EHS" }
queueNumber = { value = "1" }
"""


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circle]:
    with open_circle(
        tmp_path_factory.mktemp("hooks"),
        HOOKS=json.dumps(HOOKS),
        CENTION__DEVICE_ID="1000",
        CENTION__EXTENSION_ID="1000",
    ) as made:
        yield made


def post(circle: Circle, hook: str, body: object, content_type: str = FORM) -> Reply:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = {"Content-Type": content_type if isinstance(body, str) else JSON}
    return circle.daemon.events.request("POST", f"/v1/hooks/{hook}", raw, headers)


def sipgate(kind: str, reference: str, number: str, more: str = "") -> str:
    said = f"event={kind}&callId={reference}&from={number}&to=60374571234&direction=in"
    return f"{said}&user[]=Alice&user[]=Bob{more}"


def flat(kind: str, reference: str, **more: Any) -> dict[str, Any]:
    said = {"id": f"e-{reference}-{kind}", "event": kind, "time": at(), "call_id": reference}
    line = {"called": "+60374571234", "queue": "EHS", "queue_no": "123", "caller": new_number()}
    return {**said, **line, "device": "1000", "extension": "1000", **more}


def test_a_call_at_sipgate_becomes_an_errand_that_ends(circle: Circle) -> None:
    reference, number = new_reference(), new_number()[1:]
    first = post(circle, "sipgate-io", sipgate("newCall", reference, number))
    assert (first.status, first.media_type) == (200, "application/xml")
    url = f"{circle.daemon.events.url}/v1/hooks/sipgate-io"
    assert f'<Response onAnswer="{url}" onHangup="{url}" />'.encode() in first.body

    answer = sipgate("answer", reference, number)
    taken = [post(circle, "sipgate-io", answer) for _ in range(2)]
    assert [one.status for one in taken] == [202, 200]
    assert [one.json["status"] for one in taken] == ["accepted", "duplicate"]
    hangup = sipgate("hangup", reference, number, "&cause=normalClearing")
    assert post(circle, "sipgate-io", hangup).status == 202

    sent = f"sipgate-io:{reference}"
    errand = eventually(lambda: circle.errand_of(sent))
    assert errand is not None
    assert errand["attributes"]["msg"]["from"] == f"+{number}"
    eventually(lambda: (circle.errand_of(sent) or {})["ended_at"] is not None)


def test_the_address_in_a_reply_is_the_one_that_is_set(circle: Circle) -> None:
    reply = post(circle, "front-desk", sipgate("newCall", new_reference(), new_number()[1:]))
    assert f'onAnswer="{PUBLIC.replace("&", "&amp;")}"'.encode() in reply.body


def test_who_came_with_a_token_in_the_url_is_told_to_come_back_with_it(circle: Circle) -> None:
    raw = sipgate("newCall", new_reference(), new_number()[1:]).encode()
    headers = {"Content-Type": FORM, "Authorization": SHOWN}
    reply = circle.daemon.events.request("POST", "/v1/hooks/by-url", raw, headers)
    host = circle.daemon.events.url.removeprefix("http://")
    again = f"http://bridge:let%3Am%40in@{host}/v1/hooks/by-url"
    assert f'onAnswer="{again}"'.encode() in reply.body


def test_what_was_taken_is_answered_whatever_the_host_is_called(circle: Circle) -> None:
    raw = sipgate("newCall", new_reference(), new_number()[1:]).encode()
    head = b"POST /v1/hooks/sipgate-io HTTP/1.1\r\nHost: bridge\xff.example\r\n"
    head += f"Content-Type: {FORM}\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n".encode()
    reply = circle.daemon.events.raw(head + b"\r\n" + raw)
    assert reply.startswith(b"HTTP/1.1 200 "), reply


def test_two_systems_with_the_same_ids_and_references_stay_two_calls(circle: Circle) -> None:
    reference = new_reference()
    ours = event("call.answered", reference, eventId=f"e-{reference}-answered")
    assert circle.daemon.events.post(ours | {"callerNumber": new_number()}).status == 202
    assert post(circle, "aventa-flat", flat("answered", reference)).status == 202
    assert post(circle, "aventa-flat", flat("ended", reference)).status == 202

    theirs = f"aventa-flat:{reference}"
    eventually(lambda: (circle.errand_of(theirs) or {}).get("ended_at") is not None)
    own = eventually(lambda: circle.errand_of(reference))
    other = circle.errand_of(theirs)
    assert own is not None
    assert other is not None
    assert own["id"] != other["id"]
    assert own["ended_at"] is None


def test_several_events_of_one_body_are_kept_and_known_again(circle: Circle) -> None:
    reference = new_reference()
    line = {"called": "+60374571234", "queue": {"name": "EHS", "number": "1"}}
    call = {"id": reference, "caller": {"number": new_number()}, **line}
    body = {
        "events": [
            {"id": f"{reference}-{kind}", "type": f"call.{kind}", "at": at(), "call": call}
            for kind in ("answered", "ended")
        ]
    }
    for word in ("accepted", "duplicate"):
        reply = post(circle, "aventa-nested", body)
        assert reply.status == 202
        assert [one["status"] for one in reply.json["results"]] == [word, word]
    eventually(lambda: (circle.errand_of(f"aventa-nested:{reference}") or {}).get("ended_at"))


def test_what_says_nothing_is_counted_and_taken(circle: Circle) -> None:
    def count() -> float:
        return circle.daemon.metric("bridge_events_total", type="unknown", outcome="ignored")

    post(circle, "sipgate-io", "event=dtmf&dtmf=1&callId=1")
    before = count()
    reply = post(circle, "sipgate-io", "event=dtmf&dtmf=1&callId=1")
    assert (reply.status, reply.json) == (200, {"status": "ignored"})
    assert count() == before + 1


@pytest.mark.parametrize(
    ("hook", "body", "content_type", "status"),
    [
        ("sipgate-io", "event=other&callId=1", FORM, 422),
        ("sipgate-io", "event=%ff", FORM, 400),
        ("sipgate-io", "{", JSON, 400),
        ("sipgate-io", "event=answer&direction=in", FORM, 422),
        ("sipgate-io", "event=answer", "text/plain", 415),
        ("closed", "event=answered", FORM, 401),
        ("nobody", "event=answer", FORM, 404),
        ("aventa", "event=answer", FORM, 404),
    ],
)
def test_what_can_not_be_taken_is_refused_and_kept(
    circle: Circle, hook: str, body: str, content_type: str, status: int
) -> None:
    reply = post(circle, hook, body, content_type)
    assert (reply.status, reply.media_type) == (status, "application/problem+json")
    kept = reply.json.get("quarantineId")
    assert (kept is not None) == (status in {400, 422})
    if kept is not None:
        found = circle.daemon.refusal(kept)
        assert found is not None
        assert (found["source"], found["body"]) == (hook, body.encode())


def test_one_event_is_no_larger_than_elsewhere_and_many_may_be(circle: Circle) -> None:
    large = flat("answered", new_reference(), comment="x" * 300_000)
    assert post(circle, "aventa-flat", large).status == 413
    filler = [{"type": "heartbeat", "x": "x" * 1000}] * 300
    assert post(circle, "aventa-nested", {"events": filler}).json == {"status": "ignored"}


def test_a_hook_with_a_token_of_its_own_takes_no_other(circle: Circle) -> None:
    body, path = json.dumps(flat("answered", new_reference())).encode(), "/v1/hooks/closed"
    headers = {"Content-Type": JSON, "Authorization": "Bearer letmein"}
    assert circle.daemon.events.request("POST", path, body, headers).status == 202
    assert circle.daemon.events.request("GET", path).status == 405


def test_a_wrong_mapping_is_refused_and_the_old_one_stays(
    new_site: NewSite, tmp_path: Path
) -> None:
    folder = tmp_path / "mappings"
    folder.mkdir()
    (folder / "own.toml").write_text(MAPPING)
    config = tmp_path / "bridge.toml"
    config.write_text("")
    site = new_site("--config", config)

    def posted() -> Reply:
        body = json.dumps({"ref": new_reference(), "number": new_number()}).encode()
        return site.daemon.events.request("POST", "/v1/hooks/own", body, {"Content-Type": JSON})

    assert posted().status == 202
    (folder / "own.toml").write_text(MAPPING.replace("referenceId", "referenceIdd"))
    refused = site.daemon.reload()
    assert "events.0.fields.referenceIdd: is no field" in json.dumps(refused)
    assert posted().status == 202
    (folder / "own.toml").write_text(MAPPING.replace("answered", "nowhere"))
    assert "must be one of" in json.dumps(site.daemon.reload())
    (folder / "own.toml").write_text(f'[[ignore]]\nwhen = "ref"\n{MAPPING}')
    assert site.daemon.reload()["event"] == "settings read again"
    assert posted().json == {"status": "ignored"}
