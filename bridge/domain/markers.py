"""The marker by which an errand is known again: a line `ref: <message_id>` at its end.

Cention shows an errand's text as HTML, so tags are taken away and entities decoded first.
"""

import re
from typing import Final

from bridge.domain.hypertext import without_tags

PREFIX: Final = "ref: "
# `message_id` of `domain.errands`.
_MARKER: Final = re.compile(r"\bref:\s*+(aventa-[0-9a-f]{32})(?![0-9a-f])")


def marker(of: str) -> str:
    """Return the line by which the errand of a message id is known again."""
    return f"{PREFIX}{of}"


def find_marker(body: str) -> str:
    """Return the message id that an errand's body carries, empty where it carries none.

    Where it carries several (an answer that quotes another errand) it is the last.
    """
    found: list[str] = _MARKER.findall(without_tags(body))
    return found[-1] if found else ""
