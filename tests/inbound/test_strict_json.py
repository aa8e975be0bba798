import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.inbound.strict_json import JsonValue, StrictJsonError, loads, loads_lines

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)

# Text without surrogates and U+0000, which are traps of their own.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(INT64_MIN, INT64_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20
)


def _refused(raw: bytes, **options: int) -> str:
    with pytest.raises(StrictJsonError) as caught:
        loads(raw, **options)
    assert caught.value.pointer == ""
    assert str(caught.value) == caught.value.detail
    return caught.value.detail


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"NaN", "NaN"),
        (b'{"a": -Infinity}', "NaN"),
        (b"[Infinity]", "NaN"),
        (b"1e999", "too large"),
        (b"[-1.0e400]", "too large"),
        (b"9" * 400 + b".5", "too large"),
        (b"9223372036854775808", "64-bit"),
        (b"-9223372036854775809", "64-bit"),
        (b"[" + b"7" * 5000 + b"]", "64-bit"),
        (b'{"a": 1, "b": 2, "a": 1}', "same key"),
        (b'[{"x": {"a": 1, "\\u0061": 2}}]', "same key"),
        (b'"\\ud800"', "surrogate"),
        (b'"\\uDFFF"', "surrogate"),
        (b'{"\\udc00\\ud800": 1}', "surrogate"),
        (b'"\\ud83d\\ud83d\\ude00"', "surrogate"),
        (b'"\\\\\\ud800"', "surrogate"),
        (b'"\xed\xa0\x80"', "not valid UTF-8"),
        (b'"\\u0000"', "U+0000"),
        (b'{"a\\u0000": 1}', "U+0000"),
        (b'"\\\\\\u0000"', "U+0000"),
        (b'"\0"', "control character"),
        (b"\x00", "character 0"),
        (b'"\xe5"', "not valid UTF-8"),
        (b'"\xc0\x80"', "not valid UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-16"),
        ('{"a": 1}'.encode("utf-16-be"), "UTF-16"),
        ('{"a": 1}'.encode("utf-32"), "UTF-32"),
        ('{"a": 1}'.encode("utf-32-le"), "UTF-32"),
        ('{"a": 1}'.encode("utf-32-be"), "UTF-32"),
        (b"\xef\xbb\xbf\xef\xbb\xbf1", "value is missing at character 0"),
        (b"{} {}", "goes on after its JSON value, at character 2"),
        (b" [1]]", "at character 4"),
        (b"01", "goes on"),
        (b" nul", "value is missing at character 1"),
        (b"[1,]", "not JSON"),
        (b'{"a" 1}', "colon"),
        (b"[1 2]", "comma"),
        (b"{a: 1}", "double quotes"),
        (b"'a'", "value is missing"),
        (b'"a', "not closed"),
        (b'"a\nb"', "control character"),
        (b'"\\q"', "unknown escape"),
        (b'"\\u12g4"', "hexadecimal"),
        (b"\x0c1", "not JSON"),
        ("\N{NO-BREAK SPACE}1".encode(), "not JSON"),
    ],
)
def test_refuses_and_says_why(raw: bytes, words: str) -> None:
    assert words in _refused(raw)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"\xef\xbb\xbf[1]", [1]),
        (b" \r\n\t{} \n", {}),
        (b"9223372036854775807", INT64_MAX),
        (b"-9223372036854775808", INT64_MIN),
        (b"-0", 0),
        (b"1e308", 1e308),
        (b"1e-999", 0.0),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        (b'"\\uD83D\\uDE00\\u0041"', "\N{GRINNING FACE}A"),
        (b'"\\\\ud800"', r"\ud800"),
        (b'"\\\\u0000"', r"\u0000"),
        (b'"\\u00e5 \\u0001"', "å \x01"),
        ('"\ufeff"'.encode(), "\ufeff"),
        (b'[{"a": 1}, {"a": 1}]', [{"a": 1}, {"a": 1}]),
        (b'{"a": {"a": 1}}', {"a": {"a": 1}}),
        (b'""', ""),
        (b"null", None),
    ],
)
def test_reads_what_only_resembles_a_trap(raw: bytes, value: JsonValue) -> None:
    assert loads(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        b'{"secret-canary": 1, "secret-canary": 2}',
        b'"secret-canary\\q"',
        b"secret-canary",
        b'"secret-canary" x',
        b'"secret-canary\xff"',
        b'"secret-canary\\ud800"',
    ],
)
def test_the_detail_never_quotes_the_input(raw: bytes) -> None:
    assert "canary" not in _refused(raw)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_ends_at_the_limit(opening: bytes, closing: bytes) -> None:
    assert loads(opening * 32 + b"1" + closing * 32) is not None
    assert "more than 32 deep" in _refused(opening * 33 + b"1" + closing * 33)
    assert "more than 2 deep" in _refused(
        b"[" + opening * 2 + b"1" + closing * 2 + b"]", depth_max=2
    )


