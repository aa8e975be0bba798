import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.sandbox.documents import (
    ISSUES_MAX,
    read_contact_card,
    read_end_errand,
    read_new_errand,
)
from bridge.sandbox.jsonapi import ApiError

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
ATTRIBUTES = "/data/attributes"


def new_errand() -> Any:
    return json.loads((SAMPLES / "new_errand_request.json").read_text())


def place_of(document: Any, path: str) -> tuple[Any, str]:
    *parents, name = path.split("/")
    place = document["data"]["attributes"]
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place[parent]
    return place, name


def pointers(read: Callable[[Any], Any], document: Any) -> set[str]:
    with pytest.raises(ApiError) as caught:
        read(document)
    assert caught.value.status == 422
    return {issue.pointer for issue in caught.value.issues}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("msg", "text"),
        ("msg/message_id", 1),
        ("msg/from", ""),
        ("msg/name", None),
        ("msg/unknown", "x"),
        ("msg/attachments", {}),
        ("msg/attachments/0/content", "not base64!"),
        ("msg/attachments/0/content", "åäö="),
        ("msg/attachments/0/content", 5),
        ("integrationData", None),
        ("integrationData/integrationName", "other"),
        ("integrationData/deviceId", True),
        ("integrationData/deviceId", "1000"),
        ("integrationData/extensionId", 1000.5),
        ("integrationData/destNumber", "+60374571234"),
        ("integrationData/destNumber", "0701234567"),
        ("integrationData/destNumber", "123456"),
        ("integrationData/destNumber", "1234567890123456"),
        ("integrationData/destNumber", "٤٦٧٠١٢٣٤٥٦٧"),
        ("integrationData/queueName", ""),
        ("integrationData/pagingName", None),
        ("integrationData/agentId", "x"),
        ("integrationData/extraData", []),
        ("integrationData/extraData/comment", 1),
        ("integrationData/extraData/appointmentTimestamp", 1593047865),
        ("integrationData/extraData/other", "x"),
        ("extradata", "text"),
        ("cuid", 5462),
        ("answer", []),
        ("watemplate", []),
        ("unknown", "x"),
    ],
)
def test_a_wrong_field_of_an_errand_is_pointed_at(path: str, value: Any) -> None:
    document = new_errand()
    place, name = place_of(document, path)
    place[name] = value
    assert pointers(read_new_errand, document) == {f"{ATTRIBUTES}/{path}"}


@pytest.mark.parametrize(
    "path",
    [
        "msg",
        "msg/message_id",
        "msg/from",
        "msg/attachments/0/name",
        "integrationData/integrationName",
        "integrationData/deviceId",
        "integrationData/extensionId",
        "integrationData/destNumber",
        "integrationData/queueName",
        "integrationData/queueNumber",
    ],
)
def test_a_missing_mandatory_field_is_pointed_at(path: str) -> None:
    document = new_errand()
    place, name = place_of(document, path)
    del place[name]
    assert pointers(read_new_errand, document) == {f"{ATTRIBUTES}/{path}"}


@pytest.mark.parametrize(
    "path",
    [
        "msg/name",
        "msg/html_body",
        "msg/attachments",
        "extradata",
        "cuid",
        "integrationData",
        "integrationData/referenceId",
        "integrationData/link",
        "integrationData/pagingNumber",
        "integrationData/extraData",
        "integrationData/extraData/comment",
    ],
)
def test_an_optional_field_may_be_left_out(path: str) -> None:
    document = new_errand()
    place, name = place_of(document, path)
    del place[name]
    assert read_new_errand(document) == document["data"]["attributes"]


def test_every_mistake_is_named_up_to_a_limit() -> None:
    document = new_errand()
    document["data"]["attributes"].update(cuid=1, extradata=2)
    assert pointers(read_new_errand, document) == {f"{ATTRIBUTES}/cuid", f"{ATTRIBUTES}/extradata"}
    document["data"]["attributes"]["msg"]["attachments"] = [1] * 1000
    assert len(pointers(read_new_errand, document)) == ISSUES_MAX


def test_a_pointer_escapes_the_name_of_its_field() -> None:
    document = new_errand()
    document["data"]["attributes"]["un~known/x"] = 1
    assert pointers(read_new_errand, document) == {f"{ATTRIBUTES}/un~0known~1x"}


def test_a_template_needs_an_answer() -> None:
    document = new_errand()
    template = {"elementname": "missed", "namespace": "n", "params": []}
    document["data"]["attributes"]["watemplate"] = template
    assert pointers(read_new_errand, document) == {f"{ATTRIBUTES}/answer"}


@pytest.mark.parametrize(
    ("answer", "pointer"),
    [
        ({"user_type": "cention"}, "/answer/user_id"),
        ({"user_type": "cention", "user_id": 7}, "/answer/user_id"),
        ({"user_type": "cention", "user_id": "7", "who": "x"}, "/answer/who"),
    ],
)
def test_an_answer_names_its_user(answer: Any, pointer: str) -> None:
    document = new_errand()
    document["data"]["attributes"]["answer"] = answer
    assert pointers(read_new_errand, document) == {f"{ATTRIBUTES}{pointer}"}


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ([], ""),
        (None, ""),
        ({}, "/data"),
        ({"data": []}, "/data"),
        ({"data": {"type": "c3_new_errands"}}, "/data/attributes"),
        ({"data": {"type": "c3_new_errand", "attributes": {"msg": {}}}}, "/data/type"),
        ({"data": {"type": "c3_new_errands", "id": "1", "attributes": {}}}, "/data/id"),
    ],
)
def test_what_is_no_errand_document_is_pointed_at(document: Any, pointer: str) -> None:
    assert pointer in pointers(read_new_errand, document)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("integrationName", None),
        ("referenceId", ""),
        ("deviceId", False),
        ("extensionId", "1"),
        ("dialedNumber", 46701234567),
        ("queueName", "EHS"),
    ],
)
def test_a_wrong_field_of_an_end_is_pointed_at(field: str, value: Any) -> None:
    data = {"integrationName": "aventa", "referenceId": "1", "deviceId": 1, "extensionId": 1}
    attributes = {"integrationData": {**data, field: value}}
    document = {"data": {"type": "c3_end_errands", "attributes": attributes}}
    assert pointers(read_end_errand, document) == {f"{ATTRIBUTES}/integrationData/{field}"}


@pytest.mark.parametrize(
    ("contacts", "pointer"),
    [
        ({}, ""),
        ({"email": [], "name": ""}, ""),
        ({"voice": ["46701234567"]}, "/voice/0"),
        ({"email": "a@example.se"}, "/email"),
        ({"vk": [""]}, "/vk/0"),
        ({"name": None}, "/name"),
        ({"custom": [{"label": "cuid"}]}, "/custom/0/value"),
        ({"custom": [{"label": "cuid", "value": 1}]}, "/custom/0/value"),
        ({"phone": ["+46701234567"]}, "/phone"),
    ],
)
def test_a_wrong_field_of_a_card_is_pointed_at(contacts: Any, pointer: str) -> None:
    document = {"data": {"type": "c3_contact_cards", "attributes": {"contacts": contacts}}}
    assert pointers(read_contact_card, document) == {f"{ATTRIBUTES}/contacts{pointer}"}
