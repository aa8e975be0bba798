"""Of which trace a delivery is: that of what it tells last."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kept import NOW_US, ROUTE, kept

from bridge.domain.contacts import Person
from bridge.domain.deliveries import Draft, EndErrand, Kind, State, Tier
from bridge.domain.events import Agent
from bridge.ports import Claim, Gate, Order, Settlement
from bridge.storage.transaction import SqlTransaction

FIRST, SECOND = (f"00-{'1' * 32}-{digit * 16}-01" for digit in "23")
ADA = Person(id="p1", scope=ROUTE.scope, route="default")


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[SqlTransaction]:
    with kept(tmp_path) as store, store.engine.begin() as connection:
        yield SqlTransaction(connection)


def order(trace: str | None, number: str = "1") -> Order:
    return Order(
        draft=Draft(
            key="m1:end",
            lane="m1",
            position=1,
            kind=Kind.END_ERRAND,
            route="default",
            payload=EndErrand(reference_id="r1", agent=Agent(1, 1), dialed_number=number),
        ),
        source="aventa",
        reference_id="r1",
        event_id="e1",
        accepted_us=NOW_US,
        trace=trace,
    )


def claimed(tx: SqlTransaction, kind: Kind) -> str | None:
    """Claim the one that waits, and return of which trace it is."""
    gate = Gate(route="default", kind=kind)
    (parcel,) = tx.claim(Claim(gate=gate, tier=Tier.OLD, limit=2, now_us=NOW_US, live_us=NOW_US))
    assert [one.trace for one in tx.sending()] == [parcel.trace]
    return parcel.trace


def settle(tx: SqlTransaction, state: State) -> None:
    tx.settle([Settlement(id=1, state=state, due_us=NOW_US, attempts=1, done_us=NOW_US)])


class TestOrders:
    def test_a_delivery_keeps_the_trace_of_its_event(self, tx: SqlTransaction) -> None:
        tx.put_orders([order(FIRST)])
        assert claimed(tx, Kind.END_ERRAND) == FIRST

    def test_another_payload_brings_its_trace(self, tx: SqlTransaction) -> None:
        tx.put_orders([order(FIRST)])
        tx.put_orders([order(SECOND, "2")])
        assert claimed(tx, Kind.END_ERRAND) == SECOND

    def test_what_is_not_traced_leaves_the_trace_that_there_is(self, tx: SqlTransaction) -> None:
        tx.put_orders([order(FIRST)])
        tx.put_orders([order(None, "2")])
        assert claimed(tx, Kind.END_ERRAND) == FIRST

    def test_what_was_tried_stays_of_its_trace(self, tx: SqlTransaction) -> None:
        tx.put_orders([order(FIRST)])
        claimed(tx, Kind.END_ERRAND)
        tx.put_orders([order(SECOND, "2")])
        assert [one.trace for one in tx.sending()] == [FIRST]


class TestCards:
    def test_a_card_that_waits_is_of_the_trace_of_the_latest(self, tx: SqlTransaction) -> None:
        tx.want_cards([ADA], NOW_US, {"p1": FIRST})
        tx.want_cards([ADA], NOW_US, {"p1": SECOND, "p2": FIRST})
        assert claimed(tx, Kind.CONTACT_CARD) == SECOND

    def test_a_card_that_waits_stays_of_its_trace_where_the_latest_has_none(
        self, tx: SqlTransaction
    ) -> None:
        tx.want_cards([ADA], NOW_US, {"p1": FIRST})
        tx.want_cards([ADA], NOW_US)
        assert claimed(tx, Kind.CONTACT_CARD) == FIRST

    def test_a_card_on_its_way_is_tried_again_for_the_latest(self, tx: SqlTransaction) -> None:
        tx.want_cards([ADA], NOW_US, {"p1": FIRST})
        claimed(tx, Kind.CONTACT_CARD)
        tx.want_cards([ADA], NOW_US, {"p1": SECOND})
        settle(tx, State.READY)
        assert claimed(tx, Kind.CONTACT_CARD) == SECOND

    def test_what_was_delivered_before_is_no_cause_of_the_next_card(
        self, tx: SqlTransaction
    ) -> None:
        tx.want_cards([ADA], NOW_US, {"p1": FIRST})
        settle(tx, State.DELIVERED)
        tx.want_cards([ADA], NOW_US)
        assert claimed(tx, Kind.CONTACT_CARD) is None
