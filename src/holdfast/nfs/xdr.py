"""XDR, the encoding of ONC RPC (RFC 4506): big-endian, everything padded to four bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


class Garbled(ValueError):
    """What came is not what the protocol says."""


def u32(value: int) -> bytes:
    return _U32.pack(value & 0xFFFFFFFF)


def u64(value: int) -> bytes:
    return _U64.pack(value & 0xFFFFFFFFFFFFFFFF)


def opaque(data: bytes | str) -> bytes:
    """Of variable length: the length, the bytes, the padding."""
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    return b"%b%b%b" % (_U32.pack(len(raw)), raw, bytes(-len(raw) % 4))


def bitmap(bits: Iterable[int]) -> bytes:
    """bitmap4: as many words as the highest bit needs."""
    words: list[int] = []
    for bit in bits:
        while len(words) <= bit // 32:
            words.append(0)
        words[bit // 32] |= 1 << bit % 32
    return u32(len(words)) + b"".join(map(u32, words))


class Reader:
    """Takes values off the front. Raises Garbled where there are too few bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def u32(self) -> int:
        try:
            (value,) = _U32.unpack_from(self._data, self._at)
        except struct.error as error:
            raise Garbled(str(error)) from error
        self._at += 4
        return int(value)

    def u64(self) -> int:
        try:
            (value,) = _U64.unpack_from(self._data, self._at)
        except struct.error as error:
            raise Garbled(str(error)) from error
        self._at += 8
        return int(value)

    def i64(self) -> int:
        value = self.u64()
        return value - (1 << 64) if value >> 63 else value

    def fixed(self, length: int) -> bytes:
        """Opaque bytes of a length known beforehand."""
        end = self._at + length
        if end > len(self._data):
            raise Garbled(f"{length} bytes wanted, {len(self._data) - self._at} left")
        data = self._data[self._at : end]
        self._at = end + -length % 4
        return data

    def opaque(self) -> bytes:
        return self.fixed(self.u32())

    def text(self) -> str:
        return self.opaque().decode("utf-8", "surrogateescape")

    def bitmap(self) -> list[int]:
        """The bits that are set, in order."""
        words = [self.u32() for _ in range(self.u32())]
        return [position * 32 + bit for position, word in enumerate(words) for bit in range(32) if word >> bit & 1]
