"""The document in which an answer is sent on. Pure."""

from datetime import UTC, datetime
from typing import Any, Final

from bridge.domain.answers import KeptFile, OnwardAnswer

TYPE: Final = "errand.answered"


def answered(onward: OnwardAnswer) -> dict[str, Any]:
    """Return an answer as it is sent on: what Cention told, as it came, and the files by digest.

    `timestamp` is when Cention called back. A file that could not be had says why in `error`.
    """
    answer = onward.answer
    received = datetime.fromtimestamp(onward.received_us / 1e6, tz=UTC)
    return {
        "type": TYPE,
        "timestamp": received.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "referenceId": onward.reference_id or None,
            "errandId": str(answer.errand_id),
            "callbackId": answer.callback_id,
            "answer": {
                "subject": answer.subject,
                "body": answer.body,
                "html_body": answer.html_body,
                "to": [{"name": one.name, "email_address": one.email_address} for one in answer.to],
            },
            "service": {"name": answer.service_name, "type": answer.service_type},
            "attachments": [_file(one) for one in onward.files],
        },
    }


def _file(file: KeptFile) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": str(file.name.id),
        "type": file.name.type.value,
        "name": file.title or None,
        "content_type": file.content_type or None,
        "content_id": file.content_id or None,
        "size": file.size if file.sha256 else None,
        "sha256": file.sha256 or None,
    }
    return {**told, "error": file.error} if file.error else told
