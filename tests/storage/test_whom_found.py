"""Whom a text means, and where they are known again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kept import NUMBER, Kept, kept, said

from bridge.storage.whom import Whom, find

DIGITS = NUMBER[1:]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Kept]:
    with kept(tmp_path) as one:
        yield one


def whom_of(store: Kept, text: str, number: str = "") -> Whom:
    return store.do(lambda connection: find(connection, text, number, [None, "MY"]))


class TestWrittenNumbers:
    @pytest.mark.parametrize(
        "text",
        [
            "+60123456789",
            "0060 12-345 6789",
            "call 012-345 6789, please",
            "sip:60123456789@pbx",
            "\u0660\u0661\u0662-345 6789",
        ],
    )
    def test_a_number_is_known_however_it_is_written(self, text: str) -> None:
        whom = Whom([], [DIGITS], [], ["MY"])
        assert whom.are_named(text)
        assert whom.are_in(json.dumps({"comment": text}, ensure_ascii=False).encode())

    @pytest.mark.parametrize("text", ["", "+60123456788", "612345678", "9912345678999", "345 6789"])
    def test_another_number_is_somebody_elses(self, text: str) -> None:
        whom = Whom([], [DIGITS], [], ["MY"])
        assert not whom.are_named(text)
        assert not whom.are_in(json.dumps({"comment": text}).encode())

    def test_digits_of_another_script_are_read_before_a_row_is_passed_over(self) -> None:
        whom = Whom([], [DIGITS], [], ["MY"])
        wide = "".join(chr(0x0660 + int(one)) for one in "0123456789")
        assert whom.are_in(json.dumps({"comment": wide}, ensure_ascii=False).encode())
        assert not whom.are_in('{"comment": "Z\u00fcrich"}'.encode())


class TestSent:
    @pytest.mark.parametrize(
        "body",
        [
            f'{{"callerNumber": "{NUMBER}"}}'.encode(),
            f"{{broken, {NUMBER}".encode(),
            b'{"cuid": "c-1", broken',
            json.dumps({"cuid": "c-1"}).encode("utf-16"),
            b'{"contact": {"voice": ["' + NUMBER.encode() + b'"]}}',
            b'{"deep": ' + b"[" * 100_000 + NUMBER.encode(),
        ],
    )
    def test_a_refused_body_is_read_whatever_it_is(self, body: bytes) -> None:
        assert Whom([], [DIGITS], ["c-1"], [None]).are_sent(body)

    @pytest.mark.parametrize(
        "body", [b"", b"{broken", b'{"cuid": "c-2"}', b'"c-1x"', b"[1.5, true]"]
    )
    def test_a_body_that_tells_nothing_of_them_stays(self, body: bytes) -> None:
        assert not Whom([], [DIGITS], ["c-1"], [None]).are_sent(body)

    def test_a_short_value_counts_only_where_it_identifies(self) -> None:
        whom = Whom([], [], ["42"], [None])
        assert whom.are_said({"cuid": "42"})
        assert whom.are_said({"email": ["42"]})
        assert not whom.are_said({"queueNumber": "42"})
        # A mark of a call stands under the name of its field.
        assert whom.are_said({"cuid": {"text": "42"}})


class TestFind:
    def test_somebody_whom_nobody_knows_is_their_number(self, store: Kept) -> None:
        whom = whom_of(store, "012-345 6789", NUMBER)
        assert whom.ids == []
        assert whom.all == {NUMBER}

    def test_a_cuid_tells_numbers_and_channels(self, store: Kept) -> None:
        store.take(said("call.queued", cuid="c1", contact={"email": ["ada@example.org"]}))
        whom = whom_of(store, "c1")
        assert len(whom.ids) == 1
        assert whom.all == {"c1", "ada@example.org", NUMBER}

    def test_what_looks_like_a_number_and_is_a_cuid_is_a_cuid(self, store: Kept) -> None:
        store.take(said("call.queued", cuid="0123456789", callerNumber="+4930123456"))
        assert whom_of(store, "0123456789", NUMBER).all == {"0123456789", "+4930123456"}

    def test_who_shares_the_number_under_another_cuid_is_somebody_else(self, store: Kept) -> None:
        store.take(said("call.queued", cuid="c1"))
        # As known in another workspace.
        store.run(
            "INSERT INTO people SELECT 'p2', 'elsewhere', route,"
            " replace(CAST(wanted AS TEXT), '\"c1\"', '\"c2\"'), confirmed, confirmed_us, named_us,"
            " card_id FROM people"
        )
        store.run(f"INSERT INTO person_keys VALUES ('elsewhere', 'voice', '{NUMBER}', 'p2')")  # noqa: S608 - a number of this test
        whom = whom_of(store, "c1")
        assert "p2" not in whom.ids
        assert "c2" not in whom.all
