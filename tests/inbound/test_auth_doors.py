"""How credentials and addresses go together, and where a request comes from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from signed_samples import Request, request

from bridge.inbound.auth import Doorkeeper, DoorKeys, Reason
from bridge.inbound.peers import Origins, kind_of, read_address

PROXIES = ("10.0.0.0/8", "127.0.0.1", "2001:db8:1::/48")


def forwarded(*said: str, remote: str | None = "10.0.0.1", token: str = "") -> Request:
    headers = CIMultiDict([("X-Forwarded-For", one) for one in said])
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return Request(CIMultiDictProxy(headers), remote=remote)


@pytest.mark.parametrize(
    ("said", "remote", "comes_from"),
    [
        ([], "10.0.0.1", "10.0.0.1"),
        (["192.0.2.7"], "10.0.0.1", "192.0.2.7"),
        (["192.0.2.7"], None, "192.0.2.7"),  # by a Unix socket: 127.0.0.1
        (["192.0.2.7"], "203.0.113.9", "203.0.113.9"),  # not a proxy: not believed
        (["198.51.100.1, 192.0.2.7"], "10.0.0.1", "192.0.2.7"),  # what is left of it is anybody's
        (["198.51.100.1", "192.0.2.7"], "10.0.0.1", "192.0.2.7"),  # several headers
        (["198.51.100.1,192.0.2.7, 10.9.9.9 ,10.0.0.3"], "10.0.0.1", "192.0.2.7"),
        (["192.0.2.7", "10.9.9.9"], "::ffff:10.0.0.1", "192.0.2.7"),
        (["10.0.0.9, 10.0.0.8"], "10.0.0.1", "10.0.0.9"),  # proxies all the way
        (["192.0.2.7:4711"], "10.0.0.1", "192.0.2.7"),
        (["[2001:db8::7]:443"], "10.0.0.1", "2001:db8::7"),
        (["[2001:db8::7]"], "10.0.0.1", "2001:db8::7"),
        (["2001:db8::7"], "2001:db8:1::5", "2001:db8::7"),
        (["::ffff:192.0.2.7"], "10.0.0.1", "192.0.2.7"),
        (["fe80::1%eth0"], "10.0.0.1", "fe80::1"),
        (["192.0.2.7, unknown"], "10.0.0.1", None),
        (["192.0.2.7, "], "10.0.0.1", None),
        (["garbage, 192.0.2.7"], "10.0.0.1", "192.0.2.7"),
        (["192.0.2.7 192.0.2.8"], "10.0.0.1", None),
        (["0x7f000001"], "10.0.0.1", None),
        (["192.0.2.007"], "10.0.0.1", None),
        (["\udcff"], "10.0.0.1", None),
        (["192.0.2.7"], "nonsense", None),
    ],
)
def test_a_request_comes_from_the_first_on_the_right_that_is_no_proxy(
    said: list[str], remote: str | None, comes_from: str | None
) -> None:
    found = Origins(PROXIES).address_of(forwarded(*said, remote=remote))
    assert (None if found is None else str(found)) == comes_from


@given(st.lists(st.text(max_size=20), max_size=5))
def test_without_named_proxies_nobody_is_believed(said: list[str]) -> None:
    assert str(Origins().address_of(forwarded(*said, remote="203.0.113.9"))) == "203.0.113.9"


@given(st.lists(st.text(max_size=20), max_size=5))
def test_what_a_caller_writes_cannot_take_the_place_of_what_the_proxy_wrote(
    said: list[str],
) -> None:
    found = Origins(PROXIES).address_of(forwarded(*said, "203.0.113.9"))
    assert str(found) == "203.0.113.9"


@given(st.ip_addresses())
def test_every_address_is_read_in_each_of_its_spellings(address: object) -> None:
    text = str(address)
    spelled = [text, f" {text}\t", f"[{text}]:1", f"[{text}]"]
    if ":" not in text:
        spelled.append(f"{text}:65535")
    assert len({read_address(one) for one in spelled}) == 1
    assert read_address(text) is not None


def test_an_address_is_a_condition_beside_the_credentials() -> None:
    keeper = Doorkeeper(DoorKeys(tokens=["t"], allowed=["192.0.2.0/24"], proxies=PROXIES))
    for remote, said, token, is_let_in in (
        ("192.0.2.7", [], "t", True),
        ("192.0.2.7", [], "", False),
        ("192.0.2.7", [], "wrong", False),
        ("203.0.113.9", [], "t", False),
        ("203.0.113.9", ["192.0.2.7"], "t", False),
        ("10.0.0.1", ["192.0.2.7"], "t", True),
        ("10.0.0.1", ["203.0.113.9"], "t", False),
        ("10.0.0.1", ["192.0.2.7, unknown"], "t", False),
        (None, ["192.0.2.7"], "t", True),
    ):
        one = forwarded(*said, remote=remote, token=token)
        assert keeper.may_admit(one) is keeper.admits(one, b"", 0.0) is is_let_in


def test_an_address_alone_is_enough_where_nothing_else_is_asked_for() -> None:
    keeper = Doorkeeper(DoorKeys(allowed=["192.0.2.7", "2001:db8::/32"]))
    assert keeper.admits(request(remote="192.0.2.7"), b"", 0.0)
    assert keeper.admits(request(remote="2001:db8::1"), b"", 0.0)
    assert not keeper.admits(request(remote="192.0.2.8"), b"", 0.0)
    assert not keeper.admits(request(remote=None), b"", 0.0)


def test_where_nothing_is_asked_for_everybody_is_let_in() -> None:
    assert Doorkeeper().may_admit(request())
    assert Doorkeeper().admits(request(), b"", 0.0)


def test_a_body_is_not_read_where_no_signature_could_help() -> None:
    keeper = Doorkeeper(DoorKeys(tokens=["t"], secrets=["whsec_YQ=="]))
    assert not keeper.may_admit(request())
    assert not keeper.may_admit(request({"Authorization": "Bearer wrong"}))
    assert not keeper.may_admit(request({"webhook-id": "1", "webhook-signature": "v1,x"}))
    signed = {"webhook-id": "1", "webhook-timestamp": "0", "webhook-signature": "v1,x"}
    assert keeper.may_admit(request(signed))
    assert keeper.may_admit(request({"Authorization": "Bearer t"}))


def test_operators_are_told_why_in_a_word() -> None:
    keeper = Doorkeeper(DoorKeys(tokens=["t"], secrets=["whsec_YQ=="], allowed=["192.0.2.7"]))
    signed = {"webhook-id": "1", "webhook-timestamp": "1000", "webhook-signature": "v1,x"}
    here = "192.0.2.7"
    assert keeper.reason(request(signed), 1000.0) is Reason.ADDRESS
    assert keeper.reason(request(remote=here), 1000.0) is Reason.MISSING
    assert keeper.reason(request({"Authorization": "x"}, remote=here), 1000.0) is Reason.WRONG
    assert keeper.reason(request(signed, remote=here), 1000.0) is Reason.WRONG
    assert keeper.reason(request(signed, remote=here), 2000.0) is Reason.STALE


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "private"),
        ("fe80::1", "private"),
        ("8.8.8.8", "public"),
        ("nobody", "unknown"),
    ],
)
def test_a_log_line_names_the_kind_of_an_address_alone(address: str, kind: str) -> None:
    assert kind_of(read_address(address)) == kind
