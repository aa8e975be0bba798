import json
from pathlib import Path

from bridge.cention.documents import contact_card, end_errand, new_errand, render
from bridge.domain.contacts import Card
from bridge.domain.deliveries import (
    ClosingAnswer,
    EndErrand,
    Integration,
    NewErrand,
    WhatsAppTemplate,
)
from bridge.domain.events import Agent

SAMPLES = Path(__file__).parents[1] / "data/samples"
ERRAND = NewErrand(message_id="m1", name="Ada", sender="+60123456789", subject="s", body="b")
CALL = Integration(
    reference_id="1",
    agent=Agent(0, 1000),
    dest_number="60374571234",
    queue_name="EHS",
    queue_number="123",
)


def attributes(document: dict[str, object]) -> dict[str, object]:
    data = document["data"]
    assert isinstance(data, dict)
    found = data["attributes"]
    assert isinstance(found, dict)
    return found


def test_absent_optional_fields_are_left_out_and_never_null() -> None:
    assert new_errand(ERRAND) == {
        "data": {
            "type": "c3_new_errands",
            "attributes": {
                "msg": {
                    "message_id": "m1",
                    "name": "Ada",
                    "from": "+60123456789",
                    "subject": "s",
                    "body": "b",
                }
            },
        }
    }


def test_integers_stay_integers_and_a_zero_is_no_absence() -> None:
    errand = NewErrand(
        message_id="m1", name="n", sender="s", subject="s", body="b", integration=CALL
    )
    data = attributes(new_errand(errand))["integrationData"]
    assert json.dumps(data) == json.dumps(
        {
            "integrationName": "aventa",
            "referenceId": "1",
            "deviceId": 0,
            "extensionId": 1000,
            "destNumber": "60374571234",
            "queueName": "EHS",
            "queueNumber": "123",
        }
    )


def test_a_whatsapp_template_goes_with_the_answer_that_it_needs() -> None:
    errand = NewErrand(
        message_id="m1",
        name="n",
        sender="s",
        subject="s",
        body="b",
        answer=ClosingAnswer(user_type="cention", user_id="7"),
        watemplate=WhatsAppTemplate(
            elementname="missed", namespace="ns", params=({"default": "$10", "order": "1234"},)
        ),
    )
    found = attributes(new_errand(errand))
    assert found["answer"] == {"user_type": "cention", "user_id": "7"}
    assert found["watemplate"] == {
        "elementname": "missed",
        "namespace": "ns",
        "params": [{"default": "$10", "order": "1234"}],
    }


def test_an_end_names_reference_agent_and_the_number_dialled() -> None:
    end = EndErrand(reference_id="1", agent=Agent(1, 2), dialed_number="60123456789")
    assert end_errand(end) == {
        "data": {
            "type": "c3_end_errands",
            "attributes": {
                "integrationData": {
                    "integrationName": "aventa",
                    "referenceId": "1",
                    "dialedNumber": "60123456789",
                    "deviceId": 1,
                    "extensionId": 2,
                }
            },
        }
    }


def test_the_vendors_contact_card_is_reproduced() -> None:
    sample = json.loads((SAMPLES / "contact_card_request.json").read_text("utf-8"))
    card = Card(
        name="Tester Cention",
        cuid="AB07090",
        email=("tester.c3@cention.se", "tester.c3.2@cention.se"),
        facebook=("12345@facebook.com",),
        custom=(("Address", "Kuala Lumpur"), ("Phone", "09-12345678")),
    )
    assert contact_card(card, "ID") == sample


def test_the_cuid_wins_over_a_custom_field_of_its_label() -> None:
    card = Card(cuid="c1", custom=(("cuid", "x"), ("Address", "y")))
    assert render(card, "cuid")["data"]["attributes"]["contacts"]["custom"] == [
        {"label": "cuid", "value": "c1"},
        {"label": "Address", "value": "y"},
    ]
