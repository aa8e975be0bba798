"""Numbers in full international form, checked against libphonenumber's plans in a few steps.

That is how most numbers come, and its general way, made for numbers as people write them, takes
several times as long. The plans are its own, read the way its `is_valid_number` does; whatever is
not settled here at once (a trunk prefix in it, a number that seems to be none) is left to it.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

_COUNTRY_CODE_DIGITS_MAX: Final = 3
_MSISDN_DIGITS_MAX: Final = 15
# Of the kinds of line the usual first: whether any fits is all that counts.
_KINDS: Final = (
    "fixed_line",
    "mobile",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
)


class _Pattern(NamedTuple):
    """Digits of these lengths (none: of any) that this matches whole."""

    lengths: frozenset[int]
    digits: re.Pattern[str]

    def fits(self, national: str) -> bool:
        if self.lengths and len(national) not in self.lengths:
            return False
        return self.digits.fullmatch(national) is not None


class _Region(NamedTuple):
    """A region's plan. Where several share a country code, leading digits may tell them apart."""

    leading: re.Pattern[str] | None
    general: _Pattern | None
    kinds: tuple[_Pattern, ...]

    def holds(self, national: str) -> bool:
        if self.general is None or not self.general.fits(national):
            return False
        return any(kind.fits(national) for kind in self.kinds)


class _Plan(NamedTuple):
    """The plan of a country code: its trunk prefix, and its regions in libphonenumber's order."""

    trunk: re.Pattern[str] | None
    regions: tuple[_Region, ...]


def is_settled(digits: str) -> bool:
    """Say whether these are the digits of a valid MSISDN, beyond doubt; False says nothing."""
    if not 4 <= len(digits) <= _MSISDN_DIGITS_MAX or not (digits.isascii() and digits.isdecimal()):
        return False
    for length in range(1, _COUNTRY_CODE_DIGITS_MAX + 1):
        plan = _plan(digits[:length])
        if plan is not None:
            return _holds(plan, digits[length:])
    return False


def _holds(plan: _Plan, national: str) -> bool:
    if plan.trunk is not None and plan.trunk.match(national) is not None:
        return False
    if len(plan.regions) == 1:
        return plan.regions[0].holds(national)
    for region in plan.regions:
        if region.leading is not None:
            if region.leading.match(national) is not None:
                return region.holds(national)
        elif region.holds(national):
            return True
    return False


@cache  # one entry for each run of up to three digits
def _plan(country_code: str) -> _Plan | None:
    if country_code.startswith("0"):
        return None
    code = int(country_code)
    names = COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    read = (PhoneMetadata.metadata_for_region_or_calling_code(code, name) for name in names)
    found = [one for one in read if one is not None]
    if not found or len(found) < len(names):
        return None
    trunk = found[0].national_prefix_for_parsing
    return _Plan(
        re.compile(trunk) if trunk else None,
        tuple(
            _Region(
                re.compile(one.leading_digits) if one.leading_digits else None,
                next(_patterns([one.general_desc]), None),
                tuple(_patterns(_kinds(one))),
            )
            for one in found
        ),
    )


def _kinds(region: Any) -> Iterator[Any]:
    for kind in _KINDS:
        # Where the two are the same, libphonenumber looks at the first only.
        if kind != "mobile" or not region.same_mobile_and_fixed_line_pattern:
            yield getattr(region, kind)


def _patterns(descriptions: Any) -> Iterator[_Pattern]:
    for one in descriptions:
        if one is not None and one.national_number_pattern:
            lengths = frozenset(one.possible_length)
            yield _Pattern(lengths, re.compile(one.national_number_pattern))
