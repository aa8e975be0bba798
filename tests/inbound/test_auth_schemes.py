"""Signatures as their vendors make them, and what becomes of one that is altered."""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from signed_samples import (
    SIPGATE_BODY,
    SIPGATE_KEY,
    SIPGATE_PEM,
    SIPGATE_SIGNATURE,
    STANDARD_BODY,
    STANDARD_ID,
    STANDARD_PUBLIC,
    STANDARD_SECRET,
    STANDARD_TIME_S,
    STANDARD_V1,
    STANDARD_V1A,
    TELNYX_KEY,
    TWILIO_FORM,
    TWILIO_JSON,
    TWILIO_JSON_DIGEST,
    TWILIO_JSON_SIGNATURE,
    TWILIO_SIGNATURE,
    TWILIO_TOKEN,
    TWILIO_TWICE,
    TWILIO_TWICE_SIGNATURE,
    TWILIO_URL,
    Request,
    asymmetric,
    pem_public,
    raw_public,
    request,
    sipgate,
    standard,
    telnyx,
    twilio,
)
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from bridge.inbound.auth import Doorkeeper, DoorKeys

NOW_S = 1_800_000_000
SECRET = "whsec_" + base64.b64encode(b"a secret of more than 24 bytes").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another one of so many bytes").decode()
BODY = b'{"eventType": "call.queued", "from": "+60 12\xc2\xa0345"}'
TWILIO_PATH = "/myapp.php?foo=1&bar=2"
ALL = DoorKeys(
    tokens=["a-token", "another"],
    secrets=[SECRET, OTHER_SECRET],
    verifying_keys=["whpk_" + raw_public(TELNYX_KEY)],
    twilio_tokens=["0", TWILIO_TOKEN],
    telnyx_keys=[raw_public(TELNYX_KEY)],
    sipgate_keys=[SIPGATE_PEM, pem_public(SIPGATE_KEY)],
)
KEEPER = Doorkeeper(ALL)
ENDPOINTS: dict[str, tuple[Callable[[], Request], Doorkeeper]] = {
    "v1": (lambda: standard(BODY, SECRET, NOW_S), Doorkeeper(DoorKeys(secrets=ALL.secrets))),
    "v1a": (
        lambda: asymmetric(BODY, TELNYX_KEY, NOW_S),
        Doorkeeper(DoorKeys(verifying_keys=ALL.verifying_keys)),
    ),
    "telnyx": (
        lambda: telnyx(BODY, TELNYX_KEY, NOW_S),
        Doorkeeper(DoorKeys(telnyx_keys=ALL.telnyx_keys)),
    ),
    "sipgate": (
        lambda: sipgate(BODY, SIPGATE_KEY),
        Doorkeeper(DoorKeys(sipgate_keys=ALL.sipgate_keys)),
    ),
    "twilio": (
        lambda: twilio(
            TWILIO_JSON_SIGNATURE,
            TWILIO_JSON,
            f"{TWILIO_PATH}&bodySHA256={TWILIO_JSON_DIGEST}",
            is_form=False,
        ),
        Doorkeeper(DoorKeys(twilio_tokens=ALL.twilio_tokens)),
    ),
}
each_scheme = pytest.mark.parametrize("scheme", ENDPOINTS)


def admits(keeper: Doorkeeper, one: Request, now_s: float = NOW_S) -> bool:
    return keeper.may_admit(one) and keeper.admits(one, one.body, now_s)


def with_header(one: Request, name: str, value: str) -> Request:
    headers = CIMultiDict(one.headers)
    headers[name] = value
    return Request(CIMultiDictProxy(headers), one.raw_path, one.remote, one.body)


def official(signature: str) -> Request:
    return request(
        {
            "webhook-id": STANDARD_ID,
            "webhook-timestamp": str(STANDARD_TIME_S),
            "webhook-signature": signature,
        },
        STANDARD_BODY,
    )


