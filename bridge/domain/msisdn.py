"""Reads telephone numbers as callers and PBXs write them into MSISDNs.

An MSISDN is E.164 digits without the plus: country code first, 15 digits at most (ITU-T
E.164, 6.2). Whether a number exists in a numbering plan is libphonenumber's knowledge; what is
done around it (URIs, withheld callers, what is refused unread, digits alone) is decided here.
"""

import re
import unicodedata
from enum import StrEnum
from functools import cache, lru_cache
from typing import Final, Literal
from urllib.parse import unquote

import phonenumbers
from msgspec import Struct

from bridge.domain.numbering import is_settled

BareDigits = Literal["national", "msisdn"]

_INPUT_LENGTH_MAX: Final = 256
_MSISDN_LENGTH_MAX: Final = 15
_CACHE_ENTRIES_MAX: Final = 16_384

# 266696687 is ANONYMOUS on a keypad. With a plus it would lie in Lesotho, whose numbers are
# longer, so that spelling can't be anybody's number either.
_WITHHELD_WORDS: Final = frozenset(
    {
        "",
        "anonymous",
        "unknown",
        "private",
        "restricted",
        "unavailable",
        "withheld",
        "266696687",
        "+266696687",
    }
)

# A SIP or tel URI, alone or as the address in `"Name" <uri>;parameters` (RFC 3261, 20.10).
_URI: Final = re.compile(
    r"(?:.*<)?\s*(?P<scheme>sips?|tel):(?P<rest>[^<>]*)(?:>.*)?", re.IGNORECASE | re.DOTALL
)
_IPV4: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")

# What a plain number never holds: letters (libphonenumber would read them as keypad digits, or
# drop them), star and hash (service codes such as #31# are not part of the number behind them),
# and the comma and semicolon that stand before an extension.
_NOT_PLAIN: Final = re.compile(r"[^\W\d_]|[*#,;\uff0a\uff03]")

# The trailing extensions that libphonenumber knows, with its limits: the vaguer the label, the
# fewer digits may follow, lest a second number be taken for an extension. libphonenumber drops
# them too, but not without first letting any letter through.
_EXTENSION: Final = re.compile(
    r"""(?:
        [ \xa0\t,]*
        (?:
            (?: ;ext= | (?:e?xt(?:ensi(?:o\u0301?|\xf3))?n?
                        |\uff45?\uff58\uff54\uff4e?|\u0434\u043e\u0431|anexo)
                        [:.\uff0e]?[ \xa0\t,-]* ) \d{1,20}
          | (?:[x\uff58\#\uff03]|int|\uff49\uff4e\uff54) [:.\uff0e]?[ \xa0\t,-]* \d{1,9}
        )
      | [ \xa0\t]* (?:,,|;) [:.\uff0e]?[ \xa0\t,-]* \d{1,15}
      | [ \xa0\t]* ,+ [:.\uff0e]?[ \xa0\t,-]* \d{1,9}
      | [- ]+ \d{1,6} (?=\#)
    )\#?\Z""",
    re.IGNORECASE | re.VERBOSE,
)

# Control characters, lone surrogates, and the separators that break a line. Format characters
# (Cf) are not among them: phones' address books put direction marks around numbers.
_CONTROL_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


class NumberStatus(StrEnum):
    """What a number that came in turned out to be."""

    VALID = "valid"
    WITHHELD = "withheld"
    INVALID = "invalid"


class PhoneNumber(Struct, frozen=True, gc=False):
    """A telephone number as it was understood.

    Attributes:
        status: Whether there is a number, none on purpose, or something unreadable.
        msisdn: E.164 digits without the plus; empty unless `status` is `VALID`.
    """

    status: NumberStatus
    msisdn: str = ""

    @property
    def plus(self) -> str:
        """The number with the plus, as contact cards and `from` want it (E.164 notation).

        Raises:
            ValueError: If the number is not valid; it has no digits to show then.
        """
        if self.status is not NumberStatus.VALID:
            raise ValueError(f"a number that is {self.status} has no international form")
        return f"+{self.msisdn}"


_WITHHELD: Final = PhoneNumber(NumberStatus.WITHHELD)
_INVALID: Final = PhoneNumber(NumberStatus.INVALID)


def is_region(code: str) -> bool:
    """Tell whether `code` is a region that numbers can be read in.

    Args:
        code: An ISO 3166-1 alpha-2 code in capitals, such as `SE`.

    Returns:
        True where libphonenumber knows the region's numbering plan.
    """
    return code in phonenumbers.SUPPORTED_REGIONS


