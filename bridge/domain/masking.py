"""Personal data made fit for a log line."""

import re
from typing import Final

_DIGITS: Final = re.compile(r"\d")


def mask_number(number: str) -> str:
    """Return a number with all but its last two digits hidden, or nothing for nothing."""
    digits = "".join(_DIGITS.findall(number))
    if not digits:
        return "***" if number else ""
    return f"***{digits[-2:]}" if len(digits) > 4 else "***"