@pytest.mark.parametrize("signature", [STANDARD_V1, STANDARD_V1A, f"{STANDARD_V1} {STANDARD_V1A}"])
@pytest.mark.parametrize(
    "keys",
    [
        DoorKeys(secrets=[STANDARD_SECRET], verifying_keys=[STANDARD_PUBLIC]),
        DoorKeys(secrets=[SECRET, STANDARD_SECRET], verifying_keys=[STANDARD_PUBLIC]),
    ],
)
def test_the_official_vectors_of_standard_webhooks_are_let_in(
    signature: str, keys: DoorKeys
) -> None:
    assert admits(Doorkeeper(keys), official(signature), STANDARD_TIME_S)


@pytest.mark.parametrize(
    ("signature", "keys"),
    [
        (STANDARD_V1A, DoorKeys(secrets=[STANDARD_SECRET])),
        (STANDARD_V1, DoorKeys(verifying_keys=[STANDARD_PUBLIC])),
        (STANDARD_V1.replace("v1,", "v1a,"), DoorKeys(secrets=[STANDARD_SECRET])),
        (STANDARD_V1A.replace("v1a,", "v1,"), DoorKeys(verifying_keys=[STANDARD_PUBLIC])),
        (STANDARD_V1.replace("v1,", "v2,"), DoorKeys(secrets=[STANDARD_SECRET])),
    ],
)
def test_a_signature_counts_for_its_own_version_alone(signature: str, keys: DoorKeys) -> None:
    assert not admits(Doorkeeper(keys), official(signature), STANDARD_TIME_S)


@given(st.text(max_size=200))
def test_what_the_librarys_own_package_signs_is_let_in(body: str) -> None:
    at = datetime.fromtimestamp(NOW_S, tz=UTC)
    signature = Webhook(SECRET).sign("msg_2", at, body)
    headers = {
        "webhook-id": "msg_2",
        "webhook-timestamp": str(NOW_S),
        "webhook-signature": signature,
    }
    one = request(headers, body.encode())
    assert admits(KEEPER, one)
    assert not admits(Doorkeeper(DoorKeys(secrets=[OTHER_SECRET])), one)


@given(st.dictionaries(st.text(max_size=8), st.integers(), max_size=4))
def test_what_is_signed_here_the_librarys_own_package_verifies(document: dict[str, int]) -> None:
    body = json.dumps(document).encode()
    one = standard(body, SECRET, round(datetime.now(UTC).timestamp()))
    assert Webhook(SECRET).verify(body, dict(one.headers)) == document
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER_SECRET).verify(body, dict(one.headers))


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        (TWILIO_SIGNATURE, TWILIO_FORM),
        ("kvajT1Ptam85bY51eRf/AJRuM3w=", TWILIO_FORM),  # with port 443
        ("0ZXoZLH/DfblKGATFgpif+LLRf4=", TWILIO_FORM),  # http, with port 80
        (TWILIO_TWICE_SIGNATURE, TWILIO_TWICE),
    ],
)
def test_the_examples_of_twilios_own_libraries_are_let_in(signature: str, body: bytes) -> None:
    assert admits(KEEPER, twilio(signature, body, TWILIO_PATH))
    named = Doorkeeper(DoorKeys(twilio_tokens=[TWILIO_TOKEN], public_url=TWILIO_URL))
    behind = twilio(signature, body, "/v1/hooks/twilio")
    is_https = signature != "0ZXoZLH/DfblKGATFgpif+LLRf4="
    assert admits(named, with_header(behind, "Host", "10.0.0.7:8080")) is is_https


def test_twilio_signs_the_address_that_it_knows_with_the_query_that_came() -> None:
    path = f"/v1/hooks/twilio?foo=1&bar=2&bodySHA256={TWILIO_JSON_DIGEST}"
    one = twilio(TWILIO_JSON_SIGNATURE, TWILIO_JSON, path, is_form=False)
    for url in ("https://mycompany.com/myapp.php", "https://mycompany.com:1234/myapp.php?a=b"):
        keeper = Doorkeeper(DoorKeys(twilio_tokens=[TWILIO_TOKEN], public_url=url))
        assert admits(keeper, one)
    assert not admits(KEEPER, one)


