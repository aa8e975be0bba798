import pytest
from bench_http import Reader, post
from bench_upstream import about

ANSWER = b"HTTP/1.1 202 Accepted\r\nX: y\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_messages_are_put_together_from_pieces_of_any_size(size: int) -> None:
    reader, data = Reader(), ANSWER * 3
    found = [
        message for at in range(0, len(data), size) for message in reader.feed(data[at : at + size])
    ]
    assert [(one.status, one.body) for one in found] == [(202, b"hello")] * 3


def test_a_body_is_not_taken_for_the_next_message() -> None:
    body = b"HTTP/1.1 500 No\r\n\r\n"
    (found,) = Reader().feed(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    assert (found.status, found.body) == (200, body)


def test_a_request_that_is_made_is_read_as_it_was_meant() -> None:
    (found,) = Reader().feed(post("http://127.0.0.1:8080/v1/events", b"{}"))
    assert found == (b"POST /v1/events HTTP/1.1", b"{}")


def test_what_has_no_body_needs_no_length() -> None:
    got, none = Reader().feed(b"GET /_stats HTTP/1.1\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    assert (got.body, none.body) == (b"", b"")


def test_a_body_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="without a length"):
        Reader().feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"extradata":{"referenceId":"x"},"integrationData":{"a":1,"referenceId":"r-1"}}', "r-1"),
        (b'{"contacts":{"name":"A","voice":["+46701234567"]}}', "+46701234567"),
        (b'{"msg":{}}', ""),
    ],
)
def test_the_upstream_sees_whom_a_document_is_about(body: bytes, expected: str) -> None:
    assert about(body) == expected
