"""Requests as vendors sign them: their own published examples, and requests of our own making."""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from multidict import CIMultiDict, CIMultiDictProxy

# Standard Webhooks: its Python library's `test_sign_function`, and the signature `v1a` of its
# specification, whose key is in Svix's `test_asymmetric_key_signing`.
STANDARD_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
STANDARD_TIME_S = 1614265330
STANDARD_BODY = b'{"test": 2432232314}'
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD_V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
STANDARD_PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
STANDARD_V1A = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

# sipgate: the key of `sipgateio-node`, and the request in the tests of `pushapi-request-verifier`.
SIPGATE_PEM = """\
-----BEGIN PUBLIC KEY-----
MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAvFdlnqRfO5TmqzjtsFVC
qPz+oW+poi3lXQFvMJJMEAtlU4MbX+yuIkgnC+Qt3AQWIK+oWSEQiybg+p39wEMl
16PZxEzf9gONQvTg1XhyHnwqYUFQj/AoxPKGYC3jmdjZ224SrESiTN3CdxoOc3vk
cXiQstYE7SxnksPtzfk0aIOkicim5/tAP9izNQ18/zmX3ChjK2k72gf5dDlq+qZ8
pRiHAPZ64TySH6cLQDhaoh6Nbq8FEG3usXXPClbUMh2DZaTMPafpd+LNuTngJ/y+
KoZasVuFfXAeBqGA6l5d4Uedfr99Z6qjwDrJ8sU4z2Do9bJrbuqP+mOXEebhSI1K
vi8trEfrIt8hnDBGsBaB9NEO3kYxvDT2/PhC9fNYFocjEpZNd7/mUqTJDYlpa4UC
NDQaU+ATdXG8/P5sGAegks6MQTu+qe9XTO0CV48eswDkz6g3UbLOwmrJK59SjD3J
yAZ52sluwyDKRWw/PPTt8BTQLjvkdbiLUlc4ehJ4b1X7D7diYWHDPeFL47cAvaXh
dXVrZDeBJYibvD1jRx4ES0KlfhwzNXBYUoM/Movg9zMM2PzyHHKS//xIjwUC/FJ6
/6eykno0Hy2B1ev6s3hdY6VkN2zd7Wf+EK4DxRliwsg1U99szFE3ewLfexF+Uag5
M+TfPtOUumI/NHMTvsRW9+ECAwEAAQ==
-----END PUBLIC KEY-----
"""
SIPGATE_BODY = (
    b"event=newCall&direction=in&from=491776249000&to=4928559389086"
    b"&callId=54566B150B0C0D3A5D534D5F565D7C5F54535A5C5B53525A7E5B5D5745504457444C425D5057"
    b"&origCallId=54566B150B0C0D3A5D534D5F565D7C5F54535A5C5B53525A7E5B5D5745504457444C425D5057"
    b"&user%5B%5D=&xcid=8419b3450b75cd19"
)
SIPGATE_SIGNATURE = (
    "DFWZPUEqJc3Jrn90Hu7NcSeAeL/7/0eDik7C2xpwc26OqB5nu4Irbo3LJ6qyRnbYyq2OnsN7u9gGc89yXWZ6NbtK"
    "mKprDG0Ony3Bm/Oxpf2dYPziHUz4uXoio03T6LeUzAOZ/N4LajzgLIepvbvUJ/vjPAiJvG7NMxllSNjjsiXQqDIv"
    "S5smeXhbfamVuK/RheICMfpL0/qybDMLiOj0fw5whJE+Sz3t2a/8GndjsvVeA7BoMZeP8B2klMrZHmbaJlfteU/c"
    "sEWBAq3c6gbt4oaMlPFkp7IS50b4GJAkqrtllvYPhpRN2OhDa68TOfeTMs5wV+mGwuM6jM6vVDF2tC6R9uqepaCB"
    "NaXvpr/dOJoc9qava3HN77plOeGKSbX88OEZl22bI/wTqn3lmwQgqbcd+k1Pt0LsAPuGQxvjseKankKvsvm8Uuxb"
    "oxLhnZIbd4DvIjokiKY701yV26vfaD6nan8EOnUA5wVdmNM+HQhSWBZvW32kB3xvVhdVjnNfELGvZc/1IedHZ3Km"
    "FNBIxXuY0eQlsfdt1WAuFT3oDfEoMryahAoakjIFUk6nlLHX0UnqS7fGXXx5AIvkIssxXP2iSg1ij1bsZJ/HmpyZ"
    "InU9p7n1xMuXl/YD/Q8ITdCnHdKpcKznHEpAhRwG+gnF4rl/FZqAk8I1l+6p+wVRdWQ="
)

# Twilio: the examples of its libraries' tests, by the auth token `12345`.
TWILIO_TOKEN = "12345"
TWILIO_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TWILIO_FORM = (
    b"To=%2B18005551212&CallSid=CA1234567890ABCDE&Digits=1234"
    b"&From=%2B14158675309&Caller=%2B14158675309"
)
TWILIO_SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
TWILIO_TWICE = b"Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234"
TWILIO_TWICE_SIGNATURE = "IK+Dwps556ElfBT0I3Rgjkr1wJU="
TWILIO_JSON = b'{"property": "value", "boolean": true}'
TWILIO_JSON_DIGEST = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
TWILIO_JSON_SIGNATURE = "a9nBmqA0ju/hNViExpshrM61xv4="

# Keys of our own: made once, since an RSA key takes a while.
TELNYX_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIPGATE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Request:
    """A `Knock` of a test's own."""

    headers: CIMultiDictProxy[str]
    raw_path: str = "/v1/events"
    remote: str | None = "127.0.0.1"
    body: bytes = b""


def request(
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    body: bytes = b"",
    *,
    path: str = "/v1/events",
    remote: str | None = "127.0.0.1",
) -> Request:
    return Request(CIMultiDictProxy(CIMultiDict(headers or {})), path, remote, body)


def raw_public(key: ed25519.Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def pem_public(key: rsa.RSAPrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def standard(body: bytes, secret: str, now_s: int, message_id: str = "msg_1") -> Request:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{message_id}.{now_s}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return request(
        {
            "webhook-id": message_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": f"v1,{signature}",
        },
        body,
    )


def asymmetric(body: bytes, key: ed25519.Ed25519PrivateKey, now_s: int) -> Request:
    signature = base64.b64encode(key.sign(f"msg_1.{now_s}.".encode() + body)).decode()
    return request(
        {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(now_s),
            "webhook-signature": f"v1a,{signature}",
        },
        body,
    )


def telnyx(body: bytes, key: ed25519.Ed25519PrivateKey, now_s: int) -> Request:
    signature = base64.b64encode(key.sign(f"{now_s}|".encode() + body)).decode()
    headers = {"telnyx-timestamp": str(now_s), "telnyx-signature-ed25519": signature}
    return request(headers, body)


def sipgate(body: bytes, key: rsa.RSAPrivateKey) -> Request:
    signature = key.sign(body, padding.PKCS1v15(), hashes.SHA256())
    return request({"X-Sipgate-Signature": base64.b64encode(signature).decode()}, body)


def twilio(signature: str, body: bytes, path: str, *, is_form: bool = True) -> Request:
    kind = "application/x-www-form-urlencoded; charset=UTF-8" if is_form else "application/json"
    headers = {"X-Twilio-Signature": signature, "Content-Type": kind, "Host": "mycompany.com"}
    return request(headers, body, path=path)
