"""Whatever is read in one step, the general way reads the same."""

import json
from typing import Final

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from plain_bodies import ASTRAL, BOM, KNOWN, body, changed, odd, steps, well_formed

from bridge.domain.calls import CallPolicy
from bridge.domain.errands import Guide
from bridge.domain.errors import InvalidEvent, Issue
from bridge.domain.events import EventDocument, EventType, parse_event
from bridge.domain.plain_events import PlainEvent, canonical, read_plain
from bridge.domain.routes import Route, RouteTable
from bridge.domain.rules import RuleBook
from bridge.inbound.strict_json import StrictJsonError, loads
from bridge.services.folding import IngestPolicy
from bridge.services.ingest import Arrival, Ingest

EXAMPLES: Final = 120
NOW_US: Final = 1_790_000_000_000_000
ATTRIBUTES: Final = sorted(EventDocument.model_fields)
# Fields without a text of their own choice.
GIVEN: Final = {"deviceId", "eventType", "extensionId", "occurredAt", "outcome"}
NOT_PLAIN: Final = {"contact", "extra_data", "attachments"}


class StillClock:
    """It is always now."""

    def now_us(self) -> int:
        return NOW_US


DEFAULT: Final = Route(name="default", base_url="https://cention.example", workspace="demo")
SALES: Final = Route(
    name="sales",
    base_url="https://cention.example",
    workspace="sales",
    region="SE",
    dest_msisdn="46701234567",
    queue_names=frozenset({"Sales", "Försäljning"}),
    queue_name="Sales",
    queue_number="7",
)
INGEST: Final = Ingest(
    writer=None,  # type: ignore[arg-type]  # nothing is kept here
    clock=StillClock(),  # type: ignore[arg-type]  # all that is asked of one
    meter=None,  # type: ignore[arg-type]  # nothing is counted here
    policy=IngestPolicy(
        calls=CallPolicy(), guide=Guide(rules=RuleBook(), routes=RouteTable((SALES,), DEFAULT))
    ),
    digest_key=b"key",
    on_work=lambda _gates: None,
)


def admitted(document: object) -> Arrival | list[Issue]:
    try:
        return INGEST.admit(document, source="aventa")
    except InvalidEvent as error:
        return list(error.issues)


def agreed(raw: bytes) -> PlainEvent | None:
    """Return what is read in one step, once the general way is seen to read the same."""
    plain = read_plain(raw)
    if plain is None:
        return None
    document = loads(raw)
    parsed = parse_event(document)
    for name in ATTRIBUTES:
        one, other = getattr(plain, name), getattr(parsed, name)
        assert (name, one, type(one)) == (name, other, type(other))
    assert not plain.model_extra
    assert not parsed.model_extra
    one, other = admitted(plain), admitted(document)
    assert one == other
    if isinstance(other, Arrival):
        assert canonical(plain) == other.payload
    return plain


def is_accepted(raw: bytes) -> bool:
    """Say whether the general way takes a body."""
    try:
        parse_event(loads(raw))
    except (StrictJsonError, InvalidEvent):
        return False
    return True


@settings(deadline=None, max_examples=EXAMPLES)
@given(odd())
def test_what_is_read_in_one_step_the_general_way_reads_the_same(raw: bytes) -> None:
    agreed(raw)


@settings(deadline=None, max_examples=EXAMPLES)
@given(well_formed(), st.lists(steps, min_size=1, max_size=2))
def test_a_body_with_bytes_changed_is_read_alike_or_not_in_one_step(
    raw: bytes, changes: list[tuple[str, int, int]]
) -> None:
    agreed(changed(raw, changes))


@settings(deadline=None)
@given(st.data(), st.sampled_from([b"a", b"7", b'"', b"\\", b"\xff", b"\0", b" ", b",", b"}"]))
def test_a_byte_put_for_any_other_is_read_alike_or_not_in_one_step(
    data: st.DataObject, byte: bytes
) -> None:
    raw = body(deviceId=17, extensionId=0, callerName="Å", link="https://x/1")
    at = data.draw(st.integers(0, len(raw) - 1))
    agreed(raw[:at] + byte + raw[at + 1 :])


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text('{}[]":,eventId017 \n', max_size=60).map(str.encode))
@example(b"")
@example(b" ")
@example(b"{}")
@example(b"[]")
@example(b'"a"')
@example(BOM)
def test_bytes_of_no_event_are_not_read_in_one_step(raw: bytes) -> None:
    assert read_plain(raw) is None


