import json
from typing import Any

import pytest

from bridge.sandbox.errands import ErrandBook
from bridge.sandbox.state import Exchange, RateWindow, RequestLog

NOW = 1_700_000_000.0


def errand(reference: str) -> dict[str, Any]:
    return {
        "msg": {},
        "integrationData": {"referenceId": reference, "deviceId": 1, "extensionId": 2},
    }


def create(book: ErrandBook, reference: str) -> None:
    attributes = errand(reference)
    body = json.dumps({"data": {"attributes": attributes}}).encode()
    book.create(attributes, workspace="demo", area="x", body=body, now=NOW)


def request(body: bytes) -> Exchange:
    return Exchange(0, NOW, 1.0, "POST", "/s/demo", (), body)


def test_the_oldest_errands_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sandbox.errands.KEPT_MAX", 2)
    book = ErrandBook()
    for reference in ("a", "b", "b", "c"):
        create(book, reference)

    assert [errand.reference for errand in book] == ["b", "c"]
    assert list(book.steps) == ["b", "c"]
    assert book.end(workspace="demo", reference="a", body=b"", now=NOW) is None
    assert book.end(workspace="demo", reference="b", body=b"", now=NOW) is not None
    assert (book.created, book.ended) == (4, 1)
    assert book.dirty("demo") == [errand.id for errand in book]


def test_the_oldest_errands_go_where_their_bodies_are_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.sandbox.errands.BODY_BYTES_KEPT_MAX", 250)
    book = ErrandBook()
    for reference in ("a", "b", "c", "d"):
        create(book, reference)
    assert [errand.reference for errand in book] == ["c", "d"]


def test_the_steps_of_one_reference_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sandbox.errands.STEPS_PER_REFERENCE_MAX", 2)
    book = ErrandBook()
    create(book, "a")
    for _ in range(3):
        book.end(workspace="demo", reference="a", body=b"", now=NOW)
    assert book.steps == {"a": ["create", "end"]}


def test_the_oldest_requests_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sandbox.state.KEPT_MAX", 3)
    monkeypatch.setattr("bridge.sandbox.state.BODY_BYTES_KEPT_MAX", 10)
    log = RequestLog()
    for body in (b"", b"1", b"2", b"3", b"4"):
        log.begin(request(body))
    assert [exchange.sequence for exchange in log] == [3, 4, 5]
    log.begin(request(b"123456789"))
    assert [exchange.sequence for exchange in log] == [5, 6]
    assert log.total == 6


def test_a_rate_window_tells_when_there_is_room_again() -> None:
    window = RateWindow(2)
    assert [window.admit(at) for at in (0.0, 1.0, 2.0, 59.9)] == [0, 0, 58, 1]
    assert [window.admit(at) for at in (60.0, 60.0, 61.0)] == [0, 1, 0]
