"""Erasing a person from the store: what goes, what stays, and what has to wait."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kept import NOW_US, NUMBER, Kept, kept, said

from bridge.domain.deliveries import Kind, State
from bridge.storage import engine as engines
from bridge.storage import forgetting
from bridge.storage.forgetting import Erased, Found
from bridge.storage.whom import Whom, find

OTHER = {"callerNumber": "+4930123456", "callerName": "Grace", "cuid": "other-cuid"}
# How each table is made to tell of nobody.
EMPTIED = {
    "calls": "state = X'7B7D'",
    "events": "payload = NULL",
    "outbox": "payload = NULL",
    "delivered": "payload = NULL",
}
SECRETS = (b"Ada", NUMBER[1:].encode())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Kept]:
    with kept(tmp_path) as one:
        yield one


def forget(store: Kept, text: str = NUMBER, *, is_alone: bool = True) -> Erased:
    """Look for somebody and erase what is found, in one commit."""

    def work(connection: Any) -> Erased:
        whom = find(connection, text, text if text.startswith("+") else "", [None])
        found = forgetting.search(connection, whom)
        return forgetting.erase(connection, whom, found, is_alone=is_alone)

    return store.do(work)


def told(store: Kept) -> list[bytes]:
    """Return what still tells of the person, in any row."""
    assert forgetting.compact(store.engine)
    raw = Path(store.engine.url.database or "").read_bytes()
    return [one for one in SECRETS if one in raw]


class TestSearch:
    def test_nothing_is_found_of_somebody_unknown(self, store: Kept) -> None:
        store.take(said("call.answered"))
        store.refuse("a", b'{"callerName": "Ada"}')
        whom = Whom([], ["4930123456"], [], [None])
        found = store.do(lambda db: forgetting.search(db, whom))
        assert not found
        assert found == Found()

    @pytest.mark.parametrize("told_by", ["calls", "events", "outbox", "delivered"])
    def test_a_call_is_found_wherever_it_is_told_of(self, store: Kept, told_by: str) -> None:
        store.take(said("call.answered"))
        if told_by == "delivered":
            store.send(Kind.NEW_ERRAND)
            store.tx(lambda tx: tx.archive(NOW_US + 1, 100))
        for table, emptied in EMPTIED.items():
            if table != told_by:
                store.run(f"UPDATE {table} SET {emptied}")  # noqa: S608 - names of this test
        whom = Whom([], [NUMBER[1:]], [], [None])
        assert store.do(lambda db: forgetting.search(db, whom)).calls == {("aventa", "r1")}

    def test_refusals_and_what_an_upstream_said_are_found(self, store: Kept) -> None:
        store.take(said("call.answered", callerNumber="anonymous", callerName=None))
        store.send(Kind.NEW_ERRAND, State.DEAD, f"422: {NUMBER} is not wanted")
        store.refuse("a", f'{{"callerNumber": "{NUMBER}"}}'.encode())
        store.refuse("b", b"not of them")
        whom = Whom([], [NUMBER[1:]], [], [None])
        found = store.do(lambda db: forgetting.search(db, whom))
        assert (found.refusals, found.quoted, found.calls) == ({"a"}, {1}, set())
        assert found


class TestErase:
    def test_nothing_tells_of_them_afterwards_and_others_stay(self, store: Kept) -> None:
        store.take(said("call.answered"), said("call.ended"), said("call.answered", "r2", **OTHER))
        store.refuse("a", f'{{"callerNumber": "{NUMBER}"}}'.encode())
        store.send(Kind.CONTACT_CARD, State.DEAD, f"422: {NUMBER} of Ada")
        erased = forget(store)
        assert erased == Erased(people=1, calls=1, errands=1, refusals=1)
        assert told(store) == []
        assert store.states() == {"new_errand r2": "ready", "contact_card": "dead"}

    def test_an_errand_that_exists_is_still_ended_without_the_number(self, store: Kept) -> None:
        outbound = {"relatedReferenceId": "r1", "dialedNumber": NUMBER}
        store.take(said("callback.requested"), said("outbound.ended", "o1", **outbound))
        store.send(Kind.NEW_ERRAND)
        assert forget(store).errands == 0
        assert told(store) == []
        assert store.states() == {"new_errand r1": "delivered", "end_errand r1": "ready"}
        assert store.claim(Kind.END_ERRAND)[0].payload.dialed_number == ""  # type: ignore[union-attr]  # an end

    def test_what_a_daemon_is_sending_is_left_to_it(self, store: Kept) -> None:
        store.take(said("call.answered"))
        store.claim(Kind.NEW_ERRAND)
        store.claim(Kind.CONTACT_CARD)
        assert forget(store, is_alone=False).on_their_way == 2
        assert store.states() == {"new_errand r1": "sending", "contact_card": "sending"}
        # Nobody reports on it once the daemon has gone.
        whom = Whom([], [NUMBER[1:]], [], [None])

        def again(connection: Any) -> Erased:
            found = forgetting.search(connection, whom)
            return forgetting.erase(connection, whom, found, is_alone=True)

        assert store.do(again).errands == 1
        assert store.states() == {"contact_card": "sending"}

    def test_a_card_that_moved_aside_goes_with_what_was_tried_of_it(self, store: Kept) -> None:
        store.take(said("call.queued"))
        store.send(Kind.CONTACT_CARD)
        store.tx(lambda tx: tx.archive(NOW_US + 1, 100))
        assert forget(store).people == 1
        assert store.rows("SELECT id FROM delivered") == []
        assert store.rows("SELECT id FROM attempts") == []

    def test_the_content_of_an_errand_that_moved_aside_goes(self, store: Kept) -> None:
        store.take(said("call.answered"))
        store.send(Kind.NEW_ERRAND, detail=f"made for {NUMBER}")
        store.tx(lambda tx: tx.archive(NOW_US + 1, 100))
        forget(store)
        assert told(store) == []
        assert store.rows("SELECT payload FROM delivered") == [(None,)]

    def test_events_whose_call_is_gone_lose_their_content(self, store: Kept) -> None:
        store.take(said("call.queued"), said("call.queued", "r2", **OTHER))
        store.run("DELETE FROM calls")
        assert forget(store).calls == 1
        kept_ids = store.rows("SELECT reference_id FROM events WHERE payload IS NOT NULL")
        assert kept_ids == [("r2",)]

    def test_another_call_of_the_same_reference_is_left_alone(self, store: Kept) -> None:
        early = {"occurredAt": "2026-09-10T14:13:20Z", "eventId": "early"}
        store.take(said("call.answered", **early), said("call.answered", **OTHER))
        forget(store)
        left = store.rows("SELECT event_id FROM events WHERE payload IS NOT NULL")
        assert left == [("call.answered-r1",)]
        assert store.states() == {"new_errand r1": "ready", "contact_card": "ready"}

    def test_an_end_known_to_the_call_forgets_the_number_that_was_dialled(
        self, store: Kept
    ) -> None:
        outbound = {"relatedReferenceId": "r1", "dialedNumber": NUMBER}
        store.take(said("callback.requested"), said("outbound.ended", "o1", **outbound))
        store.send(Kind.NEW_ERRAND)
        store.send(Kind.END_ERRAND)
        forget(store)
        # What changes nothing makes no further end.
        store.take(said("outbound.answered", "o1", relatedReferenceId="r1", callerNumber=None))
        assert store.states() == {"new_errand r1": "delivered", "end_errand r1": "delivered"}

    def test_an_errand_that_is_not_ended_yet_can_be(self, store: Kept) -> None:
        store.take(said("call.answered"))
        store.send(Kind.NEW_ERRAND)
        forget(store)
        store.take(said("call.ended", callerNumber=None, callerName=None))
        assert store.states() == {"new_errand r1": "delivered", "end_errand r1": "ready"}


def test_a_log_that_somebody_still_reads_is_not_emptied(
    store: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.take(said("call.queued"))
    store.engine.dispose()
    monkeypatch.setattr(engines, "_BUSY_TIMEOUT_MS", 1)
    database = store.engine.url.database or ""
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        assert not forgetting.compact(store.engine)
        reader.execute("COMMIT")
    assert forgetting.compact(store.engine)


class TestRemains:
    def test_nothing_remains_of_somebody_who_is_erased(self, store: Kept) -> None:
        store.take(said("call.answered"))
        forget(store)
        whom = Whom([], [NUMBER[1:]], [], [None])
        assert store.do(lambda db: forgetting.remains(db, whom)) == []

    def test_what_is_not_theirs_to_erase_is_named(self, store: Kept) -> None:
        store.take(
            said("call.queued", f"call-{NUMBER[1:]}", cuid="c1"),
            said("call.queued", "r2", callerNumber="anonymous", contact={"voice": [NUMBER]}),
        )
        whom = Whom([], [NUMBER[1:]], [], [None])
        lines = store.do(lambda db: forgetting.remains(db, whom))
        assert [line.split(",")[0] for line in lines] == [
            "ids that the phone system gave",
            "the card of somebody else",
        ]
