from collections.abc import Iterator
from typing import Any

import pytest
from callback_sample import read, sample, with_link
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.answers import FileType
from bridge.domain.errors import InvalidEvent

ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
# Such as may stand where something else belongs.
SIMPLE: list[Any] = [None, True, False, 0, 1, 76, -1, 2**63 - 1, 1.5, "", "x", "7", "7" * 19]
NESTED: list[Any] = [[], {}, [[]], [{}], [None], {"id": []}, {"data": None}, {"href": 7}]
ODD = st.sampled_from([*SIMPLE, *NESTED])


@given(ANY_JSON)
def test_no_json_brings_about_another_error_than_that_it_is_no_callback(document: Any) -> None:
    with pytest.raises(InvalidEvent):
        read(document)


def places(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value within a document."""
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        yield (*where, key)
        if isinstance(child, dict | list):
            yield from places(child, (*where, key))


PLACES = list(places(sample()))


def change(document: Any, place: tuple[Any, ...], value: Any, *, is_removed: bool) -> None:
    """Change or remove what is in a place, if the place is still there."""
    for key in place[:-1]:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(document, dict) and is_removed:
        document.pop(place[-1], None)
    elif isinstance(document, dict) or (
        isinstance(document, list) and isinstance(place[-1], int) and place[-1] < len(document)
    ):
        document[place[-1]] = value


@settings(max_examples=500)
@given(
    st.lists(
        st.tuples(st.sampled_from(PLACES), ODD | ANY_JSON, st.booleans()), min_size=1, max_size=4
    )
)
def test_the_sample_with_anything_changed_is_read_or_is_no_callback(
    changes: list[tuple[tuple[Any, ...], Any, bool]],
) -> None:
    document = sample()
    for place, value, is_removed in changes:
        change(document, place, value, is_removed=is_removed)
    try:
        answer = read(document)
    except InvalidEvent:
        return
    assert 0 <= answer.errand_id < 10**18
    assert 0 < len(answer.callback_id) <= 64
    assert all(isinstance(one.type, FileType) for one in answer.files)


@given(st.text())
def test_any_text_may_be_a_link(link: str) -> None:
    answer = read(with_link(link))
    assert len(answer.files) == 4
    assert answer.foreign_links in {0, 1}
