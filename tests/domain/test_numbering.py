import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumberType

from bridge.domain.msisdn import read_by_library
from bridge.domain.numbering import is_settled

KINDS = [one for one in PhoneNumberType.values() if one != PhoneNumberType.UNKNOWN]
CODES = sorted(COUNTRY_CODE_TO_REGION_CODE)
EXAMPLES = sorted(
    {
        phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)[1:]
        for region in phonenumbers.SUPPORTED_REGIONS
        for kind in KINDS
        if (found := phonenumbers.example_number_for_type(region, kind)) is not None
    }
)


def is_right(digits: str) -> bool:
    """Say whether nothing is settled but what libphonenumber would read just so."""
    return not is_settled(digits) or read_by_library(f"+{digits}", None) == digits


@pytest.mark.parametrize("start", range(0, len(EXAMPLES), 50))
def test_whatever_is_done_to_a_known_number_it_is_read_as_libphonenumber_does(start: int) -> None:
    for number in EXAMPLES[start : start + 50]:
        longer = [number + digit for digit in "059"]
        shorter = [number[:-1], number[:-2], number[:3] + number[4:]]
        other = [number[:place] + digit + number[place + 1 :] for place in (2, 4) for digit in "01"]
        assert [one for one in (number, *longer, *shorter, *other) if not is_right(one)] == []


def test_nearly_all_known_numbers_are_settled() -> None:
    assert sum(map(is_settled, EXAMPLES)) > 0.9 * len(EXAMPLES)


@given(st.sampled_from(CODES), st.text("0123456789", max_size=13))
@example(39, "0236618300")  # Italy's numbers keep their zero
@example(1, "2684601234")  # several countries share this code
@example(375, "08101359640")  # begins with a trunk prefix
def test_digits_are_settled_only_where_libphonenumber_reads_the_same(code: int, rest: str) -> None:
    assert is_right(f"{code}{rest}")


@given(st.text(max_size=16))
@example("\u0664\u0666701234567")
@example("46 701234567")
@example("")
def test_what_is_not_plain_digits_is_left_to_libphonenumber(text: str) -> None:
    if not (text.isascii() and text.isdecimal()):
        assert not is_settled(text)
