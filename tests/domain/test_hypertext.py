import pytest

from bridge.domain.hypertext import without_tags
from bridge.domain.markers import find_marker

LONG = 300_000


def test_tags_go_and_entities_are_decoded() -> None:
    assert without_tags("<b>Fish</b> &amp; chips<br />&lt;3") == "Fish & chips\n<3"


@pytest.mark.parametrize(
    "text",
    [
        "<" + " " * LONG,
        "< " * LONG,
        "</" + "\n" * LONG,
        "<br" * LONG,
        "ref:" + " " * LONG,
        "ref: " * LONG,
        "&#" * LONG,
        f"&#{'1' * LONG};",
        f"&#x{'f' * LONG};",
    ],
    ids=lambda text: text[:6],
)
def test_no_text_takes_long_or_is_too_odd(text: str) -> None:
    # What turns back at each place would take hours here.
    assert find_marker(text) == ""
