import base64
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cention.reports import (
    ACTIONS_MAX,
    TAG_CHARS_MAX,
    TAGS_MAX,
    TEXT_MAX,
    FileContent,
    read_file,
    read_rating,
    read_report,
    read_sla,
)
from bridge.domain.reports import ErrandReport, Rating, Sla

SAMPLES = Path(__file__).parents[1] / "data/samples"
YEAR_10000_S = 253_402_300_800

ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def shaped(shape: Any) -> st.SearchStrategy[Any]:
    """Give documents with the vendor's keys, at any of which anything may stand."""
    if isinstance(shape, dict):
        inner = {key: shaped(value) for key, value in shape.items()}
        return ANY_JSON | st.fixed_dictionaries({}, optional=inner)
    if isinstance(shape, list):
        return ANY_JSON | st.lists(shaped(shape[0]), max_size=3)
    return ANY_JSON | st.just(shape)


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())["data"]["attributes"]


def report(**extended: Any) -> ErrandReport:
    return read_report({"extended": extended})


REPORT = sample("errand_report")
RATING = sample("facebook_rating")
FILE = {
    "attachment": {
        "c3_id": 788,
        "content_type": "image/png",
        "name": "logo.png",
        "content": base64.b64encode(b"\x89PNG").decode(),
        "content_id": "attachment_788",
    }
}
SLA_SHAPE = {
    "within_sla": True,
    "handling_time": 1,
    "response_time": 2,
    "expiry": 1,
    "done_due": True,
}


def test_the_vendors_report_is_read_whole() -> None:
    read = read_report(REPORT)
    assert [one.at_s for one in read.actions] == [1437051017, 1437124068, 1437124106]
    assert read.actions[2].note.endswith(
        "answered and closed by agent System Administrator at 2015-07-17 17:08:26 +0800 MYT."
    )
    assert read.actions[2].origin == "System Administrator"
    assert read.actions[2].time == "2015-07-17 17:08:26 +0800 MYT"
    assert (read.is_answered, read.is_closed, read.is_done) == (True, True, True)
    assert read.answered_minute == "2015/07/17 17:08"
    assert read.answered_s == 1437124106
    assert (read.area, read.service) == ("test-services-area", "Email")
    assert (read.agent, read.subject) == ("System Administrator", "test")
    assert (read.answer_subject, read.answer_body) == ("test", "test body")
    assert (read.tags, read.feedback) == (("Test High Tag",), "")
    assert read.sla == Sla(is_within=False, handling_s=0, response_s=0)


def test_a_report_of_which_nothing_is_told_is_empty() -> None:
    assert read_report({}) == ErrandReport()


@pytest.mark.parametrize("said", [None, 0, 1, "true", [], {}])
def test_only_true_is_true(said: object) -> None:
    read = read_report({"basic": {"data": {"answered": said, "closed": said}}})
    assert (read.is_answered, read.is_closed) == (False, False)
    sla = read_sla({"sla": {"within_sla": said, "done_due": said}})
    assert sla is not None
    assert (sla.is_within, sla.is_done_due) == (False, False)


@pytest.mark.parametrize("stamp", [None, 0, -1, True, 1.5, "1437051017", [], YEAR_10000_S])
def test_an_action_without_a_time_is_none(stamp: object) -> None:
    actions = [{"timeStamp": stamp, "note": "answered"}, {"timeStamp": 7}, "x", None, {}]
    assert [one.at_s for one in read_report({"actions": actions}).actions] == [7]


def test_of_very_many_actions_and_tags_only_the_first_count() -> None:
    actions = [{"timeStamp": one + 1} for one in range(ACTIONS_MAX + 1)]
    assert len(read_report({"actions": actions}).actions) == ACTIONS_MAX
    tags = [{"desc": str(one)} for one in range(TAGS_MAX + 1)]
    assert len(report(errand_tags=tags).tags) == TAGS_MAX


def test_a_tag_counts_once_and_not_without_a_name() -> None:
    tags = [{"desc": "b"}, {"desc": ""}, {"desc": 7}, "x", None, {"desc": "a"}, {"desc": "b"}]
    assert report(errand_tags=tags).tags == ("b", "a")


def test_texts_are_cut_to_size() -> None:
    long = "x" * (TEXT_MAX + 1)
    read = report(answer_body=long, feedback={"Answer": long}, errand_tags=[{"desc": long}])
    assert len(read.answer_body) == len(read.feedback) == TEXT_MAX
    assert len(read.tags[0]) == TAG_CHARS_MAX


@pytest.mark.parametrize("sla", [None, [], "x", 7, True])
def test_an_sla_that_is_none_is_still_being_worked_out(sla: object) -> None:
    assert read_sla({"sla": sla}) is None
    assert read_report({"sla": sla}).sla is None
    assert read_sla({}) is None


