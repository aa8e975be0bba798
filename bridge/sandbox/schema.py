"""Small checks that compose into the vendor's tables, with a JSON pointer for each mistake.

A check takes a value, the pointer to it and the list that issues are added to. Fields that no table
names are refused, and so is `null`: what is absent has to be left out.
"""

import base64
import binascii
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

from bridge.sandbox.jsonapi import Issue

Check = Callable[[Any, str, list[Issue]], None]


class Field(NamedTuple):
    """One line of a vendor's table."""

    check: Check
    mandatory: bool


def required(check: Check) -> Field:
    """Return a mandatory field."""
    return Field(check, mandatory=True)


def optional(check: Check) -> Field:
    """Return a field that may be left out."""
    return Field(check, mandatory=False)


def text(value: Any, pointer: str, issues: list[Issue]) -> None:
    """Check for a string, which may be empty."""
    if not isinstance(value, str):
        issues.append(Issue(pointer, "must be a string"))


def filled(value: Any, pointer: str, issues: list[Issue]) -> None:
    """Check for a string that is not empty."""
    if not isinstance(value, str) or not value:
        issues.append(Issue(pointer, "must be a string that is not empty"))


def integer(value: Any, pointer: str, issues: list[Issue]) -> None:
    """Check for an integer; `true` and `1.0` are none."""
    if not isinstance(value, int) or isinstance(value, bool):
        issues.append(Issue(pointer, "must be an integer"))


def any_object(value: Any, pointer: str, issues: list[Issue]) -> None:
    """Check for a JSON object, whatever is in it."""
    if not isinstance(value, dict):
        issues.append(Issue(pointer, "must be an object"))


def base64_text(value: Any, pointer: str, issues: list[Issue]) -> None:
    """Check for base64 with the standard alphabet and padding (RFC 4648 §4)."""
    try:
        base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        issues.append(Issue(pointer, "must be base64"))


def constant(expected: str) -> Check:
    """Return a check for one string."""

    def check(value: Any, pointer: str, issues: list[Issue]) -> None:
        if value != expected:
            issues.append(Issue(pointer, f'must be "{expected}"'))

    return check


def pattern(expression: str, description: str) -> Check:
    """Return a check for a string that matches an expression as a whole."""
    compiled: Final = re.compile(expression, re.ASCII)

    def check(value: Any, pointer: str, issues: list[Issue]) -> None:
        if not isinstance(value, str) or compiled.fullmatch(value) is None:
            issues.append(Issue(pointer, f"must be {description}"))

    return check


def one_of(words: Collection[str]) -> Check:
    """Return a check for one of these words."""

    def check(value: Any, pointer: str, issues: list[Issue]) -> None:
        if not isinstance(value, str) or value not in words:
            issues.append(Issue(pointer, f"must be one of {', '.join(words)}"))

    return check


def between(least: float, most: float) -> Check:
    """Return a check for a number, both ends included; `true` is none."""

    def check(value: Any, pointer: str, issues: list[Issue]) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= most:
            issues.append(Issue(pointer, f"must be a number from {least:g} to {most:g}"))

    return check


def list_of(item: Check) -> Check:
    """Return a check for an array whose items all pass another check."""

    def check(value: Any, pointer: str, issues: list[Issue]) -> None:
        if not isinstance(value, list):
            issues.append(Issue(pointer, "must be an array"))
            return
        for index, element in enumerate(value):
            item(element, f"{pointer}/{index}", issues)

    return check


def record(fields: Mapping[str, Field]) -> Check:
    """Return a check for an object with these fields and no others."""
    mandatory: Final = frozenset(name for name, field in fields.items() if field.mandatory)

    def check(value: Any, pointer: str, issues: list[Issue]) -> None:
        if not isinstance(value, dict):
            issues.append(Issue(pointer, "must be an object"))
            return
        missing = mandatory - value.keys()
        issues.extend(Issue(f"{pointer}/{name}", "is required") for name in sorted(missing))
        for name, element in value.items():
            field = fields.get(name)
            if field is None:
                escaped = name.replace("~", "~0").replace("/", "~1")
                issues.append(Issue(f"{pointer}/{escaped}", "is not a field of this object"))
            else:
                field.check(element, f"{pointer}/{name}", issues)

    return check
