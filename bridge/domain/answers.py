"""Answers: what an agent wrote to whoever an errand is from, as Cention calls back with it.

Source: the vendor's page "Cention Errand API", "Cention Callback API".
"""

from enum import StrEnum
from urllib.parse import quote

from msgspec import Struct


class FileType(StrEnum):
    """What an answer may carry: files beside it, and pictures within its HTML."""

    ATTACHMENT = "c3_response_attachments"
    ARCHIVE = "c3_area_archives"


class FileName(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a file is known by in its workspace."""

    type: FileType
    id: int


class Recipient(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Whom an answer is to."""

    name: str = ""
    email_address: str = ""


class Answer(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What Cention tells of an answered errand. `errand_id` is the errand's own id.

    `answer_id` and `response_id` are those of the answer and of its text, empty where they are not
    told. `marker` is the message id that its text quotes, and `workspace` the one that its links
    name, if they do. `foreign_links` counts the links that name another host than Cention's own.
    """

    callback_id: str
    errand_id: int
    answer_id: str = ""
    response_id: str = ""
    subject: str = ""
    body: str = ""
    html_body: str = ""
    to: tuple[Recipient, ...] = ()
    service_name: str = ""
    service_type: int | None = None
    files: tuple[FileName, ...] = ()
    marker: str = ""
    workspace: str = ""
    foreign_links: int = 0

    @property
    def key(self) -> str:
        """What tells this answer from any other.

        By its id alone a callback might be one of many of the same setting: the vendor's page
        doesn't say. So the ids of errand, answer and text belong to it.
        """
        ids = (self.callback_id, str(self.errand_id), self.answer_id, self.response_id)
        return "/".join(quote(one, safe="") for one in ids)


class KeptFile(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A file of an answer: fetched if it has a digest, given up if it has an `error`.

    `sha256` is the digest of its content in hexadecimal, by which it is kept; `size` is in bytes.
    """

    name: FileName
    title: str = ""
    content_type: str = ""
    content_id: str = ""
    size: int = 0
    sha256: str = ""
    error: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is to be done about it."""
        return bool(self.sha256 or self.error)


class OnwardAnswer(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """An answer to be sent on. `reference_id` is the call's, empty where it is of no known call.

    `webhook_id` is the same however often it is sent.
    """

    webhook_id: str
    received_us: int
    reference_id: str
    answer: Answer
    files: tuple[KeptFile, ...] = ()
