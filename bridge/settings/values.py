"""The kinds of value that settings are made of, each with its check.

A check raises `wrong(…)`, whose text is "what is wrong; what would be right" and never repeats a
value that might be secret.
"""

import base64
import binascii
import difflib
import ipaddress
import re
import zoneinfo
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from bridge.domain.conditions import Expression
from bridge.domain.errors import InvalidExpression, InvalidHours
from bridge.domain.hours import read_hours
from bridge.domain.msisdn import is_region
from bridge.settings.address import Address, parse_address

# The `type` of every error that a check here raises: its message is fit to be shown as it is.
OWN_ERROR: Final = "setting"
_ROUTE_NAME: Final = re.compile(r"[a-z0-9_-]{1,32}")
_WORKSPACE: Final = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,128}")
# What a bearer token may hold (RFC 6750 §2.1 allows less, but tokens are other people's).
_HEADER_TOKEN: Final = re.compile(r"[!-~]+")
_EMAIL: Final = re.compile(r"[!-?A-~]+@[!-?A-~]+")
_WEBHOOK_PREFIX: Final = "whsec_"
_PUBLIC_PREFIX: Final = "whpk_"
_ED25519_BYTES: Final = 32
_RSA_BITS_MIN: Final = 2048
_DURATION: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([smhd])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DEVICE_ID_MAX: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Holds:
    """What a kind of value is, in a few words; `docs/configuration.md` shows them."""

    words: str


def wrong(text: str) -> PydanticCustomError:
    """Return the error to raise for a wrong value."""
    return PydanticCustomError(OWN_ERROR, text)


