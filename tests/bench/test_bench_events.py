from collections import Counter
from datetime import UTC, datetime

import orjson
import phonenumbers
import pytest
from bench_calls import check_once, expected
from bench_events import NEW_FROM, POOL, batch, calls, cards, documents, event, number
from bench_node_red import flow
from bench_process import BenchError
from bench_upstream import CARD, END, NEW, about

from bridge.cention.documents import contact_card, end_errand, new_errand
from bridge.domain.contacts import Card
from bridge.domain.deliveries import EndErrand, Integration, NewErrand
from bridge.domain.events import Agent

AGENT = Agent(1000, 1001)


@pytest.mark.parametrize("caller", [0, POOL - 1, NEW_FROM, 9_999_999])
def test_every_caller_has_a_valid_number(caller: int) -> None:
    assert phonenumbers.is_valid_number(phonenumbers.parse(number(caller)))


def test_every_fifth_call_is_from_somebody_new_and_has_a_card() -> None:
    load = calls("t", 1000)
    assert cards(load) == 200
    assert len({one.number for one in load}) == 200 + POOL * 4 // 5
    assert expected(load) == {NEW: 1000, END: 1000, CARD: 200}


def test_no_two_calls_share_a_reference_nor_two_events_an_id() -> None:
    load = calls("t", 100)
    ids = [orjson.loads(body)["eventId"] for one in load for body in (one.answered, one.ended)]
    assert len({one.reference for one in load}) == 100
    assert len(set(ids)) == 200


def test_a_batch_is_one_event_a_line() -> None:
    lines = batch([("r-1", 1), ("r-2", 2)]).splitlines()
    assert [orjson.loads(line)["referenceId"] for line in lines] == ["r-1", "r-2"]


def test_baselines_send_what_the_bridge_sends() -> None:
    """The same fields; what the bridge words otherwise may be longer or shorter."""
    new, card = sent("call.answered", NEW_FROM)
    (end,) = sent("call.ended", NEW_FROM)
    assert fields(new) == fields(
        new_errand(
            NewErrand(
                message_id="m",
                name="n",
                sender="s",
                subject="s",
                body="b",
                integration=Integration(
                    reference_id="r",
                    agent=AGENT,
                    dest_number="1",
                    queue_name="q",
                    queue_number="1",
                ),
            )
        )
    )
    assert fields(end) == fields(end_errand(EndErrand(reference_id="r", agent=AGENT)))
    assert fields(card) == fields(contact_card(Card(name="n", voice=("+46701234567",)), "cuid"))


def sent(event_type: str, caller: int) -> list[object]:
    one = event(event_type, "r", caller, datetime.now(UTC))
    return [orjson.loads(body) for _, body in documents(one)]


def fields(document: object) -> object:
    """Return a document's keys, level by level."""
    if isinstance(document, dict):
        return {key: fields(value) for key, value in document.items()}
    return type(document)


def test_the_upstream_knows_the_calls_and_callers_of_what_is_sent() -> None:
    one = event("call.answered", "r", NEW_FROM, datetime.now(UTC))
    assert [about(body) for _, body in documents(one)] == ["r", number(NEW_FROM)]


def test_a_request_that_is_missing_or_came_twice_is_found() -> None:
    load = calls("t", 5)
    seen = [(kind, one.reference) for one in load for kind in (NEW, END)]
    seen.append((CARD, load[4].number))
    check_once(load, seen)
    for wrong in (seen[1:], [*seen, seen[0]]):
        with pytest.raises(BenchError, match="1 requests too many or too few"):
            check_once(load, wrong)


def test_the_flow_holds_no_placeholder_and_every_wire_ends_at_a_node() -> None:
    nodes = flow("http://127.0.0.1:1")
    code = next(one["func"] for one in nodes if one["type"] == "function")
    assert not [word for word in ("URL_OF", "TYPE_", "NEW_FROM") if word in code]
    ends = Counter(end for one in nodes for wire in one.get("wires", ()) for end in wire)
    assert ends.keys() <= {one["id"] for one in nodes}
