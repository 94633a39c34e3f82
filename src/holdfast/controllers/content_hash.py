"""The short hashes that names of revisions and ReplicaSets end in (S67, S68, W21)."""

from __future__ import annotations

from typing import Any

import msgspec

_DIGITS = str.maketrans("0123456789", "456789bcdf")
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def canonical(data: Any) -> bytes:
    """The bytes that are hashed and compared (S68)."""
    encoded = msgspec.json.encode(data, order="deterministic")
    for character, escape in _ESCAPES:
        encoded = encoded.replace(character, escape)
    return encoded


def hash_of(data: bytes, collisions: int) -> str:
    """The suffix of the name: FNV-1, 32 bit, over the data and the count, in letters of its own (S67)."""
    value = 0x811C9DC5
    for byte in data + str(collisions).encode():
        value = (value * 0x01000193 & 0xFFFFFFFF) ^ byte
    return str(value).translate(_DIGITS)
