import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bench_site import Bench
from bench_stores import fill_backlog, fill_journal

from bridge.domain.deliveries import NewErrand
from bridge.storage.codecs import decode


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a backlog and a journal of a hundred rows each."""
    folder = tmp_path_factory.mktemp("stores")
    path = Bench(folder, folder, is_short=True, say=lambda _: None).empty_store
    fill_backlog(path, 100)
    fill_journal(path, 100)
    return path


def ask(store: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(query).fetchall()


def test_a_backlog_holds_distinct_errands_that_the_bridge_can_read(store: Path) -> None:
    rows = ask(store, "SELECT lane, reference_id, payload FROM outbox WHERE state = 'ready'")
    assert len({lane for lane, _, _ in rows}) == 100
    for lane, reference, payload in rows:
        errand = decode(NewErrand, payload)
        assert errand.integration is not None
        assert errand.message_id == lane
        assert errand.body.endswith(f"ref: {lane}")
        assert errand.integration.reference_id == reference


def test_a_journal_keeps_the_content_of_the_newest_events_only(store: Path) -> None:
    ((oldest, newest, count),) = ask(
        store,
        "SELECT min(received_us), max(received_us), count(payload) FROM events",
    )
    ((kept_from,),) = ask(store, "SELECT min(received_us) FROM events WHERE payload IS NOT NULL")
    assert oldest < kept_from < newest
    assert 0 < count < 20


def test_a_filled_store_has_its_indexes_and_is_whole(store: Path) -> None:
    names = ask(store, "SELECT name FROM sqlite_master WHERE name LIKE 'ix_%'")
    assert {("ix_outbox_first",), ("ix_events_received",)} <= set(names)
    assert ask(store, "PRAGMA integrity_check") == [("ok",)]
