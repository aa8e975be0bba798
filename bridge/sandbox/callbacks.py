"""What Cention tells a site's callback address of an answered errand. Pure.

Source: the vendor's page "Cention Callback API" and its sample. As there, links name `localhost`
and no workspace, so that whoever follows them has to know both.
"""

import html
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, NamedTuple

from yarl import URL

from bridge.sandbox import reports
from bridge.sandbox.errands import API, EMAIL, VOICE, Errand, Reply
from bridge.sandbox.files import StoredFile
from bridge.sandbox.kinds import ARCHIVES, ATTACHMENTS

CALLBACK: Final = "c3_callback_answer_errands"
ANSWER: Final = "c3_answer_errands"
ANSWERED: Final = 1
FIRST_CALLBACK_ID: Final = 76
FIRST_ANSWER_ID: Final = 1189
FIRST_RESPONSE_ID: Final = 3304
FIRST_RECIPIENT_ID: Final = 279
CALLBACKS_KEPT_MAX: Final = 10_000
BODY_BYTES_KEPT_MAX: Final = 256 * 1024 * 1024

# The channel of the sample's errand, which was made by the API too; the others are chosen.
_SERVICE_TYPES: Final = {EMAIL: 1, API: 19, VOICE: 20}


class AnswerIds(NamedTuple):
    """What an answer's parts are known by."""

    answer: int
    response: int
    recipient: int


def answer_ids() -> Iterator[AnswerIds]:
    """Yield the ids of one answer after another, for ever."""
    return map(
        AnswerIds, count(FIRST_ANSWER_ID), count(FIRST_RESPONSE_ID), count(FIRST_RECIPIENT_ID)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An errand that was just answered.

    Attributes:
        errand: which.
        reply: what the agent wrote.
        ids: of the answer.
        html_body: what the agent wrote as HTML, with all that belongs to it; None: the reply's
            text and the images in it, and the original message below.
        attachments: what goes with it.
        archives: the images in it.
        links_are_objects: whether a link is an object with `href`, or a mere string; JSON:API 1.0
            ("Document Links") and the vendor's table allow either.
    """

    errand: Errand
    reply: Reply
    ids: AnswerIds
    html_body: str | None = None
    attachments: tuple[StoredFile, ...] = ()
    archives: tuple[StoredFile, ...] = ()
    links_are_objects: bool = True

    def document(self, callback_id: int, secret: str) -> dict[str, Any]:
        """Return the document of `c3_callback_answer_errands`; an empty secret is left out."""
        errand = {"type": ANSWER, "id": str(self.errand.id)}
        attachments = [self._file(item) for item in self.attachments]
        archives = [self._file(item) for item in self.archives]
        document: dict[str, Any] = {
            "data": {
                "type": CALLBACK,
                "id": str(callback_id),
                "attributes": {"event": ANSWERED},
                "relationships": {"errand": {"data": errand}},
            },
            # In the sample the errand is neither the first nor the last of them, and attachments
            # are on both sides of it: they are found by type and id, not by place.
            "included": [*attachments[1:], *archives, self._errand(), *attachments[:1]],
        }
        if secret:
            document["meta"] = {"api_secret": secret}
        return document

    def _errand(self) -> dict[str, Any]:
        msg, service = self.errand.attributes()["msg"], self.errand.service
        return {
            "type": ANSWER,
            "id": str(self.errand.id),
            "attributes": {
                "answer": {"c3_id": self.ids.answer, "response": self._response(msg)},
                "c3_id": self.errand.id,
                "service": {
                    "c3_id": reports.SERVICE_IDS[service],
                    "name": service,
                    "type": _SERVICE_TYPES[service],
                },
            },
            "relationships": {
                "attachments": {"data": _identifiers(ATTACHMENTS, self.attachments)},
                "embedded_archives": {"data": _identifiers(ARCHIVES, self.archives)},
            },
        }

    def _response(self, msg: dict[str, Any]) -> dict[str, Any]:
        to = {
            "c3_id": self.ids.recipient,
            "email_address": msg["from"],
            "name": msg.get("name", ""),
        }
        return {
            "body": self.reply.body,
            "c3_id": self.ids.response,
            "html_body": self._html(msg) if self.html_body is None else self.html_body,
            "subject": self.reply.subject,
            "to": [to],
        }

    def _html(self, msg: dict[str, Any]) -> str:
        images = "".join(f'<img src="cid:{image.content_id}" />' for image in self.archives)
        marker = "--------- Cention Contact Center - Original message"
        original = (
            f"{marker} ---------",
            f"Errand: #{self.errand.id}-1",
            f"From: {html.escape(reports.sender(msg))}",
            f"Sent: {reports.date(self.errand.created_at)}",
            f"To: {html.escape(self.errand.area)}",
            f"Subject: {html.escape(msg.get('subject', ''))}",
            "Question: ",
            "",
            reports.html_body(msg),
            f"{marker} - End ---------</div>",
        )
        return (
            f'<div style="font-size:;font-family:;"><div>{reports.as_html(self.reply.body)}'
            f"{images}</div>\n\n<br /><br />\n"
            # As in the sample, where the last break has no line of its own.
            + "<br />\n".join(original[:-1])
            + f"<br />\n<br />{original[-1]}"
        )

    def _file(self, item: StoredFile) -> dict[str, Any]:
        href = f"http://localhost/capi/json/{item.kind}/{item.id}"
        return {
            "type": item.kind,
            "id": str(item.id),
            "attributes": {"c3_id": item.id},
            "links": {"self": {"href": href} if self.links_are_objects else href},
        }


def _identifiers(kind: str, items: Iterable[StoredFile]) -> list[dict[str, str]]:
    return [{"type": kind, "id": str(item.id)} for item in items]


def is_address(text: str) -> bool:
    """Whether a callback can be sent there: an http or https URL with a host."""
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)


@dataclass(slots=True)
class CallbackBook:
    """Where callbacks are sent to, and the newest of them as they were sent."""

    url: str = ""
    secret: str = field(default="", repr=False)
    _bodies: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    _body_bytes: int = 0
    _next_id: int = FIRST_CALLBACK_ID

    def set(self, url: str, secret: str) -> None:
        """Send callbacks to another address; an empty one sends none."""
        self.url = url
        self.secret = secret

    def take_id(self) -> int:
        """Return the id of a new callback."""
        self._next_id += 1
        return self._next_id - 1

    def keep(self, callback_id: int, body: bytes) -> None:
        """Keep a callback, so that it can be sent again."""
        self._bodies[callback_id] = body
        self._body_bytes += len(body)
        while len(self._bodies) > CALLBACKS_KEPT_MAX or self._body_bytes > BODY_BYTES_KEPT_MAX:
            _, oldest = self._bodies.popitem(last=False)
            self._body_bytes -= len(oldest)

    def find(self, callback_id: int) -> bytes | None:
        """Return what was sent; None: there is no such callback."""
        return self._bodies.get(callback_id)

    def clear(self) -> None:
        """Forget every callback; ids go on growing."""
        self._bodies.clear()
        self._body_bytes = 0
