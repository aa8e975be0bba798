"""Cention's documents, from what the bridge wants to say. Pure.

Sources: the vendor's pages "Cention errand API" (errands and their ends) and "Cention Contact Cards
JSONAPI". What they leave open is marked *assumed*; each such choice is made in one place, listed in
docs/assumptions.md.
"""

from collections.abc import Mapping
from typing import Any, Final

from bridge.domain.answers import OnwardAnswer
from bridge.domain.contacts import CHANNELS, Card
from bridge.domain.deliveries import (
    ClosingAnswer,
    EndErrand,
    Integration,
    Kind,
    NewErrand,
    Payload,
    TicketWork,
    WhatsAppTemplate,
)

MEDIA_TYPE: Final = "application/vnd.api+json"
INTEGRATION_NAME: Final = "aventa"
TYPES: Final[Mapping[Kind, str]] = {
    Kind.NEW_ERRAND: "c3_new_errands",
    Kind.WATEMPLATE: "c3_new_errands",
    Kind.END_ERRAND: "c3_end_errands",
    Kind.CONTACT_CARD: "c3_contact_cards",
}


def _document(kind: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"type": kind, "attributes": attributes}}


def new_errand(errand: NewErrand) -> dict[str, Any]:
    """Return `c3_new_errands`. Absent optional fields are left out, never `null`."""
    msg: dict[str, Any] = {
        "message_id": errand.message_id,
        "name": errand.name,
        "from": errand.sender,
        "subject": errand.subject,
        "body": errand.body,
    }
    if errand.html_body:
        msg["html_body"] = errand.html_body
    if errand.attachments:
        msg["attachments"] = [
            {"content_type": one.content_type, "name": one.name, "content": one.content}
            for one in errand.attachments
        ]
    attributes: dict[str, Any] = {"msg": msg}
    if errand.extradata:
        attributes["extradata"] = errand.extradata
    if errand.integration is not None:
        attributes["integrationData"] = integration_data(errand.integration)
    if errand.cuid:
        attributes["cuid"] = errand.cuid
    if errand.answer is not None:
        attributes["answer"] = _answer(errand.answer)
    if errand.watemplate is not None:
        attributes["watemplate"] = _watemplate(errand.watemplate)
    return _document(TYPES[Kind.NEW_ERRAND], attributes)


def integration_data(call: Integration) -> dict[str, Any]:
    """Return `integrationData` with exactly the fields and types of the vendor's table."""
    extra = {
        "comment": call.comment,
        "callReason": call.call_reason,
        "appointmentTimestamp": call.appointment_timestamp,
    }
    optional = {
        "link": call.link,
        "pagingNumber": call.paging_number,
        "pagingName": call.paging_name,
        "extraData": {key: value for key, value in extra.items() if value},
    }
    return {
        "integrationName": INTEGRATION_NAME,
        "referenceId": call.reference_id,
        "deviceId": call.agent.device_id,
        "extensionId": call.agent.extension_id,
        "destNumber": call.dest_number,
        "queueName": call.queue_name,
        "queueNumber": call.queue_number,
        **{key: value for key, value in optional.items() if value},
    }


def _answer(answer: ClosingAnswer) -> dict[str, str]:
    texts = {"subject": answer.subject, "body": answer.body, "html_body": answer.html_body}
    return {
        "user_type": answer.user_type,
        "user_id": answer.user_id,
        **{key: value for key, value in texts.items() if value},
    }


def _watemplate(template: WhatsAppTemplate) -> dict[str, Any]:
    return {
        "elementname": template.elementname,
        "namespace": template.namespace,
        "params": list(template.params),
    }


def end_errand(end: EndErrand) -> dict[str, Any]:
    """Return `c3_end_errands`.

    *Assumed*: the fields stand in `integrationData`, as they do when an errand is created; the
    vendor's sample is cut, its table of fields is not.
    """
    data: dict[str, Any] = {
        "integrationName": INTEGRATION_NAME,
        "referenceId": end.reference_id,
        "deviceId": end.agent.device_id,
        "extensionId": end.agent.extension_id,
    }
    if end.dialed_number:
        data["dialedNumber"] = end.dialed_number
    return _document(TYPES[Kind.END_ERRAND], {"integrationData": data})


def contact_card(card: Card, cuid_label: str) -> dict[str, Any]:
    """Return `c3_contact_cards`. The cuid is the custom field with the site's label for it.

    Nobody else's field may have that label, or an event could say another cuid by it.
    """
    contacts: dict[str, Any] = {"name": card.name} if card.name else {}
    contacts.update((kind, list(getattr(card, kind))) for kind in CHANNELS if getattr(card, kind))
    fields = {cuid_label: card.cuid} if card.cuid else {}
    fields |= {label: value for label, value in card.custom if label != cuid_label}
    custom = [{"label": label, "value": value} for label, value in fields.items()]
    if custom:
        contacts["custom"] = custom
    return _document(TYPES[Kind.CONTACT_CARD], {"contacts": contacts})


def render(payload: Payload | Card, cuid_label: str) -> dict[str, Any]:
    """Return the document for what a parcel holds.

    Raises:
        TypeError: it is an answer or a ticket's, which go elsewhere.
    """
    if isinstance(payload, OnwardAnswer | TicketWork):
        raise TypeError("this is not for Cention")
    if isinstance(payload, NewErrand):
        return new_errand(payload)
    if isinstance(payload, EndErrand):
        return end_errand(payload)
    return contact_card(payload, cuid_label)
