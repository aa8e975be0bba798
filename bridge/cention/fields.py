"""Fields of documents that nobody has vouched for: one of another type counts as absent."""

from typing import Any


def an_object(value: Any) -> dict[str, Any]:
    """Return an object; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def a_list(value: Any) -> list[Any]:
    """Return a list; an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def a_text(value: Any, most: int | None = None) -> str:
    """Return a text, cut to so many characters; an empty one in place of anything else."""
    return value[:most] if isinstance(value, str) else ""