@pytest.mark.parametrize("kind", EventType)
@settings(deadline=None, max_examples=EXAMPLES // 10)
@given(st.data())
def test_a_well_formed_event_of_any_type_is_read_in_one_step(
    kind: EventType, data: st.DataObject
) -> None:
    raw = data.draw(well_formed(kind))
    assume(b"null" not in raw)
    plain = agreed(raw)
    assert plain is not None
    assert plain.event_type is kind


def test_every_field_of_the_general_way_is_known_in_one_step_or_left_to_it() -> None:
    aliases = {name: field.alias for name, field in EventDocument.model_fields.items()}
    encoded = dict(
        zip(PlainEvent.__struct_fields__, PlainEvent.__struct_encode_fields__, strict=True)
    )
    encoded["occurred_at"] = encoded.pop("time")
    assert encoded == {name: key for name, key in aliases.items() if name not in NOT_PLAIN}


def test_the_content_of_an_event_with_every_field_has_its_keys_in_order() -> None:
    given = {
        "agentId": "a", "callerName": "Å", "callerNumber": "+60123456789", "cuid": "c",
        "destNumber": "60374571234", "deviceId": 1, "dialedNumber": "1", "extensionId": 2,
        "link": "https://x", "outcome": "busy", "pagingName": ASTRAL, "pagingNumber": "\x7f",
        "queueName": "EHS", "queueNumber": "1", "relatedReferenceId": "r0",
    }  # fmt: skip
    plain = agreed(body(**given))
    assert plain is not None
    assert list(json.loads(canonical(plain))) == sorted([*given, *json.loads(body())])


@pytest.mark.parametrize("field", sorted(set(KNOWN) - GIVEN))
@pytest.mark.parametrize("char", ["a", "å", ASTRAL])
def test_a_text_at_its_limit_is_taken_and_one_over_is_not(field: str, char: str) -> None:
    limits = {"link": 2048, "agentId": 256, "callerName": 256, "callerNumber": 256}
    limit = {"destNumber": 256, "dialedNumber": 256, **limits}.get(field, 128)
    lead = "http:" if field == "link" else ""
    at, over = (body(**{field: lead + char * (limit - len(lead) + more)}) for more in (0, 1))
    assert agreed(at) is not None
    assert read_plain(over) is None
    assert not is_accepted(over)


@pytest.mark.parametrize(
    "raw",
    [
        body('"deviceId": 17.0, "extensionId": 1'),
        body('"deviceId": 1e1, "extensionId": 1'),
        body('"deviceId": true, "extensionId": 1'),
        body('"deviceId": "1", "extensionId": 1'),
        body('"deviceId": 2147483648, "extensionId": 1'),
        body('"deviceId": -1, "extensionId": 1'),
        body('"deviceId": 1'),
        body('"deviceId": NaN, "extensionId": 1'),
        body('"deviceId": 1, "deviceId": 1, "extensionId": 1'),
        body('"deviceId": 1, "extensionId": 1, "extensionId": 2'),
        body('"eventId": "e1"'),
        body('"eventId": "e2"'),
        body('"callerName": "a", "callerName": "a"'),
        body('"occurredAt": "2026-09-21T14:13:20Z"'),
        body('"callerName": "a\tb"'),
        body('"callerName": "\ud800"'),
        body('"callerName": 1'),
        body('"callerName": ["a"]'),
        body('"callerName": "a",'),
        body() + b"}",
        body() + b"\0",
        body() + body(),
        BOM + BOM + body(),
        body(callerName="X").replace(b"X", b"\xff"),
        body(callerName="X").replace(b"X", b"\xc0\x80"),
        body(callerName="X").replace(b"X", b"\xf4\x90\x80\x80"),
        b"[" + body() + b"]",
        body(referenceId=None),
        body(eventType="agent.available"),
        body(eventType="call.lost"),
        body(link="ftp://x"),
        body(outcome="Busy"),
        body(occurredAt="2026-09-21T14:13:20"),
        body(occurredAt="2026-02-30T14:13:20Z"),
        body(occurredAt="٢٠٢٦-09-21T14:13:20Z"),
        body(occurredAt="2026-09-21T14:13:20." + "1" * 44 + "Z"),
        body(occurredAt=1_790_000_000),
        *(body().decode().encode(wide) for wide in ("utf-16", "utf-16-le", "utf-32-be")),
    ],
)  # fmt: skip
def test_what_neither_way_may_take_neither_does(raw: bytes) -> None:
    assert read_plain(raw) is None
    assert not is_accepted(raw)


@pytest.mark.parametrize(
    "raw",
    [
        BOM + body(),
        body('"callerName": "\\u0041"'),
        body('"callerName": "\\""'),
        body('"link": "https:\\/\\/x"'),
        body('"cuid": null'),
        body('"cuid": ""'),
        body('"callerName": ""'),
        body('"link": ""'),
        body('"outcome": ""'),
        body('"callerName": "null"'),
        body('"surprise": 1'),
        body('"event_id": "e1"'),
        body('"time": "now"'),
        body('"modelExtra": {}'),
        body('"contact": {"email": ["a@b"]}'),
        body('"contact": {}'),
        body('"extraData": {"comment": "x"}'),
        body('"attachments": []'),
    ],
)
def test_what_only_the_general_way_knows_is_left_to_it(raw: bytes) -> None:
    assert is_accepted(raw)
    assert read_plain(raw) is None
