import tomllib
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.centre_lines import Path, find_lines, line_of

TRICKY = '''\
# [not.a.table]
[area."re ception"] # key = 1
name = """
one
[x]
"""
other = \'\'\'
\'\'quoted\'\'\'
"quoted \\" key" = "a # b \\" ]"
list = [ # first
  1,

  [2, 3], { a = 4, b.c = [5,
    6] },
]
date = 1979-05-27 07:32:00
a.b = 7
[[area.x.emails]]
n = 1

[[area.x.emails]]
n = 2
[area.x.emails.deep]
n = 3
'''


def test_each_value_has_its_line_in_all_that_toml_allows() -> None:
    lines = find_lines(TRICKY)
    table = ("area", "re ception")
    assert {path[2:]: line for path, line in lines.items() if path[:2] == table} == {
        (): 2,
        ("name",): 3,
        ("other",): 7,
        ('quoted " key',): 9,
        ("list",): 10,
        ("list", 0): 11,
        ("list", 1): 13,
        ("list", 1, 0): 13,
        ("list", 1, 1): 13,
        ("list", 2): 13,
        ("list", 2, "a"): 13,
        ("list", 2, "b"): 13,
        ("list", 2, "b", "c"): 13,
        ("list", 2, "b", "c", 0): 13,
        ("list", 2, "b", "c", 1): 14,
        ("date",): 16,
        ("a",): 17,
        ("a", "b"): 17,
    }
    assert lines["area", "x", "emails", 0, "n"] == 19
    assert lines["area", "x", "emails", 1, "n"] == 22
    assert lines["area", "x", "emails", 1, "deep", "n"] == 24


def test_what_is_missing_has_the_line_of_what_it_would_stand_in() -> None:
    lines = find_lines("\n[area.x]\nname = 1\n")
    assert line_of(lines, ("area", "x", "type")) == 2
    assert line_of(lines, ("tag",)) == 1


def test_a_table_has_the_line_of_its_own_head_though_one_within_it_comes_first() -> None:
    lines = find_lines("[area.x.expire_time]\n[area.x]\nname = 1\n")
    assert lines["area", "x"] == 2
    assert lines["area", "x", "expire_time"] == lines["area",] == 1


KEYS = st.text("ab-_ .\"'#=[]é", min_size=1, max_size=4)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


class Writer:
    """Writes TOML whose every leaf is a number of its own, and notes where it put each."""

    def __init__(self, choices: Iterator[int]) -> None:
        self.text = ""
        self.lines: dict[Path, int] = {}
        self._choices = choices
        self._number = 0

    def key(self, key: str) -> str:
        return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def put(self, text: str) -> None:
        self.text += text

    def leaf(self, path: Path) -> None:
        self.lines[path] = self.text.count("\n") + 1
        self._number += 1
        forms = (
            f"{self._number}",
            f'"# {self._number} [ \\" "',
            f"'''\n{self._number}\n''a = 1'''",
            f'"""\\\n  {self._number} " ""\\""""',
        )
        self.put(forms[next(self._choices) % len(forms)])

    def value(self, value: Any, path: Path) -> None:
        if isinstance(value, list):
            self.lines[path] = self.text.count("\n") + 1
            self.put("[")
            for place, item in enumerate(value):
                self.put("\n # , ]\n" if next(self._choices) % 2 else " ")
                self.value(item, (*path, place))
                self.put(" ,")
            self.put("]")
        elif isinstance(value, dict):
            self.lines[path] = self.text.count("\n") + 1
            self.put("{")
            for place, (key, item) in enumerate(value.items()):
                self.put(", " if place else " ")
                self.lines[*path, key] = self.text.count("\n") + 1
                self.put(f"{self.key(key)} = ")
                self.value(item, (*path, key))
            self.put("}")
        else:
            self.leaf(path)


@settings(max_examples=200, deadline=None)
@given(
    tables=st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4),
    choices=st.lists(st.integers(0, 3), min_size=1, max_size=20),
)
def test_whatever_a_file_holds_its_lines_are_found(
    tables: dict[str, Any], choices: list[int]
) -> None:
    def forever() -> Iterator[int]:
        while True:
            yield from choices

    writer = Writer(forever())
    for name, table in tables.items():
        writer.put("# comment\n\n")
        writer.lines[(name,)] = writer.text.count("\n") + 1
        writer.put(f"[ {writer.key(name)} ]\n")
        for key, value in table.items():
            writer.lines[name, key] = writer.text.count("\n") + 1
            writer.put(f"  {writer.key(key)}= ")
            writer.value(value, (name, key))
            writer.put(" # end\n")
    tomllib.loads(writer.text)
    assert find_lines(writer.text) == writer.lines
