import pytest

from bridge.domain.number_facts import LineType, can_be_mobile, look_up


@pytest.mark.parametrize(
    ("msisdn", "country", "line_type", "reachable"),
    [
        ("60123456789", "MY", LineType.MOBILE, True),
        ("60374571234", "MY", LineType.FIXED_LINE, False),
        ("46701234567", "SE", LineType.MOBILE, True),
        ("12025550123", "US", LineType.FIXED_LINE_OR_MOBILE, True),
        ("80012345678", "", LineType.TOLL_FREE, False),
        ("4722334455", "NO", LineType.FIXED_LINE, False),
        ("", "", LineType.UNKNOWN, False),
        ("0701234567", "", LineType.UNKNOWN, False),
    ],
)
def test_a_number_tells_its_country_and_whether_a_message_could_reach_it(
    msisdn: str, country: str, line_type: LineType, *, reachable: bool
) -> None:
    assert look_up(msisdn) == (country, line_type)
    assert can_be_mobile(msisdn) is reachable
