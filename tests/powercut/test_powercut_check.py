"""The look at a store that is found must see what is wrong with it, or the cuts prove nothing."""

import asyncio
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from powercut_check import check, reopen
from powercut_writer import STORE_NAME, Load, run

EVENTS = 24


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store with some events in it, and which were acknowledged."""
    folder = tmp_path_factory.mktemp("store")
    acks = folder / "acks"
    load = Load(
        folder=folder / "store",
        acks=acks,
        events=EVENTS,
        seed=1,
        checkpoint_rows=1000,
        is_normal=False,
    )
    asyncio.run(run(load))
    return load.folder, acks.read_text(encoding="ascii").replace("ack ", "").split()


@pytest.fixture
def store(made: tuple[Path, list[str]], tmp_path: Path) -> Path:
    return shutil.copytree(made[0], tmp_path / "copy")


@pytest.fixture
def acknowledged(made: tuple[Path, list[str]]) -> Sequence[str]:
    return made[1]


def change(store: Path, statement: str) -> None:
    with closing(sqlite3.connect(store / STORE_NAME)) as connection:
        assert connection.execute(statement).rowcount > 0
        connection.commit()


def test_a_store_that_was_closed_is_good_and_can_be_gone_on_with(
    store: Path, acknowledged: Sequence[str]
) -> None:
    assert len(acknowledged) == EVENTS
    assert check(store, acknowledged).is_good
    assert reopen(store, acknowledged).is_good


def test_an_acknowledged_event_that_is_not_there_is_missing_in_both_ways(
    store: Path, acknowledged: Sequence[str]
) -> None:
    for look in (check, reopen):
        verdict = look(store, [*acknowledged, "another"])
        assert verdict.missing == {"another"}
        assert verdict.faults == ()


def test_everything_is_missing_where_there_is_no_store(
    tmp_path: Path, acknowledged: Sequence[str]
) -> None:
    verdict = check(tmp_path, acknowledged)
    assert verdict.missing == {*acknowledged}
    assert not verdict.has_tables
    assert reopen(tmp_path, []).is_good


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM outbox WHERE kind = 'new_errand' AND id < 9", "deliveries"),
        ("DELETE FROM outbox WHERE kind = 'end_errand'", "deliveries"),
        ("DELETE FROM outbox WHERE kind = 'contact_card'", "its caller"),
        ("UPDATE outbox SET payload = NULL WHERE kind = 'end_errand'", "its content"),
        ("DELETE FROM calls WHERE reference_id = 'r0'", "without the other"),
        ("DELETE FROM events WHERE event_type = 'voicemail.left'", "without the other"),
        ("DELETE FROM events WHERE event_type = 'call.transferred'", "of other events"),
        ("UPDATE calls SET is_active = NOT is_active", "on the line"),
        ("DELETE FROM person_keys", "nobody's event"),
        ("UPDATE meta SET value = x'00' WHERE name = 'digest_key'", "its digest"),
    ],
)
def test_what_does_not_hang_together_is_named(
    store: Path, acknowledged: Sequence[str], statement: str, said: str
) -> None:
    change(store, statement)
    assert any(said in fault for fault in check(store, acknowledged).faults)


def test_a_lost_secret_is_seen_when_events_come_again(
    store: Path, acknowledged: Sequence[str]
) -> None:
    change(store, "DELETE FROM meta WHERE name = 'digest_key'")
    assert any("taken again" in fault for fault in reopen(store, acknowledged).faults)


def test_a_file_that_is_damaged_is_no_good_in_both_ways(
    store: Path, acknowledged: Sequence[str]
) -> None:
    path = store / STORE_NAME
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(8000) + content[8100:])
    assert check(store, acknowledged).faults
    assert reopen(store, acknowledged).faults
