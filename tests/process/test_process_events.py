"""What each event does (the contract's section 5), seen from outside."""

import itertools
from typing import Any

import pytest
from process_client import AGENT, at, event, new_number, new_reference
from process_daemon import NewSite, Site
from process_upstream import CARD, END, NEW, eventually

pytestmark = pytest.mark.process

OTHER = {"deviceId": 2000, "extensionId": 2001}
THIRD = {"deviceId": 3000, "extensionId": 3001}
# Each type with the requests about its call that it alone causes, and whether it makes a card.
TYPES = [
    ("call.queued", [], True),
    ("call.answered", [NEW], True),
    ("call.transferred", [], False),
    ("call.ended", [], False),
    ("call.abandoned", [], True),
    ("callback.requested", [NEW], True),
    ("voicemail.left", [NEW], True),
    ("outbound.answered", [], False),
    ("outbound.ended", [], False),
    ("agent.available", [], False),
    ("agent.unavailable", [], False),
]


def kinds(site: Site, reference: str) -> list[str]:
    return [one.kind for one in site.upstream.of_call(reference)]


def end_of(site: Site, reference: str) -> Any:
    (end,) = [one for one in site.upstream.of_call(reference) if one.kind == END]
    return end.attributes["integrationData"]


@pytest.mark.parametrize(("event_type", "expected", "_"), TYPES)
def test_an_event_with_its_minimal_fields_is_accepted_and_does_what_its_type_does(
    site: Site, event_type: str, expected: list[str], _: object
) -> None:
    reference = new_reference()
    cards = len(site.upstream.of_kind(CARD))
    site.settle(event(event_type, reference))
    assert kinds(site, reference) == expected
    assert len(site.upstream.of_kind(CARD)) == cards


@pytest.mark.parametrize(("event_type", "expected", "makes_card"), TYPES)
def test_a_caller_becomes_a_card_on_the_types_that_say_so(
    site: Site, event_type: str, expected: list[str], *, makes_card: bool
) -> None:
    reference, number = new_reference(), new_number()
    site.settle(event(event_type, reference, callerNumber=number))
    assert kinds(site, reference) == expected
    assert len(site.upstream.of_number(number)) == makes_card


def test_an_agents_event_needs_no_reference_but_an_agent(site: Site) -> None:
    available = event("agent.available")
    assert "referenceId" not in available
    site.accept(available)
    by_id = event("agent.unavailable", agentId="agent@example.com")
    del by_id["deviceId"], by_id["extensionId"]
    site.accept(by_id)
    nobody = event("agent.available")
    del nobody["deviceId"], nobody["extensionId"]
    assert site.post(nobody).status == 422


def test_without_an_agent_an_errand_says_what_is_known_of_the_call_as_extradata(
    site: Site,
) -> None:
    reference = new_reference()
    skipped = site.daemon.metric("bridge_ends_skipped_total")
    site.settle(event("call.answered", reference), event("call.ended", reference))
    (new,) = site.upstream.of_call(reference)
    assert "integrationData" not in new.attributes
    assert new.attributes["extradata"] == {
        "referenceId": reference,
        "destNumber": "60374571234",
        "queueName": "EHS",
        "queueNumber": "123",
    }
    assert site.daemon.metric("bridge_ends_skipped_total") == skipped + 1


def test_any_order_of_a_calls_events_gives_the_same_errand_and_the_same_end(site: Site) -> None:
    steps: list[tuple[str, dict[str, Any]]] = [
        ("call.queued", {}),
        ("call.answered", AGENT),
        ("call.transferred", OTHER),
        ("call.ended", THIRD),
    ]
    references = []
    for order in itertools.permutations(enumerate(steps)):
        reference = new_reference()
        references.append(reference)
        site.accept(
            *(
                event(event_type, reference, occurredAt=at(-60 + 10 * number), **agent)
                for number, (event_type, agent) in order
            )
        )
    site.daemon.drain()
    for reference in references:
        assert kinds(site, reference) == [NEW, END]
        assert end_of(site, reference) == {
            "integrationName": "aventa",
            "referenceId": reference,
            **THIRD,
        }


