import html

from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.markers import find_marker, marker

ID = "aventa-0123456789abcdef0123456789abcdef"
OTHER = "aventa-ffffffffffffffffffffffffffffffff"


@given(st.text(), st.sampled_from(["\n", "\r\n"]))
def test_a_marker_is_found_in_text_shown_as_html(body: str, line: str) -> None:
    shown = html.escape(f"{body}{line}{marker(ID)}").replace(line, "<br />")
    assert find_marker(shown) == ID


@given(st.text())
def test_a_text_without_a_marker_has_none(body: str) -> None:
    assert find_marker(html.escape(body)) == ""


def test_tags_and_entities_within_the_marker_do_no_harm() -> None:
    shown = f'<p>Call</p><div>ref:&nbsp;<span class="x">{ID[:20]}<wbr>{ID[20:]}</span></div>'
    assert find_marker(shown) == ID


def test_plain_text_will_do() -> None:
    assert find_marker(f"Call\n{marker(ID)}") == ID


def test_of_several_the_last_counts() -> None:
    assert find_marker(f"{marker(OTHER)}<br>{marker(ID)}") == ID


def test_what_only_looks_like_one_is_none() -> None:
    for text in (f"{marker(ID)}0", f"href: {ID}", f"ref: {ID[:-1]}", f"ref: {ID.upper()}"):
        assert find_marker(text) == "", text
