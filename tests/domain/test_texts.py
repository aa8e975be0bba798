import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.errors import InvalidTemplate
from bridge.domain.texts import BARE_EXAMPLE, FULL_EXAMPLE, Extra, Texts


def filled(text: str, *, is_html: bool = False, **values: object) -> str | None:
    texts = Texts()
    texts.add(text, is_html=is_html)
    return texts.fill(text, {**FULL_EXAMPLE, **values}, is_html=is_html)


def test_a_template_is_filled_from_the_call() -> None:
    assert filled("{{ what }} from {{ caller }}", caller="Eve") == "Call from Eve"


def test_html_is_escaped_and_plain_text_is_not() -> None:
    assert filled("{{ caller }}", caller="<Eve>") == "<Eve>"
    assert filled("<b>{{ caller }}</b>", is_html=True, caller="<Eve>") == "<b>&lt;Eve&gt;</b>"


def test_what_a_value_says_is_no_template() -> None:
    assert filled("{{ caller }}", caller="{{ 7 * 7 }}") == "{{ 7 * 7 }}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% if cuid %}{{ cuid }}{% else %}{{ nobody }}{% endif %}", "'nobody' is undefined"),
        ("{% for x in extra %}{{ y }}{% endfor %}", "'y' is undefined"),
        ("{{ calller }}", "'calller' is undefined, did you mean caller"),
        ("{{ caller", "unexpected end of template"),
        ("{{ caller.nothing }}", "has no attribute 'nothing'"),
        ("{{ reason.split()[0] }}", "fails where a call tells little"),
        ("{{ caller | nosuchfilter }}", "No filter named 'nosuchfilter'"),
        ("{{ caller.__class__.__mro__ }}", "is unsafe"),
        ("{% include 'x' %}", "no loader"),
        ("{{ 1 // 0 }}", "zero"),
    ],
)
def test_a_broken_template_is_refused_wherever_it_is_broken(text: str, reason: str) -> None:
    with pytest.raises(InvalidTemplate, match=reason):
        Texts().add(text)


def test_a_further_key_that_is_missing_is_empty() -> None:
    text = "[{{ extra.order }}{{ extra['zone'] }}]"
    assert filled(text, extra=Extra(order="7")) == "[7]"


def test_a_template_cannot_change_what_it_is_given() -> None:
    extra = Extra(order="7")
    assert filled("{{ extra.clear() if extra }}", extra=extra) is None
    assert extra == {"order": "7"}


def test_a_template_that_fails_on_a_value_says_so_by_nothing() -> None:
    assert filled("{{ extra.x | dictsort if extra else '' }}", extra=Extra(x="text")) is None


def test_both_examples_name_the_same() -> None:
    assert BARE_EXAMPLE.keys() == FULL_EXAMPLE.keys()


@given(st.text(max_size=60) | st.from_regex(r"\{[{%][^}]{0,30}[}%]\}", fullmatch=True))
def test_whatever_is_written_is_refused_or_filled(text: str) -> None:
    texts = Texts()
    try:
        texts.add(text)
    except InvalidTemplate:
        return
    assert texts.fill(text, FULL_EXAMPLE) is not None
