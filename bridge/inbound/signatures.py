"""Ways for a phone system to show who it is: tokens, and signatures of what it sends.

Each scheme knows all of its secrets, so that they can be changed without a gap, and looks at every
one of them whatever the first says. Nothing here raises for anything that a caller can send.
What is compared are raw bytes, in constant time where they hang on a secret.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from multidict import CIMultiDictProxy

TOLERANCE_S: Final = 300
# Signatures that are looked at of one message: each costs a tenth of a millisecond.
SIGNATURES_MAX: Final = 16
# What Twilio tells of a call is a few kilobytes.
FORM_FIELDS_MAX: Final = 1000
FORM_BYTES_MAX: Final = 256 * 1024
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the scheme's own prefix, no secret
PUBLIC_PREFIX: Final = "whpk_"
FORM: Final = "application/x-www-form-urlencoded"
_PORTS: Final = {"https": "443", "http": "80"}
_ADDRESS: Final = re.compile(r"(https?)://(\[[^\]]*\]|[^:/?#]*)(?::([0-9]*))?(.*)", re.DOTALL)
_QUOTED: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
Verify = Callable[[bytes, bytes], bool]


class Knock(Protocol):
    """What a request shows of itself before its body is read; aiohttp's requests do."""

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers; what is no UTF-8 in them is kept as surrogates."""
        ...

    @property
    def raw_path(self) -> str:
        """Path and query as they were sent."""
        ...

    @property
    def remote(self) -> str | None:
        """The address that it comes from; none where it came by a Unix socket."""
        ...


class Scheme(Protocol):
    """One way to show who one is."""

    def is_offered(self, knock: Knock) -> bool:
        """Say, before the body is read, whether the request could be proved by this."""
        ...

    def is_stale(self, knock: Knock, now_s: float) -> bool:
        """Say whether a time stamp is further than the tolerance from now."""
        ...

    def proves(self, knock: Knock, body: bytes, now_s: float) -> bool:
        """Say whether the request comes from whoever has one of the secrets."""
        ...


class BearerTokens:
    """A token in `Authorization` (RFC 6750, section 2.1).

    It may be the password of Basic authentication, too (RFC 7617): many phone systems can be given
    nothing but a URL, in which `name:token@` stands before the host.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        """Know these tokens."""
        self._digests = [hashlib.sha256(token.encode()).digest() for token in tokens]

    def is_offered(self, knock: Knock) -> bool:
        """Say whether one of the tokens is there: nothing in a body would change that."""
        header = knock.headers.get("Authorization", "")
        scheme, _, given = header.partition(" ")
        token = _raw(given.strip(" \t"))
        if scheme.lower() == "basic":
            _, token = basic_credentials(header)
        elif scheme.lower() != "bearer":
            return False
        if not token:
            return False
        # Digests are of one length, so that a comparison tells nothing of a token's.
        offered = hashlib.sha256(token).digest()
        matches = [hmac.compare_digest(offered, digest) for digest in self._digests]
        return any(matches)

    def is_stale(self, knock: Knock, now_s: float) -> bool:
        """Return False: a token has no time stamp."""
        del knock, now_s
        return False

    def proves(self, knock: Knock, body: bytes, now_s: float) -> bool:
        """Say whether one of the tokens is there."""
        del body, now_s
        return self.is_offered(knock)


