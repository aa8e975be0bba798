import json

from bridge.domain.events import EventDocument
from bridge.inbound.callbacks import CALLBACKS_PATH, TYPES
from bridge.inbound.openapi import document
from bridge.inbound.shapes import Shape


def test_it_describes_every_field_and_media_type_that_is_taken() -> None:
    made = json.loads(json.dumps(document()))
    event = made["components"]["schemas"]["Event"]
    assert set(event["properties"]) == {
        field.alias for field in EventDocument.model_fields.values()
    }
    assert event["required"] == ["eventId", "eventType", "occurredAt"]
    assert event["properties"]["occurredAt"]["format"] == "date-time"
    content = made["paths"]["/v1/events"]["post"]["requestBody"]["content"]
    assert set(content) == {shape.value for shape in Shape}


def test_it_describes_what_cention_posts() -> None:
    made = document()["paths"][CALLBACKS_PATH]["post"]
    assert set(made["requestBody"]["content"]) == set(TYPES)
    assert {"200", "202", "401", "422"} <= set(made["responses"])


def test_every_reference_in_it_leads_somewhere() -> None:
    made = document()
    text = json.dumps(made)
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.split('"')[0] in made["components"]["schemas"]


def test_its_example_is_a_valid_event() -> None:
    (example,) = document()["components"]["schemas"]["Event"]["examples"]
    assert EventDocument.model_validate(example).event_id == "e-1"
