"""The signed text, held against the page's worked strings.

The signatures were computed with OpenSSL: `printf '<text>' | openssl dgst -sha256 -hmac secret`.
"""

from typing import Any

import pytest

from bridge.cention.administration import signature
from bridge.domain.centre_signing import signed_text, value_text

WEEK = {"Monday": {"start": "08:00", "end": "17:00", "working": True}, "Friday": {"working": False}}


@pytest.mark.parametrize(
    ("path", "body", "text", "hexadecimal"),
    [
        (
            "/v1/org/1",
            {"name": "myorgname"},
            "xyz:space:/v1/org/1:myorgname",
            "a66f0f836c075414e525052df5af4bc7e84b7a67a3518ad88f70e0c83f72c8ce",
        ),
        (
            "/v1/agent-group/1",
            {"agents": [1, 2, 3]},
            "xyz:space:/v1/agent-group/1:1,2,3",
            "76f4e6278b4050ee9db9560a657cced2bca420cfec8a361d0cb630bdb5ea9561",
        ),
    ],
)
def test_the_pages_worked_strings_come_out(
    path: str, body: Any, text: str, hexadecimal: str
) -> None:
    assert signed_text("xyz", "space", path, body, "values") == text
    assert signature("secret", text) == hexadecimal


def test_values_stand_in_the_order_of_their_fields() -> None:
    body = {"user_name": "u", "login_name": "l", "active": True, "anonymize_day": 0}
    assert signed_text("k", "s", "/p", body, "values") == "k:s:/p:true:0:l:u"


def test_a_request_without_a_body_ends_with_its_path() -> None:
    assert signed_text("k", "s", "/v1/org/1", {}, "values") == "k:s:/v1/org/1"


def test_a_struct_is_read_by_its_values_inwards_or_as_json() -> None:
    assert value_text(WEEK, "values") == "false:17:00:08:00:true"
    assert value_text(WEEK, "json") == (
        '{"Friday":{"working":false},"Monday":{"end":"17:00","start":"08:00","working":true}}'
    )


def test_a_list_of_structs_is_joined_by_commas_in_either_reading() -> None:
    emails = [{"id": -1, "name": "a@x", "order": 1}, {"id": -1, "name": "ö@x", "order": 2}]
    assert value_text(emails, "values") == "-1:a@x:1,-1:ö@x:2"
    assert value_text(emails, "json") == (
        '{"id":-1,"name":"a@x","order":1},{"id":-1,"name":"ö@x","order":2}'
    )
