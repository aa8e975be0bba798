"""Answers on their way to whoever a site names: each arrives, in order, under one id."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process_callbacks import accept, answers_kept, callback, id_of, received
from process_circle import Circle, open_circle
from process_client import AGENT, event, new_number, new_reference
from process_upstream import NEW, Answer, Gate, Upstream, eventually

from bridge.domain.routes import ONWARD_ROUTE

pytestmark = pytest.mark.process


@pytest.fixture
def target() -> Iterator[Upstream]:
    """Give who answers are sent on to; it is away until it is opened."""
    made = Upstream()
    yield made
    made.close()


@pytest.fixture
def circle(tmp_path: Path, target: Upstream) -> Iterator[Circle]:
    url = f"{target.url}/answers"
    with open_circle(tmp_path, CALLBACKS__FORWARD_URL=url, REPORTS__ENABLED="false") as made:
        yield made
        target.let_go()


@pytest.fixture
def cention() -> Iterator[Upstream]:
    """Give a Cention that answers as a test says."""
    made = Upstream()
    made.open()
    yield made
    made.close()


@pytest.fixture
def raw_circle(tmp_path: Path, cention: Upstream) -> Iterator[Circle]:
    """Give a circle whose Cention is that one."""
    url = cention.url
    with open_circle(tmp_path, CENTION__BASE_URL=url, REPORTS__ENABLED="false") as made:
        yield made
        cention.let_go()


def deliveries(circle: Circle, outcome: str) -> float:
    return circle.daemon.metric("bridge_deliveries_total", kind="answer", outcome=outcome)


def is_quiet(circle: Circle) -> bool:
    """Say whether nothing is left to be done about answers."""
    figures = circle.daemon.figures()
    return not figures.answers_waiting and not figures.pending.get("answer")


def settle(circle: Circle) -> None:
    eventually(lambda: is_quiet(circle))


def errand_id(status: int = 201, *, of: str, gate: Gate | None = None) -> Answer:
    """Return Cention's answer to a new errand."""
    body = json.dumps({"data": {"type": NEW, "id": of}}).encode()
    return Answer(status=status, body=body, gate=gate)


def test_a_target_that_is_away_gets_the_answer_when_it_is_there(
    circle: Circle, target: Upstream
) -> None:
    document = callback()
    accept(circle, document)
    eventually(lambda: deliveries(circle, "retried") >= 2)
    target.open()
    eventually(lambda: received(target))
    settle(circle)
    assert [one["data"]["callbackId"] for one in received(target)] == [id_of(document)]


def test_a_target_that_ails_gets_the_answer_again_under_the_same_id(
    circle: Circle, target: Upstream
) -> None:
    target.answer_next(
        "answers",
        Answer(status=503),
        Answer(status=500),
        Answer(hangs_up=True),
        Answer(status=429, headers={"Retry-After": "0"}),
        Answer(status=408),
    )
    target.open()
    accept(circle, callback())
    eventually(lambda: deliveries(circle, "delivered") == 1)
    settle(circle)
    sent = received(target)
    assert len(sent) == 6
    assert all(one == sent[0] for one in sent)


def test_an_answer_that_is_refused_for_good_is_a_dead_letter_and_the_next_arrives(
    circle: Circle, target: Upstream
) -> None:
    target.open()
    for count, status in enumerate((302, 400, 410, 422), 1):
        target.answer_next("answers", Answer(status=status, headers={"Location": target.url}))
        accept(circle, callback())
        eventually(lambda count=count: circle.daemon.figures().dead_letters == count)  # type: ignore[misc]  # mypy infers no type for the default
    assert deliveries(circle, "dead") == 4
    letters = circle.read("dead-letters", "list")
    assert [letter["kind"] for letter in letters] == ["answer"] * 4
    later = callback()
    accept(circle, later)
    eventually(lambda: received(target, id_of(later)))
    assert len(received(target)) == 5


