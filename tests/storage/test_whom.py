import json

import pytest

from bridge.storage.whom import Whom

NUMBER = "60123456789"


@pytest.mark.parametrize("value", ["Zo\u00eb", "o'hara", 'say "hi"', "plain"])
def test_a_value_is_found_however_it_is_written(value: str) -> None:
    whom = Whom([], [], [value], [None])
    for is_ascii in (True, False):
        assert whom.are_in(json.dumps({"cuid": value}, ensure_ascii=is_ascii).encode())
    assert not whom.are_in(b'{"cuid": "another"}')


def test_a_number_that_stands_there_as_a_number_is_found() -> None:
    whom = Whom([], [NUMBER], [], [None])
    assert whom.are_in(json.dumps({"extra": int(NUMBER)}).encode())


def test_what_is_attached_is_not_read() -> None:
    whom = Whom([], [NUMBER], [], [None])
    assert not whom.are_in(json.dumps({"attachments": [{"content": NUMBER}]}).encode())


def test_nothing_is_about_nobody() -> None:
    assert not Whom([], [NUMBER], [], [None]).are_in(None)
