import csv
import subprocess
import sys
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bridge.domain.msisdn import (
    BareDigits,
    NumberStatus,
    PhoneNumber,
    is_region,
    read_number,
)

CASES = Path(__file__).parent.parent / "data" / "msisdn_cases.csv"
WITHHELD_WORDS = (
    "anonymous",
    "unknown",
    "private",
    "restricted",
    "unavailable",
    "withheld",
    "266696687",
)
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)

FORMS = [
    phonenumbers.PhoneNumberFormat.E164,
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    phonenumbers.PhoneNumberFormat.NATIONAL,
    phonenumbers.PhoneNumberFormat.RFC3966,
]

regions = st.sampled_from([None, "ZZ", *REGIONS])
bare = st.sampled_from(["national", "msisdn"])
# What people type for a number, without the characters that mean something in a URI.
dialled = st.text("0123456789+-() .", max_size=20)


def _cases() -> list[tuple[str, str | None, str]]:
    with CASES.open(encoding="utf-8", newline="") as file:
        return [
            (row["input"].replace(r"\x00", "\0"), row["default_region"] or None, row["expected"])
            for row in csv.DictReader(file)
        ]


def _shown(number: PhoneNumber) -> str:
    return number.msisdn or number.status.value


@pytest.mark.parametrize(("raw", "region", "expected"), _cases())
def test_reads_every_case_of_the_contract(raw: str, region: str | None, expected: str) -> None:
    assert _shown(read_number(raw, region=region)) == expected


def test_none_is_withheld() -> None:
    assert read_number(None, region="SE") == PhoneNumber(NumberStatus.WITHHELD)


@pytest.mark.parametrize(
    ("raw", "region", "bare_digits", "expected"),
    [
        ("46701234567", "DE", "msisdn", "46701234567"),
        ("46701234567", "DE", "national", "4946701234567"),
        ("03012345678", "DE", "msisdn", "493012345678"),
        ("0046701234567", "DE", "msisdn", "46701234567"),
        ("46701234567 ext 12", "DE", "msisdn", "46701234567"),
        ("sip:46701234567@pbx.example", "DE", "msisdn", "46701234567"),
        ("46-701234567", "DE", "msisdn", "4946701234567"),
    ],
)
def test_bare_digits_says_which_reading_digits_alone_get_first(
    raw: str, region: str | None, bare_digits: BareDigits, expected: str
) -> None:
    assert _shown(read_number(raw, region=region, bare_digits=bare_digits)) == expected


@pytest.mark.parametrize(
    "raw",
    [
        "sip:+46701234567",
        "SIPS:070-123 45 67@pbx.example:5061;transport=tls?subject=x",
        "sip:0701234567:secret@pbx.example",
        "sip:%2B46701234567@pbx.example;user=phone",
        '"Åsa <3" <sip:+46701234567@pbx.example>;tag=1928301774',
        "tel:0701234567;phone-context=+46",
        "sip:701234567;Phone-Context=+46@pbx.example",
        "tel:0701234567;phone-context=pbx.example",
        "tel:+46-70-1234567;ext=12",
        "TEL:+46701234567;isub=1234",
        "\N{LEFT-TO-RIGHT EMBEDDING}+46 70 123 45 67\N{POP DIRECTIONAL FORMATTING}",
    ],
)
def test_unwraps_uris_and_addresses(raw: str) -> None:
    assert read_number(raw, region="SE").msisdn == "46701234567"


@pytest.mark.parametrize(
    "ending",
    [";ext=12", " ext. 12", " EXTENSIÓN 12", "x12", "#12", " доб 12", ",,12", ",12#", " - 12#"],
)
def test_drops_a_trailing_extension(ending: str) -> None:
    assert read_number(f"0701234567{ending}", region="SE").msisdn == "46701234567"


@pytest.mark.parametrize(
    "raw",
    [
        "+46701234567\n",
        "\t+46701234567",
        "+46701234567\u2028",
        "\ud800+46701234567",
        "sip:+46701234567@pbx\0.example",
        "sip:%00+46701234567@pbx.example",
        "Call +46701234567",
        "0701234567 ext",
        "0701234567 hem x12",
        "0701234567,12,13",
        "0701234567, 0707654321",
        "0701234567#",
        "*31*0701234567",
        "2²334455",
        "sip:192.168.1.10",
        "sip:pbx.example",
        "+46701234567" + " " * 300,
        "9" * 200,
    ],
)
def test_refuses_what_is_not_plainly_one_number(raw: str) -> None:
    assert read_number(raw, region="SE") == PhoneNumber(NumberStatus.INVALID)


def test_refuses_a_number_whose_msisdn_would_be_read_as_another() -> None:
    """Behind the stripped trunk prefix 0 stands an 8, Belarus's other trunk prefix."""
    parsed = phonenumbers.parse("+37508101359640")
    assert phonenumbers.is_valid_number(parsed)
    assert read_number("+37508101359640", region="BY").status is NumberStatus.INVALID


