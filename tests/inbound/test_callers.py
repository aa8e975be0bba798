from typing import Any

import pytest
from signed_samples import request

from bridge.inbound.callbacks import Caller

SITE = Caller(networks=("192.0.2.7", "198.51.100.0/24", "2001:db8::/32"))


def is_near(caller: Caller, address: str | None) -> bool:
    return caller.is_near_by(request(remote=address))


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::1%lo", "", None],
)
def test_this_machine_is_near(address: str | None) -> None:
    assert is_near(Caller(), address)
    assert is_near(SITE, address)


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.7",
        "::ffff:192.0.2.7",
        "198.51.100.0",
        "198.51.100.255",
        "::ffff:198.51.100.9",
        "2001:db8::7",
        "2001:db8::7%eth0",
    ],
)
def test_an_address_that_the_site_names_is_near(address: str) -> None:
    assert is_near(SITE, address)
    assert not is_near(Caller(), address)


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.8",
        "198.51.101.0",
        "::ffff:192.0.2.8",
        "::192.0.2.7",
        "2001:db9::7",
        "fe80::1%lo",
        "10.0.0.1",
        "0.0.0.0",  # noqa: S104 - an address to be refused
        "::",
        "169.254.169.254",
        "localhost",
        "unknown",
        "127.0.0.1.example",
        "0x7f000001",
    ],
)
def test_any_other_address_is_far(address: str) -> None:
    assert not is_near(SITE, address)


@pytest.mark.parametrize("secret", ["123456", "å€🐤", " ", "\ud800"])
def test_whoever_has_the_secret_is_known(secret: str) -> None:
    assert Caller(secret=secret).knows({"meta": {"api_secret": secret}})
    assert not Caller(secret=secret).knows({"meta": {"api_secret": f"{secret}7"}})


@pytest.mark.parametrize("said", [None, "", [], {}, 0, True, 123456, ["123456"]])
@pytest.mark.parametrize("secret", ["123456", ""])
def test_whoever_says_another_thing_than_the_secret_is_not_known(secret: str, said: Any) -> None:
    assert not Caller(secret=secret).knows({"meta": {"api_secret": said}})


@pytest.mark.parametrize(
    "document", [None, [], "x", 7, {}, {"meta": None}, {"meta": []}, {"api_secret": "123456"}]
)
def test_whoever_says_nothing_is_not_known(document: Any) -> None:
    assert not Caller(secret="123456").knows(document)


def test_a_caller_does_not_show_the_secret() -> None:
    assert "123456" not in repr(Caller(secret="123456"))


@pytest.mark.parametrize(
    "body",
    [
        b'{"meta": {"api_secret": "ab/cd"}',
        b'{"meta":{"api_secret":"ab\\/cd"}, NaN',
        b'\xff{"meta": {"api_secret" : "\\u0061b/cd"}}',
    ],
)
def test_a_body_that_cannot_be_read_says_the_secret_by_its_name(body: bytes) -> None:
    caller = Caller(secret="ab/cd")
    assert caller.is_quoted_in(body)
    kept = caller.without_secret(body)
    assert b"cd" not in kept
    assert b"api_secret" in kept


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ab/cd",
        b'{"ab/cd": "ab/cd"',
        b'{"api_secret": "ab/cd',
        b'{"api_secret": "ab/cde"',
        b'{"api_secret": ab/cd}',
        b'{"api_secret": ["ab/cd"]',
        b'{"api_secret": "ab/cx", "api_secret": "ab/cd"',
        b'{"api_secret": "ab/cd", "api_secret": "ab/cd"',
        b'{"api_secret": "\\x"',
        b'{"api_secret": "\xff"',
        b'{"api_secret": ""',
    ],
)
def test_a_body_that_cannot_be_read_tries_no_more_than_one_secret(body: bytes) -> None:
    assert not Caller(secret="ab/cd").is_quoted_in(body)
    assert not Caller(secret="").is_quoted_in(body)


def test_a_body_that_is_kept_holds_nobodys_secret() -> None:
    assert b"kanarie" not in Caller().without_secret(b'{"meta": {"api_secret": "kanarie"}')


def test_a_body_of_nothing_but_names_is_read_in_no_time() -> None:
    for body in (b'"api_secret":"' * 500_000, b'"api_secret"' + b" " * 2**22, b'"' + b"\\" * 2**22):
        assert not Caller(secret="x").is_quoted_in(body)
