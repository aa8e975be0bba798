import io
import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

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


def test_times_are_in_utc_to_the_microsecond_and_never_go_back() -> None:
    stream = io.StringIO()
    log = logs.configure("info", "json", stream)
    before = datetime.now(UTC)
    for _ in range(100):
        log.info("tick")
    said = [datetime.fromisoformat(str(line["timestamp"])) for line in lines(stream)]
    assert said == sorted(said)
    assert before <= said[0] <= said[-1] <= datetime.now(UTC)


def test_what_is_no_json_is_named_by_its_kind_alone() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "secret"

    stream = io.StringIO()
    logs.configure("info", "json", stream).info("odd", value=Secret())
    assert lines(stream)[0]["value"] == "<Secret>"


def test_what_cannot_be_said_at_all_is_said_to_be_so() -> None:
    endless: list[object] = []
    endless.append(endless)
    stream = io.StringIO()
    logs.configure("info", "json", stream).info("odd", value=endless)
    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("odd", "info")
    assert "unsaid" in line


def test_a_text_line_steers_no_terminal() -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream).info("event", reference="\x1b[31mred\n\u202e")
    assert stream.getvalue().count("\n") == 1
    assert not {"\x1b[31mred", "\u202e"} & set(stream.getvalue().split("reference=")[1:])
    assert "\\x1b[31mred\\n\\u202e" in stream.getvalue()


def test_a_librarys_text_without_arguments_is_not_repeated() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logging.getLogger("asyncio").error("Exception in callback f('+60123456789')")
    (line,) = lines(stream)
    assert (line["template"], line["level"]) == ("", "error")
    assert "test_logs.py" in str(line["at"])
    assert "60123456789" not in stream.getvalue()


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3)]
)
def test_in_the_journal_a_line_begins_with_its_priority(
    tmp_path: Path, level: str, priority: int
) -> None:
    with (tmp_path / "journal").open("w") as stream:
        here = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{here.st_dev}:{here.st_ino}"}
        log = logs.configure("debug", "auto", stream, environ)
        getattr(log, level)("said")
    line = (tmp_path / "journal").read_text()
    assert line.startswith(f"<{priority}>{{")
    assert json.loads(line[3:])["level"] == level


@pytest.mark.parametrize("told", ["", "1:2", "nonsense"])
def test_elsewhere_no_line_begins_so(tmp_path: Path, told: str) -> None:
    with (tmp_path / "log").open("w") as stream:
        logs.configure("debug", "auto", stream, {"JOURNAL_STREAM": told}).info("said")
    assert (tmp_path / "log").read_text().startswith("{")


def test_without_a_stream_nothing_is_said_and_nothing_fails() -> None:
    log = logs.configure("info", "auto", None)
    log.info("said")
    log.close()


def test_why_there_is_no_daemon_is_a_line_each(capfd: pytest.CaptureFixture[str]) -> None:
    logs.complain("a.b: is wrong", "half a \ud83d")
    assert capfd.readouterr().err.splitlines() == ["a.b: is wrong", "half a \\ud83d"]


def test_lines_that_were_lost_are_told_of_once_there_is_room(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        log = logs.configure("info", "json", stream)
        full, fine = os.open("/dev/full", os.O_WRONLY), os.dup(stream.fileno())
        os.dup2(full, stream.fileno())
        log.info("first")
        os.dup2(fine, stream.fileno())
        log.info("second")
        os.close(full)
        os.close(fine)
    said = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [one["event"] for one in said] == ["second", "log lines lost"]
    assert said[1]["count"] == 1
