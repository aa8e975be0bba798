"""The mappings that are shipped, tried on the bodies that their phone systems document."""

import contextlib
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.errors import InvalidEvent
from bridge.domain.events import parse_event
from bridge.domain.mappings import Mapped, reply
from bridge.inbound.forms import JSON, MULTIPART, URLENCODED
from bridge.inbound.hooks import read_mapped
from bridge.inbound.strict_json import StrictJsonError
from bridge.settings.mappings import Shelf

BODIES: Final = Path(__file__).parents[1] / "data" / "mappings"
RECEIVED_US: Final = 1_772_357_400_000_000
SHELF: Final = Shelf()


def request_of(name: str) -> tuple[bytes, str]:
    """Return a documented body, and its Content-Type."""
    path = BODIES / name
    raw = path.read_bytes()
    if path.suffix == ".fields":
        parts = (
            f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, _, value in (line.partition("=") for line in raw.decode().splitlines())
        )
        return f"{''.join(parts)}--b--\r\n".encode(), f"{MULTIPART}; boundary=b"
    return raw, JSON if path.suffix == ".json" else URLENCODED


def mapped(name: str) -> Mapped:
    raw, content_type = request_of(name)
    mapping = SHELF.mapping(name.partition("/")[0])
    return read_mapped(mapping, raw, content_type, {}, RECEIVED_US)[1]


SIPGATE: Final = {
    "referenceId": "123456",
    "callerNumber": "+492111234567",
    "destNumber": "+4915791234567",
    "queueName": "4915791234567",
    "queueNumber": "4915791234567",
    "occurredAt": "2026-03-01T09:30:00Z",
}
ZAMMAD: Final = {"callerNumber": "+493023125741", "destNumber": "+492214710334"}
ZAMMAD_OUT: Final = {"callerNumber": "+492214710334", "dialedNumber": "+492214710334"}
TELNYX: Final = {
    "eventId": "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0",
    "occurredAt": "2018-02-02T22:25:27.521992Z",
}
TWILIO: Final = {
    "referenceId": "CA00000000000000000000000000000001",
    "callerNumber": "+14155550100",
    "queueName": "twilio",
}
OUTBOUND: Final = {"referenceId": "CA00000000000000000000000000000003"} | {
    "callerNumber": "+14155550199",
    "dialedNumber": "+14155550199",
}
DESK: Final = {"deviceId": 1000, "extensionId": 1000}


@pytest.mark.parametrize(
    ("name", "event_type", "fields"),
    [
        ("sipgate-io/newcall.form", "call.queued", SIPGATE),
        ("sipgate-io/answer.form", "call.answered", SIPGATE),
        ("sipgate-io/hangup.form", "call.ended", SIPGATE),
        ("sipgate-io/hangup_busy.form", "call.abandoned", {"callerNumber": "anonymous"}),
        ("sipgate-io/transfer.form", "call.queued", {"relatedReferenceId": "12111955"}),
        ("zammad-cti/newcall_in.json", "call.queued", ZAMMAD),
        ("zammad-cti/newcall_in.fields", "call.queued", ZAMMAD),
        ("zammad-cti/answer_in.json", "call.answered", ZAMMAD),
        ("zammad-cti/answer_in.fields", "call.answered", ZAMMAD),
        ("zammad-cti/hangup_in.json", "call.ended", ZAMMAD),
        ("zammad-cti/hangup_in.fields", "call.ended", ZAMMAD),
        ("zammad-cti/answer_out.json", "outbound.answered", ZAMMAD_OUT),
        ("zammad-cti/hangup_out.json", "outbound.ended", {**ZAMMAD_OUT, "outcome": "no_answer"}),
        (
            "zammad-cti/newcall_queue.json",
            "call.queued",
            {"queueName": "support", "callerNumber": "02214710334"},
        ),
        ("telnyx-call-control/initiated.json", "call.queued", TELNYX),
        ("telnyx-call-control/answered.json", "call.answered", TELNYX),
        ("telnyx-call-control/hangup.json", "call.abandoned", TELNYX),
        ("twilio-status/inbound_completed.form", "call.ended", TWILIO),
        ("twilio-status/inbound_no_answer.form", "call.abandoned", TWILIO),
        ("twilio-status/leg_answered.form", "call.answered", TWILIO),
        ("twilio-status/api_answered.form", "outbound.answered", OUTBOUND),
        ("twilio-status/api_busy.form", "outbound.ended", {**OUTBOUND, "outcome": "busy"}),
        (
            "aventa-flat/answered.json",
            "call.answered",
            {**DESK, "eventId": "e-1", "occurredAt": "2026-03-01T09:30:00Z"},
        ),
        ("aventa-flat/ended.form", "call.ended", {**DESK, "extraData": {"comment": "Rang off"}}),
        ("aventa-nested/one.json", "outbound.ended", {**DESK, "relatedReferenceId": "c-1"}),
    ],
)
def test_a_documented_body_becomes_the_event_that_it_means(
    name: str, event_type: str, fields: dict[str, Any]
) -> None:
    result = mapped(name)
    (made,) = result.events
    assert made.document["eventType"] == event_type
    assert {key: made.document.get(key) for key in fields} == fields
    parse_event(made.document)


