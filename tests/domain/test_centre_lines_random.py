"""Random TOML, in all the forms that it has, against what `tomllib` reads of it."""

import itertools
import tomllib
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bridge.domain.centre_lines import Path, find_lines

SPACE = st.sampled_from(["", " ", "\t"])
END = st.sampled_from(["\n", "\r\n", ' # ] } \' """ \r\n', "\n\n", "\n# [x]\n"])
GAP = st.sampled_from(["", " ", "\n", "\r\n\t", "# ], }\n", "\n#'''\n"])
KEY = st.sampled_from(["a", "b", "1", "-", '"a b"', "'c.d'", '"e\\"]"', '"\\u0061"', '""', "'#'"])
KEYS = st.lists(st.tuples(SPACE, KEY, SPACE), min_size=1, max_size=3).map(
    lambda parts: ".".join("".join(part) for part in parts)
)
# Each has a number of its own, on the line where it begins.
LEAF = st.sampled_from(
    [
        "9{}9",
        "0x9{}9",
        '"9{}9"',
        "'9{}9 # \"'",
        '"9{}9 \\\\"',
        '"9{}9 \\" ] # , }"',
        '"""9{}9\n\\"""" ""\\\n \r\n"""',
        '"""9{}9"""""',
        "'''9{}9''''",
        "'''9{}9\r\n[a]\n''b = 1'''",
    ]
)


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    items = [f"{draw(GAP)}{one}{draw(GAP)}" for one in draw(st.lists(inner, max_size=3))]
    end = draw(st.sampled_from(["", ","])) if items else ""
    return f"[{','.join(items)}{end}{draw(GAP)}]"


@st.composite
def inline(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    pairs = draw(st.lists(st.tuples(KEYS, SPACE, inner, SPACE), max_size=3))
    return "{" + ",".join(f"{key}={space}{one}{end}" for key, space, one, end in pairs) + "}"


VALUE = st.recursive(LEAF, lambda inner: arrays(inner) | inline(inner), max_leaves=6)
LINE = (
    st.builds("{}={}{}{}".format, KEYS, SPACE, VALUE, END)
    | st.builds("[{}]{}".format, KEYS, END)
    | st.builds("[[{}]]{}".format, KEYS, END)
    | END
)


def numbered(text: str) -> str:
    numbers = itertools.count()
    while "9{}9" in text:
        text = text.replace("9{}9", f"9{next(numbers):03}9", 1)
    return text


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from leaves(item, (*path, place))


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(st.lists(LINE, min_size=1, max_size=8).map("".join).map(numbered))
def test_all_that_tomllib_reads_has_the_line_on_which_it_stands(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)  # noqa: FBT003 - the way of the library
    lines = find_lines(text)
    found = dict(leaves(document))
    assert set(lines) == set(found)
    for path, value in found.items():
        if isinstance(value, str):
            assert lines[path] == text[: text.index(value[:5])].count("\n") + 1
        elif isinstance(value, int):
            mark = str(value) if str(value) in text else f"{value:x}"
            assert lines[path] == text[: text.index(mark)].count("\n") + 1
