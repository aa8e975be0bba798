"""What agents attach to answers and put into them, as Cention hands it out. Pure.

The newest `FILES_KEPT_MAX` are kept, and no more of them than have `CONTENT_BYTES_KEPT_MAX` of
content.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.sandbox.kinds import ARCHIVES, ATTACHMENTS

FIELDS: Final = frozenset({"attachment"})
FILES_KEPT_MAX: Final = 10_000
CONTENT_BYTES_KEPT_MAX: Final = 256 * 1024 * 1024
FIRST_ATTACHMENT_ID: Final = 788
FIRST_ARCHIVE_ID: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file; `kind` is its type, `content` base64."""

    kind: str
    id: int
    workspace: str
    content_type: str
    name: str
    content: str

    @property
    def content_id(self) -> str:
        """What an answer's HTML refers to it by, as `cid:12` (RFC 2392)."""
        return f"attachment_{self.id}" if self.kind == ATTACHMENTS else str(self.id)

    def attributes(self) -> dict[str, Any]:
        """Return `data.attributes` of `c3_response_attachments` and `c3_area_archives`."""
        attachment = {
            "c3_id": self.id,
            "content_type": self.content_type,
            "name": self.name,
            "content": self.content,
            "content_id": self.content_id,
        }
        return {"attachment": attachment}


def _first_ids() -> dict[str, int]:
    return {ATTACHMENTS: FIRST_ATTACHMENT_ID, ARCHIVES: FIRST_ARCHIVE_ID}


@dataclass(slots=True)
class FileBook:
    """The newest files of all workspaces; each kind is numbered by itself."""

    _files: OrderedDict[tuple[str, int], StoredFile] = field(default_factory=OrderedDict)
    _next_ids: dict[str, int] = field(default_factory=_first_ids)
    _content_bytes: int = 0

    def store(
        self, kind: str, workspace: str, documents: Iterable[Mapping[str, str]]
    ) -> list[StoredFile]:
        """Keep files; each document has `content_type`, `name` and `content`."""
        return [self._store(kind, workspace, document) for document in documents]

    def find(self, kind: str, workspace: str, file_id: int) -> StoredFile | None:
        """Return a file of a workspace; None: there is none."""
        found = self._files.get((kind, file_id))
        return None if found is None or found.workspace != workspace else found

    def clear(self) -> None:
        """Forget every file; ids go on growing."""
        self._files.clear()
        self._content_bytes = 0

    def _store(self, kind: str, workspace: str, document: Mapping[str, str]) -> StoredFile:
        stored = StoredFile(
            kind=kind,
            id=self._next_ids[kind],
            workspace=workspace,
            content_type=document["content_type"],
            name=document["name"],
            content=document["content"],
        )
        self._next_ids[kind] += 1
        self._files[kind, stored.id] = stored
        self._content_bytes += len(stored.content)
        while len(self._files) > FILES_KEPT_MAX or self._content_bytes > CONTENT_BYTES_KEPT_MAX:
            _, oldest = self._files.popitem(last=False)
            self._content_bytes -= len(oldest.content)
        return stored
