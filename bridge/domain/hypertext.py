"""HTML that others wrote, as plain text: it is data, and never shown as it is."""

import html
import re
from typing import Final

_TAG: Final = re.compile(r"<[^<>]*>")
# Tags within a word would part it; these begin a new line, the others stand for nothing.
_BREAK: Final = re.compile(r"<\s*/?\s*(?:br|p|div|li|tr|td|th|h[1-6])\b[^<>]*>", re.IGNORECASE)


def without_tags(text: str) -> str:
    """Return a text without its tags, and with its entities decoded."""
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", text)))
