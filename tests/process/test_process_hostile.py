"""What nobody should send: it is refused, and never a fault of the bridge's."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from process_client import JSON, PROBLEM, Reply, event
from process_daemon import Site

pytestmark = pytest.mark.process


def with_value(text: str) -> bytes:
    """Return an event that holds a piece of JSON as it stands."""
    return (
        json.dumps(event("call.queued", extraData={"it": 0}))
        .replace('{"it": 0}', f'{{"it": {text}}}')
        .encode()
    )


def with_field(**fields: Any) -> bytes:
    return json.dumps(event("call.queued", **fields)).encode()


def check_refused(reply: Reply, *statuses: int) -> None:
    assert reply.status in statuses, reply
    assert reply.media_type == PROBLEM
    if reply.status != 413:
        assert reply.json["quarantineId"]
        assert reply.json["errors"]


TRAPS = {
    "nan": with_value("NaN"),
    "infinity": with_value("-Infinity"),
    "float_too_large": with_value("1e999"),
    "same_key_twice": with_value('{"a": 1, "a": 1}'),
    "same_top_level_key_twice": b'{"eventId": "a", "eventId": "b"}',
    "same_key_by_escape": with_value('{"a": 1, "\\u0061": 2}'),
    "deep_arrays": with_value("[" * 100_000 + "]" * 100_000),
    "deep_arrays_unclosed": b"[" * 100_000,
    "deep_objects": with_value('{"a":' * 100_000 + "1" + "}" * 100_000),
    "long_integer": with_value("9" * 5_000),
    "long_negative_integer": with_value("-" + "9" * 5_000),
    "integer_beyond_64_bits": with_value(str(2**63)),
    "lone_high_surrogate": with_value('"\\ud800"'),
    "lone_low_surrogate": with_value('"\\udc00"'),
    "surrogates_reversed": with_value('"\\udc00\\ud800"'),
    "surrogate_in_key": with_value('{"\\ud800": 1}'),
    "surrogate_as_utf8": with_value('"X"').replace(b"X", b"\xed\xa0\x80"),
    "nul": with_value('"a\\u0000b"'),
    "raw_nul": with_value('"a\0b"'),
    "nul_in_key": with_value('{"\\u0000": 1}'),
    "utf16": with_value("1").decode().encode("utf-16"),
    "utf16_without_bom": with_value("1").decode().encode("utf-16-le"),
    "utf32": with_value("1").decode().encode("utf-32"),
    "latin1": with_value('"X"').replace(b"X", b"\xe5"),
    "comment": with_value("1 // one"),
    "single_quotes": with_value("'a'"),
    "hexadecimal": with_value("0x10"),
    "true_for_an_integer": with_field(deviceId=True, extensionId=True),
    "float_for_an_integer": with_field(deviceId=1e3, extensionId=1000),
    "year_9999_with_offset": with_field(occurredAt="9999-12-31T23:59:59-23:59"),
    "year_0001_with_offset": with_field(occurredAt="0001-01-01T00:00:00+23:59"),
    "year_0000": with_field(occurredAt="0000-01-01T00:00:00Z"),
    "offset_that_is_none": with_field(occurredAt="2026-01-01T00:00:00+24:00"),
    "unicode_digits": with_field(occurredAt="\uff12\uff10\uff12\uff16-01-01T00:00:00Z"),
    "fraction_without_end": with_field(occurredAt="2026-01-01T00:00:00." + "1" * 5_000 + "Z"),
    "object_for_a_text": with_field(callerNumber={"$ne": ""}),
    "control_characters_in_a_called_number": with_field(destNumber="+4670\u00001234567"),
}


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in TRAPS.items()])
def test_a_trap_in_json_is_refused_and_the_next_event_is_accepted(site: Site, body: bytes) -> None:
    check_refused(site.post(body), 400, 422)
    site.accept(event("call.queued"))


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in TRAPS.items()])
def test_a_trap_among_lines_is_refused_too(site: Site, body: bytes) -> None:
    reply = site.post(body, "application/x-ndjson")
    check_refused_lines(reply)


def check_refused_lines(reply: Reply) -> None:
    assert reply.status in {400, 422}, reply
    assert reply.media_type == PROBLEM
    assert reply.json["quarantineId"]


def test_a_webhook_id_that_is_no_text_is_refused(site: Site) -> None:
    body = with_field(eventId=None)
    check_refused(site.daemon.events.post(body, webhook_id=b"\xff\xfe"), 400, 422)


def test_a_webhook_id_that_is_too_long_is_refused(site: Site) -> None:
    body = with_field(eventId=None)
    check_refused(site.daemon.events.post(body, webhook_id=b"x" * 129), 422)


def test_a_content_type_that_is_no_text_changes_nothing_about_a_body_that_is_no_json(
    site: Site,
) -> None:
    headers: dict[str, str | bytes] = {"content-type": b'application/json; note="\xff"'}
    reply = site.daemon.events.request("POST", "/v1/events", b"{", headers)
    assert reply.status in {400, 415}, reply


def request(headers: str, body: bytes) -> bytes:
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n\r\n"
    return head.encode() + body


def status_of(answer: bytes) -> int:
    """Return the status of a raw answer; 0 where the connection was closed without one."""
    return int(answer.split(b" ", 2)[1]) if answer else 0


CHUNKED = f"Content-Type: {JSON}\r\nTransfer-Encoding: chunked"
GOOD = with_field()


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-1\r\n{}\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n{}",
        b"2\r\n{}XX0\r\n\r\n",
        b"2;ext=\xff\r\n{}\r\n0\r\n\r\n",
        b"1\r\n{\r\n0\r\n\r\n",
        b"0\r\n\r\n",
    ],
)
def test_broken_chunks_are_refused(site: Site, body: bytes) -> None:
    answer = site.daemon.events.raw(request(CHUNKED, body))
    assert status_of(answer) in {400, 422}
    site.accept(event("call.queued"))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (CHUNKED, b""),
        (CHUNKED, b"5\r\n{}"),
        (CHUNKED, b"2\r\n{}\r\n"),
        (f"Content-Type: {JSON}\r\nContent-Length: 50", b"{"),
        ("Content-Type", b""),
    ],
)
def test_a_sender_who_hangs_up_within_a_request_is_no_fault_of_the_bridge(
    site: Site, headers: str, body: bytes
) -> None:
    answer = site.daemon.events.raw(request(headers, body), hangs_up=True)
    assert status_of(answer) in {0, 400}
    site.accept(event("call.queued"))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"\x1f\x8b\x08\x00garbage"),
        ("gzip", gzip.compress(GOOD)[:-12]),
        ("gzip", GOOD),
        ("gzip", gzip.compress(GOOD)[:-8] + bytes(8)),
        ("deflate", b"\xff" * 40),
        ("deflate", zlib.compress(GOOD)[:-6]),
        ("br", b"\xff" * 40),
        ("zstd", b"\xff" * 40),
        ("gzip, gzip", gzip.compress(GOOD)),
        ("rot13", b"\xff" * 40),
    ],
)
def test_a_broken_encoding_is_refused(site: Site, encoding: str, body: bytes) -> None:
    headers = f"Content-Type: {JSON}\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}"
    answer = site.daemon.events.raw(request(headers, body))
    assert status_of(answer) in {400, 415}
    site.accept(event("call.queued"))


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_whole_encoded_body_is_read(
    site: Site, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    reply = site.daemon.events.post(pack(with_field()), content_encoding=encoding)
    assert reply.status == 202


def test_a_small_body_that_unpacks_to_a_large_one_is_refused(site: Site) -> None:
    bomb = gzip.compress(bytes(64 * 2**20))
    reply = site.daemon.events.post(bomb, content_encoding="gzip")
    assert reply.status in {400, 413}
    site.accept(event("call.queued"))


START = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        START + b"Content-Length: -1\r\n\r\n",
        START + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        START + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        START + b"a header without its colon\r\n\r\n",
        START + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /v1/events HTTP/9.9\r\nHost: x\r\n\r\n",
        b"POST /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST //[ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST http://[::1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        START + b"Expect: miracles\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(site: Site, data: bytes) -> None:
    assert 400 <= status_of(site.daemon.events.raw(data)) < 500
    site.accept(event("call.queued"))


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Bearer planted-token\x01\r\n",
        b"planted-token\r\n",
        b"Expect: planted-token\r\n",
        b"X: " + b"planted-token" * 1_000 + b"\r\n",
    ],
)
def test_the_answer_to_what_is_no_http_is_a_problem_that_repeats_nothing(
    site: Site, header: bytes
) -> None:
    answer = site.daemon.events.raw(START + header + b"Content-Length: 0\r\n\r\n")
    assert b"planted-token" not in answer
    assert PROBLEM.encode() in answer
