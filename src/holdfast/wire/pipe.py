"""Bytes from one task to another, bounded."""

from __future__ import annotations

import asyncio


class Pipe:
    """What is put in comes out in order; who puts waits while more than `most_bytes` are inside."""

    def __init__(self, most_bytes: int = 1 << 20) -> None:
        self._most_bytes = most_bytes
        self._waiting = bytearray()
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self.has_ended = False
        """Nothing more goes in."""

    @property
    def is_full(self) -> bool:
        """Whoever puts more in has to wait."""
        return len(self._waiting) > self._most_bytes

    async def put(self, data: bytes) -> None:
        """Returns when there is room for more. After the end, `data` is dropped."""
        if self.has_ended:
            return
        self._waiting += data
        self._changed.set()
        while self.is_full and not self.has_ended:
            self._taken.clear()
            await self._taken.wait()

    def end(self) -> None:
        """What is inside can still be taken."""
        self.has_ended = True
        self._changed.set()
        self._taken.set()

    async def get(self) -> bytes:
        """All that is inside, at least one byte; none at the end."""
        while not self._waiting:
            if self.has_ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._waiting)
        self._waiting.clear()
        self._taken.set()
        return data