@pytest.mark.parametrize(
    ("path", "body", "is_form"),
    [
        (TWILIO_PATH, b"", False),
        (TWILIO_PATH, b"{}", False),
        (f"{TWILIO_PATH}&bodySHA256=", TWILIO_JSON, False),
        (f"{TWILIO_PATH}&bodySHA256={TWILIO_JSON_DIGEST}", b"{}", False),
        (TWILIO_PATH, TWILIO_FORM + b"&More=1", True),
        (TWILIO_PATH, TWILIO_FORM.replace(b"1234", b"1235"), True),
        (TWILIO_PATH, b"&".join([b"a=1"] * 2000), True),
    ],
)
@pytest.mark.parametrize("signature", [TWILIO_SIGNATURE, TWILIO_JSON_SIGNATURE])
def test_twilios_signature_of_another_body_lets_nobody_in(
    signature: str, path: str, body: bytes, *, is_form: bool
) -> None:
    assert not admits(KEEPER, twilio(signature, body, path, is_form=is_form))


def test_the_example_of_sipgates_own_verifier_is_let_in() -> None:
    one = request({"X-Sipgate-Signature": SIPGATE_SIGNATURE}, SIPGATE_BODY)
    assert admits(KEEPER, one)
    assert not admits(Doorkeeper(DoorKeys(sipgate_keys=[pem_public(SIPGATE_KEY)])), one)


@each_scheme
def test_each_scheme_is_enough_by_itself_and_among_all_others(scheme: str) -> None:
    make, alone = ENDPOINTS[scheme]
    assert admits(alone, make())
    assert admits(KEEPER, make())
    for other, (_, keeper) in ENDPOINTS.items():
        assert admits(keeper, make()) is (other == scheme)