def test_shows_a_valid_number_with_the_plus() -> None:
    assert read_number("0374571234", region="MY").plus == "+60374571234"


@pytest.mark.parametrize("status", [NumberStatus.WITHHELD, NumberStatus.INVALID])
def test_has_no_plus_without_a_number(status: NumberStatus) -> None:
    with pytest.raises(ValueError, match=status.value):
        _ = PhoneNumber(status).plus


def test_knows_the_regions_that_have_a_numbering_plan() -> None:
    assert is_region("SE")
    assert is_region("MY")


@pytest.mark.parametrize("code", ["se", "ZZ", "001", "", "SWE"])
def test_knows_no_region_by_any_other_name(code: str) -> None:
    assert not is_region(code)


@given(
    raw=st.text() | st.text(st.characters(categories=["Cs", "Cc", "Nd"])) | dialled,
    region=regions | st.text(max_size=3),
    bare_digits=bare,
)
@example(raw="sip:" * 80, region="SE", bare_digits="national")
@example(raw="<" * 256, region="SE", bare_digits="national")
@example(raw="%\udcff%41<tel:\ud800", region="SE", bare_digits="national")
def test_never_raises(raw: str, region: str | None, bare_digits: BareDigits) -> None:
    number = read_number(raw, region=region, bare_digits=bare_digits)
    assert (number.status is NumberStatus.VALID) == bool(number.msisdn)


@st.composite
def _likely_numbers(draw: st.DrawFn) -> tuple[str, str]:
    """Numbers of a real plan, in one of the forms that people write, a digit or two changed."""
    region = draw(st.sampled_from(REGIONS))
    kind = draw(st.sampled_from(sorted(phonenumbers.PhoneNumberType.values())))
    sample = phonenumbers.example_number_for_type(region, kind)
    assume(sample is not None)
    assert sample is not None
    form = draw(st.sampled_from(FORMS))
    text = list(phonenumbers.format_number(sample, form))
    for _ in range(draw(st.integers(0, 2))):
        text[draw(st.integers(0, len(text) - 1))] = draw(st.sampled_from("0123456789"))
    return draw(st.sampled_from(["", "0", "8", "+"])) + "".join(text), region


@given(sample=_likely_numbers(), bare_digits=bare, other=regions)
@example(sample=("+37508101359640", "BY"), bare_digits="national", other=None)
def test_a_valid_number_is_e164_and_reads_as_itself_anywhere(
    sample: tuple[str, str], bare_digits: BareDigits, other: str | None
) -> None:
    number = read_number(sample[0], region=sample[1], bare_digits=bare_digits)
    assume(number.status is NumberStatus.VALID)
    assert number.msisdn.isascii()
    assert number.msisdn.isdecimal()
    assert not number.msisdn.startswith("0")
    assert 1 <= len(number.msisdn) <= 15
    assert read_number(number.plus, region=other, bare_digits=bare_digits) == number


@given(
    word=st.sampled_from(WITHHELD_WORDS),
    capitals=st.lists(st.booleans(), min_size=12, max_size=12),
    space=st.text(" \t\r\n\xa0", max_size=3),
    region=regions,
)
def test_withheld_words_count_in_any_case_and_whitespace(
    word: str, capitals: list[bool], space: str, region: str | None
) -> None:
    mixed = "".join(
        letter.upper() if up else letter for letter, up in zip(word, capitals, strict=False)
    )
    assert read_number(f"{space}{mixed}{space}", region=region).status is NumberStatus.WITHHELD
    assert read_number(f"sip:{mixed}@a.invalid", region=region).status is NumberStatus.WITHHELD


@given(raw=dialled | st.sampled_from(WITHHELD_WORDS), region=regions, bare_digits=bare)
@example(raw="0701234567", region="SE", bare_digits="national")
@example(raw="", region=None, bare_digits="national")
def test_wrapping_in_a_uri_changes_nothing(
    raw: str, region: str | None, bare_digits: BareDigits
) -> None:
    plain = read_number(raw, region=region, bare_digits=bare_digits)
    for wrapped in (
        f"sip:{raw}@pbx.example",
        f"sips:{raw}@pbx.example;user=phone",
        f"tel:{raw}",
        f'"Name" <sip:{raw}@pbx.example>',
    ):
        assert read_number(wrapped, region=region, bare_digits=bare_digits) == plain


def test_loads_no_data_about_places_carriers_or_time_zones() -> None:
    code = (
        "import sys, bridge.domain.msisdn; print([name for name in sys.modules"
        " if name.startswith('phonenumbers.')"
        " and name.split('.')[1] in ('geocoder', 'geodata', 'carrier', 'carrierdata',"
        " 'timezone', 'tzdata')])"
    )
    done = subprocess.run(  # noqa: S603  # our own interpreter and text
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