def _address(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_address(value)
    except ValueError as error:
        raise wrong(str(error)) from None


def _filled(value: str) -> str:
    if not value.strip():
        raise wrong("is empty; give it a value or leave it out")
    return value


def _filled_secret(value: SecretStr) -> SecretStr:
    _filled(value.get_secret_value())
    return value


def _header_token(value: SecretStr) -> SecretStr:
    _filled_secret(value)
    if _HEADER_TOKEN.fullmatch(value.get_secret_value()) is None:
        raise wrong("holds what no header can carry; use the token alone, without spaces or lines")
    return value


def _signing_secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(_WEBHOOK_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(_WEBHOOK_PREFIX) or not key:
        raise wrong(f"is no signing secret; use {_WEBHOOK_PREFIX} and then base64")
    return value


def _url(value: str, *, may_have_query: bool) -> str:
    # What urlsplit would quietly drop or pass on (tabs, spaces, controls) is no part of a URL.
    example = "use https://host or https://host/path"
    if not value.isascii() or not value.isprintable() or " " in value:
        raise wrong(f"is no URL; {example}")
    try:
        parts = urlsplit(value)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise wrong(f"is no URL; {example}") from None
    if parts.scheme not in {"http", "https"} or not has_host:
        raise wrong(f"is no URL of the web; {example}")
    if parts.username is not None or parts.password is not None:
        raise wrong(f"holds a user or password; {example}")
    if "#" in value or ("?" in value and not may_have_query):
        raise wrong(f"has a query or fragment; {example}")
    return value


def _base_url(value: str) -> str:
    return _url(value, may_have_query=False).rstrip("/")


def _web_url(value: str) -> str:
    return _url(value, may_have_query=True)


def _store_url(value: str) -> str:
    scheme, separator, path = value.partition(":///")
    kind = value.partition(":")[0].partition("+")[0].lower()
    if kind in {"postgresql", "postgres"}:
        raise wrong("names PostgreSQL, which will come; use sqlite:///path until then")
    if kind != "sqlite":
        raise wrong("names a store that the bridge can't use; use sqlite:///path")
    if scheme.lower() != "sqlite" or not separator or path.endswith("/"):
        raise wrong("names no file; use sqlite:///relative/path or sqlite:////absolute/path")
    if not path or path == ":memory:" or "?" in path or path.startswith("file:"):
        raise wrong("names no file that outlives a restart; use sqlite:///path, without options")
    return value


def _region(value: str) -> str:
    code = value.upper()
    if not is_region(code):
        raise wrong("is no region; use two letters of ISO 3166, such as SE, MY or GB")
    return code


def _timezone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        near = difflib.get_close_matches(value, known, n=1, cutoff=0.7)
        hint = f"did you mean {near[0]}?" if near else "use a name such as Asia/Kuala_Lumpur"
        raise wrong(f"is no time zone that this machine knows; {hint}") from None
    return value


def _workspace(value: str) -> str:
    if _WORKSPACE.fullmatch(value) is None:
        raise wrong("is no workspace; use letters, digits, dot, underscore and hyphen")
    return value


def _route_name(value: str) -> str:
    if _ROUTE_NAME.fullmatch(value) is None:
        raise wrong("is no route's name; use 1…32 of a-z, 0-9, underscore and hyphen")
    return value


def seconds(value: str) -> float:
    """Return a duration such as `90s`, `15m`, `2h` or `1d` in seconds."""
    match = _DURATION.fullmatch(value)
    return float(match[1]) * _UNIT_S[match[2]] if match else 0.0


def _duration(value: object) -> object:
    if isinstance(value, str) and _DURATION.fullmatch(value) is not None:
        return value
    raise wrong('is no duration; use text with a unit, such as "90s", "15m", "2h" or "1d"')


def _hours(value: str) -> str:
    try:
        read_hours([value])
    except InvalidHours as error:
        raise wrong(f"is no hours of the week; {error}") from None
    return value


def _expression(value: str) -> str:
    try:
        Expression(value)
    except InvalidExpression as error:
        raise wrong(
            f"can't be evaluated ({error}); write JMESPath over an event's fields"
        ) from None
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise wrong(
            "is no address or network; use one such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"
        ) from None
    return value


def _ed25519_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _ED25519_BYTES
    except (binascii.Error, ValueError):
        return False


def _verifying_key(value: str) -> str:
    if not value.startswith(_PUBLIC_PREFIX) or not _ed25519_key(value.removeprefix(_PUBLIC_PREFIX)):
        raise wrong(f"is no public key; use {_PUBLIC_PREFIX} and then base64 of 32 bytes")
    return value


def _telnyx_key(value: str) -> str:
    if not _ed25519_key(value):
        raise wrong("is no public key of Telnyx; use the base64 of 32 bytes that its portal shows")
    return value


def _rsa_key(value: str) -> str:
    # Here, because most sites have no such key, and the library takes 7 MB.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - see above
        load_pem_public_key,
    )

    try:
        key = load_pem_public_key(value.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _RSA_BITS_MIN:
        raise wrong(
            "is no public RSA key in PEM; use it from -----BEGIN PUBLIC KEY----- to its end"
        )
    return value


def _file(value: str) -> str:
    if not value or not value.isprintable():
        raise wrong("names no file; use a path, or a name in the folder of secret files")
    return value


def _email(value: str) -> str:
    if _EMAIL.fullmatch(value) is None:
        raise wrong("is no e-mail address; use one such as agent@example.com")
    return value


Text = Annotated[str, AfterValidator(_filled), Holds("text")]
Label = Annotated[
    str, Field(max_length=128), AfterValidator(_filled), Holds("text of 128 characters at most")
]
Listen = Annotated[
    Address, BeforeValidator(_address), Holds("`host:port`, `[IPv6]:port` or `unix:/path`")
]
Secret = Annotated[SecretStr, AfterValidator(_filled_secret), Holds("text")]
HeaderToken = Annotated[
    SecretStr, AfterValidator(_header_token), Holds("token without spaces or lines")
]
SigningSecret = Annotated[
    SecretStr, AfterValidator(_signing_secret), Holds("`whsec_` and then base64")
]
BaseUrl = Annotated[str, AfterValidator(_base_url), Holds("http or https URL without query")]
WebUrl = Annotated[str, AfterValidator(_web_url), Holds("http or https URL")]
StoreUrl = Annotated[str, AfterValidator(_store_url), Holds("`sqlite:///path`")]
Region = Annotated[str, AfterValidator(_region), Holds("region of ISO 3166 (two letters)")]
TimeZone = Annotated[
    str, AfterValidator(_timezone), Holds("time zone, such as `Asia/Kuala_Lumpur`")
]
Workspace = Annotated[
    str, AfterValidator(_workspace), Holds("1…128 letters, digits, dots, underscores, hyphens")
]
RouteName = Annotated[
    str, AfterValidator(_route_name), Holds("1…32 of a-z, 0-9, underscore and hyphen")
]
# `seconds` reads it.
Duration = Annotated[
    str, BeforeValidator(_duration), Holds("duration with its unit: `s`, `m`, `h` or `d`")
]
HoursEntry = Annotated[
    str,
    AfterValidator(_hours),
    Holds("hours, such as `mon-fri 08:00-17:00` or `2026-12-25 closed`"),
]
JmesPath = Annotated[str, AfterValidator(_expression), Holds("JMESPath expression")]
VerifyingKey = Annotated[str, AfterValidator(_verifying_key), Holds("`whpk_` and then base64")]
TelnyxKey = Annotated[str, AfterValidator(_telnyx_key), Holds("base64 of 32 bytes")]
RsaKey = Annotated[str, AfterValidator(_rsa_key), Holds("public key as PEM")]
# `sources` looks for it in the folder of secret files, and `overlays` takes one for itself.
FILE: Final = Holds("path, or name in the folder of secret files")
File = Annotated[str, AfterValidator(_file), FILE]
Network = Annotated[str, AfterValidator(_network), Holds("IP address or network")]
Email = Annotated[str, AfterValidator(_email), Holds("e-mail address")]
DeviceId = Annotated[int, Field(ge=0, le=_DEVICE_ID_MAX)]
