"""What Cention takes: the vendor's tables for errands, their ends, contact cards and dirty marks.

Where a table is silent the strict reading was chosen, so that a mistake shows here and not at a
site. The shape of `c3_end_errands` is cut in the vendor's page; its table is not.
"""

from typing import Any, Final

from bridge.sandbox.jsonapi import ApiError, Issue
from bridge.sandbox.schema import (
    Check,
    any_object,
    base64_text,
    constant,
    filled,
    integer,
    list_of,
    optional,
    pattern,
    record,
    required,
    text,
)

ISSUES_MAX: Final = 50
CHANNELS: Final = ("email", "facebook", "vk", "line", "voice")

_MSISDN: Final = pattern(r"[1-9]\d{6,14}", "an MSISDN: 7 to 15 digits, country code first, no plus")
_VOICE: Final = pattern(r"\+[1-9]\d{6,14}", "a phone number with plus sign")
_INTEGRATION_NAME: Final = constant("aventa")

ATTACHMENTS: Final = list_of(
    record(
        {
            "content_type": required(filled),
            "name": required(filled),
            "content": required(base64_text),
        }
    )
)
_MESSAGE: Final = record(
    {
        "message_id": required(filled),
        "name": optional(text),
        "from": required(filled),
        "subject": optional(text),
        "body": optional(text),
        "html_body": optional(text),
        "attachments": optional(ATTACHMENTS),
    }
)
_INTEGRATION: Final = record(
    {
        "integrationName": required(_INTEGRATION_NAME),
        "referenceId": optional(filled),
        "deviceId": required(integer),
        "extensionId": required(integer),
        "link": optional(text),
        "destNumber": required(_MSISDN),
        "pagingNumber": optional(text),
        "pagingName": optional(text),
        "queueName": required(filled),
        "queueNumber": required(filled),
        "extraData": optional(
            record(
                {
                    "comment": optional(text),
                    "callReason": optional(text),
                    "appointmentTimestamp": optional(text),
                }
            )
        ),
    }
)
_ANSWER: Final = record(
    {
        "subject": optional(text),
        "body": optional(text),
        "html_body": optional(text),
        "user_type": required(filled),
        "user_id": required(filled),
    }
)
_WATEMPLATE: Final = record(
    {
        "elementname": required(filled),
        "namespace": required(filled),
        "params": required(list_of(any_object)),
    }
)
_END_INTEGRATION: Final = record(
    {
        "integrationName": required(_INTEGRATION_NAME),
        "referenceId": required(filled),
        "dialedNumber": optional(text),
        "deviceId": required(integer),
        "extensionId": required(integer),
    }
)
_CONTACTS: Final = record(
    {
        "name": optional(text),
        "email": optional(list_of(filled)),
        "facebook": optional(list_of(filled)),
        "vk": optional(list_of(filled)),
        "line": optional(list_of(filled)),
        "voice": optional(list_of(_VOICE)),
        "custom": optional(list_of(record({"label": required(filled), "value": required(text)}))),
    }
)


def _document(type_name: str, attributes: Check) -> Check:
    data = record({"type": required(constant(type_name)), "attributes": required(attributes)})
    return record({"data": required(data), "meta": optional(any_object)})


_NEW_ERRAND: Final = _document(
    "c3_new_errands",
    record(
        {
            "msg": required(_MESSAGE),
            "integrationData": optional(_INTEGRATION),
            "extradata": optional(any_object),
            "cuid": optional(text),
            "answer": optional(_ANSWER),
            "watemplate": optional(_WATEMPLATE),
        }
    ),
)
_END_ERRAND: Final = _document(
    "c3_end_errands", record({"integrationData": required(_END_INTEGRATION)})
)
_CONTACT_CARD: Final = _document("c3_contact_cards", record({"contacts": required(_CONTACTS)}))
_DIRTY_ERRANDS: Final = _document(
    "c3_dirty_errand_list", record({"errands": required(list_of(integer))})
)


def read_new_errand(document: Any) -> dict[str, Any]:
    """Return the attributes of a `c3_new_errands` document.

    Raises:
        ApiError: 422, it is none; every issue is named.
    """
    attributes = _read(_NEW_ERRAND, document)
    if "watemplate" in attributes and "answer" not in attributes:
        raise ApiError(422, Issue("/data/attributes/answer", "is required with watemplate"))
    return attributes


def read_end_errand(document: Any) -> dict[str, Any]:
    """Return the attributes of a `c3_end_errands` document.

    Raises:
        ApiError: 422, it is none; every issue is named.
    """
    return _read(_END_ERRAND, document)


def read_contact_card(document: Any) -> dict[str, Any]:
    """Return the `contacts` of a `c3_contact_cards` document.

    Raises:
        ApiError: 422, it is none, or says nothing; every issue is named.
    """
    contacts: dict[str, Any] = _read(_CONTACT_CARD, document)["contacts"]
    if not any(contacts.values()):
        raise ApiError(422, Issue("/data/attributes/contacts", "must not be empty"))
    return contacts


def read_dirty_errands(document: Any) -> dict[str, Any]:
    """Return the attributes of a `c3_dirty_errand_list` document that marks errands as changed.

    Raises:
        ApiError: 422, it is none; every issue is named.
    """
    return _read(_DIRTY_ERRANDS, document)


def _read(check: Check, document: Any) -> dict[str, Any]:
    issues: list[Issue] = []
    check(document, "", issues)
    if issues:
        raise ApiError(422, *issues[:ISSUES_MAX])
    attributes: dict[str, Any] = document["data"]["attributes"]
    return attributes