def basic_credentials(authorization: str) -> tuple[bytes, bytes]:
    """Return name and password of Basic credentials; nothing where there are none to be read."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b"", b""
    try:
        name, _, password = base64.b64decode(_raw(given.strip(" \t")), validate=True).partition(
            b":"
        )
    except binascii.Error:
        return b"", b""
    return name, password


class StandardWebhooks:
    """Signatures `v1` (HMAC-SHA256) and `v1a` (ed25519) of Standard Webhooks 1.0.

    Source: its specification, "Signature scheme" and "Verifying signatures".
    """

    def __init__(self, secrets: Sequence[str], public_keys: Sequence[str]) -> None:
        """Know these secrets (`whsec_…`) and public keys (`whpk_…`)."""
        self._secrets = [_decoded(one.removeprefix(SECRET_PREFIX)) for one in secrets]
        keys = [_decoded(one.removeprefix(PUBLIC_PREFIX)) for one in public_keys]
        self._verifiers = [ed25519_verifier(key) for key in keys]

    def is_offered(self, knock: Knock) -> bool:
        """Say whether the three headers are there."""
        headers = knock.headers
        return bool(
            headers.get("webhook-id")
            and headers.get("webhook-timestamp")
            and headers.get("webhook-signature")
        )

    def is_stale(self, knock: Knock, now_s: float) -> bool:
        """Say whether the message was sent at another time than about now."""
        return _is_stale(knock.headers.get("webhook-timestamp", ""), now_s)

    def proves(self, knock: Knock, body: bytes, now_s: float) -> bool:
        """Say whether one of the signatures is right by one of the secrets."""
        if not self.is_offered(knock) or self.is_stale(knock, now_s):
            return False
        headers = knock.headers
        offered = headers["webhook-signature"].split(" ")
        if len(offered) > SIGNATURES_MAX:
            return False
        content = _raw(f"{headers['webhook-id']}.{headers['webhook-timestamp']}.") + body
        pairs = [
            (version, _raw(value)) for version, _, value in (one.partition(",") for one in offered)
        ]
        by_secret = [value for version, value in pairs if version == "v1"]
        by_key = [_decoded(value) for version, value in pairs if version == "v1a"]
        expected = [_hmac_base64(secret, content, "sha256") for secret in self._secrets]
        matches = [hmac.compare_digest(one, value) for one in expected for value in by_secret]
        matches += [
            verify(value, content) for verify in self._verifiers for value in by_key if value
        ]
        return any(matches)


class TwilioSignature:
    """`X-Twilio-Signature`: HMAC-SHA1 of the address and the form's fields.

    Of a body that is no form, the address has the digest (`bodySHA256`). Twilio signs the address
    with or without a port, so each is tried both ways. Source: Twilio, "Security: Validating
    requests are coming from Twilio", and the RequestValidator of its own libraries.
    """

    def __init__(self, tokens: Sequence[str], public_url: str = "") -> None:
        """Know these auth tokens; without `public_url` the address is what the request says."""
        self._tokens = [token.encode() for token in tokens]
        self._public_url = public_url

    def is_offered(self, knock: Knock) -> bool:
        """Say whether there is a signature."""
        return bool(knock.headers.get("X-Twilio-Signature"))

    def is_stale(self, knock: Knock, now_s: float) -> bool:
        """Return False: Twilio sends no time stamp."""
        del knock, now_s
        return False

    def proves(self, knock: Knock, body: bytes, now_s: float) -> bool:
        """Say whether the signature is right by one of the tokens."""
        del now_s
        offered = _raw(knock.headers.get("X-Twilio-Signature", ""))
        if not offered:
            return False
        is_form = knock.headers.get("Content-Type", "").partition(";")[0].strip().lower() == FORM
        fields = _form_fields(body) if is_form else _hashed_in(knock.raw_path, body)
        if fields is None:
            return False
        expected = [
            _hmac_base64(token, _raw(url) + fields, "sha1")
            for token in self._tokens
            for url in self._urls(knock)
        ]
        matches = [hmac.compare_digest(one, offered) for one in expected]
        return any(matches)

    def _urls(self, knock: Knock) -> Iterator[str]:
        path = knock.raw_path
        query = path.partition("?")[2]
        if self._public_url and query:
            urls = [f"{self._public_url.partition('?')[0]}?{query}"]
        elif self._public_url or not path.startswith("/"):
            urls = [self._public_url or path]
        else:
            host = knock.headers.get("Host", "")
            urls = [f"{scheme}://{host}{path}" for scheme in _PORTS]
        for url in urls:
            match = _ADDRESS.fullmatch(url)
            if match is None:
                continue
            scheme, host, port, rest = match.groups()
            yield f"{scheme}://{host}{rest}"
            yield f"{scheme}://{host}:{port or _PORTS[scheme]}{rest}"


class TelnyxSignature:
    """`telnyx-signature-ed25519`: ed25519 of `timestamp|body`.

    Source: Telnyx, "Receiving webhooks", section "Webhook signing".
    """

    def __init__(self, public_keys: Sequence[str]) -> None:
        """Know these public keys, in base64."""
        self._verifiers = [ed25519_verifier(_decoded(key)) for key in public_keys]

    def is_offered(self, knock: Knock) -> bool:
        """Say whether both headers are there."""
        headers = knock.headers
        return bool(headers.get("telnyx-signature-ed25519") and headers.get("telnyx-timestamp"))

    def is_stale(self, knock: Knock, now_s: float) -> bool:
        """Say whether the message was sent at another time than about now."""
        return _is_stale(knock.headers.get("telnyx-timestamp", ""), now_s)

    def proves(self, knock: Knock, body: bytes, now_s: float) -> bool:
        """Say whether the signature is right by one of the keys."""
        if not self.is_offered(knock) or self.is_stale(knock, now_s):
            return False
        signature = _decoded(_raw(knock.headers["telnyx-signature-ed25519"]))
        content = _raw(f"{knock.headers['telnyx-timestamp']}|") + body
        matches = [verify(signature, content) for verify in self._verifiers]
        return any(matches)


class SipgateSignature:
    """`X-Sipgate-Signature`: RSA with PKCS #1 v1.5 and SHA-256, of the body.

    Source: sipgate.io, "Webhooks", section "Security", and the verifiers that sipgate publishes.
    """

    def __init__(self, public_keys: Sequence[str]) -> None:
        """Know these public keys, as PEM."""
        self._verifiers = [rsa_verifier(key) for key in public_keys]

    def is_offered(self, knock: Knock) -> bool:
        """Say whether there is a signature."""
        return bool(knock.headers.get("X-Sipgate-Signature"))

    def is_stale(self, knock: Knock, now_s: float) -> bool:
        """Return False: sipgate sends no time stamp."""
        del knock, now_s
        return False

    def proves(self, knock: Knock, body: bytes, now_s: float) -> bool:
        """Say whether the signature is right by one of the keys."""
        del now_s
        signature = _decoded(_raw(knock.headers.get("X-Sipgate-Signature", "")))
        matches = [verify(signature, body) for verify in self._verifiers]
        return any(matches)


def ed25519_verifier(key: bytes) -> Verify:
    """Return what checks signatures by an ed25519 key of 32 bytes."""
    # Here, because most sites have no such key, and the library takes 7 MB.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - see above
        Ed25519PublicKey,
    )

    public = Ed25519PublicKey.from_public_bytes(key)

    def verify(signature: bytes, content: bytes) -> bool:
        try:
            public.verify(signature, content)
        except InvalidSignature:
            return False
        return True

    return verify


def rsa_verifier(pem: str) -> Verify:
    """Return what checks signatures by an RSA key: PKCS #1 v1.5, SHA-256.

    Raises:
        ValueError: it is no RSA key.
    """
    # Here, as above.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - see above
        load_pem_public_key,
    )

    public = load_pem_public_key(pem.encode())
    if not isinstance(public, rsa.RSAPublicKey):
        raise ValueError("no RSA key")  # noqa: TRY004 - it is text of the wrong kind
    by, digest = padding.PKCS1v15(), hashes.SHA256()

    def verify(signature: bytes, content: bytes) -> bool:
        try:
            public.verify(signature, content, by, digest)
        except InvalidSignature:
            return False
        return True

    return verify


def _raw(header: str) -> bytes:
    """Return a header's bytes as they came."""
    return header.encode("utf-8", "surrogateescape")