def test_a_dead_letter_that_is_replayed_arrives_under_its_id(
    circle: Circle, target: Upstream
) -> None:
    target.answer_next("answers", Answer(status=422))
    target.open()
    accept(circle, callback())
    [letter] = eventually(lambda: circle.read("dead-letters", "list"))
    result = circle.shell("dead-letters", "replay", str(letter["id"]))
    assert result.returncode == 0, result.stderr
    eventually(lambda: len(received(target)) == 2)
    first, second = received(target)
    assert first == second


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_signature_pauses_answers_and_nothing_else(
    circle: Circle, target: Upstream, status: int
) -> None:
    target.answer_always("answers", Answer(status=status))
    target.open()
    document = callback()
    accept(circle, document)
    eventually(lambda: circle.daemon.figures().pauses)
    assert [route for route, _ in circle.daemon.figures().pauses] == [ONWARD_ROUTE]
    paused = {
        name for name, value in circle.daemon.metrics().items() if "route_paused" in name and value
    }
    assert len(paused) == 1
    assert all(f'route="{ONWARD_ROUTE}"' in one for one in paused)
    # Calls go on, and answers are still taken.
    circle.call()
    accept(circle, callback())
    assert len(received(target)) == 1
    target.answer_always("answers", None)
    result = circle.shell("routes", "resume", ONWARD_ROUTE)
    assert result.returncode == 0, result.stderr
    eventually(lambda: deliveries(circle, "delivered") == 2)
    assert len({one["webhook-id"] for one in received(target, id_of(document))}) == 1
    assert circle.daemon.figures().dead_letters == 0


def test_a_refused_token_of_centions_does_not_hold_answers_back(
    raw_circle: Circle, cention: Upstream
) -> None:
    cention.answer_always(NEW, Answer(status=401))
    sent = event("call.answered", callerNumber=new_number(), **AGENT)
    assert raw_circle.daemon.events.post(sent).status == 202
    eventually(lambda: raw_circle.daemon.figures().pauses)
    accept(raw_circle, callback())
    eventually(lambda: raw_circle.receiver.documents)


def test_two_answers_to_one_errand_arrive_in_order(circle: Circle, target: Upstream) -> None:
    gate = Gate()
    target.answer_next("answers", Answer(status=503, gate=gate))
    target.open()
    first, second = callback("4711"), callback("4711")
    accept(circle, first, second)
    other = callback()
    target.wait_for(lambda one: one.of_kind("answers"))
    # What is about another errand doesn't wait for it.
    accept(circle, other)
    eventually(lambda: received(target, id_of(other)))
    assert not received(target, id_of(second))
    gate.open()
    eventually(lambda: received(target, id_of(second)))
    settle(circle)
    order = [one["data"]["callbackId"] for one in received(target)]
    assert [one for one in order if one != id_of(other)] == [id_of(first)] * 2 + [id_of(second)]


def test_an_answer_whose_file_is_slow_is_not_overtaken_by_the_next_to_its_errand(
    raw_circle: Circle, cention: Upstream
) -> None:
    gate = Gate()
    cention.answer_next("501", Answer(status=410, gate=gate))
    first, second, other = callback("4711", files=["501"]), callback("4711"), callback()
    accept(raw_circle, first, second, other)
    documents = raw_circle.receiver.documents
    eventually(lambda: documents)
    assert [one["data"]["callbackId"] for one in documents] == [id_of(other)]
    gate.open()
    eventually(lambda: len(documents) == 3)
    order = [one["data"]["callbackId"] for one in documents]
    assert order[1:] == [id_of(first), id_of(second)]


def test_an_answer_to_an_errand_that_is_not_ours_has_no_reference(
    circle: Circle, target: Upstream
) -> None:
    target.open()
    accept(circle, callback("999999999"))
    eventually(lambda: received(target))
    [sent] = received(target)
    assert (sent["data"]["referenceId"], sent["data"]["errandId"]) == (None, "999999999")
    assert circle.daemon.metric("bridge_answers_total", call="unknown") == 1


