import json
import re

from jsonschema import Draft202012Validator
from pydantic import ValidationError

from bridge.domain.events import EventDocument
from bridge.inbound.callbacks import CALLBACKS_PATH, TYPES
from bridge.inbound.openapi import HOOK_NAME, document
from bridge.inbound.shapes import Shape
from bridge.settings.sections import HookSettings


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


def test_its_examples_are_what_their_schemas_say() -> None:
    made = json.loads(json.dumps(document()))
    checked = 0
    for path in made["paths"].values():
        for operation in path.values():
            if not isinstance(operation, dict):
                continue
            contents = [operation.get("requestBody", {}).get("content", {})]
            contents += [one.get("content", {}) for one in operation["responses"].values()]
            for content in contents:
                for body in content.values():
                    schema = {**body["schema"], "components": made["components"]}
                    for example in body.get("examples", {}).values():
                        Draft202012Validator(schema).validate(example["value"])
                        checked += 1
    assert checked >= 9
    (problem,) = made["components"]["schemas"]["Problem"]["examples"]
    Draft202012Validator(made["components"]["schemas"]["Problem"]).validate(problem)


def test_it_describes_every_address_and_whose_names_a_hook_may_have() -> None:
    made = document()["paths"]
    assert set(made) == {
        *("/v1/events", CALLBACKS_PATH, "/v1/hooks/{name}"),
        *("/metrics", "/livez", "/readyz", "/openapi.json"),
    }
    hook = made["/v1/hooks/{name}"]["post"]
    assert {"404", "405", "408", "431", "503"} <= set(hook["responses"])
    for name in ("front-desk", "a_1", "x" * 32, "X", "", "x" * 33, "a/b"):
        assert bool(re.fullmatch(HOOK_NAME, name)) == _is_hook_name(name)


def _is_hook_name(name: str) -> bool:
    try:
        HookSettings(name=name)
    except ValidationError:
        return False
    return True


def test_whatever_may_be_tried_again_says_when() -> None:
    for path in document()["paths"].values():
        answer = path.get("post", {}).get("responses", {}).get("503")
        if answer is not None:
            assert answer["headers"]["Retry-After"]["required"]
