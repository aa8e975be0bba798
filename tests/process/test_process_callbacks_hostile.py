"""What nobody should call back with: it is refused, or taken, and never a fault of the bridge's."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from process_callbacks import accept, altered, callback, check_problem, id_of, new_id, sent_on
from process_circle import CALLBACK_SECRET, Circle, open_circle

pytestmark = pytest.mark.process

SECRET = CALLBACK_SECRET.encode()


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circle]:
    with open_circle(tmp_path_factory.mktemp("guarded")) as made:
        yield made


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circle]:
    with open_circle(tmp_path_factory.mktemp("open"), CALLBACKS__SECRET=os.devnull) as made:
        yield made


def with_text(text: str) -> bytes:
    """Return a callback with a piece of JSON as it stands in place of an answer's text."""
    return json.dumps(callback(body="HERE")).replace('"HERE"', text).encode()


UNREADABLE = {
    "deep_arrays": with_text("[" * 100_000 + "]" * 100_000),
    "deep_objects": with_text('{"a":' * 100_000 + "1" + "}" * 100_000),
    "deep_unclosed": b"[" * 100_000,
    "deeper_than_allowed": with_text("[" * 40 + "]" * 40),
    "long_integer": with_text("9" * 5_000),
    "integer_beyond_64_bits": with_text(str(2**63)),
    "float_too_large": with_text("1e999"),
    "nan": with_text("NaN"),
    "nul": with_text('"a\\u0000b"'),
    "raw_nul": with_text('"a\0b"'),
    "lone_surrogate": with_text('"\\ud800"'),
    "surrogate_as_utf8": with_text('"X"').replace(b"X", b"\xed\xa0\x80"),
    "surrogate_in_key": with_text('{"\\udfff": 1}'),
    "same_key_twice": with_text('{"a": 1, "a": 1}'),
    "utf16": json.dumps(callback()).encode("utf-16"),
    "latin1": with_text('"X"').replace(b"X", b"\xe5"),
}
ODD = {
    "array": [callback()],
    "text": "c3_callback_answer_errands",
    "number": 2**63 - 1,
    "type_is_a_list": altered("data.type", ["c3_callback_answer_errands"]),
    "type_is_an_object": altered("data.type", {"c3_callback_answer_errands": 1}),
    "id_is_a_list": altered("data.id", ["76"]),
    "id_is_too_long": altered("data.id", "7" * 65),
    "relationships_are_a_list": {**altered("data.relationships", [[]]), "included": [1]},
    "errand_id_is_huge": altered("data.relationships.errand.data.id", "9" * 60),
    "included_is_a_text": altered("included", "c3_answer_errands"),
    "included_are_lists": altered("included", [[[]], [{}], None]),
    "included_types_are_lists": altered("included", [{"type": [], "id": "1"}]),
}
CRAMMED: dict[str, Any] = {
    "id_is_a_number": altered("data.id", 2**63 - 1),
    "id_is_odd": altered("data.id", "../\n'\";--%00"),
    "types_are_lists": callback(files=["1"], links=[""]),
    "a_file_that_is_none": callback(files=["-1", "x", "9" * 30], links=["http://[", "\n", "//"]),
    "very_many_recipients": callback(to=[{"name": "x"}] * 10_000),
    "recipients_are_odd": callback(to=[None, 1, "x", [], {"name": [], "email_address": {}}]),
    "a_text_of_a_megabyte": callback(html_body="x" * 2**20),
    "html_of_one_open_tag": callback(html_body="<" + " " * 100_000),
    "html_of_open_tags": callback(html_body="<p" * 100_000),
    "html_of_slashes": callback(html_body="<" + " /" * 100_000),
    "html_of_half_an_entity": callback(html_body="&#" * 100_000),
    "html_with_an_entity_that_is_none": callback(html_body=f"&#{'9' * 5_000};"),
    "html_of_markers": callback(html_body="ref: aventa-" * 50_000),
    "texts_are_objects": callback(subject={}, body=[], html_body=7),
    "controls": callback(subject="\x01\x1f\x7f\u2028\ufeff\U0010ffff"),
}
CRAMMED["id_is_odd"]["data"]["id"] += new_id()
CRAMMED["types_are_lists"]["included"][0] |= {"type": ["x"], "links": [], "attributes": 7}
CRAMMED["attributes_are_texts"] = callback()
CRAMMED["attributes_are_texts"]["included"][-1] |= {"attributes": "x", "relationships": "x"}


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in UNREADABLE.items()])
def test_a_body_that_cannot_be_read_is_refused_and_the_next_is_taken(
    circle: Circle, open_door: Circle, body: bytes
) -> None:
    # Only whoever knows the secret may fill the quarantine.
    check_problem(circle.post_callback(body.replace(SECRET, b"another")), 401)
    problem = check_problem(circle.post_callback(body), 400 if SECRET in body else 401)
    if SECRET in body:
        refused = circle.daemon.refusal(problem["quarantineId"])
        assert refused is not None
        assert SECRET not in refused["body"]
    assert check_problem(open_door.post_callback(body), 400)["quarantineId"]
    accept(open_door, callback())


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in ODD.items()])
def test_a_document_that_is_odd_is_refused_and_the_next_is_taken(
    open_door: Circle, body: object
) -> None:
    assert check_problem(open_door.post_callback(body), 422)["quarantineId"]
    accept(open_door, callback())


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in CRAMMED.items()])
def test_a_callback_with_odd_contents_is_taken_and_sent_on(
    circle: Circle, body: dict[str, Any]
) -> None:
    accept(circle, body)
    sent_on(circle, id_of(body))


def test_a_body_that_is_too_large_is_refused_and_the_next_is_taken(circle: Circle) -> None:
    body = json.dumps(callback()).encode().ljust(16 * 2**20 + 1)
    check_problem(circle.post_callback(body), 413)
    accept(circle, callback())