def test_the_end_names_the_agent_that_the_call_was_transferred_to(site: Site) -> None:
    reference = new_reference()
    site.settle(
        event("call.answered", reference, occurredAt=at(-30), **AGENT),
        event("call.transferred", reference, occurredAt=at(-20), **OTHER),
        event("call.ended", reference, occurredAt=at(-10)),
    )
    end = end_of(site, reference)
    assert (end["deviceId"], end["extensionId"]) == (2000, 2001)


def test_a_second_answer_or_queue_makes_no_second_errand(site: Site) -> None:
    reference = new_reference()
    site.settle(
        event("call.answered", reference, **AGENT),
        event("call.queued", reference),
        event("call.answered", reference, **OTHER),
        event("call.ended", reference),
        event("call.ended", reference),
    )
    assert kinds(site, reference) == [NEW, END]


def test_an_end_without_an_answer_counts_as_abandoned_once_it_has_settled(
    new_site: NewSite,
) -> None:
    site = new_site(CALLS__SETTLE_SECONDS="0.2")
    reference = new_reference()
    site.accept(event("call.queued", reference), event("call.ended", reference))
    abandoned = {"outcome": "abandoned"}
    eventually(lambda: site.daemon.metric("bridge_calls_closed_total", **abandoned) == 1)
    assert kinds(site, reference) == []
    site.settle(event("call.answered", reference, **AGENT))
    assert kinds(site, reference) == [NEW, END]


@pytest.mark.parametrize("event_type", ["callback.requested", "voicemail.left"])
def test_the_errand_of_a_callback_or_voicemail_stays_open_when_the_caller_hangs_up(
    site: Site, event_type: str
) -> None:
    reference = new_reference()
    site.settle(
        event("call.queued", reference),
        event(event_type, reference, **AGENT),
        event("call.ended", reference, **AGENT),
    )
    assert kinds(site, reference) == [NEW]


@pytest.mark.parametrize("outcome", ["completed", None])
def test_a_completed_outbound_call_ends_the_errand_that_it_belongs_to(
    site: Site, outcome: str | None
) -> None:
    reference, outbound = new_reference(), new_reference()
    related = {"relatedReferenceId": reference}
    site.settle(
        event("callback.requested", reference, **AGENT),
        event("outbound.answered", outbound, **related, **OTHER),
        event("outbound.ended", outbound, outcome=outcome, dialedNumber="+60123456789", **related),
    )
    assert kinds(site, reference) == [NEW, END]
    assert kinds(site, outbound) == []
    assert end_of(site, reference) == {
        "integrationName": "aventa",
        "referenceId": reference,
        "dialedNumber": "60123456789",
        **OTHER,
    }


def test_a_completed_outbound_call_without_a_relation_ends_the_errand_of_its_own_reference(
    site: Site,
) -> None:
    reference = new_reference()
    site.settle(
        event("voicemail.left", reference, **AGENT),
        event("outbound.ended", reference, dialedNumber="+60123456789", **AGENT),
    )
    assert kinds(site, reference) == [NEW, END]


@pytest.mark.parametrize("outcome", ["no_answer", "busy", "failed", "voicemail"])
def test_an_outbound_call_that_reached_nobody_leaves_the_errand_open(
    site: Site, outcome: str
) -> None:
    reference = new_reference()
    site.settle(
        event("callback.requested", reference, **AGENT),
        event("outbound.ended", relatedReferenceId=reference, outcome=outcome, **AGENT),
    )
    assert kinds(site, reference) == [NEW]


def test_a_reference_used_again_a_day_later_is_a_new_call(site: Site) -> None:
    reference = new_reference()
    day_s = 86_400
    site.settle(
        event("call.answered", reference, occurredAt=at(-3 * day_s), **AGENT),
        event("call.ended", reference, occurredAt=at(-3 * day_s + 60), **AGENT),
        event("call.answered", reference, occurredAt=at(-60), **AGENT),
        event("call.ended", reference, occurredAt=at(), **AGENT),
    )
    assert sorted(kinds(site, reference)) == [END, END, NEW, NEW]
