import json
from pathlib import Path
from typing import Any

import pytest
from process_client import AGENT, Client, event, new_number, new_reference
from process_daemon import TOKEN, Daemon, NewSite, Site, minimal_settings
from process_upstream import CARD, END, NEW, Seen

from bridge.sandbox.cention import create_app
from bridge.sandbox.serve import BackgroundServer, listen
from bridge.sandbox.tokens import make_token

pytestmark = pytest.mark.process

SAMPLE = Path(__file__).parents[1] / "data" / "samples" / "new_errand_request.json"
MEDIA_TYPE = "application/vnd.api+json"
PACE = "BRIDGE_CENTION__REQUESTS_PER_MINUTE"


def written(document: Any) -> str:
    """Return a document such that 1, 1.0 and true are three things."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False)


def check_envelope(seen: Seen, kind: str) -> None:
    assert (seen.method, seen.path) == ("POST", f"/s/demo/capi/json/{kind}")
    assert seen.header("Authorization") == [f"Bearer {TOKEN}"]
    assert seen.header("Content-Type") == [MEDIA_TYPE]
    assert seen.header("Accept") == [MEDIA_TYPE]
    document = json.loads(seen.body)
    assert set(document) == {"data"}
    assert set(document["data"]) == {"type", "attributes"}
    assert document["data"]["type"] == kind


@pytest.mark.parametrize("is_end_first", [False, True])
def test_six_keys_alone_take_a_call_to_one_errand_then_its_end_and_one_card(
    new_site: NewSite, *, is_end_first: bool
) -> None:
    site = new_site(without=[PACE])
    assert len(site.daemon.settings) == 6
    reference, number = new_reference(), new_number()
    answered = event(
        "call.answered", reference, callerNumber=number, callerName="Aisyah", cuid="c-1", **AGENT
    )
    ended = event("call.ended", reference, **AGENT)
    site.settle(*([ended, answered] if is_end_first else [answered, ended]))
    assert len(site.upstream.seen) == 3
    (card,) = site.upstream.of_kind(CARD)
    new, end = site.upstream.of_call(reference)
    check_envelope(new, NEW)
    check_envelope(end, END)
    check_envelope(card, CARD)
    msg = new.attributes["msg"]
    assert set(new.attributes) == {"msg", "integrationData", "cuid"}
    assert set(msg) == {"message_id", "name", "from", "subject", "body"}
    assert (msg["name"], msg["from"]) == ("Aisyah", number)
    assert msg["subject"]
    assert msg["body"].endswith(f"\nref: {msg['message_id']}")
    integration = {"integrationName": "aventa", "referenceId": reference, **AGENT}
    assert written(new.attributes["integrationData"]) == written(
        {
            **integration,
            "destNumber": "60374571234",
            "queueName": "EHS",
            "queueNumber": "123",
        }
    )
    assert new.attributes["cuid"] == "c-1"
    assert written(end.attributes) == written({"integrationData": integration})
    assert written(card.attributes) == written(
        {
            "contacts": {
                "name": "Aisyah",
                "voice": [number],
                "custom": [{"label": "cuid", "value": "c-1"}],
            }
        }
    )


def test_the_event_behind_the_vendors_sample_gives_that_document_again(site: Site) -> None:
    sample = json.loads(SAMPLE.read_bytes())["data"]["attributes"]
    data = sample["integrationData"]
    passed_on = ("referenceId", "deviceId", "extensionId", "link", "pagingNumber", "pagingName")
    of_queue = ("destNumber", "queueName", "queueNumber")
    answered = event(
        "call.answered",
        **{key: data[key] for key in (*passed_on, *of_queue) if key != "referenceId"},
        callerName=sample["msg"]["name"],
        callerNumber=new_number(),
        cuid=sample["cuid"],
        extraData={**data["extraData"], **sample["extradata"]},
        attachments=sample["msg"]["attachments"],
    )
    answered["referenceId"] = data["referenceId"]
    site.settle(answered)
    (new,) = site.upstream.of_call(data["referenceId"])
    assert written(new.attributes["integrationData"]) == written(data)
    assert written(new.attributes["extradata"]) == written(sample["extradata"])
    assert written(new.attributes["cuid"]) == written(sample["cuid"])
    assert new.attributes["msg"]["name"] == sample["msg"]["name"]
    assert written(new.attributes["msg"]["attachments"]) == written(sample["msg"]["attachments"])


def test_a_withheld_caller_gets_an_errand_without_cuid_and_no_card_without_one(
    site: Site,
) -> None:
    references = [new_reference(), new_reference()]
    cards = len(site.upstream.of_kind(CARD))
    site.settle(
        *(
            event("call.answered", reference, callerNumber="anonymous", **AGENT)
            for reference in references
        )
    )
    errands = [site.upstream.of_call(reference)[0].attributes for reference in references]
    senders = {errand["msg"]["from"] for errand in errands}
    assert len(senders) == 2
    assert all(sender.startswith("anonymous-") for sender in senders)
    assert {errand["msg"]["name"] for errand in errands} == {"Anonymous"}
    assert not any("cuid" in errand for errand in errands)
    assert len(site.upstream.of_kind(CARD)) == cards


def test_a_withheld_caller_with_a_cuid_gets_a_card_and_still_no_cuid_on_the_errand(
    site: Site,
) -> None:
    reference, cuid = new_reference(), new_reference()
    site.settle(event("call.answered", reference, callerNumber="", cuid=cuid, **AGENT))
    (new,) = site.upstream.of_call(reference)
    assert "cuid" not in new.attributes
    (card,) = [card for card in site.upstream.of_kind(CARD) if cuid.encode() in card.body]
    assert card.attributes == {"contacts": {"custom": [{"label": "cuid", "value": cuid}]}}


def test_a_caller_number_that_is_none_stops_no_errand_and_makes_no_card(site: Site) -> None:
    reference = new_reference()
    cards = len(site.upstream.of_kind(CARD))
    site.settle(event("call.answered", reference, callerNumber="12", **AGENT))
    assert [one.kind for one in site.upstream.of_call(reference)] == [NEW]
    assert len(site.upstream.of_kind(CARD)) == cards


def test_one_person_is_one_card_until_more_is_known_of_them(site: Site) -> None:
    number, email = new_number(), f"{new_reference()}@example.com"
    for _ in range(2):
        site.settle(event("call.queued", callerNumber=number))
    assert len(site.upstream.of_number(number)) == 1
    site.settle(event("call.queued", callerNumber=number, contact={"email": [email]}))
    assert site.upstream.of_number(number)[1].attributes == {
        "contacts": {"voice": [number], "email": [email]}
    }


def test_the_sandbox_takes_every_document_of_whole_calls(tmp_path: Path) -> None:
    with BackgroundServer(create_app(), listen(0)) as sandbox:
        settings = minimal_settings(sandbox.url, tmp_path)
        settings["BRIDGE_CENTION__TOKEN"] = make_token(b"sandbox")
        daemon = Daemon(settings).start()
        try:
            references = [new_reference() for _ in range(5)]
            for reference in references:
                for event_type in ("call.queued", "call.answered", "call.ended"):
                    body = event(event_type, reference, callerNumber=new_number(), **AGENT)
                    assert daemon.events.post(body).status == 202
            daemon.drain()
        finally:
            daemon.close()
        summary = Client(sandbox.url).get("/_sandbox/summary").json
    assert set(summary["requests"]["by_status"]) <= {"200", "201"}
    assert summary["errands"] == {"created": 5, "ended": 5}
    assert set(summary["references"]) == set(references)
