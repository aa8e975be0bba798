import io
import json
import logging

import pytest

from bridge.ops import logs


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_level_and_time() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream).info("ready", events=["x"])
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["events"]) == ("ready", "info", ["x"])
    assert str(line["timestamp"]).endswith("Z")


def test_what_is_below_the_level_is_not_said() -> None:
    stream = io.StringIO()
    logs.configure("warning", "json", stream).info("ready")
    assert stream.getvalue() == ""


def test_an_error_is_named_without_its_text() -> None:
    stream = io.StringIO()
    log = logs.configure("info", "json", stream)
    try:
        raise ValueError("+60123456789")  # noqa: TRY301 - to have one with a traceback
    except ValueError as error:
        log.error("failed", exc_info=error)  # noqa: TRY400 - that is what is tested
    (line,) = lines(stream)
    assert line["error_type"] == "ValueError"
    assert "test_logs.py" in str(line["error_at"])
    assert "60123456789" not in stream.getvalue()


def test_a_librarys_warning_comes_through_without_its_arguments() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logging.getLogger("aiohttp").warning("bad header %s", "Bearer secret")
    (line,) = lines(stream)
    assert line["logger"] == "aiohttp"
    assert "secret" not in stream.getvalue()


def test_a_person_gets_text() -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream).info("ready")
    assert "ready" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize(
    "odd", ["half a \ud83d", 2**80, {"deep": {(1, 2): 3}}, [[[[[]]]]] * 3, {"\ud83d": 1}, object()]
)
def test_whatever_is_given_a_line_is_written(odd: object) -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream).info("odd", value=odd)
    (line,) = lines(stream)
    assert line["event"] == "odd"
