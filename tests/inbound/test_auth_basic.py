"""A token as the password of Basic authentication, for whoever can be given nothing but a URL."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signed_samples import request

from bridge.inbound.auth import Doorkeeper, DoorKeys

KEEPER = Doorkeeper(DoorKeys(tokens=["a-token", "with:colons"]))


def admits(authorization: str) -> bool:
    knock = request({"Authorization": authorization})
    assert KEEPER.may_admit(knock) == KEEPER.admits(knock, b"", 0)
    return KEEPER.may_admit(knock)


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(
    "credentials", ["bridge:a-token", ":a-token", "\N{GREEK SMALL LETTER ALPHA}:with:colons"]
)
def test_a_token_may_be_the_password_of_anybody(credentials: str) -> None:
    assert admits(basic(credentials))
    assert admits(basic(credentials).replace("Basic", "bAsIC"))


@pytest.mark.parametrize(
    "authorization",
    [
        basic("a-token:"),
        basic("a-token"),
        basic("bridge:another"),
        "Basic a-token",
        "Basic \xff",
        "Basic",
        basic("bridge:a-token") + "!",
        f"Bearer {base64.b64encode(b'bridge:a-token').decode()}",
        "Bearer bridge:a-token",
    ],
)
def test_nothing_else_is_taken_for_it(authorization: str) -> None:
    assert not admits(authorization)


@given(st.text(st.characters(max_codepoint=0xFF, exclude_characters="\r\n\0"), max_size=60))
def test_whatever_stands_there_is_read_without_a_fault(given_text: str) -> None:
    assert not admits(f"Basic {given_text}") or "YS10b2tlbg" in given_text
