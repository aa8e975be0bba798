import base64
import hmac
import json
from typing import Any

import pytest

from bridge.sandbox.tokens import TokenError, make_token, read_token

KEY = b"sandbox"


def test_it_is_a_jwt_that_others_could_check() -> None:
    header, payload, signature = make_token(KEY, claims=["a"], expires_at=1.9).split(".")
    expected = hmac.digest(KEY, f"{header}.{payload}".encode(), "sha256")
    assert base64.urlsafe_b64decode(signature + "=") == expected
    decoded = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    assert json.loads(decoded) == {"claims": ["a"], "area": "demo", "exp": 1}


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ({"alg": "none"}, {"claims": []}),
        ({"alg": "HS512"}, {"claims": []}),
        ({"alg": "HS256"}, {"claims": "Create Errand"}),
        ({"alg": "HS256"}, {"claims": [1]}),
        ({"alg": "HS256"}, {"claims": [], "exp": "soon"}),
        ({"alg": "HS256"}, {"claims": [], "exp": True}),
        ({"alg": "HS256"}, []),
        ([], {"claims": []}),
    ],
)
def test_a_signed_token_that_says_something_else_is_refused(header: Any, payload: Any) -> None:
    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    signed = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(payload).encode())}"
    signature = encode(hmac.digest(KEY, signed.encode(), "sha256"))
    with pytest.raises(TokenError):
        read_token(KEY, f"{signed}.{signature}")