def test_an_answer_that_comes_before_its_errands_id_is_known_waits_for_it(
    raw_circle: Circle, cention: Upstream
) -> None:
    gate, reference = Gate(), new_reference()
    cention.answer_next(NEW, errand_id(of="777001", gate=gate), reference=reference)
    sent = event("call.answered", reference, callerNumber=new_number(), **AGENT)
    assert raw_circle.daemon.events.post(sent).status == 202
    cention.wait_for(lambda one: one.of_call(reference))
    accept(raw_circle, callback("777001"))
    eventually(lambda: raw_circle.daemon.figures().answers_waiting == 1)
    assert raw_circle.receiver.documents == []
    gate.open()
    [document] = eventually(lambda: raw_circle.receiver.documents)
    assert document["data"]["referenceId"] == reference
    assert raw_circle.daemon.metric("bridge_answers_total", call="known") == 1


def test_an_answer_that_quotes_its_errands_marker_need_not_wait(
    raw_circle: Circle, cention: Upstream
) -> None:
    gate, reference = Gate(), new_reference()
    cention.answer_next(NEW, errand_id(of="777002", gate=gate), reference=reference)
    sent = event("call.answered", reference, callerNumber=new_number(), **AGENT)
    assert raw_circle.daemon.events.post(sent).status == 202
    [new] = cention.wait_for(lambda one: one.of_call(reference))
    quoted = new.attributes["msg"]["body"].replace("\n", "<br />\n")
    accept(raw_circle, callback("777002", html_body=f"<div>Yes</div>{quoted}"))
    [document] = eventually(lambda: raw_circle.receiver.documents)
    assert document["data"]["referenceId"] == reference
    gate.open()


def test_a_kill_right_after_the_answer_to_cention_loses_nothing(
    circle: Circle, target: Upstream
) -> None:
    documents: list[dict[str, Any]] = []
    for _ in range(5):
        documents += [callback("4711"), callback()]
        accept(circle, *documents[-2:])
        circle.daemon.kill9()
        assert answers_kept(circle) == len(documents)
        circle.start()
    target.open()
    eventually(lambda: len({one["webhook-id"] for one in received(target)}) == len(documents))
    settle(circle)
    sent = received(target)
    assert {one["data"]["callbackId"] for one in sent} == {id_of(one) for one in documents}
    assert len({(one["webhook-id"], one["data"]["callbackId"]) for one in sent}) == len(documents)
    assert all(circle.post_callback(one).status == 200 for one in documents)


def test_a_kill_while_a_file_is_fetched_fetches_it_again(
    raw_circle: Circle, cention: Upstream
) -> None:
    cention.answer_next("501", Answer(gate=Gate()))
    cention.answer_next("502", Answer(status=410))
    document = callback(files=["501", "502"])
    accept(raw_circle, document)
    cention.wait_for(lambda one: one.of_kind("501"))
    raw_circle.daemon.kill9()
    cention.let_go()
    cention.answer_next("501", Answer(status=410))
    raw_circle.start()
    [sent] = eventually(lambda: raw_circle.receiver.documents)
    assert sent["data"]["callbackId"] == id_of(document)
    assert [one["error"] for one in sent["data"]["attachments"]] == ["not_found"] * 2
    assert (len(cention.of_kind("501")), len(cention.of_kind("502"))) == (2, 1)


def test_a_kill_while_it_is_sent_on_sends_it_again_under_the_same_id(
    circle: Circle, target: Upstream
) -> None:
    target.answer_next("answers", Answer(gate=Gate()))
    target.open()
    accept(circle, callback())
    target.wait_for(lambda one: one.of_kind("answers"))
    circle.daemon.kill9()
    circle.start()
    eventually(lambda: len(received(target)) == 2)
    settle(circle)
    first, second = received(target)
    assert first == second


def test_a_target_that_is_named_later_gets_what_comes_from_then_on(
    circle: Circle, target: Upstream
) -> None:
    target.open()
    circle.daemon.terminate()
    settings = {
        name: circle.daemon.settings.pop(f"BRIDGE_CALLBACKS__{name}")
        for name in ("FORWARD_URL", "FORWARD_SECRET")
    }
    circle.start()
    accept(circle, callback())
    settle(circle)
    circle.daemon.terminate()
    circle.daemon.settings |= {f"BRIDGE_CALLBACKS__{name}": of for name, of in settings.items()}
    circle.start()
    later = callback()
    accept(circle, later)
    eventually(lambda: received(target))
    settle(circle)
    assert [one["data"]["callbackId"] for one in received(target)] == [id_of(later)]
