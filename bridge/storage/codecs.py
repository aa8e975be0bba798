"""How domain values become bytes in the store, and come back.

The types are msgspec's structs, which it reads and writes in C.
"""

from functools import cache
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")
_ENCODER: Final = msgspec.json.Encoder()


@cache
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def encode(value: object) -> bytes:
    """Return a domain value as JSON, leaving out what has its default."""
    return _ENCODER.encode(value)


def decode(kind: type[T], raw: bytes) -> T:
    """Return the domain value of that type again.

    Raises:
        msgspec.ValidationError, msgspec.DecodeError (both ValueError): it is none of that type.
    """
    decoder: msgspec.json.Decoder[T] = _decoder(kind)  # type: ignore[arg-type] # types are hashable
    return decoder.decode(raw)
