"""Every error that the bridge raises on purpose, as one tree.

- `BridgeError`
  - `InvalidEvent`: what a caller sent is not a valid event (422)
  - `StoreError`
    - `StoreUnavailable`: it can't be kept now; the caller should come back (503)
      - `StoreBroken`: nor later by this process, which has to end and be started again
    - `StoreUnusable`: the store can't keep the promise (wrong mode, path or engine, damage)
      - `StoreTooNew`: a newer release has migrated this store
    - `BackupFailed`: a backup can't be made, or a file is none that can be restored
  - `CentreUnready`: a centre can't be set up as the settings are
  - `InvalidRule`: a rule can't be used as it is written
    - `InvalidTemplate`: one of its texts can't be rendered
    - `InvalidExpression`: its condition can't be evaluated
    - `InvalidHours`: an entry is no hours of the week
"""

from msgspec import Struct


class Issue(Struct, frozen=True, gc=False):
    """One thing that is wrong with a document.

    `pointer` is an RFC 6901 JSON pointer into it, and `detail` says what is wrong without
    repeating any value of it, since values may be personal data.
    """

    pointer: str
    detail: str


class BridgeError(Exception):
    """The root of the tree."""


class InvalidEvent(BridgeError):  # noqa: N818 - the field's own term; every error here says its kind
    """What a caller sent is not a valid event."""

    def __init__(self, issues: list[Issue], *, event_id: str = "", event_type: str = "") -> None:
        """Keep every issue found, and the event's id and type as far as they could be read."""
        super().__init__("; ".join(f"{issue.pointer}: {issue.detail}" for issue in issues))
        self.issues = issues
        self.event_id = event_id
        self.event_type = event_type


class CentreUnready(BridgeError):  # noqa: N818 - as above
    """A centre can't be set up as the settings are; the message says what is missing."""


class InvalidRule(BridgeError):  # noqa: N818 - as above
    """A rule can't be used as it is written; the message says why, and what would be right."""


class InvalidTemplate(InvalidRule):
    """One of a rule's texts can't be rendered."""


class InvalidExpression(InvalidRule):
    """A rule's JMESPath expression can't be evaluated."""


class InvalidHours(InvalidRule):
    """An entry is no hours of the week."""


class StoreError(BridgeError):
    """Something about the store."""


class StoreUnavailable(StoreError):  # noqa: N818 - as above
    """It can't be kept now (disk full, store away, too much in flight); come back later."""


class StoreBroken(StoreUnavailable):
    """This process can't trust what it wrote any more; one that is started anew may."""


class StoreUnusable(StoreError):  # noqa: N818 - as above
    """The store can't keep the bridge's promise, and a person has to change something."""


class StoreTooNew(StoreUnusable):
    """The store was migrated by a newer release than this one."""


class BackupFailed(StoreError):  # noqa: N818 - as above
    """A backup can't be made or put in place; what was there before is as it was."""