def test_depth_counts_nesting_and_not_brackets() -> None:
    assert loads(b"[" + b"[[]]," * 1000 + b'"[[[["]', depth_max=3) == [*[[[]]] * 1000, "[[[["]
    assert loads(b'"' + b"[{" * 100 + b'"', depth_max=1) == "[{" * 100
    assert loads(b"1", depth_max=0) == 1
    assert "more than 0 deep" in _refused(b"[]", depth_max=0)


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'[{"a":' * 100_000 + b"1" + b"}]" * 100_000,
    ],
)
def test_endless_nesting_is_an_error_like_any_other(raw: bytes) -> None:
    assert "deep" in _refused(raw)
    [error] = loads_lines(raw)
    assert isinstance(error, StrictJsonError)


@pytest.mark.parametrize(
    "raw",
    [
        b'"' + b"\\\\" * 1_000_000 + b'\\u0000"',
        b'"' + b"\\u0041" * 400_000 + b'\\ud800"',
        b"1" * 2_000_000,
        b"1." + b"1" * 2_000_000 + b"e999999",
        b"[" * 2_000_000,
        b"{" + b'"a":1,' * 300_000 + b'"a":1}',
    ],
    ids=["backslashes", "escapes", "digits", "fraction", "brackets", "keys"],
)
def test_large_traps_are_refused_without_turning_back(raw: bytes) -> None:
    assert _refused(raw)


def test_lines_are_read_each_for_itself() -> None:
    raw = b'\xef\xbb\xbf{"a": 1}\r\n\r\n \t\n[2]\nnul\n"\xff"\n{"a":1,"a":2}\n "last" '
    first, second, syntax, encoding, twice, last = loads_lines(raw)
    assert (first, second, last) == ({"a": 1}, [2], "last")
    for line, words in ((syntax, "not JSON"), (encoding, "UTF-8"), (twice, "same key")):
        assert isinstance(line, StrictJsonError)
        assert words in line.detail
        assert line.__traceback__ is None


@pytest.mark.parametrize("raw", [b"", b"\n", b"\r\n \n\t\r\n", b"\xef\xbb\xbf\n"])
def test_blank_lines_are_no_values(raw: bytes) -> None:
    assert loads_lines(raw) == []


def test_a_value_ends_with_its_line() -> None:
    results = loads_lines(b'{"a":\n1}\r2\n3')
    assert [isinstance(result, StrictJsonError) for result in results] == [True, True, False]


def test_a_byte_order_mark_is_skipped_only_before_the_first_line() -> None:
    first, second = loads_lines(b"\xef\xbb\xbf1\n\xef\xbb\xbf2")
    assert first == 1
    assert isinstance(second, StrictJsonError)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32-le"])
def test_lines_in_a_wide_encoding_are_one_error(encoding: str) -> None:
    [error] = loads_lines("1000\n2000\n".encode(encoding))
    assert isinstance(error, StrictJsonError)
    assert encoding[:6].upper() in error.detail


def test_more_lines_than_any_batch_has_are_one_error() -> None:
    [error] = loads_lines(b"1\n" * 250_001)
    assert isinstance(error, StrictJsonError)
    assert "250000 lines" in error.detail


@given(value=values, ensure_ascii=st.booleans(), indent=st.sampled_from([None, 1]))
def test_reads_what_json_writes(
    *, value: JsonValue, ensure_ascii: bool, indent: int | None
) -> None:
    raw = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent).encode()
    assert loads(raw, depth_max=100) == value == json.loads(raw)


@given(st.lists(values))
def test_reads_the_lines_that_json_writes(items: list[JsonValue]) -> None:
    raw = b"\n".join(json.dumps(item).encode() for item in items)
    assert loads_lines(raw, depth_max=100) == items


@given(
    st.binary()
    | st.text('[]{}",:\\ud08efc19.-+ \n\r', max_size=40).map(str.encode)
    | values.map(lambda value: json.dumps(value).encode()[:-1])
)
@example(b'"\\ud800\\u"')
@example(b"\xff\xfe")
@example(b"\0\0\xfe\xff")
def test_any_bytes_give_a_value_that_json_agrees_with_or_an_error(raw: bytes) -> None:
    for result in loads_lines(raw):
        assert not isinstance(result, StrictJsonError) or result.detail
    try:
        value = loads(raw)
    except StrictJsonError:
        return
    assert json.loads(raw) == value
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