@pytest.mark.parametrize(
    ("said", "seconds"), [(0, 0), (90, 90), (-1, 0), (True, 0), ("9", 0), (1.5, 0), (2**63, 0)]
)
def test_times_of_an_sla_are_whole_seconds(said: object, seconds: int) -> None:
    sla = read_sla({"sla": {"handling_time": said, "response_time": said}})
    assert sla is not None
    assert (sla.handling_s, sla.response_s) == (seconds, seconds)


@pytest.mark.parametrize(("said", "state"), [(0, 0), (1, 1), (2, 2), (3, 0), (-1, 0), (True, 0)])
def test_an_expiry_state_that_is_unknown_is_none(said: object, state: int) -> None:
    sla = read_sla({"sla": {"expiry": said}})
    assert sla is not None
    assert sla.expiry == state


def test_the_vendors_rating_is_read_whole() -> None:
    assert read_rating(RATING) == Rating(
        stars=5,
        created_s=1489569020,
        message="Hi its a really great page. It helps to find more people:)",
        reviewer="Jessica Elizabeth",
    )


@pytest.mark.parametrize("stars", [None, 0, 6, -1, True, "5", 4.5])
def test_stars_that_are_none_are_none(stars: object) -> None:
    assert read_rating({"data": {"rating": stars}}) == Rating(stars=0)


@pytest.mark.parametrize("attributes", [{}, {"data": None}, {"data": []}, {"data": "x"}])
def test_a_rating_without_data_is_none(attributes: dict[str, Any]) -> None:
    assert read_rating(attributes) is None


def test_a_file_is_read_whole() -> None:
    assert read_file(FILE) == FileContent(
        title="logo.png",
        content_type="image/png",
        content_id="attachment_788",
        content=b"\x89PNG",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", " ", "\t"])
def test_a_files_content_may_be_broken_into_lines(end: str) -> None:
    content = bytes(range(256))
    lines = end.join(textwrap.wrap(base64.b64encode(content).decode(), 76))
    read = read_file({"attachment": {"content": lines + end}})
    assert read is not None
    assert read.content == content


def test_an_empty_file_is_one() -> None:
    read = read_file({"attachment": {"content": ""}})
    assert read == FileContent(title="", content_type="", content_id="", content=b"")


@pytest.mark.parametrize(
    "content",
    [None, 7, [], {}, "?", "Q", "QQ", "QUI", "QU=D", "QQ==QQ==", "Å", "_-8=", "\0"],
)
def test_content_that_is_no_base64_is_no_file(content: object) -> None:
    assert read_file({"attachment": {"content": content}}) is None


@pytest.mark.parametrize("attributes", [{}, {"attachment": None}, {"attachment": ["content"]}])
def test_a_file_without_content_is_none(attributes: dict[str, Any]) -> None:
    assert read_file(attributes) is None


def test_a_files_odd_names_cost_no_content() -> None:
    odd = {"content": "QQ==", "name": 7, "content_type": None, "content_id": []}
    assert read_file({"attachment": odd}) == FileContent("", "", "", b"A")
    long = {"content": "QQ==", **dict.fromkeys(("name", "content_type", "content_id"), "x" * 999)}
    read = read_file({"attachment": long})
    assert read is not None
    assert len(read.title) == TAG_CHARS_MAX * 2
    assert len(read.content_type) == len(read.content_id) == TAG_CHARS_MAX


@given(st.dictionaries(st.text(), ANY_JSON) | shaped(REPORT).filter(lambda one: type(one) is dict))
def test_no_report_is_too_odd_to_be_read(attributes: dict[str, Any]) -> None:
    read = read_report(attributes)
    assert read.sla == read_sla(attributes)
    assert isinstance(read, ErrandReport)
    assert all(0 < one.at_s < YEAR_10000_S for one in read.actions)
    assert read.answered_s is None or read.answered_s > 0
    assert isinstance(read.is_done, bool)


@given(shaped({"sla": SLA_SHAPE}).filter(lambda one: type(one) is dict))
def test_no_sla_is_too_odd_to_be_read(attributes: dict[str, Any]) -> None:
    sla = read_sla(attributes)
    if sla is not None:
        assert 0 <= sla.handling_s < YEAR_10000_S
        assert 0 <= sla.response_s < YEAR_10000_S
        assert sla.expiry in {0, 1, 2}


@given(shaped(RATING).filter(lambda one: type(one) is dict))
def test_no_rating_is_too_odd_to_be_read(attributes: dict[str, Any]) -> None:
    rating = read_rating(attributes)
    if rating is not None:
        assert 0 <= rating.stars <= 5
        assert 0 <= rating.created_s < YEAR_10000_S


@given(shaped(FILE).filter(lambda one: type(one) is dict))
def test_no_file_is_too_odd_to_be_read(attributes: dict[str, Any]) -> None:
    read = read_file(attributes)
    assert read is None or isinstance(read.content, bytes)


@given(st.binary(max_size=200))
def test_every_content_comes_out_as_it_went_in(content: bytes) -> None:
    read = read_file({"attachment": {"content": base64.b64encode(content).decode()}})
    assert read is not None
    assert read.content == content
