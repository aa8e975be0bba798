"""Personal data made fit for a log line."""

import re
from typing import Final

_DIGITS: Final = re.compile(r"\d")
_LIKE_A_NUMBER: Final = re.compile(r"\+?\d(?:[ ().-]{0,2}\d){4,}")


def mask_number(number: str) -> str:
    """Return a number with all but its last two digits hidden, or nothing for nothing."""
    digits = "".join(_DIGITS.findall(number))
    if not digits:
        return "***" if number else ""
    return f"***{digits[-2:]}" if len(digits) > 4 else "***"


def mask_numbers(text: str) -> str:
    """Return a text with all that looks like a number in it masked."""
    return _LIKE_A_NUMBER.sub(lambda match: mask_number(match[0]), text)