@pytest.mark.parametrize(
    "name",
    [
        "sipgate-io/dtmf.form",
        "sipgate-io/hangup_forwarded.form",
        "zammad-cti/newcall_out.json",
        "telnyx-call-control/speak_ended.json",
        "twilio-status/leg_completed.form",
        "twilio-status/api_initiated.form",
        "aventa-flat/heartbeat.json",
        "aventa-nested/heartbeat.json",
    ],
)
def test_what_says_nothing_to_a_contact_centre_is_ignored(name: str) -> None:
    result = mapped(name)
    assert result.ignored
    assert not result.events


def test_one_body_may_hold_several_events() -> None:
    result = mapped("aventa-nested/two.json")
    assert [one.document["eventId"] for one in result.events] == ["e-1", "e-2"]
    assert [one.document["eventType"] for one in result.events] == ["call.answered", "call.ended"]


@pytest.mark.parametrize("name", sorted(SHELF.names()))
def test_every_shipped_mapping_is_tried_and_says_what_it_is_for(name: str) -> None:
    assert SHELF.mapping(name).description
    assert list((BODIES / name).iterdir())


def test_every_body_is_of_a_shipped_mapping_and_maps_to_something() -> None:
    for path in BODIES.glob("*/*"):
        result = mapped(str(path.relative_to(BODIES)))
        assert result.events or result.ignored, path


@pytest.mark.parametrize(
    "name", ["telnyx-call-control/answered.json", "twilio-status/leg_answered.form"]
)
def test_an_id_that_is_told_is_the_same_however_often_it_is_tried(name: str) -> None:
    one, again = mapped(name), mapped(name)
    assert one.events[0].is_timed
    assert one.events[0].document == again.events[0].document


def test_sipgate_is_asked_to_tell_of_answer_and_end() -> None:
    mapping = SHELF.mapping("sipgate-io")
    wanted = reply(mapping, {"event": "newCall"}, {})
    assert wanted is not None
    assert wanted.content_type == "application/xml"
    assert 'onAnswer="{public_url}" onHangup="{public_url}"' in wanted.body
    assert reply(mapping, {"event": "answer"}, {}) is None


WORDS: Final = st.sampled_from(
    [
        *("newCall", "answer", "hangup", "in", "out", "cancel", "anonymous", "492111234567"),
        *("inbound", "outbound-api", "outbound-dial", "ringing", "in-progress", "completed"),
        *("call.initiated", "call.answered", "call.hangup", "incoming", "outgoing", "c-1", ""),
        *("Sun, 25 Mar 2018 09:53:19 +0000", "1772357400", "ANSWERED", "heartbeat", "+4915791"),
    ]
)
NAMES: Final = st.sampled_from(
    [
        *("event", "direction", "from", "to", "callId", "user", "cause", "queue", "type", "id"),
        *("CallSid", "CallStatus", "Direction", "From", "To", "Timestamp", "ParentCallSid"),
        *("data", "event_type", "payload", "call_session_id", "occurred_at", "hangup_cause"),
        *("events", "call", "caller", "agent", "device", "extension", "at", "time", "call_id"),
    ]
)
BODY: Final = st.dictionaries(
    NAMES,
    st.recursive(
        WORDS | st.integers(-(2**63), 2**63 - 1) | st.none() | st.booleans() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
        max_leaves=8,
    ),
    max_size=10,
)


@given(st.sampled_from(sorted(SHELF.names())), BODY)
def test_whatever_is_posted_becomes_events_is_ignored_or_is_refused(
    name: str, body: dict[str, Any]
) -> None:
    raw = json.dumps(body).encode()
    try:
        _, result = read_mapped(SHELF.mapping(name), raw, JSON, {}, RECEIVED_US)
    except StrictJsonError:
        return
    assert bool(result.events) + bool(result.issues) + bool(result.ignored) == 1
    for made in result.events:
        with contextlib.suppress(InvalidEvent):
            parse_event(made.document)