def read_number(
    raw: str | None, *, region: str | None, bare_digits: BareDigits = "national"
) -> PhoneNumber:
    """Read a telephone number from outside; never raises, whatever the text.

    SIP and tel URIs are unwrapped (RFC 3261, RFC 3966), withheld callers recognised, control
    characters and letters refused (a trailing extension aside, which is dropped). The rest is
    libphonenumber's to read, and is accepted where it is valid for any region.

    Args:
        raw: The number as it came; None is the same as an empty one: withheld.
        region: ISO 3166 region for numbers in national form; None: only international forms.
        bare_digits: Which reading digits alone get first: as a national number of the region,
            or as an MSISDN already. The other one is tried next.

    Returns:
        The number, with an MSISDN only if it is valid.
    """
    if raw is None:
        return _WITHHELD
    if len(raw) > _INPUT_LENGTH_MAX:
        return _INVALID
    return _read_cached(raw, region, bare_digits)


@lru_cache(maxsize=_CACHE_ENTRIES_MAX)
def _read_cached(raw: str, region: str | None, bare_digits: BareDigits) -> PhoneNumber:
    if raw.startswith("+") and is_settled(raw[1:]):
        return PhoneNumber(NumberStatus.VALID, raw[1:])
    text = _unwrap(raw.strip())
    if text.casefold() in _WITHHELD_WORDS:
        return _WITHHELD
    # The raw text too, lest a URI hide them in its host; the unwrapped one may have decoded some.
    if _has_control(raw) or _has_control(text):
        return _INVALID
    if _NOT_PLAIN.search(text):
        text = _EXTENSION.sub("", text)
        if _NOT_PLAIN.search(text):
            return _INVALID
    msisdn = _read_plain(text, region, bare_digits)
    return PhoneNumber(NumberStatus.VALID, msisdn) if msisdn else _INVALID


def _unwrap(text: str) -> str:
    """Take the number out of a SIP or tel URI; any other text comes back as it was."""
    uri = _URI.fullmatch(text)
    if uri is None:
        return text
    user = uri["rest"]
    if uri["scheme"].lower() != "tel":
        user, at, _host = user.partition("@")
        # A password may follow the user; without a user part, a port or headers the host.
        user = re.split("[:?]", user, maxsplit=1)[0]
        if not at and _IPV4.fullmatch(user):
            return text
    number, *parameters = user.split(";")
    number = unquote(number).strip()
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        # RFC 3966, 5.1.5: a context that is itself a number is what a local number lacks. A
        # domain as the context says nothing that libphonenumber could use.
        is_context = name.lower() == "phone-context" and value.startswith("+")
        if is_context and number[:1].isdecimal():
            return value + number
    return number


def _has_control(text: str) -> bool:
    return not text.isprintable() and any(
        unicodedata.category(character) in _CONTROL_CATEGORIES for character in text
    )


def _read_plain(text: str, region: str | None, bare_digits: BareDigits) -> str | None:
    if not text.isdecimal():
        return _parse(text, region)
    if region is None:
        return _parse(f"+{text}", None)
    if bare_digits == "msisdn":
        return _parse(f"+{text}", None) or _parse(text, region)
    return _parse(text, region) or _parse(f"+{text}", None)


def _parse(text: str, region: str | None) -> str | None:
    if text.startswith("+") and is_settled(text[1:]):
        return text[1:]
    return read_by_library(text, region)


def read_by_library(text: str, region: str | None) -> str | None:
    """Return the MSISDN that libphonenumber reads in a text, if it holds that for valid."""
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    country_code = parsed.country_code
    national = phonenumbers.national_significant_number(parsed)
    msisdn = f"{country_code}{national}"
    if country_code is None or len(msisdn) > _MSISDN_LENGTH_MAX:
        return None
    if text == f"+{msisdn}" or not _starts_with_trunk_prefix(country_code, national):
        return msisdn
    # What remains may begin with a trunk prefix once more (+375 0 8101359640 does, in Belarus).
    # Whoever reads the MSISDN next would strip that as well and see another number, or none.
    return msisdn if read_by_library(f"+{msisdn}", None) == msisdn else None


def _starts_with_trunk_prefix(country_code: int, national: str) -> bool:
    prefix = _trunk_prefix(country_code)
    return prefix is not None and prefix.match(national) is not None


@cache  # one entry a country code, of which libphonenumber knows some 200
def _trunk_prefix(country_code: int) -> re.Pattern[str] | None:
    region = phonenumbers.region_code_for_country_code(country_code)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(country_code, region)
    if metadata is None or metadata.national_prefix_for_parsing is None:
        return None
    return re.compile(metadata.national_prefix_for_parsing)
