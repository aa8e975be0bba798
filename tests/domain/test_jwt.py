import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.jwt import TokenClaims, read_claims
from bridge.sandbox.tokens import CONTACT_CARDS, CREATE_ERRAND, make_token

CLAIMS = ("Create Errand", "Access and create customer contacts")


def token(payload: Any) -> str:
    text = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()
    return f"e30.{text}.c2ln"


@pytest.mark.parametrize("name", ["claims", "scope", "permissions"])
def test_claims_are_found_under_each_of_their_names(name: str) -> None:
    assert read_claims(token({name: list(CLAIMS)})) == TokenClaims(CLAIMS)


def test_claims_of_several_lists_are_put_together_once_each() -> None:
    claims = read_claims(token({"claims": ["a", "b"], "scope": "b c", "permissions": {"d": True}}))
    assert claims == TokenClaims(("a", "b", "c", "d"))


@pytest.mark.parametrize(
    ("payload", "claims"),
    [
        ({"claims": "Create Errand, Other"}, ("Create Errand", "Other")),
        ({"scope": " a  b "}, ("a", "b")),
        ({"permissions": {"a": True, "b": False, "c": 1}}, ("a", "c")),
        ({"claims": [1, None, "", "a", ["b"], "\x1b[31m", "\ud800"]}, ("a",)),
        ({"claims": 5}, ()),
        ({}, ()),
    ],
)
def test_claims_of_other_shapes(payload: Any, claims: tuple[str, ...]) -> None:
    assert read_claims(token(payload)) == TokenClaims(claims)


@pytest.mark.parametrize(
    ("expiry", "seconds"),
    [
        (1_700_000_000, 1_700_000_000),
        (1_700_000_000.9, 1_700_000_000),
        (0, 0),
        (-5, 0),
        (None, None),
        ("1700000000", None),
        (True, None),
        (float("inf"), None),
        (float("nan"), None),
        (10**300, None),
    ],
)
def test_the_expiry_is_in_whole_seconds_or_none(expiry: Any, seconds: int | None) -> None:
    assert read_claims(token({"exp": expiry})) == TokenClaims(expires_at=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "opaque",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        "a.ä.c",
        token([]),
        token("x"),
        f"a.{base64.urlsafe_b64encode(b'[' * 20_000).decode()}.c",
        f"a.{base64.urlsafe_b64encode(b'9' * 20_000).decode()}.c",
        token({"x": "y" * 70_000}),
    ],
)
def test_what_is_no_token_claims_nothing(text: str) -> None:
    assert read_claims(text) is None


def test_the_sandboxs_tokens_are_read() -> None:
    made = make_token(b"key", claims=(CREATE_ERRAND, CONTACT_CARDS), expires_at=1_700_000_000)
    assert read_claims(made) == TokenClaims((CREATE_ERRAND, CONTACT_CARDS), 1_700_000_000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.text() | st.builds(token, st.dictionaries(st.text() | st.just("claims"), JSON)))
def test_nothing_is_raised_whatever_the_text(text: str) -> None:
    claims = read_claims(text)
    assert claims is None or isinstance(claims, TokenClaims)
