"""What a number tells of its owner: the country, and what kind of line it is.

It is libphonenumber's knowledge of numbering plans. A ported number keeps the kind that its digits
say; nobody can tell by them.
"""

from enum import StrEnum
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberType

_CACHE_ENTRIES_MAX: Final = 4096


class LineType(StrEnum):
    """The kinds of line that numbering plans tell apart."""

    MOBILE = "mobile"
    FIXED_LINE = "fixed_line"
    FIXED_LINE_OR_MOBILE = "fixed_line_or_mobile"
    TOLL_FREE = "toll_free"
    PREMIUM_RATE = "premium_rate"
    SHARED_COST = "shared_cost"
    VOIP = "voip"
    PERSONAL_NUMBER = "personal_number"
    PAGER = "pager"
    UAN = "uan"
    VOICEMAIL = "voicemail"
    UNKNOWN = "unknown"


_TYPES: Final = {
    PhoneNumberType.MOBILE: LineType.MOBILE,
    PhoneNumberType.FIXED_LINE: LineType.FIXED_LINE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: LineType.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.TOLL_FREE: LineType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE: LineType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST: LineType.SHARED_COST,
    PhoneNumberType.VOIP: LineType.VOIP,
    PhoneNumberType.PERSONAL_NUMBER: LineType.PERSONAL_NUMBER,
    PhoneNumberType.PAGER: LineType.PAGER,
    PhoneNumberType.UAN: LineType.UAN,
    PhoneNumberType.VOICEMAIL: LineType.VOICEMAIL,
}
_MAYBE_MOBILE: Final = frozenset({LineType.MOBILE, LineType.FIXED_LINE_OR_MOBILE})


@lru_cache(maxsize=_CACHE_ENTRIES_MAX)
def look_up(msisdn: str) -> tuple[str, LineType]:
    """Return the country (ISO 3166; empty where there is none) and the kind of an MSISDN's line.

    What is no MSISDN, nothing included, has no country and a line of an unknown kind.
    """
    try:
        number = phonenumbers.parse(f"+{msisdn}", None)
    except phonenumbers.NumberParseException:
        return "", LineType.UNKNOWN
    region = phonenumbers.region_code_for_number(number) or ""
    kind = _TYPES.get(phonenumbers.number_type(number), LineType.UNKNOWN)
    # 001 stands for what belongs to no country, such as +800.
    return ("" if region == "001" else region), kind


def can_be_mobile(msisdn: str) -> bool:
    """Say whether a message could reach the number; in some countries it doesn't tell."""
    return look_up(msisdn)[1] in _MAYBE_MOBILE
