"""Forms are read as strictly as JSON is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.inbound.forms import JSON, MULTIPART, URLENCODED, kind_of, read_any
from bridge.inbound.strict_json import StrictJsonError

PARTS = b'--b\r\nContent-Disposition: form-data; name="user[]"\r\n\r\nEmma\r\n'


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("application/json", JSON),
        ("application/json; charset=UTF-8", JSON),
        ("application/vnd.x+json", JSON),
        ("application/x-www-form-urlencoded", URLENCODED),
        ("Application/X-WWW-Form-Urlencoded;charset=utf-8", URLENCODED),
        ('multipart/form-data; boundary="b"', MULTIPART),
        ("application/json; charset=latin-1", ""),
        ("text/plain", ""),
        ("", ""),
    ],
)
def test_three_kinds_of_body_are_taken_in_utf8(header: str, kind: str) -> None:
    assert kind_of(header) == kind


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"a=1&b=%C3%A5+x", {"a": "1", "b": "å x"}),
        (b"a[]=1", {"a": ["1"]}),
        (b"a%5B%5D=1&a%5B%5D=2", {"a": ["1", "2"]}),
        (b"a=1&a=2", {"a": ["1", "2"]}),
        (b"a=1&a[]=2", {"a": ["1", "2"]}),
        (b"a&b=", {"a": "", "b": ""}),
        (b"a=1&&b=2\r\n", {"a": "1", "b": "2"}),
        (b"a=1=2", {"a": "1=2"}),
    ],
)
def test_a_form_becomes_a_plain_object(raw: bytes, fields: dict[str, Any]) -> None:
    assert read_any(raw, URLENCODED) == fields


@pytest.mark.parametrize(
    "raw", [b"", b"a=%E5", b"a=\xe5", b"a=%zz", b"a=%0", b"a=%00", b"&".join([b"a=1"] * 1002)]
)
def test_what_is_no_form_is_refused(raw: bytes) -> None:
    with pytest.raises(StrictJsonError):
        read_any(raw, URLENCODED)


def test_a_form_in_parts_is_read_alike() -> None:
    raw = PARTS + PARTS.replace(b"Emma", "Åsa".encode()) + b"--b--\r\n"
    assert read_any(raw, f"{MULTIPART}; boundary=b") == {"user": ["Emma", "Åsa"]}


@pytest.mark.parametrize(
    "raw",
    [
        PARTS,
        b"--b--\r\n",
        PARTS.replace(b"name", b"nome") + b"--b--",
        PARTS.replace(b'"user[]"', b'"a"; filename="x.wav"') + b"--b--",
        PARTS.replace(b"Emma", b"\xff") + b"--b--",
        b"--b\r\nno head--b--",
    ],
)
def test_what_is_no_form_in_parts_is_refused(raw: bytes) -> None:
    with pytest.raises(StrictJsonError):
        read_any(raw, f"{MULTIPART}; boundary=b")


@given(st.binary(max_size=60), st.sampled_from([JSON, URLENCODED, f"{MULTIPART}; boundary=b"]))
def test_whatever_comes_is_read_or_refused(raw: bytes, content_type: str) -> None:
    try:
        read_any(raw, content_type)
    except StrictJsonError as error:
        assert error.detail  # noqa: PT017 - either is right
