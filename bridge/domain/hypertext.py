"""HTML that others wrote, as plain text: it is data, and never shown as it is."""

import html
import re
from typing import Final

# Possessive (`*+`), so that none of these ever turns back: linear for any text.
_TAG: Final = re.compile(r"<[^<>]*+>")
# Tags within a word would part it; these begin a new line, the others stand for nothing.
_BREAK: Final = re.compile(r"<\s*+/?+\s*+(?:br|p|div|li|tr|td|th|h[1-6])\b[^<>]*+>", re.IGNORECASE)
# No character has so high a number, and Python refuses to read one of thousands of digits.
_NO_CHARACTER: Final = re.compile(r"&#[0-9]{8,}+;?")


def without_tags(text: str) -> str:
    """Return a text without its tags, and with its entities decoded; whatever it holds."""
    bare = _TAG.sub("", _BREAK.sub("\n", text))
    return html.unescape(_NO_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", bare))
