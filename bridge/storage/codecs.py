"""How domain values become bytes in the store, and come back.

The types are plain frozen dataclasses; pydantic reads and writes them at the speed of its core.
"""

from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")
_adapters: Final[dict[type[Any], TypeAdapter[Any]]] = {}


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    adapter = _adapters.get(kind)
    if adapter is None:
        adapter = _adapters[kind] = TypeAdapter(kind)
    return adapter


def encode(value: object) -> bytes:
    """Return a domain value as JSON, leaving out what has its default."""
    return _adapter(type(value)).dump_json(value, exclude_defaults=True)


def decode(kind: type[T], raw: bytes) -> T:
    """Return the domain value of that type again."""
    return _adapter(kind).validate_json(raw)