@each_scheme
@given(data=st.data())
def test_a_body_altered_by_one_bit_is_refused(scheme: str, data: st.DataObject) -> None:
    one = ENDPOINTS[scheme][0]()
    at = data.draw(st.integers(0, len(one.body) * 8 - 1))
    altered = bytearray(one.body)
    altered[at // 8] ^= 1 << at % 8
    one.body = bytes(altered)
    assert not admits(KEEPER, one)


@each_scheme
@given(data=st.data())
def test_a_signed_header_altered_by_one_bit_is_refused(scheme: str, data: st.DataObject) -> None:
    one = ENDPOINTS[scheme][0]()
    name = data.draw(st.sampled_from(sorted(set(one.headers) - {"Content-Type", "Host"})))
    value = one.headers[name].encode()
    at = data.draw(st.integers(0, len(value) * 8 - 1))
    altered = bytearray(value)
    altered[at // 8] ^= 1 << at % 8
    said = bytes(altered).decode("utf-8", "surrogateescape")
    assert not admits(KEEPER, with_header(one, name, said))


@pytest.mark.parametrize("scheme", ["v1", "v1a", "telnyx"])
def test_a_time_stamp_further_than_the_tolerance_is_refused(scheme: str) -> None:
    make, keeper = ENDPOINTS[scheme]
    for away_s in (-300, -299.5, 0, 300):
        assert admits(keeper, make(), NOW_S + away_s)
    for away_s in (-300.5, 300.5, 86_400, -86_400):
        assert not admits(keeper, make(), NOW_S + away_s)


def test_secrets_are_changed_without_a_gap() -> None:
    old, new = standard(BODY, SECRET, NOW_S), standard(BODY, OTHER_SECRET, NOW_S)
    for secrets, lets_in in (
        ([SECRET], [True, False]),
        ([SECRET, OTHER_SECRET], [True, True]),
        ([OTHER_SECRET, SECRET], [True, True]),
        ([OTHER_SECRET], [False, True]),
    ):
        keeper = Doorkeeper(DoorKeys(secrets=secrets))
        assert [admits(keeper, old), admits(keeper, new)] == lets_in


def test_a_sender_may_sign_with_the_old_and_the_new_secret_at_once() -> None:
    old, new = standard(BODY, SECRET, NOW_S), standard(BODY, OTHER_SECRET, NOW_S)
    both = f"{old.headers['webhook-signature']} {new.headers['webhook-signature']}"
    for secret in (SECRET, OTHER_SECRET):
        assert admits(
            Doorkeeper(DoorKeys(secrets=[secret])), with_header(old, "webhook-signature", both)
        )


def test_of_a_crowd_of_signatures_none_is_looked_at() -> None:
    one = standard(BODY, SECRET, NOW_S)
    signature = one.headers["webhook-signature"]
    assert admits(
        KEEPER, with_header(one, "webhook-signature", " ".join(["v1,YQ=="] * 15 + [signature]))
    )
    crowd = " ".join([signature] * 17)
    assert not admits(KEEPER, with_header(one, "webhook-signature", crowd))


ANYTHING = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")),
    st.sampled_from(
        ["", " ", "0" * 400, "9" * 12, "\uff11\uff12", "v1,", "v1a,", ",,,", "v1a," + "A" * 88]
    ),
).filter(
    lambda text: all(not "\ud800" <= one <= "\udfff" or "\udc80" <= one <= "\udcff" for one in text)
)


@given(
    headers=st.dictionaries(
        st.sampled_from(
            [
                "Authorization",
                "webhook-id",
                "webhook-timestamp",
                "webhook-signature",
                "X-Twilio-Signature",
                "telnyx-timestamp",
                "telnyx-signature-ed25519",
                "X-Sipgate-Signature",
                "X-Forwarded-For",
                "Content-Type",
                "Host",
            ]
        ),
        ANYTHING,
    ),
    body=st.binary(max_size=200),
    path=ANYTHING,
    remote=st.one_of(st.none(), st.text(max_size=20), st.just("10.0.0.1")),
)
def test_nothing_that_can_be_sent_makes_it_fail(
    headers: dict[str, str], body: bytes, path: str, remote: str | None
) -> None:
    strict = Doorkeeper(
        DoorKeys(
            tokens=ALL.tokens,
            secrets=ALL.secrets,
            verifying_keys=ALL.verifying_keys,
            twilio_tokens=ALL.twilio_tokens,
            telnyx_keys=ALL.telnyx_keys,
            sipgate_keys=ALL.sipgate_keys,
            allowed=["192.0.2.0/24"],
            proxies=["10.0.0.0/8"],
        )
    )
    one = request(headers, body, path=path, remote=remote)
    for keeper in (KEEPER, strict):
        keeper.may_admit(one)
        assert not keeper.admits(one, body, NOW_S)
        assert keeper.reason(one, NOW_S)


def test_what_is_huge_is_refused_too() -> None:
    huge = "A" * 1_000_000
    for name in ("Authorization", "webhook-signature", "X-Twilio-Signature", "X-Sipgate-Signature"):
        one = with_header(standard(BODY, OTHER_SECRET, NOW_S), name, f"Bearer v1a,{huge}")
        keeper = Doorkeeper(DoorKeys(tokens=["x"], secrets=[SECRET], sipgate_keys=ALL.sipgate_keys))
        assert not admits(keeper, one)
    for form in (b"%" * 250_000, b"%" * 5_000_000, b"%41" * 80_000, b"&" * 250_000):
        assert not admits(KEEPER, twilio(TWILIO_SIGNATURE, form, TWILIO_PATH))


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=5))
def test_a_form_is_signed_by_what_it_means_not_by_how_it_is_spelled(
    fields: list[tuple[str, str]],
) -> None:
    meant = "".join(name + value for name, value in sorted(set(fields)))
    content = f"https://mycompany.com{TWILIO_PATH}{meant}".encode()
    signature = base64.b64encode(hmac.digest(TWILIO_TOKEN.encode(), content, "sha1")).decode()
    for quote_via in (quote, quote_plus):
        body = urlencode(fields, quote_via=quote_via).encode()
        assert admits(KEEPER, twilio(signature, body, TWILIO_PATH))


@pytest.mark.parametrize("token", ["a-token", "another"])
def test_each_of_several_tokens_is_enough(token: str) -> None:
    assert admits(KEEPER, request({"Authorization": f"Bearer {token}"}))
    assert admits(KEEPER, request({"authorization": f"bEARER  {token} "}))


@pytest.mark.parametrize(
    "said",
    ["", "Bearer", "Bearer ", "Bearer a-toke", "Bearer a-token\u00a0", "Basic a-token", "a-token"],
)
def test_what_is_no_token_of_these_is_not_enough(said: str) -> None:
    assert not admits(KEEPER, request({"Authorization": said}))


def test_keys_do_not_show_their_secrets() -> None:
    shown = repr(ALL)
    for secret in (*ALL.tokens, *ALL.secrets, TWILIO_TOKEN):
        assert f"'{secret}'" not in shown