def _decoded(text: str | bytes) -> bytes:
    """Return what base64 stands for; nothing for what is not spelled as base64 spells it."""
    given = text.encode() if isinstance(text, str) else text
    try:
        decoded = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return b""
    # The last character has bits to spare: two spellings would be one signature.
    return decoded if base64.b64encode(decoded) == given else b""


def _hmac_base64(key: bytes, content: bytes, digest: str) -> bytes:
    return base64.b64encode(hmac.digest(key, content, digest))


def _is_stale(timestamp: str, now_s: float) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return True
    return abs(now_s - int(timestamp)) > TOLERANCE_S


def _form_fields(body: bytes) -> bytes | None:
    """Return a form's names and values as Twilio puts them together; None for too much.

    By name, without anything between; a name's values by value, each once.
    """
    if len(body) > FORM_BYTES_MAX or body.count(b"&") >= FORM_FIELDS_MAX:
        return None
    return b"".join(name + value for name, value in sorted(set(_pairs(body))))


def _hashed_in(raw_path: str, body: bytes) -> bytes | None:
    """Return nothing more to sign, where the address has the body's digest; None where not."""
    query = _pairs(_raw(raw_path.partition("?")[2]))
    said = next((value for name, value in query if name == b"bodySHA256"), b"")
    digest = hashlib.sha256(body).hexdigest().encode()
    return b"" if hmac.compare_digest(digest, said) else None


def _pairs(form: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield a form's names and values as bytes: in time with its length, unlike `parse_qsl`."""
    for piece in form.replace(b"+", b" ").split(b"&"):
        name, is_pair, value = piece.partition(b"=")
        if name or is_pair:
            yield _unquoted(name), _unquoted(value)


def _unquoted(text: bytes) -> bytes:
    return _QUOTED.sub(lambda match: bytes.fromhex(match[1].decode()), text)
