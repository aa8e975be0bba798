from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.masking import mask_number


def test_a_number_keeps_its_last_two_digits() -> None:
    assert mask_number("+60 12-345 6789") == "***89"


def test_a_short_number_and_what_is_no_number_are_hidden_whole() -> None:
    assert [mask_number(text) for text in ("1234", "anonymous", "")] == ["***", "***", ""]


@given(st.text())
def test_never_more_than_two_digits_are_seen(text: str) -> None:
    assert sum(char.isdigit() for char in mask_number(text)) <= 2
